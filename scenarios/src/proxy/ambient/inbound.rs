//! The way in: streams of tunnels, and callers in clear where they are let in, become connections to the program.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use hyper::{Method, Request, Response, StatusCode, Uri};
use rustix::net::sockopt::ip_original_dst;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::splice::{End, in_clear, through_tunnel};
use super::stats::count;
use super::windows::{CONNECTION_WINDOW, FRAME, STREAM_WINDOW};
use super::workload::{Inbound, Mesh, Workload};
use crate::handshakes::reason;
use crate::ports::in_time;

/// Takes in a tunnel: mTLS, and then streams until it ends.
pub(super) async fn tunnel(mesh: Arc<Mesh>, at: usize, stream: TcpStream) {
    let Some((workload, inbound)) = ends(&mesh, at) else { return };
    count(&inbound.gauges.connections);
    let acceptor = TlsAcceptor::from(workload.credentials().server());
    let stream = match in_time(acceptor.accept(stream)).await {
        Ok(stream) => stream,
        Err(error) => {
            inbound.gauges.handshakes.failed();
            mesh.complaints.write(format_args!("{}: no TLS with a caller: {}", workload.name, reason(&error)));
            return;
        }
    };
    inbound.gauges.handshakes.succeeded(stream.get_ref().1.peer_certificates());
    let speak = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .handshake(stream);
    let Ok(mut connection) = in_time(async { speak.await.map_err(io::Error::other) }).await else { return };
    // A caller's end that goes away has told those who have streams in it.
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer(Arc::clone(&mesh), at, request, respond));
    }
}

/// Takes in one stream.
async fn answer(mesh: Arc<Mesh>, at: usize, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let Some((workload, inbound)) = ends(&mesh, at) else { return };
    count(&inbound.gauges.streams);
    let opened = match asked_for(request.method(), request.uri(), inbound) {
        Some(port) => to_program(workload, port).await.map_err(|error| {
            let said = format!("the program took no connection at its port {port}: {error}");
            (StatusCode::SERVICE_UNAVAILABLE, said)
        }),
        None => Err((StatusCode::BAD_REQUEST, format!("{} {} was asked for", request.method(), request.uri()))),
    };
    match opened {
        Ok(socket) => {
            // Fails only where the caller has gone meanwhile.
            let Ok(send) = respond.send_response(Response::new(()), false) else { return };
            let _ = through_tunnel(socket, send, request.into_body(), End::Callee, &inbound.gauges.carried).await;
        }
        Err((status, said)) => {
            count(&inbound.gauges.streams_refused);
            mesh.complaints.write(format_args!("{}: refused a stream: {said}", workload.name));
            let mut response = Response::new(());
            *response.status_mut() = status;
            let _ = respond.send_response(response, true);
        }
    }
}

/// The port of the program that a CONNECT asks for; none for anything else.
fn asked_for(method: &Method, uri: &Uri, inbound: &Inbound) -> Option<u16> {
    let authority = uri.authority().filter(|_| method == Method::CONNECT)?;
    let address: SocketAddr = authority.as_str().parse().ok()?;
    inbound.is_at(address).then_some(address.port())
}

/// Takes in a caller that is not in the mesh, or closes its connection.
pub(super) async fn clear(mesh: Arc<Mesh>, at: usize, stream: TcpStream) {
    let Some((workload, inbound)) = ends(&mesh, at) else { return };
    // Redirected, it was on its way to a port of the program; on loopback it came here by itself.
    let port = match ip_original_dst(&stream) {
        Ok(address) if inbound.is_at(SocketAddr::V4(address)) => address.port(),
        _ => inbound.app.port(),
    };
    if !inbound.admits_clear(port) {
        count(&inbound.gauges.clear_refused);
        let name = &workload.name;
        mesh.complaints.write(format_args!("{name}: refused a connection in clear to port {port}: mtls is strict"));
        return;
    }
    count(&inbound.gauges.clear);
    match to_program(workload, port).await {
        Ok(socket) => {
            let _ = in_clear(stream, socket, &inbound.gauges.carried).await;
        }
        Err(error) => {
            let name = &workload.name;
            mesh.complaints.write(format_args!("{name}: its program took no connection at its port {port}: {error}"));
        }
    }
}

/// Connects to the program by its loopback address, which in a pod is never redirected.
async fn to_program(workload: &Workload, port: u16) -> io::Result<TcpStream> {
    workload.inside.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

fn ends(mesh: &Mesh, at: usize) -> Option<(&Workload, &Inbound)> {
    let workload = mesh.workloads.get(at)?;
    Some((workload, workload.inbound.as_ref()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_port_of_the_workload_can_be_asked_for_and_only_by_connect() {
        let s2 = Inbound::of("10.77.0.4:8080".parse().unwrap(), &[8080, 8081]);
        let asked = |method: &Method, uri: &str| asked_for(method, &uri.parse().unwrap(), &s2);
        assert_eq!(asked(&Method::CONNECT, "10.77.0.4:8080"), Some(8080));
        assert_eq!(asked(&Method::CONNECT, "10.77.0.4:8081"), Some(8081));
        for other in ["10.77.0.5:8080", "10.77.0.4:22", "10.77.0.4", "s2:8080", "127.0.0.1:8080"] {
            assert_eq!(asked(&Method::CONNECT, other), None, "{other}");
        }
        assert_eq!(asked(&Method::GET, "http://10.77.0.4:8080/"), None);
        assert_eq!(asked(&Method::CONNECT, "/"), None);
    }
}
