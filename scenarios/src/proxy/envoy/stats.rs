//! What an Envoy has counted, by way.

use super::admin::Counters;
use super::names;
use super::sheet::Way as WayOut;
use crate::proxy::{Callee, Counter, Place, Way};

/// Which counters tell that a certificate was taken up: the secret's, whose name is Istio's.
pub(super) const CERTIFICATE_UPDATED: &str = "sds.default";

/// Which counters tell that a route table was taken up.
pub(super) fn routes_updated(way: &WayOut) -> String {
    format!("http.{}.rds.{}", way.stat_prefix, way.routes.name)
}

/// The way in: through the service's own port, or the gateway's door.
pub(super) fn inbound(place: &Place, counters: &Counters) -> Option<Way> {
    let (http, listener) = if place.door.is_some() {
        let way = names::way(place, place.callees.first()?);
        (names::way_http(&way), way)
    } else {
        (names::inbound_http(place.app.as_ref()?.address.port()), names::INBOUND.to_owned())
    };
    let requests = sum(counters, [format!("http.{http}.downstream_rq_total")]);
    let mut way = way(counters, requests, &[format!("listener.{listener}")]);
    // Under strict what is in clear has no chain: it does not come so far as to break off a handshake.
    let unmatched = format!("listener.{listener}.no_filter_chain_match");
    way.broken = Some(sum(counters, [format!("listener.{listener}.ssl.connection_error"), unmatched]));
    Some(way)
}

/// The way out to a callee, over all its subsets.
pub(super) fn outbound(callee: &Callee, counters: &Counters) -> Way {
    let clusters = clusters(callee);
    let requests = sum(counters, clusters.iter().map(|cluster| format!("{cluster}.upstream_rq_total")));
    way(counters, requests, &clusters)
}

/// Tries beyond the first of a request, on every way out.
pub(super) fn retries(place: &Place, counters: &Counters) -> Counter {
    let clusters = place.callees.iter().flat_map(clusters);
    sum(counters, clusters.map(|cluster| format!("{cluster}.upstream_rq_retry")))
}

fn clusters(callee: &Callee) -> Vec<String> {
    callee.subsets.iter().map(|subset| format!("cluster.{}", names::cluster(callee, subset))).collect()
}

/// A way whose TLS counters are in these scopes, which have none without TLS.
fn way(counters: &Counters, requests: Counter, scopes: &[String]) -> Way {
    let ssl = |what: &[&str]| {
        sum(counters, scopes.iter().flat_map(|scope| what.iter().map(move |name| format!("{scope}.ssl.{name}"))))
    };
    Way {
        requests,
        handshakes: ssl(&["handshake"]),
        strangers: Some(ssl(&["fail_verify_error", "fail_verify_san", "fail_verify_no_cert", "fail_verify_cert_hash"])),
        broken: Some(ssl(&["connection_error"])),
        in_clear: None,
        peers: None,
    }
}

/// The sum of counters; what has never counted is not there.
pub(super) fn sum(counters: &Counters, names: impl IntoIterator<Item = String>) -> Counter {
    let names: Vec<String> = names.into_iter().collect();
    Counter { value: names.iter().filter_map(|name| counters.get(name)).sum(), source: names.join(" + ") }
}
