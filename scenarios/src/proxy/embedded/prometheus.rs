//! Counters as Prometheus reads them (its text format, version 0.0.4).

use std::fmt::Write as _;

use super::stats::{InboundStats, OutboundStats, Stats};

/// The text of all counters.
pub(super) fn text(stats: &Stats) -> String {
    let mut page = Page::default();
    if let Some(inbound) = &stats.inbound {
        let InboundStats {
            ports: _,
            other_ports: _,
            connections,
            requests,
            byte_connections,
            tls_handshakes,
            tls_handshakes_failed,
            plaintext_refused,
            plaintext_requests,
            upstream_connections,
            upstream_retries,
            upstream_failures,
            most_requests_on_one: _,
            peers: _,
        } = inbound;
        for (name, value) in [
            ("connections", connections),
            ("requests", requests),
            ("byte_connections", byte_connections),
            ("tls_handshakes", tls_handshakes),
            ("tls_handshakes_failed", tls_handshakes_failed),
            ("plaintext_refused", plaintext_refused),
            ("plaintext_requests", plaintext_requests),
            ("upstream_connections", upstream_connections),
            ("upstream_retries", upstream_retries),
            ("upstream_failures", upstream_failures),
        ] {
            page.add(name, "direction=\"inbound\"", *value);
        }
    }
    stats.outbound.iter().for_each(|out| outbound(&mut page, out));
    page.add("passed_through", "direction=\"outbound\"", stats.passed_through);
    if let Some(log) = &stats.access_log {
        for (name, value) in [("lines", log.lines), ("bytes", log.bytes), ("written_bytes", log.written_bytes)] {
            page.add(&format!("access_log_{name}"), "", value);
        }
    }
    page.text()
}

fn outbound(page: &mut Page, out: &OutboundStats) {
    let OutboundStats {
        service,
        subsets,
        connections,
        requests: _,
        byte_connections,
        upstream_connections,
        tls_handshakes,
        tls_handshakes_failed,
        upstream_retries,
        upstream_failures,
        most_requests_on_one: _,
        peers: _,
    } = out;
    let to = format!("direction=\"outbound\",service=\"{service}\"");
    for (name, value) in [
        ("connections", connections),
        ("byte_connections", byte_connections),
        ("upstream_connections", upstream_connections),
        ("tls_handshakes", tls_handshakes),
        ("tls_handshakes_failed", tls_handshakes_failed),
        ("upstream_retries", upstream_retries),
        ("upstream_failures", upstream_failures),
    ] {
        page.add(name, &to, *value);
    }
    for subset in subsets {
        page.add("requests", &format!("{to},subset=\"{}\"", subset.name), subset.requests);
    }
}

/// Families in the order in which they were first named; all lines of one stand together, as the format wants it.
#[derive(Default)]
struct Page(Vec<(String, String)>);

impl Page {
    fn add(&mut self, name: &str, labels: &str, value: u64) {
        let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let at = self.0.iter().position(|(family, _)| family == name).unwrap_or_else(|| {
            self.0.push((name.to_owned(), String::new()));
            self.0.len() - 1
        });
        if let Some((_, lines)) = self.0.get_mut(at) {
            let _ = writeln!(lines, "meshtax_sidecar_{name}_total{braces} {value}");
        }
    }

    fn text(&self) -> String {
        let family = |(name, lines): &(String, String)| format!("# TYPE meshtax_sidecar_{name}_total counter\n{lines}");
        self.0.iter().map(family).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_stands_together_under_its_type() {
        let mut page = Page::default();
        page.add("requests", "direction=\"inbound\"", 1);
        page.add("connections", "", 2);
        page.add("requests", "direction=\"outbound\"", 3);
        assert_eq!(
            page.text(),
            "# TYPE meshtax_sidecar_requests_total counter\n\
             meshtax_sidecar_requests_total{direction=\"inbound\"} 1\n\
             meshtax_sidecar_requests_total{direction=\"outbound\"} 3\n\
             # TYPE meshtax_sidecar_connections_total counter\n\
             meshtax_sidecar_connections_total 2\n"
        );
    }
}
