//! What is known of other hosts' clocks: exchanges of stamps with each agent, from which reports make offset and drift.

use serde::{Deserialize, Serialize};

/// One exchange with an agent; a line of `clocks.jsonl`.
///
/// The runner asks, the agent stamps twice, the runner hears: the four stamps of NTP (RFC 5905, section 8). The agent's
/// clock lies between `answered - heard` and `received - asked` ahead of the runner's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClockExchange {
    /// The agent's name in the run.
    pub host: String,
    /// Which starts of that host and of the runner's their clocks count from (`/proc/sys/kernel/random/boot_id` of both,
    /// with a slash between): stamps of two starts have nothing in common.
    pub boot: String,
    /// The question was sent: the runner's CLOCK_MONOTONIC.
    pub asked_ns: u64,
    /// It came: the agent's CLOCK_MONOTONIC.
    pub received_ns: u64,
    /// The answer was sent: the agent's CLOCK_MONOTONIC.
    pub answered_ns: u64,
    /// It came: the runner's CLOCK_MONOTONIC.
    pub heard_ns: u64,
    /// The agent's CLOCK_REALTIME, since 1970, at `answered_ns`.
    pub agent_realtime_ns: u64,
    /// The runner's CLOCK_REALTIME, since 1970, at `heard_ns`.
    pub runner_realtime_ns: u64,
}

impl ClockExchange {
    /// How long the question and the answer were on their ways, together.
    pub fn delay_ns(&self) -> u64 {
        let out = self.heard_ns.saturating_sub(self.asked_ns);
        out.saturating_sub(self.answered_ns.saturating_sub(self.received_ns))
    }

    /// The least and the most by which the agent's clock can be ahead of the runner's.
    pub fn ahead_ns(&self) -> (i128, i128) {
        let difference = |of: u64, from: u64| i128::from(of) - i128::from(from);
        (difference(self.answered_ns, self.heard_ns), difference(self.received_ns, self.asked_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_stamps_hold_the_offset_between_them() {
        // 5 s behind, 300 us on the way there, 200 us on the way back, 40 us in between.
        let at = 9_000_000_000;
        let exchange = ClockExchange {
            host: "a".into(),
            boot: "b".into(),
            asked_ns: at,
            received_ns: at + 300_000 - 5_000_000_000,
            answered_ns: at + 340_000 - 5_000_000_000,
            heard_ns: at + 540_000,
            agent_realtime_ns: 0,
            runner_realtime_ns: 0,
        };
        assert_eq!(exchange.delay_ns(), 500_000);
        assert_eq!(exchange.ahead_ns(), (-5_000_200_000, -4_999_700_000));
    }
}
