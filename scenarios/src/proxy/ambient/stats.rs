//! What a node proxy has counted: connections and bytes, since it reads no requests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use crate::handshakes::Handshakes;

/// The answer to `GET /stats`; everything is counted from the start of the node proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// The program's version.
    pub version: String,
    /// Worker threads.
    pub workers: u32,
    /// By the names of workloads.
    pub workloads: BTreeMap<String, WorkloadStats>,
}

/// Counts of one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadStats {
    /// The way of callers to it; absent when nobody calls it.
    pub inbound: Option<InboundStats>,
    /// Its ways to those it calls, by their names.
    pub outbound: BTreeMap<String, OutboundStats>,
    /// Connections of it that were closed, since they were redirected on their way to no workload.
    pub misdirected: u64,
}

/// Counts of the way from callers to a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundStats {
    /// Connections accepted for tunnels, whatever became of them.
    pub connections: u64,
    /// Of those: the caller proved who it is.
    pub tls_handshakes: u64,
    /// It did not.
    pub tls_handshakes_failed: u64,
    /// Handshakes by the caller's SPIFFE id.
    pub peers: BTreeMap<String, u64>,
    /// Streams asked for in tunnels, each a caller's connection.
    pub streams: u64,
    /// Of those: not opened, since they were for someone else or the program did not take them.
    pub streams_refused: u64,
    /// Connections of callers that are not in the mesh which were let in.
    pub clear: u64,
    /// Connections of such callers which were closed.
    pub clear_refused: u64,
    /// Bytes that were passed to the program.
    pub bytes_received: u64,
    /// Bytes that were passed back.
    pub bytes_sent: u64,
}

/// Counts of the way from a workload to one that it calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundStats {
    /// Connections accepted from the program.
    pub connections: u64,
    /// Of those: closed, since no stream could be had for them.
    pub failures: u64,
    /// Tunnels opened.
    pub tunnels: u64,
    /// Of those: the callee's side proved who it is.
    pub tls_handshakes: u64,
    /// It did not.
    pub tls_handshakes_failed: u64,
    /// Handshakes by the callee's SPIFFE id.
    pub peers: BTreeMap<String, u64>,
    /// Streams asked for in tunnels, each a connection of the program.
    pub streams: u64,
    /// Bytes that the program sent.
    pub bytes_sent: u64,
    /// Bytes that were passed back to it.
    pub bytes_received: u64,
}

/// What is counted of the way in.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct InboundGauges {
    pub(super) connections: AtomicU64,
    pub(super) handshakes: Handshakes,
    pub(super) streams: AtomicU64,
    pub(super) streams_refused: AtomicU64,
    pub(super) clear: AtomicU64,
    pub(super) clear_refused: AtomicU64,
    pub(super) carried: Carried,
}

/// What is counted of a way out.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct OutboundGauges {
    pub(super) connections: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) tunnels: AtomicU64,
    pub(super) handshakes: Handshakes,
    pub(super) streams: AtomicU64,
    pub(super) carried: Carried,
}

/// Bytes, in both directions.
#[derive(Default)]
pub(super) struct Carried {
    /// From the caller to the callee.
    pub(super) there: AtomicU64,
    /// And back.
    pub(super) back: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl InboundGauges {
    pub(super) fn read(&self) -> InboundStats {
        // Destructured, here and below, so that a new counter does not compile until it is told.
        let Self { connections, handshakes, streams, streams_refused, clear, clear_refused, carried } = self;
        let Carried { there, back } = carried;
        let mut peers = BTreeMap::new();
        handshakes.add_to(&mut peers);
        InboundStats {
            connections: connections.load(Relaxed),
            tls_handshakes: peers.values().sum(),
            tls_handshakes_failed: handshakes.failures(),
            peers,
            streams: streams.load(Relaxed),
            streams_refused: streams_refused.load(Relaxed),
            clear: clear.load(Relaxed),
            clear_refused: clear_refused.load(Relaxed),
            bytes_received: there.load(Relaxed),
            bytes_sent: back.load(Relaxed),
        }
    }
}

impl OutboundGauges {
    pub(super) fn read(&self) -> OutboundStats {
        let Self { connections, failures, tunnels, handshakes, streams, carried } = self;
        let Carried { there, back } = carried;
        let mut peers = BTreeMap::new();
        handshakes.add_to(&mut peers);
        OutboundStats {
            connections: connections.load(Relaxed),
            failures: failures.load(Relaxed),
            tunnels: tunnels.load(Relaxed),
            tls_handshakes: peers.values().sum(),
            tls_handshakes_failed: handshakes.failures(),
            peers,
            streams: streams.load(Relaxed),
            bytes_sent: there.load(Relaxed),
            bytes_received: back.load(Relaxed),
        }
    }
}
