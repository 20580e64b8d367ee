//! One worker of a sidecar: the connections it serves in both directions, and what it is told meanwhile.

use std::cell::RefCell;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use tokio::sync::oneshot;

use super::access_log::Ledger;
use super::callee::Callee;
use super::config::SidecarConfig;
use super::gauges::Gauges;
use super::keys::Keys;
use super::route::Pool;
use crate::complaints::Complaints;
use crate::upstream::{Terms, Transport, Upstream};
use crate::workers::Worker;

/// What is the same for all workers.
pub(super) struct Plan {
    pub(super) config: SidecarConfig,
    pub(super) complaints: Arc<Complaints>,
}

/// What a worker is told.
pub(super) enum Order {
    /// Serve a connection to the service.
    Inbound(TcpStream),
    /// Serve a connection from the service to a callee.
    Call(usize, TcpStream),
    /// Serve a connection from the service to whom it was meant for.
    Captured(TcpStream),
    /// Serve a connection of a client outside of the mesh.
    Door(TcpStream),
    /// Split the requests to a callee by these weights, and say when it is so.
    Weigh(usize, Arc<[u32]>, oneshot::Sender<()>),
    /// Do new handshakes with these keys, and say when it is so.
    Renew(Arc<Keys>, oneshot::Sender<()>),
}

/// One worker.
pub(super) struct Relay {
    pub(super) plan: Arc<Plan>,
    pub(super) gauges: Arc<Gauges>,
    /// The service's ports, in the order of the configuration.
    pub(super) ports: Vec<Rc<Pool>>,
    pub(super) callees: Vec<Rc<Callee>>,
    pub(super) keys: RefCell<Arc<Keys>>,
    /// What it writes of requests; none without an access log.
    pub(super) ledger: Option<Rc<Ledger>>,
}

impl Relay {
    /// To be called on the worker's thread; `lines` takes what is to be written of requests.
    pub(super) fn new(plan: Arc<Plan>, gauges: Arc<Gauges>, keys: Arc<Keys>, lines: Option<Sender<Vec<u8>>>) -> Self {
        let config = &plan.config;
        let terms = Terms {
            retries: config.retries,
            requests_per_connection: config.requests_per_connection,
            from: config.inbound.as_ref().and_then(|inbound| inbound.from),
        };
        let ports = config.inbound.iter().flat_map(|inbound| &inbound.ports).zip(&gauges.ports);
        let ports = ports.map(|(port, meter)| {
            let upstream = Upstream::on_terms(port.app, Transport::Plain, terms, Arc::clone(meter));
            let cluster = format!("inbound|{}||", port.app.port());
            Rc::new(Pool { upstream, meter: Arc::clone(meter), cluster: cluster.into() })
        });
        let callees = config.outbound.iter().flat_map(|out| &out.callees).zip(&gauges.callees).enumerate();
        let callees = callees.map(|(place, (callee, gauges))| {
            let keys = keys.callees.get(place).cloned().flatten();
            Callee::new(callee, Terms { from: None, ..terms }, keys, Arc::clone(gauges))
        });
        let (ports, callees) = (ports.collect(), callees.collect());
        let log = config.access_log.as_ref().zip(lines);
        let ledger = log.map(|(log, lines)| Ledger::open(log, lines, Arc::clone(&gauges)));
        Self { plan, gauges, ports, callees, keys: RefCell::new(keys), ledger }
    }

    fn renew(&self, keys: Arc<Keys>) {
        for (place, callee) in self.callees.iter().enumerate() {
            callee.speak_by(keys.callees.get(place).cloned().flatten());
        }
        *self.keys.borrow_mut() = keys;
    }
}

impl Worker for Relay {
    type Order = Order;

    fn take(self: &Rc<Self>, order: Order) {
        let relay = Rc::clone(self);
        match order {
            Order::Inbound(stream) => drop(tokio::task::spawn_local(relay.inbound(stream))),
            Order::Captured(stream) => drop(tokio::task::spawn_local(relay.captured(stream))),
            Order::Door(stream) => drop(tokio::task::spawn_local(relay.door(stream))),
            Order::Call(place, stream) => {
                if let Some(callee) = self.callees.get(place).cloned() {
                    tokio::task::spawn_local(relay.call(callee, stream));
                }
            }
            Order::Weigh(place, weights, done) => {
                if let Some(callee) = self.callees.get(place) {
                    callee.weigh(&weights);
                }
                let _ = done.send(());
            }
            Order::Renew(keys, done) => {
                self.renew(keys);
                let _ = done.send(());
            }
        }
    }

    fn owed(&self) -> usize {
        let ports = self.ports.iter().map(|port| port.upstream.owed());
        ports.chain(self.callees.iter().map(|callee| callee.owed())).sum()
    }
}
