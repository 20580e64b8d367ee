//! When requests are due: offsets from the start of the load, by arithmetic and never from a clock.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use record::Arrival;

/// The due times of one load, one after the other; the same seed draws the same times.
#[derive(Clone, Debug)]
pub struct Schedule {
    rate_per_second: f64,
    drawn: u64,
    arrivals: Arrivals,
}

#[derive(Clone, Debug)]
enum Arrivals {
    Constant,
    Poisson { chance: ChaCha8Rng, at_ns: f64 },
}

impl Schedule {
    /// A schedule of so many requests per second on average.
    pub fn new(arrival: Arrival, rate_per_second: f64, seed: u64) -> Self {
        let arrivals = match arrival {
            Arrival::Constant => Arrivals::Constant,
            Arrival::Poisson => Arrivals::Poisson { chance: ChaCha8Rng::seed_from_u64(seed), at_ns: 0.0 },
        };
        Self { rate_per_second, drawn: 0, arrivals }
    }

    /// The next due time, in nanoseconds from the start; never less than the one before.
    #[inline]
    pub fn next_offset_ns(&mut self) -> u64 {
        let index = self.drawn;
        self.drawn += 1;
        match &mut self.arrivals {
            Arrivals::Constant => constant_offset_ns(index, self.rate_per_second),
            Arrivals::Poisson { chance, at_ns } => {
                // `random` draws from [0, 1): its complement has a logarithm always.
                let share: f64 = 1.0 - chance.random::<f64>();
                *at_ns -= share.ln() * 1e9 / self.rate_per_second;
                *at_ns as u64
            }
        }
    }
}

/// When request `index` is due at a constant rate: from the index alone, so that no error adds up.
#[inline]
pub fn constant_offset_ns(index: u64, rate_per_second: f64) -> u64 {
    (index as f64 * 1e9 / rate_per_second) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(arrival: Arrival, rate: f64, seed: u64, n: usize) -> Vec<u64> {
        let mut s = Schedule::new(arrival, rate, seed);
        (0..n).map(|_| s.next_offset_ns()).collect()
    }

    #[test]
    fn constant_arrivals_are_exact_after_any_time() {
        let o = offsets(Arrival::Constant, 1000.0, 1, 5001);
        assert!(o.iter().enumerate().all(|(i, o)| *o == i as u64 * 1_000_000));
        // A day at 10 000 a second: still on the nanosecond.
        assert_eq!(constant_offset_ns(864_000_000, 10_000.0), 86_400_000_000_000);
        // Rates that do not divide a second: every third request falls on the second.
        assert_eq!(offsets(Arrival::Constant, 3.0, 1, 4), [0, 333_333_333, 666_666_666, 1_000_000_000]);
        // Less than one a second.
        assert_eq!(offsets(Arrival::Constant, 0.5, 1, 3), [0, 2_000_000_000, 4_000_000_000]);
    }

    #[test]
    fn so_many_are_due_in_a_time_as_the_rate_says() {
        for (rate, seconds) in [(1.0, 7u64), (7.0, 3), (1000.0, 5), (2000.0, 10), (33_333.0, 2)] {
            let end = seconds * 1_000_000_000;
            let mut s = Schedule::new(Arrival::Constant, rate, 1);
            let due = std::iter::repeat_with(|| s.next_offset_ns()).take_while(|o| *o < end).count();
            assert_eq!(due as f64, rate * seconds as f64, "rate {rate}");
        }
    }

    #[test]
    fn poisson_gaps_have_the_mean_the_variance_and_the_shape_of_the_exponential() {
        let n = 200_000;
        let o = offsets(Arrival::Poisson, 1000.0, 7, n + 1);
        let gaps: Vec<f64> = o.windows(2).map(|w| (w[1] - w[0]) as f64 / 1e6).collect(); // in ms, mean 1
        let mean = gaps.iter().sum::<f64>() / n as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / n as f64;
        // Five standard errors: of the mean 1/sqrt(n), of the variance sqrt(8/n).
        assert!((mean - 1.0).abs() < 5.0 / (n as f64).sqrt(), "mean {mean}");
        assert!((variance - 1.0).abs() < 5.0 * (8.0 / n as f64).sqrt(), "variance {variance}");
        // P(gap > x) = exp(-x), each within five standard errors of a share.
        for x in [0.1f64, 0.693, 1.0, 2.0, 4.0] {
            let want = (-x).exp();
            let got = gaps.iter().filter(|g| **g > x).count() as f64 / n as f64;
            assert!((got - want).abs() < 5.0 * (want * (1.0 - want) / n as f64).sqrt(), "x {x}: {got}, {want}");
        }
        // Independent: the correlation of neighbours is within five standard errors of none.
        let together = gaps.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum::<f64>() / (n as f64 * variance);
        assert!(together.abs() < 5.0 / (n as f64).sqrt(), "correlation {together}");
    }

    #[test]
    fn poisson_counts_vary_from_one_window_to_the_next_as_they_should() {
        let o = offsets(Arrival::Poisson, 1000.0, 3, 100_000);
        let mut counts = vec![0f64; 900];
        o.iter().map(|o| (*o / 100_000_000) as usize).filter(|w| *w < 900).for_each(|w| counts[w] += 1.0);
        let mean = counts.iter().sum::<f64>() / 900.0;
        let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 899.0;
        // The index of dispersion of a Poisson process is 1, with standard error sqrt(2/(windows-1)).
        assert!((variance / mean - 1.0).abs() < 5.0 * (2.0f64 / 899.0).sqrt(), "{}", variance / mean);
    }

    #[test]
    fn a_seed_draws_the_same_times_again_and_another_seed_others() {
        let one = offsets(Arrival::Poisson, 500.0, 42, 1000);
        assert_eq!(one, offsets(Arrival::Poisson, 500.0, 42, 1000));
        assert_ne!(one, offsets(Arrival::Poisson, 500.0, 43, 1000));
        assert!(one.is_sorted());
    }
}
