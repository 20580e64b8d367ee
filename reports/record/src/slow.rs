//! The slowest requests, kept whole with every hop's stamps.

use serde::{Deserialize, Serialize};

use crate::{CallStamps, HopStamps, Outcome, Phase};

/// One kept request; a line of `slow.jsonl`. All stamps are CLOCK_MONOTONIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SlowRequest {
    /// Its number in the schedule, from 0.
    pub index: u64,
    /// The phase in which it was due.
    pub phase: Phase,
    /// When it was due, by arithmetic.
    pub intended_ns: u64,
    /// When it was written; absent if it never was.
    pub sent_ns: Option<u64>,
    /// When it ended.
    pub done_ns: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The connection it went over, from 0.
    pub connection: Option<u32>,
    /// What the services stamped, the outermost first and each before those it called; empty when the target is not
    /// ours.
    pub hops: Vec<HopStamps>,
}

impl SlowRequest {
    /// From intended to done.
    pub fn response_ns(&self) -> u64 {
        self.done_ns.saturating_sub(self.intended_ns)
    }

    /// The calls that the service of a hop made, in the order of its script.
    pub fn calls(&self, hop: usize) -> Vec<CallStamps> {
        let Some(HopStamps { called_ns, returned_ns, calls, .. }) = self.hops.get(hop) else { return Vec::new() };
        match (called_ns, returned_ns) {
            (Some(called_ns), Some(returned_ns)) if calls.is_empty() => {
                let callee = (hop + 1 < self.hops.len()).then_some(hop as u32 + 1);
                vec![CallStamps { called_ns: *called_ns, returned_ns: *returned_ns, hop: callee }]
            }
            _ => calls.clone(),
        }
    }

    /// The time that the service of a hop had to itself: from received to answered, without the times in which at least
    /// one of its calls was under way.
    pub fn self_ns(&self, hop: usize) -> Option<u64> {
        let stamps = self.hops.get(hop)?;
        let mut calls = self.calls(hop);
        calls.sort_by_key(|call| call.called_ns);
        let mut own_ns = 0;
        let mut free_since = stamps.received_ns;
        for call in calls {
            own_ns += call.called_ns.saturating_sub(free_since);
            free_since = free_since.max(call.returned_ns);
        }
        Some(own_ns + stamps.answered_ns.saturating_sub(free_since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(hops: Vec<HopStamps>) -> SlowRequest {
        SlowRequest {
            index: 0,
            phase: Phase::Measure,
            intended_ns: 0,
            sent_ns: Some(1),
            done_ns: 1000,
            outcome: Outcome::Answered(200),
            connection: Some(0),
            hops,
        }
    }

    fn call(called_ns: u64, returned_ns: u64, hop: Option<u32>) -> CallStamps {
        CallStamps { called_ns, returned_ns, hop }
    }

    fn hop(service: &str, received_ns: u64, calls: Vec<CallStamps>, answered_ns: u64) -> HopStamps {
        let called_ns = calls.iter().map(|c| c.called_ns).min();
        let returned_ns = calls.iter().map(|c| c.returned_ns).max();
        HopStamps { service: service.into(), received_ns, called_ns, returned_ns, answered_ns, calls }
    }

    #[test]
    fn a_chain_has_one_call_for_each_hop_but_the_last() {
        let one = |name: &str, stamps: [u64; 4]| HopStamps {
            calls: vec![],
            ..hop(name, stamps[0], vec![call(stamps[1], stamps[2], None)], stamps[3])
        };
        let chain = slow(vec![one("s1", [10, 20, 80, 95]), one("s2", [25, 30, 60, 70]), hop("s3", 40, vec![], 50)]);
        assert_eq!(chain.calls(0), [call(20, 80, Some(1))]);
        assert_eq!(chain.calls(1), [call(30, 60, Some(2))]);
        assert_eq!((chain.calls(2), chain.calls(3)), (vec![], vec![]));
        let own: Vec<_> = (0..4).map(|at| chain.self_ns(at)).collect();
        assert_eq!(own, [Some(10 + 15), Some(5 + 10), Some(10), None]);
        // A call that brought no stamps back.
        let failed = slow(vec![one("s1", [10, 20, 80, 95])]);
        assert_eq!((failed.calls(0), failed.self_ns(0)), (vec![call(20, 80, None)], Some(25)));
    }

    #[test]
    fn time_in_which_any_call_is_under_way_is_not_the_services_own() {
        // Two that overlap, one within another, and one after a pause; a failed one at the end.
        let calls = vec![
            call(20, 50, Some(1)),
            call(22, 60, Some(2)),
            call(30, 40, Some(3)),
            call(70, 75, None),
            call(75, 80, None),
        ];
        let wide = slow(vec![hop("s1", 10, calls.clone(), 100), hop("s2", 21, vec![], 49)]);
        assert_eq!(wide.calls(0), calls);
        assert_eq!(wide.self_ns(0), Some(10 + 10 + 20));
        let mut turned = wide.clone();
        turned.hops[0].calls.reverse();
        assert_eq!(turned.self_ns(0), wide.self_ns(0));
    }
}
