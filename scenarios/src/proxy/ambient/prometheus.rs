//! Counters as Prometheus reads them (its text format, version 0.0.4), by the names that Istio gives to those of TCP.

use std::fmt::Write as _;

use super::stats::Stats;

/// What is told of both ends of a way: its name, and what it is.
const METRICS: [(&str, &str); 3] = [
    ("istio_tcp_connections_opened_total", "Connections, as the reporter's end has seen them"),
    ("istio_tcp_received_bytes_total", "Bytes from the source to the destination"),
    ("istio_tcp_sent_bytes_total", "Bytes from the destination to the source"),
];

/// The text of all counters. What came in is told by destination only: whose each connection was is known to its other
/// end.
pub(super) fn text(stats: &Stats) -> String {
    let mut rows: Vec<(String, [u64; 3])> = Vec::new();
    for (name, workload) in &stats.workloads {
        for (callee, out) in &workload.outbound {
            let labels = labels("source", name, callee);
            rows.push((labels, [out.connections, out.bytes_sent, out.bytes_received]));
        }
        if let Some(inbound) = &workload.inbound {
            let labels = labels("destination", "unknown", name);
            rows.push((labels, [inbound.streams, inbound.bytes_received, inbound.bytes_sent]));
        }
    }
    let mut page = String::new();
    for (at, (metric, help)) in METRICS.iter().enumerate() {
        let _ = writeln!(page, "# HELP {metric} {help}.\n# TYPE {metric} counter");
        for (labels, values) in &rows {
            let value = values.get(at).copied().unwrap_or_default();
            let _ = writeln!(page, "{metric}{{{labels}}} {value}");
        }
    }
    page
}

fn labels(reporter: &str, source: &str, destination: &str) -> String {
    format!(
        "reporter=\"{reporter}\",source_workload=\"{source}\",destination_workload=\"{destination}\",\
         connection_security_policy=\"mutual_tls\""
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::stats::{InboundStats, OutboundStats, WorkloadStats};
    use super::*;

    #[test]
    fn each_counter_has_its_kind_once_and_a_line_for_each_end() {
        let out = OutboundStats { connections: 3, bytes_sent: 10, bytes_received: 20, ..OutboundStats::default() };
        let inbound = InboundStats { streams: 2, bytes_received: 9, bytes_sent: 19, ..InboundStats::default() };
        let caller = WorkloadStats { outbound: BTreeMap::from([("s1".into(), out)]), ..WorkloadStats::default() };
        let callee = WorkloadStats { inbound: Some(inbound), ..WorkloadStats::default() };
        let workloads = BTreeMap::from([("entry".into(), caller), ("s1".into(), callee)]);
        let text = text(&Stats { version: "x".into(), workers: 1, workloads });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3 * 4);
        assert_eq!(lines.iter().filter(|l| **l == "# TYPE istio_tcp_sent_bytes_total counter").count(), 1);
        let source = "reporter=\"source\",source_workload=\"entry\",destination_workload=\"s1\"";
        let policy = "connection_security_policy=\"mutual_tls\"";
        assert!(
            lines.contains(&format!("istio_tcp_connections_opened_total{{{source},{policy}}} 3").as_str()),
            "{text}"
        );
        assert!(lines.contains(&format!("istio_tcp_received_bytes_total{{{source},{policy}}} 10").as_str()), "{text}");
        let destination = "reporter=\"destination\",source_workload=\"unknown\",destination_workload=\"s1\"";
        assert!(lines.contains(&format!("istio_tcp_sent_bytes_total{{{destination},{policy}}} 19").as_str()), "{text}");
    }
}
