//! What things are called in an Envoy's configuration and so in its counters: as Istio calls them.

use crate::proxy::{Callee, Place, Stand, Subset};

/// The listener of all ways in, on any ground.
pub(super) const INBOUND: &str = "virtualInbound";

/// The listener that takes what a pod's rules redirect on its way out.
pub(super) const OUTBOUND: &str = "virtualOutbound";

/// The name by which a callee is known to the control plane.
pub(super) fn host(service: &str) -> String {
    format!("{service}.meshtax.svc.cluster.local")
}

/// The cluster of a subset of a callee: "outbound|8080|v1|s2.meshtax.svc.cluster.local".
pub(super) fn cluster(callee: &Callee, subset: &Subset) -> String {
    format!("outbound|{}|{}|{}", callee.address.port(), subset.name, host(&callee.service))
}

/// What a TLS handshake asks for on the way to it.
pub(super) fn sni(callee: &Callee, subset: &Subset) -> String {
    format!("outbound_.{}_.{}_.{}", callee.address.port(), subset.name, host(&callee.service))
}

/// The cluster of a port of the service beside the proxy.
pub(super) fn inbound_cluster(port: u16) -> String {
    format!("inbound|{port}||")
}

/// The prefix of the HTTP counters of that port.
pub(super) fn inbound_http(port: u16) -> String {
    format!("inbound_0.0.0.0_{port}")
}

/// The prefix of those in clear, where that port lets in both.
pub(super) fn inbound_http_clear(port: u16) -> String {
    format!("{}_clear", inbound_http(port))
}

/// The listener of a way out: on loopback one for each callee, in a pod one for each port that is called.
pub(super) fn way(place: &Place, callee: &Callee) -> String {
    match (&place.stand, &place.door) {
        (Stand::Pod(_), None) => format!("0.0.0.0_{}", callee.address.port()),
        (_, Some(_)) => format!("0.0.0.0_{}", crate::proxy::DOOR_PORT),
        (Stand::Loopback, None) => format!("outbound_{}", callee.service),
    }
}

/// The prefix of the HTTP counters of a way out.
pub(super) fn way_http(way: &str) -> String {
    if way.starts_with("outbound_") { way.to_owned() } else { format!("outbound_{way}") }
}

/// The route table of a way out.
pub(super) fn routes(way: &str) -> &str {
    way.strip_prefix("outbound_").or_else(|| way.strip_prefix("0.0.0.0_")).unwrap_or(way)
}

/// The file of that route table.
pub(super) fn routes_file(place: &Place, way: &str) -> String {
    format!("{}.routes-{}.yaml", place.name, routes(way))
}
