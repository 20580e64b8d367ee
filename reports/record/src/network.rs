//! Counters of one network namespace: its interfaces and its TCP.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Reading;

/// What a network namespace counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NetworkSample {
    /// When it was read, CLOCK_MONOTONIC.
    pub read_ns: u64,
    /// How long reading it took, from `read_ns` on.
    pub took_ns: u64,
    /// Interfaces by name, loopback among them (net/dev); at most five times a second.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub interfaces: Reading<BTreeMap<String, InterfaceCounters>>,
    /// TCP (net/snmp and net/netstat); once a second.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub tcp: Reading<TcpCounters>,
}

/// A line of net/dev. Drops here are the interface's, and no retransmits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InterfaceCounters {
    /// Bytes received.
    pub received_bytes: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Receive errors.
    pub receive_errors: u64,
    /// Packets dropped on receive.
    pub receive_drops: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Send errors.
    pub send_errors: u64,
    /// Packets dropped on send.
    pub send_drops: u64,
}

/// What TCP lost or delayed. Names in the kernel's files are in brackets; none where this kernel lacks one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TcpCounters {
    /// Segments sent (Tcp OutSegs), retransmitted ones not counted.
    pub sent_segments: Option<u64>,
    /// Segments received (Tcp InSegs).
    pub received_segments: Option<u64>,
    /// Segments sent again (Tcp RetransSegs).
    pub retransmitted_segments: Option<u64>,
    /// Segments received with errors (Tcp InErrs).
    pub receive_errors: Option<u64>,
    /// Connections reset (Tcp EstabResets).
    pub resets: Option<u64>,
    /// Retransmits that were lost too (TcpExt TCPLostRetransmit).
    pub lost_retransmits: Option<u64>,
    /// Retransmission timers that ran out (TcpExt TCPTimeouts).
    pub timeouts: Option<u64>,
    /// SYNs sent again (TcpExt TCPSynRetrans).
    pub syn_retransmits: Option<u64>,
    /// Connections dropped since the accept queue was full (TcpExt ListenOverflows).
    pub listen_overflows: Option<u64>,
    /// Connections dropped while listening, for any reason (TcpExt ListenDrops).
    pub listen_drops: Option<u64>,
    /// Packets dropped since a socket's backlog was full (TcpExt TCPBacklogDrop).
    pub backlog_drops: Option<u64>,
    /// Packets dropped since a socket's receive queue was full (TcpExt TCPRcvQDrop).
    pub receive_queue_drops: Option<u64>,
    /// Acknowledgements that were held back (TcpExt DelayedACKs).
    pub delayed_acks: Option<u64>,
}
