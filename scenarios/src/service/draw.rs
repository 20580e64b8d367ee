//! Chance that can be had again: whether a request fails, and whether a call is made.

use std::cell::RefCell;

use rand::Rng as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// The draws of one worker. The same seed, name and worker draw the same in every run; services of the same seed draw
/// apart from one another, as workers do.
pub(super) struct Draw(RefCell<ChaCha8Rng>);

impl Draw {
    pub(super) fn new(seed: u64, service: &str, worker: u64) -> Self {
        // FNV-1a, 64 bits.
        let name = service.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut generator = ChaCha8Rng::seed_from_u64(seed ^ name);
        generator.set_stream(worker);
        Self(RefCell::new(generator))
    }

    /// Whether something of this probability happens now. What is certain is not drawn.
    pub(super) fn happens(&self, probability: f64) -> bool {
        probability >= 1.0 || (probability > 0.0 && self.0.borrow_mut().random::<f64>() < probability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, service: &str, worker: u64) -> Vec<bool> {
        let draw = Draw::new(seed, service, worker);
        (0..200).map(|_| draw.happens(0.3)).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_and_any_other_does_not() {
        let first = drawn(1, "s1", 0);
        assert_eq!(first, drawn(1, "s1", 0));
        for other in [drawn(2, "s1", 0), drawn(1, "s2", 0), drawn(1, "s1", 1)] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn the_share_is_what_was_asked_for() {
        let draw = Draw::new(7, "s1", 0);
        let n = 100_000;
        let happened = (0..n).filter(|_| draw.happens(0.2)).count() as f64;
        // Four standard deviations of a binomial.
        assert!((happened - 20_000.0).abs() < 4.0 * (n as f64 * 0.2 * 0.8).sqrt(), "{happened}");
        assert!((0..100).all(|_| draw.happens(1.0) && !draw.happens(0.0)));
    }
}
