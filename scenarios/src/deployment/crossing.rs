//! What the nat tables of pods counted: which connections were redirected to sidecars, and whether any went past.

use record::Proof;

use super::{CLIENT, Deployment, ENTRY, NodeProxy};
use crate::Result;
use crate::network::{HBONE_PORT, INBOUND_PORT, OUTBOUND_PORT, PROXY_USER, RuleCount};
use crate::platform::Ground;
use crate::proxy::proof;

impl Deployment {
    /// One proof for each direction in which a pod's connections are redirected; nothing on loopback.
    pub(super) fn prove_crossing(&self) -> Result<Vec<Proof>> {
        let mut proofs = Vec::new();
        let Ground::Pods(_) = self.ground else { return Ok(proofs) };
        for proxy in self.proxies.iter().filter(|p| p.place.door.is_none()) {
            let beside = proxy.place.beside();
            let Some(pod) = self.ground.pod(beside)? else { continue };
            let name = if beside == ENTRY { CLIENT } else { beside };
            let rules = pod.rules()?;
            if proxy.place.app.is_some() {
                proofs.push(inbound(name, &rules)?);
            }
            if !proxy.place.callees.is_empty() {
                proofs.extend(outbound(name, &rules)?);
            }
        }
        Ok(proofs)
    }

    /// The same of pods that share a proxy, into which callers come by tunnels.
    pub(super) fn prove_tunnelled(&self, proxy: &NodeProxy) -> Result<Vec<Proof>> {
        let mut proofs = Vec::new();
        for seat in &proxy.seats {
            let Some(pod) = self.ground.pod(&seat.name)? else { continue };
            let name = if seat.name == ENTRY { CLIENT } else { &seat.name };
            let rules = pod.rules()?;
            if seat.app.is_some() {
                proofs.push(tunnelled(name, &rules)?);
            }
            if !seat.callees.is_empty() {
                proofs.extend(outbound(name, &rules)?);
            }
        }
        Ok(proofs)
    }
}

/// Packets of the nat table are connections: it is asked about the first one only.
fn inbound(pod: &str, rules: &[RuleCount]) -> Result<Proof> {
    let came = count(rules, "PREROUTING", |rule| rule.ends_with("-j ISTIO_INBOUND"));
    let redirected = count(rules, "ISTIO_INBOUND", |rule| rule.ends_with("-j ISTIO_IN_REDIRECT"));
    let claim = format!("connections redirected to {INBOUND_PORT}");
    let expected = if came == 0 { "more than 0".to_owned() } else { format!("{came}, all that came") };
    let found = if redirected == came && came > 0 { expected.clone() } else { redirected.to_string() };
    proof::claim(pod, &claim, &expected, &found, "ISTIO_INBOUND in its nat table")
}

/// A tunnel is let go on to its port, and whatever else comes is redirected.
fn tunnelled(pod: &str, rules: &[RuleCount]) -> Result<Proof> {
    let came = count(rules, "PREROUTING", |rule| rule.ends_with("-j ISTIO_INBOUND"));
    let at_port = format!("--dport {HBONE_PORT} ");
    let tunnels = count(rules, "ISTIO_INBOUND", |rule| rule.contains(&at_port) && rule.ends_with("-j RETURN"));
    let redirected = count(rules, "ISTIO_INBOUND", |rule| rule.ends_with("-j ISTIO_IN_REDIRECT"));
    let claim = format!("connections for tunnels at {HBONE_PORT} or redirected to {INBOUND_PORT}");
    let expected = if came == 0 { "more than 0".to_owned() } else { format!("{came}, all that came") };
    let found = match tunnels + redirected {
        all if all == came && came > 0 => expected.clone(),
        all => all.to_string(),
    };
    let source = format!("ISTIO_INBOUND in its nat table: {tunnels} and {redirected}");
    proof::claim(pod, &claim, &expected, &found, &source)
}

/// The last rule of the way out takes whatever no rule before let go; those let go what the proxy itself sends, and what
/// stays on the loopback interface. So a program's connection to another pod can only go past by a rule that is not Istio's.
fn outbound(pod: &str, rules: &[RuleCount]) -> Result<[Proof; 2]> {
    let redirected = count(rules, "ISTIO_OUTPUT", |rule| rule == "-j ISTIO_REDIRECT");
    let source = "ISTIO_OUTPUT in its nat table";
    let shown = if redirected > 0 { "more than 0".to_owned() } else { "0".to_owned() };
    let claim = format!("connections redirected to {OUTBOUND_PORT}");
    let crossed = proof::claim(pod, &claim, "more than 0", &shown, &format!("{source}: {redirected}"))?;
    let owner = format!("owner {PROXY_USER}");
    let excused = |rule: &str| rule.contains("-o lo") || rule.contains(&owner) || rule.contains("-d 127.0.0.1/32");
    let past = count(rules, "ISTIO_OUTPUT", |rule| rule.ends_with("-j RETURN") && !excused(rule))
        + count(rules, "OUTPUT", |rule| !rule.ends_with("-j ISTIO_OUTPUT"));
    let past = proof::claim(pod, "connections that went past its sidecar", "0", &past.to_string(), source)?;
    Ok([crossed, past])
}

fn count(rules: &[RuleCount], chain: &str, of: impl Fn(&str) -> bool) -> u64 {
    rules.iter().filter(|r| r.chain == chain && of(&r.rule)).map(|r| r.packets).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(chain: &str, rule: &str, packets: u64) -> RuleCount {
        RuleCount { chain: chain.into(), rule: rule.into(), packets, bytes: packets * 60 }
    }

    fn way_in(came: u64, redirected: u64) -> Vec<RuleCount> {
        vec![
            rule("PREROUTING", "-p tcp -j ISTIO_INBOUND", came),
            rule("ISTIO_INBOUND", "-p tcp -m tcp --dport 15008 -j RETURN", came - redirected),
            rule("ISTIO_INBOUND", "-p tcp -j ISTIO_IN_REDIRECT", redirected),
        ]
    }

    fn way_out(redirected: u64) -> Vec<RuleCount> {
        vec![
            rule("OUTPUT", "-j ISTIO_OUTPUT", redirected + 9),
            rule("ISTIO_OUTPUT", "-s 127.0.0.6/32 -o lo -j RETURN", 2),
            rule("ISTIO_OUTPUT", "-o lo -m owner ! --uid-owner 1337 -j RETURN", 1),
            rule("ISTIO_OUTPUT", "-m owner --uid-owner 1337 -j RETURN", 5),
            rule("ISTIO_OUTPUT", "-d 127.0.0.1/32 -j RETURN", 1),
            rule("ISTIO_OUTPUT", "-j ISTIO_REDIRECT", redirected),
        ]
    }

    #[test]
    fn all_that_came_must_have_been_redirected() {
        assert_eq!(inbound("s1", &way_in(7, 7)).unwrap().found, "7, all that came");
        let said = |rules: &[RuleCount]| inbound("s1", rules).unwrap_err().to_string();
        assert!(said(&way_in(7, 6)).contains("should be 7, all that came and is 6"), "{}", said(&way_in(7, 6)));
        assert!(said(&way_in(0, 0)).contains("should be more than 0 and is 0"));
    }

    #[test]
    fn what_comes_to_a_pod_that_shares_a_proxy_is_for_a_tunnel_or_redirected() {
        let proof = tunnelled("s1", &way_in(7, 2)).unwrap();
        assert_eq!(proof.found, "7, all that came");
        assert!(proof.source.ends_with("5 and 2"), "{}", proof.source);
        let mut rules = way_in(7, 2);
        rules.push(rule("ISTIO_INBOUND", "-p tcp -m tcp --dport 8080 -j RETURN", 1));
        rules[0].packets += 1;
        let said = tunnelled("s1", &rules).unwrap_err().to_string();
        assert!(said.contains("should be 8, all that came and is 7"), "{said}");
        assert!(tunnelled("s1", &way_in(0, 0)).is_err());
    }

    #[test]
    fn a_way_past_is_found() {
        assert!(outbound("s1", &way_out(3)).is_ok());
        assert!(outbound("s1", &way_out(0)).unwrap_err().to_string().contains("redirected to 15001"));
        let mut rules = way_out(3);
        rules.insert(1, rule("ISTIO_OUTPUT", "-d 10.77.0.3/32 -p tcp -j RETURN", 4));
        let said = outbound("s1", &rules).unwrap_err().to_string();
        assert!(said.contains("connections that went past its sidecar should be 0 and is 4"), "{said}");
    }
}
