//! Istio's interception: the rules by which a pod's connections reach its sidecar without anyone knowing.
//!
//! The rules are those that Istio's init container installs in mode REDIRECT with its defaults (all inbound ports but
//! its own, all outbound addresses; `tools/istio-iptables` of Istio 1.32). Excluded inbound ports have a rule each, as
//! they had in all versions before a single multiport rule took their place: what they do is the same.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// Where a sidecar accepts what its pod sends.
pub const OUTBOUND_PORT: u16 = 15001;
/// Where a sidecar accepts what is sent to its pod.
pub const INBOUND_PORT: u16 = 15006;
/// The tunnel's port of the other dataplane, which is never redirected.
pub const HBONE_PORT: u16 = 15008;
/// The user and group of a sidecar; what they send is not redirected to themselves.
pub const PROXY_USER: u32 = 1337;
/// The address from which a sidecar passes inbound connections on to its program.
pub const PASSTHROUGH_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);
/// Ports of the sidecar itself: its statistics, its readiness, and those of its agent.
pub const EXCLUDED_INBOUND_PORTS: [u16; 3] = [15090, 15021, 15020];

/// Which directions of a pod's connections go through its sidecar; one alone is a partial mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interception {
    /// What is sent to the pod.
    pub inbound: bool,
    /// What the pod sends.
    pub outbound: bool,
}

impl Interception {
    /// The nat table, as `iptables-restore` reads it.
    pub(super) fn text(&self) -> String {
        let mut rules = String::from("*nat\n");
        for chain in ["ISTIO_INBOUND", "ISTIO_REDIRECT", "ISTIO_IN_REDIRECT", "ISTIO_OUTPUT"] {
            let _ = writeln!(rules, ":{chain} - [0:0]");
        }
        let mut append = |rule: &str| rules.push_str(&format!("-A {rule}\n"));
        append(&format!("ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports {OUTBOUND_PORT}"));
        append(&format!("ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports {INBOUND_PORT}"));
        if self.inbound {
            append("PREROUTING -p tcp -j ISTIO_INBOUND");
            for port in [HBONE_PORT].iter().chain(&EXCLUDED_INBOUND_PORTS) {
                append(&format!("ISTIO_INBOUND -p tcp --dport {port} -j RETURN"));
            }
            append("ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT");
        }
        if self.outbound {
            append("OUTPUT -j ISTIO_OUTPUT");
            append(&format!("ISTIO_OUTPUT -o lo -s {PASSTHROUGH_SOURCE}/32 -j RETURN"));
            for owner in ["uid", "gid"] {
                // A sidecar that calls its own pod by its address is to come in by its inbound side.
                append(&format!(
                    "ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport {HBONE_PORT} \
                     -m owner --{owner}-owner {PROXY_USER} -j ISTIO_IN_REDIRECT"
                ));
                append(&format!("ISTIO_OUTPUT -o lo -m owner ! --{owner}-owner {PROXY_USER} -j RETURN"));
                append(&format!("ISTIO_OUTPUT -m owner --{owner}-owner {PROXY_USER} -j RETURN"));
            }
            append("ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN");
            append("ISTIO_OUTPUT -j ISTIO_REDIRECT");
        }
        rules.push_str("COMMIT\n");
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_are_istios_rules_in_istios_order() {
        let want = "*nat\n\
            :ISTIO_INBOUND - [0:0]\n\
            :ISTIO_REDIRECT - [0:0]\n\
            :ISTIO_IN_REDIRECT - [0:0]\n\
            :ISTIO_OUTPUT - [0:0]\n\
            -A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001\n\
            -A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006\n\
            -A PREROUTING -p tcp -j ISTIO_INBOUND\n\
            -A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN\n\
            -A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN\n\
            -A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN\n\
            -A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN\n\
            -A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT\n\
            -A OUTPUT -j ISTIO_OUTPUT\n\
            -A ISTIO_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN\n\
            -A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT\n\
            -A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN\n\
            -A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN\n\
            -A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT\n\
            -A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN\n\
            -A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN\n\
            -A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN\n\
            -A ISTIO_OUTPUT -j ISTIO_REDIRECT\n\
            COMMIT\n";
        assert_eq!(Interception { inbound: true, outbound: true }.text(), want);
    }

    #[test]
    fn one_direction_leaves_the_other_alone() {
        let both = Interception { inbound: true, outbound: true }.text();
        let inbound = Interception { inbound: true, outbound: false }.text();
        let outbound = Interception { inbound: false, outbound: true }.text();
        let without =
            |text: &str| both.lines().filter(|l| !l.contains(text)).map(|l| format!("{l}\n")).collect::<String>();
        let lost_by_inbound: Vec<&str> = both.lines().filter(|l| !inbound.lines().any(|o| o == *l)).collect();
        assert_eq!(lost_by_inbound.len(), 10);
        assert!(lost_by_inbound.iter().all(|l| l.contains("OUTPUT")), "{lost_by_inbound:?}");
        let kept: String = without("A ISTIO_INBOUND").replace("-A PREROUTING -p tcp -j ISTIO_INBOUND\n", "");
        assert_eq!(outbound, kept);
        let neither = Interception { inbound: false, outbound: false }.text();
        assert!(!neither.contains("-A PREROUTING") && !neither.contains("-A OUTPUT"), "{neither}");
    }
}
