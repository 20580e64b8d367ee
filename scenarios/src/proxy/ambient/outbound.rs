//! The way out: a program's connection becomes a stream of a tunnel.

use std::net::SocketAddr;
use std::sync::Arc;

use rustix::net::sockopt::ip_original_dst;
use tokio::net::TcpStream;

use super::splice::{End, through_tunnel};
use super::stats::count;
use super::workload::{Call, Mesh, Workload};

/// Carries a connection that was redirected on its way to some other program.
pub(super) async fn captured(mesh: Arc<Mesh>, at: usize, stream: TcpStream) {
    let Some(workload) = mesh.workloads.get(at) else { return };
    match ip_original_dst(&stream).map(SocketAddr::V4) {
        Ok(address) => match mesh.call_to(workload, address) {
            Some(call) => carry(&mesh, workload, call, Some(address), stream).await,
            None => {
                count(&workload.misdirected);
                mesh.complaints.write(format_args!("{}: {address} is none of those it calls", workload.name));
            }
        },
        Err(error) => {
            count(&workload.misdirected);
            mesh.complaints.write(format_args!("{}: a connection without a destination: {error}", workload.name));
        }
    }
}

/// Carries a connection to one of those that a workload calls.
pub(super) async fn call(mesh: Arc<Mesh>, at: usize, call: usize, stream: TcpStream) {
    let Some(workload) = mesh.workloads.get(at) else { return };
    let Some(call) = workload.calls.get(call) else { return };
    carry(&mesh, workload, call, None, stream).await;
}

async fn carry(mesh: &Mesh, from: &Workload, call: &Call, program: Option<SocketAddr>, socket: TcpStream) {
    count(&call.gauges.connections);
    match mesh.stream(from, call, program).await {
        Ok(stream) => {
            // How it ended, both ends have learnt by then; `stream` holds its place in the tunnel until here.
            let super::pool::Stream { send, receive, taken } = stream;
            let _ = through_tunnel(socket, send, receive, End::Caller, &call.gauges.carried).await;
            drop(taken);
        }
        Err(error) => {
            count(&call.gauges.failures);
            mesh.complaints.write(format_args!("{}: no stream for a connection: {error}", from.name));
        }
    }
}
