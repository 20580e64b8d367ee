//! The workloads of a node proxy: who each of them is, and whom it may call.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use super::config::{InboundConfig, NodeProxyConfig, OutboundConfig, WorkloadConfig};
use super::inside::Inside;
use super::pool::{Ends, Pool, Stream};
use super::stats::{InboundGauges, OutboundGauges, WorkloadStats};
use super::tls::TunnelEnds;
use super::{Listening, Places};
use crate::Result;
use crate::certs::IdentityFiles;
use crate::complaints::Complaints;

/// All workloads of a node.
pub(super) struct Mesh {
    pub(super) workloads: Vec<Workload>,
    pub(super) complaints: Complaints,
}

/// A program that is in the mesh.
pub(super) struct Workload {
    pub(super) name: String,
    id: String,
    pub(super) inside: Inside,
    files: IdentityFiles,
    credentials: RwLock<Arc<TunnelEnds>>,
    pub(super) inbound: Option<Inbound>,
    pub(super) calls: Vec<Call>,
    pub(super) misdirected: AtomicU64,
}

/// The way of callers to a workload.
pub(super) struct Inbound {
    pub(super) app: SocketAddr,
    ports: Vec<u16>,
    /// Where tunnels to it are opened.
    tunnel: SocketAddr,
    clear_ports: Vec<u16>,
    pub(super) gauges: InboundGauges,
}

/// The way of a workload to another one.
pub(super) struct Call {
    /// Its place among all.
    callee: usize,
    pool: Pool,
    pub(super) gauges: OutboundGauges,
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// Tunnels to the workload.
    Tunnel,
    /// Callers of it that are not in the mesh.
    Clear,
    /// What it sends, to whomever.
    Captured,
    /// What it sends to one of those it calls.
    Call(usize),
}

/// A listener of the workload in this place.
pub(super) struct Listener {
    pub(super) workload: usize,
    pub(super) door: Door,
    pub(super) socket: TcpListener,
}

impl Mesh {
    /// Reads the keys of a configuration that was checked, and listens everywhere.
    pub(super) fn open(config: &NodeProxyConfig) -> Result<(Self, Vec<Listener>, Listening)> {
        let (mut workloads, mut listeners, mut all) = (Vec::new(), Vec::new(), Listening::default());
        for (at, workload) in config.workloads.iter().enumerate() {
            let inside = Inside::of(workload.namespace.as_deref())?;
            let mut listen = |door, address| -> Result<SocketAddr> {
                let (socket, chosen) = inside.listen(&config.name, address)?;
                listeners.push(Listener { workload: at, door, socket });
                Ok(chosen)
            };
            let mut places = Places::default();
            let inbound = match &workload.inbound {
                Some(InboundConfig { app, ports, tunnel, clear, clear_ports }) => {
                    let chosen = listen(Door::Tunnel, *tunnel)?;
                    // Where it listens on all addresses, it is the program's by which it is found.
                    let tunnel = SocketAddr::new(app.ip(), chosen.port());
                    places.tunnel = Some(tunnel);
                    places.clear = Some(listen(Door::Clear, *clear)?);
                    let (ports, clear_ports) = (ports.clone(), clear_ports.clone());
                    Some(Inbound { app: *app, ports, tunnel, clear_ports, gauges: InboundGauges::default() })
                }
                None => None,
            };
            places.captured = workload.captured.map(|address| listen(Door::Captured, address)).transpose()?;
            let mut calls = Vec::new();
            for OutboundConfig { callee: name, listen: address } in &workload.outbound {
                if let Some(address) = address {
                    places.outbound.insert(name.clone(), listen(Door::Call(calls.len()), *address)?);
                }
                let callee = config.workloads.iter().position(|other| other.name == *name).unwrap_or_default();
                calls.push(Call { callee, pool: Pool::default(), gauges: OutboundGauges::default() });
            }
            workloads.push(Workload::new(workload, inside, inbound, calls)?);
            all.workloads.insert(workload.name.clone(), places);
        }
        Ok((Self { workloads, complaints: Complaints::new(&config.name) }, listeners, all))
    }

    /// The way of a workload to the one that has an address.
    pub(super) fn call_to<'a>(&self, workload: &'a Workload, address: SocketAddr) -> Option<&'a Call> {
        workload.calls.iter().find(|call| self.callee(call).is_some_and(|(_, inbound)| inbound.is_at(address)))
    }

    /// Opens a stream from a workload to a program of one that it calls.
    pub(super) async fn stream(
        &self,
        from: &Workload,
        call: &Call,
        program: Option<SocketAddr>,
    ) -> std::io::Result<Stream> {
        let (callee, inbound) = self.callee(call).ok_or(std::io::ErrorKind::AddrNotAvailable)?;
        let credentials = from.credentials();
        let ends = Ends {
            inside: &from.inside,
            credentials: &credentials,
            address: inbound.tunnel,
            peer: &callee.id,
            gauges: &call.gauges,
        };
        call.pool.stream(&ends, program.unwrap_or(inbound.app)).await
    }

    fn callee(&self, call: &Call) -> Option<(&Workload, &Inbound)> {
        let callee = self.workloads.get(call.callee)?;
        Some((callee, callee.inbound.as_ref()?))
    }

    /// Reads all identities anew; what is open stays as it is. All or none: a file that cannot be read changes nothing.
    pub(super) fn renew(&self) -> Result<()> {
        let read = self.workloads.iter().map(|workload| TunnelEnds::read(&workload.files));
        let read = read.collect::<Result<Vec<_>>>()?;
        for (workload, credentials) in self.workloads.iter().zip(read) {
            *workload.credentials.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(credentials);
        }
        Ok(())
    }
}

impl Workload {
    fn new(config: &WorkloadConfig, inside: Inside, inbound: Option<Inbound>, calls: Vec<Call>) -> Result<Self> {
        Ok(Self {
            name: config.name.clone(),
            id: config.id.clone(),
            inside,
            files: config.identity.clone(),
            credentials: RwLock::new(Arc::new(TunnelEnds::read(&config.identity)?)),
            inbound,
            calls,
            misdirected: AtomicU64::new(0),
        })
    }

    /// What it proves itself with from now on.
    pub(super) fn credentials(&self) -> Arc<TunnelEnds> {
        Arc::clone(&self.credentials.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn stats(&self, mesh: &Mesh) -> WorkloadStats {
        let outbound = |call: &Call| Some((mesh.workloads.get(call.callee)?.name.clone(), call.gauges.read()));
        WorkloadStats {
            inbound: self.inbound.as_ref().map(|inbound| inbound.gauges.read()),
            outbound: self.calls.iter().filter_map(outbound).collect(),
            misdirected: self.misdirected.load(Relaxed),
        }
    }
}

impl Inbound {
    #[cfg(test)]
    pub(super) fn of(app: SocketAddr, ports: &[u16]) -> Self {
        let gauges = InboundGauges::default();
        Self { app, ports: ports.to_vec(), tunnel: app, clear_ports: vec![], gauges }
    }

    /// Whether an address is one of its program.
    pub(super) fn is_at(&self, address: SocketAddr) -> bool {
        address.ip() == self.app.ip() && self.ports.contains(&address.port())
    }

    /// Whether a caller that is not in the mesh is let in to a port.
    pub(super) fn admits_clear(&self, port: u16) -> bool {
        self.clear_ports.contains(&port)
    }
}
