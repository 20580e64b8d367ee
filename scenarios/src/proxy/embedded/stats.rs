//! What a sidecar has counted and how it is set now: each worker counts for itself, and is summed only when asked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use record::{AccessLog, Mtls, Protocol};
use serde::{Deserialize, Serialize};

use super::access_log::Written;
use super::config::{CalleeConfig, LogConfig, SidecarConfig};
use crate::handshakes::Handshakes;
use crate::upstream::Meter;

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

/// Sums the workers.
pub(super) fn sum(
    config: &SidecarConfig,
    workers: &[Arc<Gauges>],
    written: &Written,
    serial: Option<String>,
    told: Told,
) -> Stats {
    let door = config.outbound.as_ref().is_some_and(|out| out.door.is_some());
    let callees = config.outbound.iter().flat_map(|out| &out.callees).enumerate();
    Stats {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        workers: workers.len() as u32,
        protocol: config.protocol,
        retries: config.retries,
        requests_per_connection: config.requests_per_connection,
        serial,
        access_log: config.access_log.as_ref().map(|log| sum_log(log, workers, written)),
        inbound: (config.inbound.is_some() || door).then(|| sum_inbound(config, workers)),
        outbound: callees
            .map(|(place, callee)| {
                let of = |worker: &Arc<Gauges>| worker.callees.get(place).cloned();
                sum_outbound(callee, &workers.iter().filter_map(of).collect::<Vec<_>>())
            })
            .collect(),
        passed_through: workers.iter().map(|worker| worker.passed_through.connections.load(Relaxed)).sum(),
        told,
    }
}

fn sum_log(config: &LogConfig, workers: &[Arc<Gauges>], written: &Written) -> LogStats {
    let LogConfig { form, file, flush_ns, flush_kb } = config.clone();
    // What was written is read first, so that it is never more than what there was to write.
    let (written_bytes, writes) = (written.bytes.load(Relaxed), written.writes.load(Relaxed));
    let all = |counter: fn(&Gauges) -> &AtomicU64| workers.iter().map(|w| counter(w).load(Relaxed)).sum();
    let (lines, bytes) = (all(|w| &w.log_lines), all(|w| &w.log_bytes));
    LogStats { form, file, flush_ns, flush_kb, lines, bytes, written_bytes, writes }
}

fn sum_inbound(config: &SidecarConfig, workers: &[Arc<Gauges>]) -> InboundStats {
    let inbound = config.inbound.as_ref();
    let ports = inbound.iter().flat_map(|inbound| &inbound.ports);
    let mut all = InboundStats {
        ports: ports.map(|port| PortStats { port: port.app.port(), mtls: port.mtls }).collect(),
        other_ports: inbound.filter(|inbound| inbound.redirected).map(|inbound| inbound.mtls),
        ..InboundStats::default()
    };
    for worker in workers {
        // Destructured, here and below, so that a new counter does not compile until it is summed.
        let Way { connections, requests, byte_connections, plaintext_refused, plaintext_requests, handshakes } =
            &worker.inbound;
        all.connections += connections.load(Relaxed);
        all.requests += requests.load(Relaxed);
        all.byte_connections += byte_connections.load(Relaxed);
        all.plaintext_refused += plaintext_refused.load(Relaxed);
        all.plaintext_requests += plaintext_requests.load(Relaxed);
        all.tls_handshakes_failed += handshakes.failures();
        handshakes.add_to(&mut all.peers);
        for meter in &worker.ports {
            // The service is called in clear, and what came in was counted before.
            let Meter { connections, requests: _, retries, failures, handshakes: _ } = &**meter;
            all.upstream_connections += connections.load(Relaxed);
            all.upstream_retries += retries.load(Relaxed);
            all.upstream_failures += failures.load(Relaxed);
        }
    }
    all.tls_handshakes = all.peers.values().sum();
    all
}

fn sum_outbound(config: &CalleeConfig, workers: &[Arc<CalleeGauges>]) -> OutboundStats {
    let subset = |subset: &super::SubsetConfig| SubsetStats { name: subset.name.clone(), ..SubsetStats::default() };
    let mut all = OutboundStats {
        service: config.service.clone(),
        subsets: config.subsets.iter().map(subset).collect(),
        ..OutboundStats::default()
    };
    for (at, worker) in workers.iter().enumerate() {
        let CalleeGauges { connections, byte_connections, subsets } = &**worker;
        all.connections += connections.load(Relaxed);
        all.byte_connections += byte_connections.load(Relaxed);
        for (one, SubsetGauges { weight, meter }) in all.subsets.iter_mut().zip(subsets) {
            let Meter { connections, requests, retries, failures, handshakes } = &**meter;
            let weight = Some(weight.load(Relaxed));
            one.weight = if at == 0 || one.weight == weight { weight } else { None };
            one.requests += requests.load(Relaxed);
            all.requests += requests.load(Relaxed);
            all.upstream_connections += connections.load(Relaxed);
            all.upstream_retries += retries.load(Relaxed);
            all.upstream_failures += failures.load(Relaxed);
            all.tls_handshakes_failed += handshakes.failures();
            handshakes.add_to(&mut all.peers);
        }
    }
    all.tls_handshakes = all.peers.values().sum();
    all
}

#[cfg(test)]
mod tests {
    use super::super::{InboundConfig, OutboundConfig, PortConfig, SubsetConfig};
    use super::*;

    fn config() -> SidecarConfig {
        let any = ([127, 0, 0, 1], 80).into();
        let subset = |name: &str| SubsetConfig { name: name.into(), weight: 1, address: any };
        SidecarConfig {
            name: "s1-sidecar".into(),
            workers: 3,
            protocol: Protocol::Http,
            retries: 2,
            requests_per_connection: 5,
            inbound: Some(InboundConfig {
                listen: any,
                redirected: false,
                ports: vec![PortConfig { app: any, mtls: Mtls::Strict }],
                mtls: Mtls::Disable,
                from: None,
            }),
            outbound: Some(OutboundConfig {
                capture: None,
                door: None,
                callees: vec![CalleeConfig {
                    service: "s2".into(),
                    listen: Some(any),
                    address: any,
                    peer: None,
                    subsets: vec![subset("v1"), subset("v2")],
                }],
            }),
            identity: None,
            access_log: None,
            admin: any,
            ready: None,
        }
    }

    #[test]
    fn the_sum_is_that_of_all_workers_and_only_of_the_ways_there_are() {
        let both = config();
        let workers: Vec<Arc<Gauges>> = (0..3).map(|_| Arc::new(Gauges::of(&both))).collect();
        for (i, worker) in workers.iter().enumerate() {
            let i = i as u64;
            worker.inbound.requests.store(1 + i, Relaxed);
            worker.ports[0].failures.store(10 + i, Relaxed);
            worker.inbound.handshakes.failed();
            worker.inbound.handshakes.succeeded(None);
            worker.callees[0].subsets[1].meter.connections.store(100 + i, Relaxed);
            worker.callees[0].subsets[1].meter.requests.store(7, Relaxed);
            worker.callees[0].subsets[0].meter.requests.store(1, Relaxed);
        }
        let all = sum(&both, &workers, &Written::default(), None, Told::default());
        assert_eq!((all.workers, all.retries, all.requests_per_connection), (3, 2, 5));
        let inbound = all.inbound.unwrap();
        assert_eq!((inbound.requests, inbound.upstream_failures), (6, 33));
        assert_eq!((inbound.tls_handshakes, inbound.tls_handshakes_failed), (3, 3));
        assert_eq!((inbound.ports, inbound.other_ports), (vec![PortStats { port: 80, mtls: Mtls::Strict }], None));
        let out = &all.outbound[0];
        assert_eq!((out.upstream_connections, out.requests), (303, 24));
        assert_eq!(out.subsets.iter().map(|s| s.requests).collect::<Vec<_>>(), [3, 21]);
        let one = SidecarConfig { inbound: None, ..both };
        assert_eq!(sum(&one, &workers, &Written::default(), None, Told::default()).inbound, None);
    }

    #[test]
    fn a_weight_is_said_when_all_workers_use_it() {
        let config = config();
        let workers: Vec<Arc<Gauges>> = (0..3).map(|_| Arc::new(Gauges::of(&config))).collect();
        let weight =
            || sum(&config, &workers, &Written::default(), None, Told::default()).outbound[0].subsets[0].weight;
        let put = |worker: usize, weight| workers[worker].callees[0].subsets[0].weight.store(weight, Relaxed);
        (0..3).for_each(|worker| put(worker, 90));
        assert_eq!(weight(), Some(90));
        put(1, 50);
        assert_eq!(weight(), None);
        put(0, 50);
        put(2, 50);
        assert_eq!(weight(), Some(50));
    }
}
