//! The ways into a sidecar: whom each lets in, and what becomes of a connection that was let in.

use std::net::{SocketAddr, TcpStream as Accepted};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use record::{Mtls, Protocol};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::callee::Callee;
use super::first_bytes::{is_http1, is_tls};
use super::gauges::count;
use super::keys::ALPN_BYTES;
use super::passage::{Ends, Passage};
use super::pipe::{self, Onward};
use super::route::Route;
use super::worker::Relay;
use crate::handshakes::reason;
use crate::ports::in_time;

impl Relay {
    /// A connection to the service.
    pub(super) async fn inbound(self: Rc<Self>, stream: Accepted) {
        count(&self.gauges.inbound.connections);
        let Some(config) = &self.plan.config.inbound else { return };
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        let meant_for = if config.redirected { self.meant_for("inbound", &stream) } else { None };
        if config.redirected && meant_for.is_none() {
            return;
        }
        let place = meant_for.map_or(Some(0), |at| config.ports.iter().position(|p| p.app.port() == at.port()));
        let mtls = place.and_then(|place| config.ports.get(place)).map_or(config.mtls, |port| port.mtls);
        let Ok(secured) = self.comes_with_tls(mtls, &stream).await else { return };
        let route = place.and_then(|place| self.ports.get(place)).map(|pool| Route::App(Rc::clone(pool)));
        let ends = Ends::of(&stream, meant_for);
        if secured {
            let Some(server) = self.keys.borrow().server.clone() else { return };
            let Some(stream) = self.handshake(server, stream).await else { return };
            let bytes = stream.get_ref().1.alpn_protocol() == Some(ALPN_BYTES);
            self.into_service(route, meant_for, ends, stream, bytes, false).await;
        } else {
            // What is meant for a port that nobody named is passed on whatever it is.
            let Ok(bytes) = (if route.is_none() { Ok(true) } else { self.carries_bytes(&stream).await }) else {
                return;
            };
            self.into_service(route, meant_for, ends, stream, bytes, true).await;
        }
    }

    async fn into_service<T>(
        self: Rc<Self>,
        route: Option<Route>,
        meant_for: Option<SocketAddr>,
        ends: Ends,
        stream: T,
        bytes: bool,
        clear: bool,
    ) where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let from = self.plan.config.inbound.as_ref().and_then(|inbound| inbound.from);
        match (route, meant_for) {
            (Some(route), _) if !bytes => {
                let way = |relay: &Relay| Arc::clone(&relay.gauges);
                let inbound = Some(way(&self));
                Passage { relay: self, route, inbound, clear, front: None, ends }.serve(stream).await;
            }
            (Some(Route::App(pool)), _) => {
                let onward =
                    Onward { address: pool.upstream.address(), from, tls: None, meter: Arc::clone(&pool.meter) };
                self.pass("inbound", &self.gauges.inbound.byte_connections, stream, onward).await;
            }
            (_, Some(address)) => {
                let meter = Arc::clone(&self.gauges.passed_through);
                let onward = Onward { address, from, tls: None, meter };
                self.pass("inbound", &self.gauges.inbound.byte_connections, stream, onward).await;
            }
            (_, None) => {}
        }
    }

    /// A connection from the service to a callee.
    pub(super) async fn call(self: Rc<Self>, callee: Rc<Callee>, stream: Accepted) {
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        self.out_to(callee, stream, None).await;
    }

    /// A connection from the service that was redirected: to a callee, or to someone who is not known.
    pub(super) async fn captured(self: Rc<Self>, stream: Accepted) {
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        let Some(meant_for) = self.meant_for("outbound", &stream) else { return };
        match self.callees.iter().find(|callee| callee.address == meant_for).cloned() {
            Some(callee) => self.out_to(callee, stream, Some(meant_for)).await,
            None => {
                let meter = Arc::clone(&self.gauges.passed_through);
                let onward = Onward { address: meant_for, from: None, tls: None, meter };
                self.pass("outbound", &AtomicU64::new(0), stream, onward).await;
            }
        }
    }

    async fn out_to(self: Rc<Self>, callee: Rc<Callee>, stream: TcpStream, meant_for: Option<SocketAddr>) {
        count(&callee.gauges.connections);
        let Ok(bytes) = self.carries_bytes(&stream).await else { return };
        if bytes {
            let Some(pool) = callee.draw() else { return };
            let tls = callee.connector_for_bytes();
            let onward = Onward { address: pool.upstream.address(), from: None, tls, meter: Arc::clone(&pool.meter) };
            self.pass("outbound", &callee.gauges.byte_connections, stream, onward).await;
        } else {
            let ends = Ends::of(&stream, meant_for);
            let route = Route::Callee(callee);
            Passage { relay: self, route, inbound: None, clear: false, front: None, ends }.serve(stream).await;
        }
    }

    /// A connection of a client outside of the mesh, at a gateway.
    pub(super) async fn door(self: Rc<Self>, stream: Accepted) {
        count(&self.gauges.inbound.connections);
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        let Ok(true) = self.comes_with_tls(Mtls::Strict, &stream).await else { return };
        let ends = Ends::of(&stream, None);
        let (server, callee) = (self.keys.borrow().door.clone(), self.callees.first().cloned());
        let (Some(server), Some(callee)) = (server, callee) else { return };
        let front = ends.remote.and_then(super::front::Front::of);
        let Some(stream) = self.handshake(server, stream).await else { return };
        let inbound = Some(Arc::clone(&self.gauges));
        let route = Route::Callee(callee);
        Passage { relay: self, route, inbound, clear: false, front, ends }.serve(stream).await;
    }

    /// Where a redirected connection was meant to go.
    fn meant_for(&self, name: &str, stream: &TcpStream) -> Option<SocketAddr> {
        let meant_for = rustix::net::sockopt::ip_original_dst(stream).map(SocketAddr::V4).ok();
        // Whoever connects to the listener itself is meant for nobody, and would be sent back here.
        if meant_for.is_none() || meant_for == stream.local_addr().ok() {
            self.plan.complaints.write(format_args!("{name}: refused a connection that was not redirected"));
            return None;
        }
        meant_for
    }

    /// Whether a connection is to be read with TLS.
    ///
    /// A look before the handshake, since TLS itself would answer a request in clear with bytes of its own.
    async fn comes_with_tls(&self, mtls: Mtls, stream: &TcpStream) -> Result<bool, ()> {
        match mtls {
            Mtls::Disable => Ok(false),
            Mtls::Permissive => in_time(is_tls(stream)).await.map_err(drop),
            Mtls::Strict => match in_time(is_tls(stream)).await {
                Ok(true) => Ok(true),
                Ok(false) => {
                    count(&self.gauges.inbound.plaintext_refused);
                    self.plan.complaints.write("inbound: refused a connection in clear: mtls is strict");
                    Err(())
                }
                // It went away, or never said a word.
                Err(_) => Err(()),
            },
        }
    }

    async fn handshake(&self, server: Arc<ServerConfig>, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        match in_time(TlsAcceptor::from(server).accept(stream)).await {
            Ok(stream) => {
                self.gauges.inbound.handshakes.succeeded(stream.get_ref().1.peer_certificates());
                Some(stream)
            }
            Err(error) => {
                self.gauges.inbound.handshakes.failed();
                self.plan.complaints.write(format_args!("inbound: no TLS with a caller: {}", reason(&error)));
                None
            }
        }
    }

    /// Whether a connection in clear carries something other than HTTP/1.x, where that is not known beforehand.
    async fn carries_bytes(&self, stream: &TcpStream) -> std::io::Result<bool> {
        match self.plan.config.protocol {
            Protocol::Http => Ok(false),
            Protocol::Auto => is_http1(stream).await.map(|http| !http),
        }
    }

    async fn pass<T>(&self, name: &str, counter: &AtomicU64, stream: T, onward: Onward)
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        count(counter);
        if let Err(failure) = pipe::pass(stream, onward).await {
            self.plan.complaints.write(format_args!("{name}: {failure}"));
        }
    }
}
