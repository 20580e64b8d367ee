//! What a stock Envoy does not do of what Istio's own does on the same path.

use record::{AccessLog, Factors, Lack, LogSink, Mtls};

/// With these factors.
pub(super) fn of(factors: &Factors) -> Vec<Lack> {
    let lack = |what: &str, reason: &str| Lack { what: what.to_owned(), reason: reason.to_owned() };
    let mut lacks = vec![
        lack(
            "istio.stats",
            "Istio's own extension, which counts each request by source and destination: its CPU, its memory and its \
             part of a scrape are not in the figures",
        ),
        lack(
            "istio.metadata_exchange",
            "Istio's own extension, by which two sidecars tell each other who they are: two headers more on a request \
             and on an answer, and once a connection a few hundred bytes of TCP, are not in the figures",
        ),
    ];
    if factors.mtls != Mtls::Disable || factors.own_port_mtls() != Mtls::Disable {
        lacks.push(lack(
            "istio.alpn",
            "Istio's own extension, which chooses for each request what is offered in a handshake: here the cluster \
             offers what that would choose for HTTP/1.1, and the filter's own work is not in the figures",
        ));
    }
    lacks.push(lack(
        "pilot-agent",
        "The process beside Istio's Envoy, which fetches certificates and configuration and merges scrapes: it uses CPU \
         and memory of the same limit, which are not in the figures",
    ));
    if factors.access_log != AccessLog::Off && factors.access_log_to == LogSink::Stdout {
        lacks.push(lack(
            "the container runtime's log",
            "In a cluster the runtime copies each line from the pipe to the node's disk: here the runner reads and \
             drops them, so that neither its CPU nor the disk is in the figures",
        ));
    }
    lacks
}
