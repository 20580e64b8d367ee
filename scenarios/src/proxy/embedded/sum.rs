//! The counts of all workers as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::access_log::Written;
use super::config::{CalleeConfig, LogConfig, SidecarConfig};
use super::gauges::{CalleeGauges, Gauges, SubsetGauges, Way};
use super::stats::{InboundStats, LogStats, OutboundStats, PortStats, Stats, SubsetStats, Told};
use crate::upstream::Meter;

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
            let Meter { connections, requests: _, retries, failures, most_requests, handshakes: _ } = &**meter;
            all.upstream_connections += connections.load(Relaxed);
            all.upstream_retries += retries.load(Relaxed);
            all.upstream_failures += failures.load(Relaxed);
            all.most_requests_on_one = all.most_requests_on_one.max(most_requests.load(Relaxed));
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
            let Meter { connections, requests, retries, failures, most_requests, handshakes } = &**meter;
            let weight = Some(weight.load(Relaxed));
            one.weight = if at == 0 || one.weight == weight { weight } else { None };
            one.requests += requests.load(Relaxed);
            all.requests += requests.load(Relaxed);
            all.upstream_connections += connections.load(Relaxed);
            all.upstream_retries += retries.load(Relaxed);
            all.upstream_failures += failures.load(Relaxed);
            all.most_requests_on_one = all.most_requests_on_one.max(most_requests.load(Relaxed));
            all.tls_handshakes_failed += handshakes.failures();
            handshakes.add_to(&mut all.peers);
        }
    }
    all.tls_handshakes = all.peers.values().sum();
    all
}

#[cfg(test)]
mod tests {
    use record::{Mtls, Protocol};

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
