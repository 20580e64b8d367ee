//! Several nodes or hosts of one trial: how far their clocks are apart, and their samples in one stream.

use std::collections::BTreeMap;

use record::Sample;

/// The clock of a node beside that of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offset {
    /// What to add to a stamp of that node, to have it on the other's clock.
    pub(crate) add_ns: i64,
    /// By how much that may be wrong.
    pub(crate) bound_ns: u64,
}

/// One exchange: our clock before and after, and what the node's said in between.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) before_ns: u64,
    pub(super) after_ns: u64,
    pub(super) there_ns: u64,
}

/// What to add to a node's stamps for our clock, from the shortest of some exchanges: the node's stamp lies somewhere
/// within it, so that half of it is the bound.
pub(super) fn offset(exchanges: &[Exchange]) -> Offset {
    let shortest = exchanges.iter().min_by_key(|e| e.after_ns.saturating_sub(e.before_ns));
    let Some(Exchange { before_ns, after_ns, there_ns }) = shortest else { return Offset::default() };
    let half = after_ns.saturating_sub(*before_ns) / 2;
    let ours = i128::from(before_ns + half);
    Offset { add_ns: clamped(ours - i128::from(*there_ns)), bound_ns: half + 1 }
}

fn clamped(ns: i128) -> i64 {
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

impl Offset {
    /// From this one's clock to that of another node, where both are known beside ours.
    pub(super) fn beside(self, other: Offset) -> Offset {
        let add_ns = clamped(i128::from(self.add_ns) - i128::from(other.add_ns));
        Offset { add_ns, bound_ns: self.bound_ns + other.bound_ns }
    }

    pub(crate) fn moved(self, ns: u64) -> u64 {
        u64::try_from((i128::from(ns) + i128::from(self.add_ns)).max(0)).unwrap_or(u64::MAX)
    }
}

/// The samples of all nodes in one stream, on the clock of the first.
///
/// The machine is that of the first node, where most parts are. Of the others there are the parts: what a line does not hold
/// was not due in its round, as with any source that is read less often.
pub(crate) fn together(mut first: Vec<Sample>, others: Vec<(Offset, Vec<Sample>)>) -> Vec<Sample> {
    if others.is_empty() {
        return first;
    }
    let mut parts: Vec<Sample> = Vec::new();
    for (offset, samples) in others {
        parts.extend(samples.into_iter().map(|sample| parts_of(sample, offset)));
    }
    // A round that a probe missed stays missed: only lines of other nodes are numbered along.
    first.extend(parts);
    first.sort_by_key(|sample| sample.before_ns);
    let (mut own, mut round) = (None, 0);
    for sample in &mut first {
        if sample.node == record::NodeSample::default() {
            if let Some(own) = own {
                sample.own = own;
            }
        } else {
            own = Some(sample.own);
        }
        sample.round = round;
        round += 1;
    }
    first
}

/// A sample with nothing but its parts, on another clock.
fn parts_of(sample: Sample, offset: Offset) -> Sample {
    let Sample { due_ns, before_ns, after_ns, mut cgroups, mut processes, .. } = sample;
    cgroups.values_mut().for_each(|cgroup| cgroup.read_ns = offset.moved(cgroup.read_ns));
    processes.values_mut().for_each(|process| process.read_ns = offset.moved(process.read_ns));
    Sample {
        due_ns: offset.moved(due_ns),
        before_ns: offset.moved(before_ns),
        after_ns: offset.moved(after_ns),
        cgroups,
        processes,
        ..Sample::default()
    }
}

/// The node of most parts; of several the first by name.
pub(super) fn main_node<'n>(nodes: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for node in nodes {
        *counts.entry(node).or_default() += 1;
    }
    counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0))).map(|(node, _)| node)
}

#[cfg(test)]
mod tests {
    use record::{NodeSample, ProcessSample, Reading};

    use super::*;

    #[test]
    fn an_offset_is_found_within_its_bound() {
        // The node's clock is 5 s behind ours, and the way there takes longer than the way back.
        let exchange = |at: u64, there: u64, back: u64| Exchange {
            before_ns: at,
            after_ns: at + there + back,
            there_ns: at + there - 5_000_000_000,
        };
        let found =
            offset(&[exchange(10_000_000_000, 9_000_000, 1_000_000), exchange(11_000_000_000, 1_500_000, 500_000)]);
        assert!((found.add_ns - 5_000_000_000).unsigned_abs() <= found.bound_ns, "{found:?}");
        assert_eq!(found.bound_ns, 1_000_001);
        let other = Offset { add_ns: 2_000_000_000, bound_ns: 9 };
        assert_eq!(found.beside(other).bound_ns, 1_000_010);
        assert_eq!(Offset { add_ns: -3, bound_ns: 0 }.moved(10), 7);
    }

    #[test]
    fn parts_of_other_nodes_stand_in_the_stream_of_the_first() {
        let node = NodeSample { cpu: Reading::Seen(record::CpuTimes::default()), ..NodeSample::default() };
        let sample = |before_ns: u64, part: &str| Sample {
            before_ns,
            after_ns: before_ns + 1,
            node: node.clone(),
            processes: [(part.to_owned(), ProcessSample::default())].into(),
            ..Sample::default()
        };
        let offset = Offset { add_ns: -1000, bound_ns: 1 };
        let joined = together(vec![sample(100, "s1"), sample(200, "s1")], vec![(offset, vec![sample(1150, "s2")])]);
        let shown: Vec<(u64, u64, bool, Vec<&String>)> = joined
            .iter()
            .map(|s| (s.round, s.before_ns, matches!(s.node.cpu, Reading::Seen(_)), s.processes.keys().collect()))
            .collect();
        let (s1, s2) = ("s1".to_owned(), "s2".to_owned());
        assert_eq!(shown, [(0, 100, true, vec![&s1]), (1, 150, false, vec![&s2]), (2, 200, true, vec![&s1])]);
    }

    #[test]
    fn the_machine_is_that_of_most_parts() {
        assert_eq!(main_node(["b", "a", "b"].into_iter()), Some("b"));
        assert_eq!(main_node(["b", "a"].into_iter()), Some("a"));
        assert_eq!(main_node(std::iter::empty()), None);
    }
}
