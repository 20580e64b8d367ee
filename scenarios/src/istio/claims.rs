//! Fields that set one factor in several places: the closest to the workload wins, and the others say so.

use super::book::Book;
use super::node::Node;

/// A field that sets a factor.
#[derive(Clone, Debug)]
pub(super) struct Claim<'a, T> {
    /// How close it is to the workload: the larger wins.
    pub(super) rank: u32,
    pub(super) node: Node<'a>,
    pub(super) value: T,
}

/// The fields that set one factor.
#[derive(Debug)]
pub(super) struct Claims<'a, T>(Vec<Claim<'a, T>>);

impl<T> Default for Claims<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, T: Clone + PartialEq> Claims<'a, T> {
    pub(super) fn add(&mut self, rank: u32, node: &Node<'a>, value: T) {
        self.0.push(Claim { rank, node: node.clone(), value });
    }

    pub(super) fn any(&self) -> Option<&Node<'a>> {
        self.0.first().map(|claim| &claim.node)
    }

    pub(super) fn nodes(&self) -> Vec<Node<'a>> {
        self.0.iter().map(|claim| claim.node.clone()).collect()
    }

    /// The one that counts; of two of one rank the first, and the other is refused, since Istio takes the older one
    /// and files do not tell their age.
    pub(super) fn settle(self, book: &mut Book<'a>) -> Option<Claim<'a, T>> {
        let highest = self.0.iter().map(|claim| claim.rank).max()?;
        let winner = self.0.iter().find(|claim| claim.rank == highest)?.clone();
        for claim in &self.0 {
            let same = claim.node.resource.at == winner.node.resource.at && claim.node.path == winner.node.path;
            if claim.rank < highest {
                let reason = format!("{} is closer to the workload and wins", winner.node.place());
                book.no_effect(&claim.node, reason);
            } else if !same && claim.value == winner.value {
                book.no_effect(&claim.node, format!("{} says the same", winner.node.place()));
            } else if !same {
                let reason = format!(
                    "{} sets the same for the same workloads; of two the cluster takes the older one",
                    winner.node.place()
                );
                book.ignored(&claim.node, reason);
            }
        }
        Some(winner)
    }
}
