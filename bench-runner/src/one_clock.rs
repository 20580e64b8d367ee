//! What several machines measured of one trial, on the clock of one of them.

use record::Sample;

/// The clock of a machine beside that of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offset {
    /// What to add to a stamp of that machine, to have it on the other's clock.
    pub(crate) add_ns: i64,
    /// By how much that may be wrong.
    pub(crate) bound_ns: u64,
}

fn clamped(ns: i128) -> i64 {
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

impl Offset {
    /// What to add to a stamp of there, to have it on our clock, where the two are of one moment.
    pub(crate) fn between(ours_ns: u64, there_ns: u64) -> i64 {
        clamped(i128::from(ours_ns) - i128::from(there_ns))
    }

    /// From this one's clock to that of a third machine, where both are known beside ours.
    pub(crate) fn beside(self, other: Offset) -> Offset {
        let add_ns = clamped(i128::from(self.add_ns) - i128::from(other.add_ns));
        Offset { add_ns, bound_ns: self.bound_ns + other.bound_ns }
    }

    pub(crate) fn moved(self, ns: u64) -> u64 {
        u64::try_from((i128::from(ns) + i128::from(self.add_ns)).max(0)).unwrap_or(u64::MAX)
    }
}

/// The samples of all machines in one stream, on the clock of the first.
///
/// The node's own figures are those of the first, where most parts are. Of the others there are the parts: what a line does not hold
/// was not due in its round, as with any source that is read less often.
pub(crate) fn together(mut first: Vec<Sample>, others: Vec<(Offset, Vec<Sample>)>) -> Vec<Sample> {
    if others.is_empty() {
        return first;
    }
    let mut parts: Vec<Sample> = Vec::new();
    for (offset, samples) in others {
        parts.extend(samples.into_iter().map(|sample| parts_of(sample, offset)));
    }
    // A round that a probe missed stays missed: only lines of other machines are numbered along.
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

/// Samples on the clock of another machine.
pub(crate) fn on_clock(mut samples: Vec<Sample>, offset: Offset) -> Vec<Sample> {
    if offset == Offset::default() {
        return samples;
    }
    for sample in &mut samples {
        for stamp in [&mut sample.due_ns, &mut sample.before_ns, &mut sample.after_ns] {
            *stamp = offset.moved(*stamp);
        }
        sample.cgroups.values_mut().for_each(|cgroup| cgroup.read_ns = offset.moved(cgroup.read_ns));
        sample.processes.values_mut().for_each(|process| process.read_ns = offset.moved(process.read_ns));
        sample.networks.values_mut().for_each(|network| network.read_ns = offset.moved(network.read_ns));
    }
    samples
}

#[cfg(test)]
mod tests {
    use record::{NodeSample, ProcessSample, Reading};

    use super::*;

    #[test]
    fn a_stamp_is_moved_by_what_is_added() {
        let (five, two) = (Offset { add_ns: 5, bound_ns: 1 }, Offset { add_ns: 2, bound_ns: 9 });
        assert_eq!(five.beside(two), Offset { add_ns: 3, bound_ns: 10 });
        assert_eq!(
            (Offset { add_ns: -3, bound_ns: 0 }.moved(10), Offset { add_ns: -30, bound_ns: 0 }.moved(10)),
            (7, 0)
        );
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
}
