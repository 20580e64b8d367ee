//! The counters of a pod's rules, as `iptables-save -c` prints them.

/// A rule and what it counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCount {
    /// The chain it stands in: "ISTIO_OUTPUT".
    pub chain: String,
    /// What it says after the chain, in the words of iptables: "-p tcp -j REDIRECT --to-ports 15001".
    pub rule: String,
    /// The packets that matched it. In the nat table those are connections, since only their first packet is asked
    /// about there.
    pub packets: u64,
    /// The bytes of those packets.
    pub bytes: u64,
}

/// Reads the rules of all tables; what is no rule (chains, comments, table names) is passed over.
pub(super) fn parse(text: &str) -> Result<Vec<RuleCount>, String> {
    text.lines()
        .filter(|l| l.contains("-A "))
        .map(|l| rule(l).ok_or_else(|| format!("this is no rule: '{l}'")))
        .collect()
}

/// `[PACKETS:BYTES] -A CHAIN RULE`
fn rule(line: &str) -> Option<RuleCount> {
    let (counters, rest) = line.strip_prefix('[')?.split_once("] -A ")?;
    let (packets, bytes) = counters.split_once(':')?;
    let (chain, rule) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(RuleCount {
        chain: chain.to_owned(),
        rule: rule.trim().to_owned(),
        packets: packets.parse().ok()?,
        bytes: bytes.parse().ok()?,
    })
}
