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
    let requests =
        |prefixes: &[String]| sum(counters, prefixes.iter().map(|prefix| format!("http.{prefix}.downstream_rq_total")));
    let (all, listener, in_clear) = if place.door.is_some() {
        let way = names::way(place, place.callees.first()?);
        (requests(&[names::way_http(&way)]), way, None)
    } else {
        let port = place.app.as_ref()?.address.port();
        let (secured, clear) = (names::inbound_http(port), names::inbound_http_clear(port));
        (requests(&[secured, clear.clone()]), names::INBOUND.to_owned(), Some(requests(&[clear])))
    };
    // Under strict what is in clear has no chain: it does not come so far as to break off a handshake.
    let broken = ["ssl.connection_error", "no_filter_chain_match"].map(|name| format!("listener.{listener}.{name}"));
    let way = way(counters, all, &[format!("listener.{listener}")]);
    Some(Way { broken: Some(sum(counters, broken)), in_clear, ..way })
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
