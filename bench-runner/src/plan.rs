//! What is to be made: every block holds each cell once, in an order shuffled from a kept seed.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use record::{Cell, PlannedTrial};

/// The trials in the order they are made.
///
/// Blocks of each cell once keep a cell and its baseline close in time, so that a drift of the machine falls on
/// both; the order within a block is random, so that no cell always goes first.
pub(crate) fn trials(cells: &[Cell], repeats: u32, seed: u64) -> Vec<PlannedTrial> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut trials = Vec::new();
    for block in 1..=repeats {
        let mut order: Vec<&Cell> = cells.iter().collect();
        order.shuffle(&mut rng);
        for cell in order {
            let id = format!("{:04}-{}-r{block}", trials.len() + 1, cell.id);
            trials.push(PlannedTrial { id, cell: cell.id.clone(), block });
        }
    }
    trials
}

/// The seed of one trial's arrivals: the same for every cell of a block, so that a cell and its baseline are
/// asked for the same requests at the same moments.
pub(crate) fn arrival_seed(seed: u64, block: u32) -> u64 {
    seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(u64::from(block))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn cells(n: usize) -> Vec<Cell> {
        let scenario = scenarios::scenario::Scenario::parse("[load]\nrate = 500\n", "test").unwrap();
        let factors = scenario.cells().unwrap()[0].factors.clone();
        (0..n).map(|i| Cell { id: format!("c{i}"), label: format!("c{i}"), factors: factors.clone() }).collect()
    }

    #[test]
    fn every_block_holds_each_cell_once_and_the_orders_differ() {
        let cells = cells(4);
        let trials = trials(&cells, 20, 7);
        assert_eq!(trials.len(), 80);
        let mut orders = BTreeSet::new();
        for (i, block) in trials.chunks(4).enumerate() {
            assert!(block.iter().all(|t| t.block as usize == i + 1));
            let order: Vec<&str> = block.iter().map(|t| t.cell.as_str()).collect();
            assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 4);
            orders.insert(order);
        }
        assert!(orders.len() > 5, "{orders:?}");
        let firsts: BTreeSet<&str> = trials.chunks(4).map(|b| b[0].cell.as_str()).collect();
        assert_eq!(firsts.len(), 4, "no cell is never first");
    }

    #[test]
    fn a_seed_gives_the_same_order_again_and_another_seed_another() {
        let cells = cells(5);
        assert_eq!(trials(&cells, 5, 1), trials(&cells, 5, 1));
        assert_ne!(trials(&cells, 5, 1), trials(&cells, 5, 2));
        let trials = trials(&cells, 5, 1);
        let ids: BTreeSet<&str> = trials.iter().map(|t| t.id.as_str()).collect();
        assert_eq!(ids.len(), 25);
    }

    #[test]
    fn cells_of_a_block_share_their_arrivals_and_blocks_do_not() {
        assert_eq!(arrival_seed(1, 3), arrival_seed(1, 3));
        assert_ne!(arrival_seed(1, 3), arrival_seed(1, 4));
        assert_ne!(arrival_seed(1, 3), arrival_seed(2, 3));
    }
}
