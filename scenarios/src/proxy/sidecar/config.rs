//! The configuration of a built-in sidecar for the place it is put in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use record::AccessLog;

use crate::certs::spiffe_id;
use crate::network::{INBOUND_PORT, OUTBOUND_PORT, PASSTHROUGH_SOURCE};
use crate::proxy::embedded::{
    CalleeConfig, DoorConfig, InboundConfig, LogConfig, OutboundConfig, PortConfig, SidecarConfig, SubsetConfig,
};
use crate::proxy::{ADMIN_PORT, Callee, DOOR_PORT, Folders, Place, Stand, Subset};

/// Any port of the loopback address.
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The file in which it says where it listens: its standard output is its access log's.
pub(super) fn ready_file(place: &Place, folders: &Folders) -> PathBuf {
    folders.private.join(format!("{}.ready", place.name))
}

/// Whether it is to listen for callers, and how many listeners it is to have for its own service.
pub(super) fn listeners(place: &Place) -> (bool, usize) {
    let called = if place.door.is_some() { 0 } else { place.callees.len() };
    let out = match place.stand {
        Stand::Loopback => called,
        Stand::Pod(_) => called.min(1),
    };
    (place.app.is_some() || place.door.is_some(), out)
}

pub(super) fn config(place: &Place, folders: &Folders) -> SidecarConfig {
    let in_pod = |port: u16| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let redirected = matches!(place.stand, Stand::Pod(_));
    let factors = &place.factors;
    let inbound = place.app.as_ref().map(|app| InboundConfig {
        listen: if redirected { in_pod(INBOUND_PORT) } else { SocketAddr::new(place.reached_at, 0) },
        redirected,
        ports: (app.ports.iter().enumerate())
            .map(|(at, port)| PortConfig {
                app: SocketAddr::new(app.address.ip(), *port),
                mtls: if at == 0 { place.mode() } else { factors.mtls },
            })
            .collect(),
        mtls: factors.mtls,
        from: redirected.then_some(IpAddr::V4(PASSTHROUGH_SOURCE)),
    });
    let door = place.door.as_ref();
    let taken = SocketAddr::new(place.taken_at, 0);
    let outbound = (!place.callees.is_empty()).then(|| OutboundConfig {
        capture: (redirected && door.is_none()).then(|| in_pod(OUTBOUND_PORT)),
        door: door.map(|door| DoorConfig {
            listen: if redirected { in_pod(DOOR_PORT) } else { taken },
            identity: door.identity.clone(),
        }),
        callees: place.callees.iter().map(|c| callee(c, (!redirected && door.is_none()).then_some(taken))).collect(),
    });
    SidecarConfig {
        name: place.name.clone(),
        workers: factors.workers,
        protocol: factors.protocol,
        retries: factors.retries,
        requests_per_connection: factors.requests_per_connection,
        inbound,
        outbound,
        identity: place.identity.clone(),
        access_log: (factors.access_log != AccessLog::Off).then_some(LogConfig {
            form: factors.access_log,
            file: None,
            flush_ns: factors.log_flush_ns,
            flush_kb: factors.log_flush_kb,
        }),
        ready: Some(ready_file(place, folders)),
        admin: if redirected { SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT)) } else { ANY },
    }
}

fn callee(callee: &Callee, listen: Option<SocketAddr>) -> CalleeConfig {
    let subset = |s: &Subset| SubsetConfig { name: s.name.clone(), weight: s.weight, address: s.address };
    CalleeConfig {
        service: callee.service.clone(),
        listen,
        address: callee.address,
        peer: callee.secured.then(|| spiffe_id(&callee.service)),
        subsets: callee.subsets.iter().map(subset).collect(),
    }
}
