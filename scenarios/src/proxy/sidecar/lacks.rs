//! What the built-in sidecar does not do of what Istio's own does on the same path.

use record::{AccessLog, Factors, Lack, LogSink, Mtls, Protocol};

/// With these factors.
pub(super) fn of(factors: &Factors) -> Vec<Lack> {
    let lack = |what: &str, reason: &str| Lack { what: what.to_owned(), reason: reason.to_owned() };
    let secured = factors.mtls != Mtls::Disable || factors.own_port_mtls() != Mtls::Disable;
    let mut lacks = vec![
        lack(
            "a chain of HTTP filters",
            "istio.stats, metadata exchange, fault, cors, grpc_stats and the rest: a request goes from its connection \
             straight to a pool, so that neither their CPU nor their memory is in the figures",
        ),
        lack(
            "histograms and labels",
            "It counts requests, connections, handshakes, retries and failures, each without a label: a scrape of it is \
             a small part of one of Istio's",
        ),
        lack(
            "Envoy's headers",
            "Sidecars add no x-request-id, x-forwarded-proto, x-envoy-* or x-forwarded-client-cert (a gateway adds \
             x-forwarded-for, x-forwarded-proto and x-request-id): a few hundred bytes less on each hop",
        ),
        lack(
            "HTTP/2",
            "Requests are spoken as HTTP/1.1, which is what Istio makes of HTTP/1.1 by default; HTTP/2 passes as bytes \
             with protocol auto, and is refused otherwise",
        ),
        lack(
            "timeouts, circuit breakers and outlier detection",
            "Nothing is cut off or turned away; in Istio's defaults they are there and do not act",
        ),
        lack("tracing", "Istio samples one request of a hundred by default; here none is"),
        lack(
            "the control plane and pilot-agent",
            "Its configuration is a file and its certificates are replaced on disk: no xDS, no SDS, and no process \
             beside it in the same limit",
        ),
    ];
    if secured {
        lacks.push(lack(
            "resumption of TLS sessions",
            "Each new connection between sidecars does a whole handshake, while Envoy resumes a session it has had: \
             more where connections churn, nothing where they are kept",
        ));
    }
    if factors.protocol == Protocol::Auto {
        lacks.push(lack(
            "detection within TLS",
            "Between sidecars ALPN says whether a connection carries HTTP, as in Istio; the server's side does not look \
             at the bytes inside of TLS again",
        ));
    }
    if factors.access_log != AccessLog::Off && factors.access_log_to == LogSink::Stdout {
        lacks.push(lack(
            "the container runtime's log",
            "In a cluster the runtime copies each line from the pipe to the node's disk: here the runner reads and \
             drops them, so that neither its CPU nor the disk is in the figures",
        ));
    }
    lacks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_depends_on_what_was_asked_for() {
        let has = |factors: &Factors, what: &str| of(factors).iter().any(|lack| lack.what.contains(what));
        let plain = Factors::unmeshed();
        assert!(has(&plain, "HTTP filters") && !has(&plain, "resumption") && !has(&plain, "runtime"));
        assert!(has(&Factors { mtls: Mtls::Permissive, ..plain.clone() }, "resumption"));
        let log = Factors { access_log: AccessLog::Text, access_log_to: LogSink::Stdout, ..plain };
        assert!(has(&log, "runtime"));
    }
}
