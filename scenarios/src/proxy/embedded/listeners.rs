//! Where a sidecar listens for what it relays.

use std::future::{Future as _, poll_fn};
use std::net::{SocketAddr, TcpStream as Accepted};
use std::task::Poll;

use tokio::net::{TcpListener, TcpStream};

use super::Listening;
use super::config::SidecarConfig;
use super::worker::Order;
use crate::complaints::Complaints;
use crate::workers::Workers;
use crate::{Result, ports};

/// What the connections of a listener are.
#[derive(Clone, Copy)]
enum Kind {
    Inbound,
    Call(usize),
    Captured,
    Door,
}

/// The listeners.
pub(super) struct Listeners(Vec<(Kind, TcpListener)>);

impl Listeners {
    /// Opens all that a configuration names; the admin port is not among them.
    ///
    /// # Errors
    /// A port that cannot be listened on.
    pub(super) fn open(config: &SidecarConfig) -> Result<(Self, Listening)> {
        let mut all = Vec::new();
        let mut open = |kind: Kind, address: SocketAddr| -> Result<SocketAddr> {
            let (listener, chosen) = ports::listen(&config.name, address)?;
            all.push((kind, listener));
            Ok(chosen)
        };
        let mut listening = Listening { inbound: None, outbound: Vec::new(), admin: config.admin };
        if let Some(inbound) = &config.inbound {
            listening.inbound = Some(open(Kind::Inbound, inbound.listen)?);
        }
        if let Some(outbound) = &config.outbound {
            if let Some(door) = &outbound.door {
                listening.inbound = Some(open(Kind::Door, door.listen)?);
            }
            if let Some(capture) = outbound.capture {
                listening.outbound.push(open(Kind::Captured, capture)?);
            }
            for (place, callee) in outbound.callees.iter().enumerate() {
                if let Some(listen) = callee.listen {
                    listening.outbound.push(open(Kind::Call(place), listen)?);
                }
            }
        }
        Ok((Self(all), listening))
    }

    /// Deals connections out to workers until one of those has ended: the sidecar would only seem to serve.
    pub(super) async fn accept(self, complaints: &Complaints, workers: &Workers<Order>) {
        let accept = |(kind, listener): (Kind, TcpListener)| {
            let deal =
                move |stream: TcpStream| stream.into_std().map_or(true, |stream| workers.deal(order(kind, stream)));
            Box::pin(ports::accept(listener, complaints, deal))
        };
        let mut accepting: Vec<_> = self.0.into_iter().map(accept).collect();
        // Woken for connections only, and the listeners are few: each is looked at.
        poll_fn(|cx| match accepting.iter_mut().any(|accept| accept.as_mut().poll(cx).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

fn order(kind: Kind, stream: Accepted) -> Order {
    match kind {
        Kind::Inbound => Order::Inbound(stream),
        Kind::Call(place) => Order::Call(place, stream),
        Kind::Captured => Order::Captured(stream),
        Kind::Door => Order::Door(stream),
    }
}
