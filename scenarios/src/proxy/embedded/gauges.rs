//! What each worker counts, for itself, until the counts of all are asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::config::{CalleeConfig, SidecarConfig};
use crate::handshakes::Handshakes;
use crate::upstream::Meter;

/// What one worker counts.
#[derive(Default)]
pub(super) struct Gauges {
    pub(super) inbound: Way,
    /// One for each port of the service, in their order.
    pub(super) ports: Vec<Arc<Meter>>,
    pub(super) callees: Vec<Arc<CalleeGauges>>,
    /// Connections to nobody who is known.
    pub(super) passed_through: Arc<Meter>,
    pub(super) log_lines: AtomicU64,
    pub(super) log_bytes: AtomicU64,
}

/// What one worker counts of a callee.
#[derive(Default)]
pub(super) struct CalleeGauges {
    pub(super) connections: AtomicU64,
    pub(super) byte_connections: AtomicU64,
    pub(super) subsets: Vec<SubsetGauges>,
}

/// What one worker counts of a subset.
#[derive(Default)]
pub(super) struct SubsetGauges {
    /// Not a count but what is in use.
    pub(super) weight: AtomicU32,
    pub(super) meter: Arc<Meter>,
}

/// What one worker counts of those who connect to us.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Way {
    pub(super) connections: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) byte_connections: AtomicU64,
    pub(super) plaintext_refused: AtomicU64,
    pub(super) plaintext_requests: AtomicU64,
    pub(super) handshakes: Handshakes,
}

impl Gauges {
    pub(super) fn of(config: &SidecarConfig) -> Self {
        let callees = config.outbound.iter().flat_map(|out| &out.callees);
        Self {
            ports: config.inbound.iter().flat_map(|inbound| &inbound.ports).map(|_| Arc::default()).collect(),
            callees: callees.map(|callee| Arc::new(CalleeGauges::of(callee))).collect(),
            ..Self::default()
        }
    }
}

impl CalleeGauges {
    pub(super) fn of(config: &CalleeConfig) -> Self {
        Self { subsets: config.subsets.iter().map(|_| SubsetGauges::default()).collect(), ..Self::default() }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
