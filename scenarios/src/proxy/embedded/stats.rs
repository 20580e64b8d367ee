//! What a sidecar has counted, and how it counts: each worker for itself, summed only when asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use crate::handshakes::Handshakes;
use crate::upstream::Meter;

/// The answer to `GET /stats`; everything is counted from the start of the sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// The program's version.
    pub version: String,
    /// Worker threads.
    pub workers: u32,
    /// The way in; absent when it has none.
    pub inbound: Option<InboundStats>,
    /// The way out; absent when it has none.
    pub outbound: Option<OutboundStats>,
}

/// Counts of the way from callers' sidecars to the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundStats {
    /// Connections accepted from callers, whatever became of them.
    pub connections: u64,
    /// Requests read from them.
    pub requests: u64,
    /// Connections on which the caller proved who it is.
    pub tls_handshakes: u64,
    /// Connections on which it did not.
    pub tls_handshakes_failed: u64,
    /// Connections closed because they began in clear.
    pub plaintext_refused: u64,
    /// Of the requests: read in clear. Always 0 under strict.
    pub plaintext_requests: u64,
    /// Connections opened to the service.
    pub upstream_connections: u64,
    /// Requests answered with 503, since the service gave no response.
    pub upstream_failures: u64,
    /// Handshakes by the caller's SPIFFE id.
    pub peers: BTreeMap<String, u64>,
}

/// Counts of the way from the service to the callee's sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundStats {
    /// Connections accepted from the service.
    pub connections: u64,
    /// Requests read from them.
    pub requests: u64,
    /// Connections opened to the callee's sidecar.
    pub upstream_connections: u64,
    /// Connections on which the callee's sidecar proved who it is. Whether it accepted us shows with the first
    /// response: in TLS 1.3 the client's side is through before the server has seen its certificate.
    pub tls_handshakes: u64,
    /// Connections on which it did not.
    pub tls_handshakes_failed: u64,
    /// Requests answered with 503, since the callee's sidecar gave no response.
    pub upstream_failures: u64,
    /// Handshakes by the callee's SPIFFE id.
    pub peers: BTreeMap<String, u64>,
}

/// What one worker counts.
#[derive(Default)]
pub(super) struct Gauges {
    pub(super) inbound: Way,
    pub(super) outbound: Way,
}

/// What one worker counts in one direction.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Way {
    pub(super) connections: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) plaintext_refused: AtomicU64,
    pub(super) plaintext_requests: AtomicU64,
    /// With those who connect to us.
    pub(super) handshakes: Handshakes,
    /// The connections that this direction opens.
    pub(super) upstream: Arc<Meter>,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Sums the workers; `served` says which directions there are.
pub(super) fn sum(workers: &[Arc<Gauges>], served: (bool, bool)) -> Stats {
    Stats {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        workers: workers.len() as u32,
        inbound: served.0.then(|| sum_inbound(workers)),
        outbound: served.1.then(|| sum_outbound(workers)),
    }
}

fn sum_inbound(workers: &[Arc<Gauges>]) -> InboundStats {
    let mut all = InboundStats::default();
    for worker in workers {
        // Destructured, here and below, so that a new counter does not compile until it is summed.
        let Way { connections, requests, plaintext_refused, plaintext_requests, handshakes, upstream } =
            &worker.inbound;
        // The service is called in clear.
        let Meter { connections: upstream_connections, failures, handshakes: _ } = &**upstream;
        all.connections += connections.load(Relaxed);
        all.requests += requests.load(Relaxed);
        all.plaintext_refused += plaintext_refused.load(Relaxed);
        all.plaintext_requests += plaintext_requests.load(Relaxed);
        all.tls_handshakes_failed += handshakes.failures();
        handshakes.add_to(&mut all.peers);
        all.upstream_connections += upstream_connections.load(Relaxed);
        all.upstream_failures += failures.load(Relaxed);
    }
    all.tls_handshakes = all.peers.values().sum();
    all
}

fn sum_outbound(workers: &[Arc<Gauges>]) -> OutboundStats {
    let mut all = OutboundStats::default();
    for worker in workers {
        // The service speaks in clear with its own sidecar.
        let Way { connections, requests, plaintext_refused: _, plaintext_requests: _, handshakes: _, upstream } =
            &worker.outbound;
        let Meter { connections: upstream_connections, failures, handshakes } = &**upstream;
        all.connections += connections.load(Relaxed);
        all.requests += requests.load(Relaxed);
        all.upstream_connections += upstream_connections.load(Relaxed);
        all.upstream_failures += failures.load(Relaxed);
        all.tls_handshakes_failed += handshakes.failures();
        handshakes.add_to(&mut all.peers);
    }
    all.tls_handshakes = all.peers.values().sum();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_all_workers_and_only_of_the_ways_there_are() {
        let workers: Vec<Arc<Gauges>> = (0..3).map(|_| Arc::default()).collect();
        for (i, worker) in workers.iter().enumerate() {
            let i = i as u64;
            worker.inbound.requests.store(1 + i, Relaxed);
            worker.inbound.upstream.failures.store(10 + i, Relaxed);
            worker.inbound.handshakes.failed();
            worker.inbound.handshakes.succeeded(None);
            worker.outbound.upstream.connections.store(100 + i, Relaxed);
        }
        let all = sum(&workers, (true, false));
        let inbound = all.inbound.unwrap();
        assert_eq!((inbound.requests, inbound.upstream_failures), (6, 33));
        assert_eq!((inbound.tls_handshakes, inbound.tls_handshakes_failed), (3, 3));
        assert_eq!(all.outbound, None);
        assert_eq!(sum(&workers, (false, true)).outbound.unwrap().upstream_connections, 303);
    }
}
