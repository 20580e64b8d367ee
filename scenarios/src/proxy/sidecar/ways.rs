//! What a built-in sidecar says it has counted.

use std::net::SocketAddr;
use std::time::Duration;

use record::Mtls;

use crate::Result;
use crate::certs::spiffe_id;
use crate::deployment::ONLOOKER;
use crate::launch::Launched;
use crate::proxy::embedded::{InboundStats, OutboundStats, Stats};
use crate::proxy::{Counter, Place, Way};

/// How long its admin port may take; under a small CPU limit even that waits its turn.
const ADMIN_PATIENCE: Duration = Duration::from_secs(10);

/// Its counters.
pub(super) fn stats(place: &Place, part: &Launched, admin: SocketAddr) -> Result<Stats> {
    let doing = format!("GET /stats at its admin port {admin}");
    let said = |e: String| part.expect_alive(&doing).err().unwrap_or_else(|| part.answer(format!("{doing}: {e}")));
    let answer = place.stand.get(admin, "/stats", ADMIN_PATIENCE).map_err(|e| said(e.to_string()))?;
    serde_json::from_slice(&answer.body).map_err(|e| said(e.to_string()))
}

pub(super) fn way_in(place: &Place, source: &str, counts: InboundStats) -> Way {
    let counter = |name: &str, value: u64| Counter { value, source: format!("{source} inbound.{name}") };
    // Only where nobody is let in in clear do such requests say something.
    let strict = place.door.is_none() && place.mode() == Mtls::Strict;
    Way {
        requests: counter("requests", counts.requests),
        handshakes: counter("tls_handshakes", counts.tls_handshakes),
        // Its failed handshakes are also those of callers who gave up in the middle of one.
        strangers: None,
        broken: strict.then(|| counter("plaintext_refused", counts.plaintext_refused)),
        in_clear: strict.then(|| counter("plaintext_requests", counts.plaintext_requests)),
        // We looked at its certificate, and are no caller.
        peers: Some(counts.peers.into_keys().filter(|id| *id != spiffe_id(ONLOOKER)).collect()),
    }
}

pub(super) fn way_out(source: &str, counts: OutboundStats) -> Way {
    let of = |names: &str| format!("{source} outbound.{}.{names}", counts.service);
    Way {
        requests: Counter {
            value: counts.requests + counts.upstream_retries,
            source: of("requests + upstream_retries"),
        },
        handshakes: Counter { value: counts.tls_handshakes, source: of("tls_handshakes") },
        strangers: None,
        broken: None,
        in_clear: None,
        peers: Some(counts.peers.into_keys().collect()),
    }
}
