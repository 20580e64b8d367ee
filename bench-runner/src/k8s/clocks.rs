//! The clocks of a cluster's nodes: how far they are apart, and whether one was set while a trial was made.

use std::collections::BTreeMap;

use record::{ClockAnchor, Role, Warning, WarningKind, monotonic_ns};

use super::fleet::Fleet;
use super::pods::Seat;
use crate::one_clock::Offset;
use crate::pod::words::Says;
use crate::trial::steadiness;

/// Exchanges by which a node's clock is found.
const EXCHANGES: usize = 8;

/// One exchange: our clock before and after, and what the node's said in between.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    before_ns: u64,
    after_ns: u64,
    there_ns: u64,
}

/// What to add to a node's stamps for our clock, from the shortest of some exchanges: the node's stamp lies somewhere
/// within it, so that half of it is the bound.
fn offset(exchanges: &[Exchange]) -> Offset {
    let shortest = exchanges.iter().min_by_key(|e| e.after_ns.saturating_sub(e.before_ns));
    let Some(Exchange { before_ns, after_ns, there_ns }) = shortest else { return Offset::default() };
    let half = after_ns.saturating_sub(*before_ns) / 2;
    Offset { add_ns: Offset::between(before_ns + half, *there_ns), bound_ns: half + 1 }
}

/// The clocks of all nodes, beside that of the first load generator's node: a trial's stamps are on it.
pub(super) struct Clocks {
    /// What they showed at the start of the trial.
    pub(super) anchor: ClockAnchor,
    /// From our own clock.
    ours: Offset,
    /// From each node's.
    nodes: BTreeMap<String, Offset>,
    /// What each node's showed at the start.
    begun: BTreeMap<String, ClockAnchor>,
}

impl Clocks {
    /// What time it is there.
    pub(super) fn now(&self) -> u64 {
        self.ours.moved(monotonic_ns())
    }

    pub(super) fn of(&self, node: &str) -> Offset {
        self.nodes.get(node).copied().unwrap_or_default()
    }

    /// Whether there are several.
    pub(super) fn are_several(&self) -> bool {
        self.nodes.len() > 1
    }

    /// What clocks of several nodes leave open.
    pub(super) fn doubt(&self) -> Option<Warning> {
        if !self.are_several() {
            return None;
        }
        let bound_ns = self.nodes.values().map(|offset| offset.bound_ns).max().unwrap_or_default();
        Some(Warning::new(
            WarningKind::Unproven,
            format!(
                "its parts were on {} nodes, whose clocks are known to {:.1} ms: what is shorter cannot be ordered, and hops have no stamps",
                self.nodes.len(),
                bound_ns as f64 / 1e6
            ),
            "--placement together has one clock",
        ))
    }
}

impl Fleet<'_> {
    /// A pod of each node that can say what time it is there; that of the load's node last.
    fn by_node(&self) -> anyhow::Result<Vec<(&str, &Seat)>> {
        let Some(load) = self.of(Role::Load).into_iter().next() else { anyhow::bail!("there is no load generator") };
        let others = self.probes.iter().filter(|(node, _)| **node != load.node);
        Ok(others.chain([(&load.node, load)]).map(|(node, seat)| (node.as_str(), seat)).collect())
    }

    /// The clocks as they are now.
    pub(super) fn clocks(&self) -> anyhow::Result<Clocks> {
        let mut beside_us: BTreeMap<String, Offset> = BTreeMap::new();
        let mut begun = BTreeMap::new();
        let mut main = "";
        for (node, seat) in self.by_node()? {
            let mut exchanges = Vec::with_capacity(EXCHANGES);
            for _ in 0..EXCHANGES {
                let before_ns = monotonic_ns();
                let says = self.reach.says(seat)?;
                exchanges.push(Exchange { before_ns, after_ns: monotonic_ns(), there_ns: says.monotonic_ns });
                begun.insert(node.to_owned(), anchor(&says));
            }
            beside_us.insert(node.to_owned(), offset(&exchanges));
            main = node;
        }
        let there = beside_us.get(main).copied().unwrap_or_default();
        let beside_main = |(node, offset): (&String, &Offset)| {
            (node.clone(), if node == main { Offset::default() } else { offset.beside(there) })
        };
        Ok(Clocks {
            anchor: begun.get(main).copied().unwrap_or_else(ClockAnchor::now),
            ours: Offset { add_ns: -there.add_ns, bound_ns: there.bound_ns },
            nodes: beside_us.iter().map(beside_main).collect(),
            begun,
        })
    }

    /// Which nodes' times of day were set since the clocks were read.
    pub(super) fn clock_steps(&self, clocks: &Clocks) -> anyhow::Result<Vec<Warning>> {
        let mut steps = Vec::new();
        for (node, seat) in self.by_node()? {
            if let Some(begun) = clocks.begun.get(node) {
                let step = steadiness::clock_step(*begun, anchor(&self.reach.says(seat)?));
                steps.extend(step.map(|step| steadiness::on(&format!("node {node}"), step)));
            }
        }
        Ok(steps)
    }
}

fn anchor(says: &Says) -> ClockAnchor {
    ClockAnchor { monotonic_ns: says.monotonic_ns, realtime_ns: says.realtime_ns }
}

#[cfg(test)]
mod tests {
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
    }
}
