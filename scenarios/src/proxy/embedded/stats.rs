//! What a sidecar says of itself: how it is set now, and what it has counted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use record::{AccessLog, Mtls, Protocol};
use serde::{Deserialize, Serialize};

/// The answer to `GET /stats`; everything is counted from the start of the sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// The program's version.
    pub version: String,
    /// Worker threads.
    pub workers: u32,
    /// What it knows of connections beforehand.
    pub protocol: Protocol,
    /// Tries that it adds when one fails.
    pub retries: u32,
    /// Requests after which it closes a connection that it made; 0 is no bound.
    pub requests_per_connection: u32,
    /// The serial number of the certificate that it shows in handshakes, hexadecimal; absent without mTLS.
    pub serial: Option<String>,
    /// Its access log; absent when it writes none.
    pub access_log: Option<LogStats>,
    /// The way in, at a gateway that of its door; absent when it has none.
    pub inbound: Option<InboundStats>,
    /// The ways out, one for each callee.
    pub outbound: Vec<OutboundStats>,
    /// Connections that were captured on their way to nobody it knows, and passed through.
    pub passed_through: u64,
    /// What it was told on standard input.
    pub told: Told,
}

/// Counts of the way from callers' sidecars to the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundStats {
    /// The service's ports and how their callers are let in; none at a gateway.
    pub ports: Vec<PortStats>,
    /// How callers of other ports are let in; absent where there are no others.
    pub other_ports: Option<Mtls>,
    /// Connections accepted from callers, whatever became of them.
    pub connections: u64,
    /// Requests read from them.
    pub requests: u64,
    /// Connections whose bytes were passed on as they came, since they carried no HTTP/1.x.
    pub byte_connections: u64,
    /// Connections on which the caller proved who it is; at a gateway, all with TLS.
    pub tls_handshakes: u64,
    /// Connections on which it did not.
    pub tls_handshakes_failed: u64,
    /// Connections closed because they began in clear.
    pub plaintext_refused: u64,
    /// Of the requests: read in clear. Always 0 under strict.
    pub plaintext_requests: u64,
    /// Connections opened to the service.
    pub upstream_connections: u64,
    /// Tries that were added for requests to it.
    pub upstream_retries: u64,
    /// The most requests that one of those carried; 0 where there is no bound to them.
    pub most_requests_on_one: u64,
    /// Requests answered with 503, since the service gave no response.
    pub upstream_failures: u64,
    /// Handshakes by the caller's SPIFFE id.
    pub peers: BTreeMap<String, u64>,
}

/// A port of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStats {
    /// Its number.
    pub port: u16,
    /// How its callers are let in.
    pub mtls: Mtls,
}

/// Counts of the way from the service to a callee's sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundStats {
    /// The callee's name.
    pub service: String,
    /// Its subsets; one without a name where it has none.
    pub subsets: Vec<SubsetStats>,
    /// Connections accepted from the service.
    pub connections: u64,
    /// Requests on their way to it, each counted once however often it was tried.
    pub requests: u64,
    /// Connections whose bytes were passed on as they came, since they carried no HTTP/1.x.
    pub byte_connections: u64,
    /// Connections opened to the callee's sidecar.
    pub upstream_connections: u64,
    /// Connections on which the callee's sidecar proved who it is. Whether it accepted us shows with the first
    /// response: in TLS 1.3 the client's side is through before the server has seen its certificate.
    pub tls_handshakes: u64,
    /// Connections on which it did not.
    pub tls_handshakes_failed: u64,
    /// Tries that were added for requests to it.
    pub upstream_retries: u64,
    /// The most requests that one of the connections to it carried; 0 where there is no bound to them.
    pub most_requests_on_one: u64,
    /// Requests answered with 503, since the callee's sidecar gave no response.
    pub upstream_failures: u64,
    /// Handshakes by the callee's SPIFFE id.
    pub peers: BTreeMap<String, u64>,
}

/// Counts of a subset of a callee.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubsetStats {
    /// "v1"; empty where there is only one.
    pub name: String,
    /// Its weight as all workers use it; absent while they differ.
    pub weight: Option<u32>,
    /// Requests that were drawn for it.
    pub requests: u64,
}

/// What was written of the access log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStats {
    /// Its form.
    pub form: AccessLog,
    /// Its file; absent where it is standard output.
    pub file: Option<PathBuf>,
    /// How often what was buffered is written out.
    pub flush_ns: u64,
    /// How much a worker buffers, in units of 1024 bytes.
    pub flush_kb: u32,
    /// Lines that requests were given.
    pub lines: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Of these: written out.
    pub written_bytes: u64,
    /// Writes they took.
    pub writes: u64,
}

/// What a sidecar was told while it ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Lines that all workers have done what they say.
    pub done: u64,
    /// Lines that were not understood or could not be done.
    pub refused: u64,
    /// Why the last of those was.
    pub last_refusal: Option<String>,
}
