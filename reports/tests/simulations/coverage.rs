//! How often the 95 % intervals hold the truth.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use reports::stats::{Estimate, Scale};

use crate::model::{Host, MODERATE, NOISY, Pool, Run};
use crate::table::{keep, percent};

/// The level that a run asks for.
const LEVEL: f64 = 0.95;

/// How many of the experiments hold the truth, for p50, p99 and the ratio of p99 of two cells that are alike; and the
/// half-widths of the last two, in percent, on average.
fn coverage(pool: &Pool, runs: usize, experiments: usize, truth: Run, seed: u64) -> ([usize; 3], [f64; 2]) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut held, mut width) = ([0; 3], [0.0; 2]);
    for _ in 0..experiments {
        let apart = pool.apart(runs, &mut rng);
        let paired = pool.pairs(pool, runs, &mut rng);
        let values = |of: &dyn Fn(&Run) -> f64| apart.iter().map(|run| of(run).exp()).collect::<Vec<f64>>();
        let ratios: Vec<f64> = paired.iter().map(|(a, b)| (b.p99 - a.p99).exp()).collect();
        let of = |values: &[f64]| Estimate::over(values, Scale::Factor, LEVEL).unwrap();
        let found = [of(&values(&|run| run.p50)), of(&values(&|run| run.p99)), of(&ratios)];
        for (held, (estimate, truth)) in held.iter_mut().zip(found.iter().zip([truth.p50.exp(), truth.p99.exp(), 1.0]))
        {
            *held += usize::from(!estimate.excludes(truth));
        }
        for (width, estimate) in width.iter_mut().zip(&found[1..]) {
            *width += (estimate.high.unwrap() / estimate.low.unwrap()).sqrt().ln() / experiments as f64;
        }
    }
    (held, width.map(|w| 100.0 * w.exp_m1()))
}

/// What is estimated: the centre of what runs give, in the sense of Hodges and Lehmann (the median of means of two).
fn truth(pool: &Pool, runs: usize) -> Run {
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let (first, second) = (pool.apart(runs, &mut rng), pool.apart(runs, &mut rng));
    let centre = |of: fn(&Run) -> f64| {
        let mut means: Vec<f64> = first.iter().zip(&second).map(|(a, b)| f64::midpoint(of(a), of(b))).collect();
        *means.select_nth_unstable_by(runs / 2, f64::total_cmp).1
    };
    Run { p50: centre(|run| run.p50), p99: centre(|run| run.p99), steal_share: 0.0 }
}

#[test]
fn intervals_hold_the_truth_about_as_often_as_they_say() {
    let pool = Pool::draw(NOISY, 60, 1.0, 3);
    let truth = truth(&pool, 20_000);
    for runs in [5, 10] {
        let (held, _) = coverage(&pool, runs, 600, truth, 4);
        // 93 % of 600 less three standard deviations.
        assert!(held.iter().all(|held| *held >= 539), "{runs}: {held:?} of 600");
    }
}

#[test]
#[ignore = "a minute when optimised; writes its table"]
fn coverage_of_intervals() {
    let experiments = 8000;
    let mut rows = Vec::new();
    for host in [MODERATE, NOISY] {
        let Host { name, .. } = host;
        let pool = Pool::draw(host, 16_000, 1.0, 3);
        let truth = truth(&pool, 400_000);
        for runs in [5, 10, 20] {
            let (held, width) = coverage(&pool, runs, experiments, truth, 4);
            let [p50, p99, ratio] = held.map(|held| percent(held, experiments));
            rows.push(vec![
                name.into(),
                runs.to_string(),
                p50,
                p99,
                format!("{:.1}", width[0]),
                ratio,
                format!("{:.1}", width[1]),
            ]);
            for held in held {
                let share = held as f64 / experiments as f64;
                assert!((0.93..=0.975).contains(&share), "{name} {runs}: {share}");
            }
        }
    }
    let about = "Coverage of the intervals of `Estimate::over` at 95 %, in percent of 8000 experiments (standard error 0.25), with half of\n\
        the intervals' width in percent. Runs of one cell are far apart in time; those of the ratio are pairs in neighbouring slots\n\
        whose environment wanders, in a drawn order. Of five runs the signed-rank interval reaches 93.75 % at most.\n\
        Each host has a pool of 24 000 cores of 20 000 requests (`tests/simulations/model.rs`).";
    let header = ["host", "trials", "p50", "p99", "+- %", "ratio of p99", "+- %"];
    keep("coverage_of_intervals", about, &header, &rows);
}
