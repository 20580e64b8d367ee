//! /proc/net/snmp and /proc/net/netstat: what TCP lost or delayed.
//!
//! Both are pairs of lines, one of names and one of values. `procfs` reads the first with every name it knows of, so
//! that an older kernel's file fails, and does not read the second; so the form is read here.

use record::TcpCounters;

/// Reads both files. A name that this kernel lacks is none.
pub(crate) fn parse(snmp: &str, netstat: &str) -> Result<TcpCounters, String> {
    let (tcp, extended) = (Pair::find(snmp, "Tcp:")?, Pair::find(netstat, "TcpExt:")?);
    Ok(TcpCounters {
        sent_segments: tcp.value("OutSegs"),
        received_segments: tcp.value("InSegs"),
        retransmitted_segments: tcp.value("RetransSegs"),
        receive_errors: tcp.value("InErrs"),
        resets: tcp.value("EstabResets"),
        lost_retransmits: extended.value("TCPLostRetransmit"),
        timeouts: extended.value("TCPTimeouts"),
        syn_retransmits: extended.value("TCPSynRetrans"),
        listen_overflows: extended.value("ListenOverflows"),
        listen_drops: extended.value("ListenDrops"),
        backlog_drops: extended.value("TCPBacklogDrop"),
        receive_queue_drops: extended.value("TCPRcvQDrop"),
        delayed_acks: extended.value("DelayedACKs"),
    })
}

struct Pair<'t> {
    names: &'t str,
    values: &'t str,
}

impl<'t> Pair<'t> {
    fn find(text: &'t str, prefix: &str) -> Result<Self, String> {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
        match (lines.next(), lines.next()) {
            (Some(names), Some(values)) => Ok(Self { names, values }),
            _ => Err(format!("no pair of lines begins with '{prefix}'")),
        }
    }

    /// Some values are signed (MaxConn is -1); none of those that are asked for.
    fn value(&self, name: &str) -> Option<u64> {
        let place = self.names.split_ascii_whitespace().position(|n| n == name)?;
        self.values.split_ascii_whitespace().nth(place)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNMP: &str = "Ip: Forwarding DefaultTTL\nIp: 1 64
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors
Tcp: 1 200 120000 -1 31 28 2 4 5 10400 10800 12 1 30 0
";
    const NETSTAT: &str = "TcpExt: SyncookiesSent DelayedACKs ListenOverflows ListenDrops TCPLostRetransmit TCPTimeouts
TcpExt: 0 77 8 9 1 10
IpExt: InNoRoutes\nIpExt: 0
";

    #[test]
    fn values_go_by_the_names_above_them() {
        let tcp = parse(SNMP, NETSTAT).unwrap();
        let want = TcpCounters {
            sent_segments: Some(10800),
            received_segments: Some(10400),
            retransmitted_segments: Some(12),
            receive_errors: Some(1),
            resets: Some(4),
            lost_retransmits: Some(1),
            timeouts: Some(10),
            listen_overflows: Some(8),
            listen_drops: Some(9),
            delayed_acks: Some(77),
            // Not in this file, and not zero.
            syn_retransmits: None,
            backlog_drops: None,
            receive_queue_drops: None,
        };
        assert_eq!(tcp, want);
    }

    #[test]
    fn a_file_without_the_pair_is_an_error() {
        assert!(parse("Ip: a\nIp: 1\n", NETSTAT).unwrap_err().contains("'Tcp:'"));
        assert!(parse(SNMP, "TcpExt: a\n").unwrap_err().contains("'TcpExt:'"));
    }
}
