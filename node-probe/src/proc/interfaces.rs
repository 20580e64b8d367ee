//! /proc/net/dev: the interfaces of a network namespace, by the parser of `procfs`.

use std::collections::BTreeMap;

use procfs::FromBufRead;
use procfs::net::{DeviceStatus, InterfaceDeviceStatus};
use record::InterfaceCounters;

/// Reads the file.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, InterfaceCounters>, String> {
    let InterfaceDeviceStatus(interfaces) =
        InterfaceDeviceStatus::from_buf_read(text.as_bytes()).map_err(|e| e.to_string())?;
    Ok(interfaces.into_iter().map(|(name, status)| (name, counters(&status))).collect())
}

fn counters(status: &DeviceStatus) -> InterfaceCounters {
    InterfaceCounters {
        received_bytes: status.recv_bytes,
        received_packets: status.recv_packets,
        receive_errors: status.recv_errs,
        receive_drops: status.recv_drop,
        sent_bytes: status.sent_bytes,
        sent_packets: status.sent_packets,
        send_errors: status.sent_errs,
        send_drops: status.sent_drop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_go_by_name() {
        let text = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 17776656  127989    0    0    0     0          0         0 17776656  127989    0    0    0     0       0          0
  eth0: 4294967296123  100 1 2 3 4 5 6 789 101 11 12 13 14 15 16
";
        let interfaces = parse(text).unwrap();
        assert_eq!(interfaces["lo"].received_bytes, 17_776_656);
        let want = InterfaceCounters {
            received_bytes: 4_294_967_296_123,
            received_packets: 100,
            receive_errors: 1,
            receive_drops: 2,
            sent_bytes: 789,
            sent_packets: 101,
            send_errors: 11,
            send_drops: 12,
        };
        assert_eq!(interfaces["eth0"], want);
        assert_eq!(interfaces.len(), 2);
    }
}
