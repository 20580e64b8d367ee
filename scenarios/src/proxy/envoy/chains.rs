//! Which connections a way in takes, and how much of each it must look at first: Istio's filter chain matches.

use record::{Mtls, Protocol};
use serde::Serialize;

/// What the sidecar of a caller offers for HTTP over mTLS.
const HTTP_OFFERED: [&str; 3] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// What it offers for anything else over mTLS.
const TCP_OFFERED: [&str; 2] = ["istio-peer-exchange", "istio"];

/// What the HTTP inspector finds in clear.
const HTTP_FOUND: [&str; 3] = ["http/1.0", "http/1.1", "h2c"];

/// What is agreed to on HTTP over mTLS, and on anything else.
const HTTP_AGREED: [&str; 2] = ["h2", "http/1.1"];
const TCP_AGREED: [&str; 3] = ["istio-peer-exchange", "h2", "http/1.1"];

/// One filter chain: which connections it is for, and what it makes of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Chain {
    /// "tls", as the TLS inspector finds, or "raw_buffer".
    pub(super) transport: &'static str,
    /// The application protocols it is for, offered in a TLS handshake or found in clear; empty is any.
    pub(super) offered: Vec<&'static str>,
    /// Whether it reads HTTP, or passes bytes on.
    pub(super) http: bool,
    /// Whether it ends the mesh's TLS.
    pub(super) terminates: bool,
    /// What it agrees to in the handshake.
    pub(super) agreed: &'static [&'static str],
}

fn secured(http: bool, offered: &[&'static str]) -> Chain {
    let agreed: &[&str] = if http { &HTTP_AGREED } else { &TCP_AGREED };
    Chain { transport: "tls", offered: offered.to_vec(), http, terminates: true, agreed }
}

fn clear(http: bool, offered: &[&'static str]) -> Chain {
    Chain { transport: "raw_buffer", offered: offered.to_vec(), http, terminates: false, agreed: &[] }
}

/// The chains of a port in a mode, by what is known of it
/// (istio/istio, pilot/pkg/networking/core/filterchain_options.go).
pub(super) fn chains(mode: Mtls, protocol: Protocol) -> Vec<Chain> {
    let any_offered = [TCP_OFFERED.as_slice(), HTTP_OFFERED.as_slice()].concat();
    match (protocol, mode) {
        (Protocol::Http, Mtls::Disable) => vec![clear(true, &[])],
        (Protocol::Http, Mtls::Permissive) => vec![secured(true, &any_offered), clear(true, &[])],
        (Protocol::Http, Mtls::Strict) => vec![secured(true, &[])],
        (Protocol::Auto, Mtls::Disable) => vec![clear(true, &HTTP_FOUND), clear(false, &[])],
        (Protocol::Auto, Mtls::Permissive) => vec![
            secured(true, &HTTP_OFFERED),
            clear(true, &HTTP_FOUND),
            secured(false, &TCP_OFFERED),
            clear(false, &[]),
            // TLS of the programs themselves, which is none of the mesh's.
            Chain { transport: "tls", ..clear(false, &[]) },
        ],
        (Protocol::Auto, Mtls::Strict) => vec![secured(true, &HTTP_OFFERED), secured(false, &[])],
    }
}

/// On which ports an inspector is at work: all, all but some, or only some. Port 0 stands for all that have no chains of
/// their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Inspector {
    pub(super) only: Vec<u16>,
    pub(super) skipped: Vec<u16>,
}

/// Where the TLS inspector is needed: on ports with a chain for TLS.
pub(super) fn tls_inspector(ports: &[(u16, &[Chain])]) -> Option<Inspector> {
    inspector(ports, |chain| chain.transport == "tls")
}

/// Where the HTTP inspector is needed: on ports where HTTP in clear must be told from other things.
pub(super) fn http_inspector(ports: &[(u16, &[Chain])]) -> Option<Inspector> {
    inspector(ports, |chain| chain.offered.contains(&"http/1.1"))
}

fn inspector(ports: &[(u16, &[Chain])], needs: impl Fn(&Chain) -> bool) -> Option<Inspector> {
    let those = |needed: bool| {
        let found = ports.iter().filter(|(port, chains)| *port != 0 && chains.iter().any(&needs) == needed);
        found.map(|(port, _)| *port).collect::<Vec<u16>>()
    };
    let elsewhere = ports.iter().any(|(port, chains)| *port == 0 && chains.iter().any(&needs));
    match (elsewhere, those(true)) {
        (true, _) => Some(Inspector { only: Vec::new(), skipped: those(false) }),
        (false, some) if !some.is_empty() => Some(Inspector { only: some, skipped: Vec::new() }),
        (false, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_port_has_one_chain_and_two_where_both_are_let_in_and_an_undeclared_one_up_to_five() {
        let count = |protocol| [Mtls::Disable, Mtls::Permissive, Mtls::Strict].map(|mode| chains(mode, protocol).len());
        assert_eq!(count(Protocol::Http), [1, 2, 1]);
        assert_eq!(count(Protocol::Auto), [2, 5, 2]);
    }

    #[test]
    fn strict_has_no_chain_in_clear_and_disable_none_that_ends_tls() {
        for protocol in [Protocol::Http, Protocol::Auto] {
            assert!(chains(Mtls::Strict, protocol).iter().all(|c| c.terminates && c.transport == "tls"));
            assert!(chains(Mtls::Disable, protocol).iter().all(|c| !c.terminates && c.transport == "raw_buffer"));
        }
    }

    #[test]
    fn inspectors_look_where_a_chain_asks_and_nowhere_else() {
        let of = |mode, protocol| chains(mode, protocol);
        let (strict, clear, sniffed) =
            (of(Mtls::Strict, Protocol::Http), of(Mtls::Disable, Protocol::Http), of(Mtls::Permissive, Protocol::Auto));
        let on = |only: &[u16], skipped: &[u16]| Some(Inspector { only: only.to_vec(), skipped: skipped.to_vec() });
        let ports: [(u16, &[Chain]); 3] = [(15006, &[]), (0, &sniffed), (8080, &strict)];
        assert_eq!(tls_inspector(&ports), on(&[], &[15006]));
        assert_eq!(http_inspector(&ports), on(&[], &[15006, 8080]));
        let ports: [(u16, &[Chain]); 2] = [(0, &clear), (8080, &strict)];
        assert_eq!(tls_inspector(&ports), on(&[8080], &[]));
        assert_eq!(http_inspector(&ports), None);
        assert_eq!(tls_inspector(&[(0, &clear)]), None);
    }
}
