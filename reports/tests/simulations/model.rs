//! Requests on a noisy cloud host, run after run.
//!
//! The logarithm of a request's latency is the sum of what its slot has (an environment that wanders, and a neighbour that
//! is noisy now and then), what its run has (a fresh process), a wandering level within the run, a scatter of its own,
//! stalls in bursts, and rarely a heavy tail. The numbers are those of a host on which p99 scatters by 13 % (moderate) and
//! 27 % (noisy) from run to run; they are invented.
//!
//! What slot and run add is added to every request alike, so it moves all quantiles by just that: the quantiles of a run are
//! those of a *core*, a run without them, plus both. Cores take 20 000 requests each and depend on the rate of bursts alone;
//! of them a pool is drawn, and environment, neighbour, run effect and the choice of the core anew for each run. With a pool
//! of thousands an experiment meets a core twice once in hundreds.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Requests of a run: 20 s at 1000 a second.
const REQUESTS: usize = 20_000;
/// The wandering level within a run, and the scatter of a request.
const PHI: f64 = 0.995;
const LEVEL_SD: f64 = 0.20;
const OWN_SD: f64 = 0.25;
/// Requests of a stall, and between two, on average.
const STALL: f64 = 40.0;
const BETWEEN: f64 = 2000.0;
/// The part of requests with a heavy tail, and the mean of what it adds to the logarithm (Pareto, 1.25).
const HEAVY: f64 = 0.001;
const HEAVY_MEAN: f64 = 0.8;
/// From slot to slot: how much of the environment stays, and how likely a neighbour becomes noisy and quiet.
const ENVIRONMENT_STAYS: f64 = 0.9;
const BECOMES_NOISY: f64 = 0.05;
const BECOMES_QUIET: f64 = 0.20;
/// One clock tick, as a share of the CPU time of a slot: 20 s of two CPUs at 100 Hz.
pub(crate) const TICK_SHARE: f64 = 1.0 / 4000.0;
/// What a count of steal tells of stalls is off by so much, as a factor.
const STEAL_SD: f64 = 0.1;

/// How noisy a host is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host {
    pub(crate) name: &'static str,
    /// What a stall adds to the logarithm.
    stall: f64,
    /// How often stalls come, and how that differs from run to run.
    stall_rate: f64,
    stall_rate_sd: f64,
    run_sd: f64,
    environment_sd: f64,
    /// What a noisy neighbour adds; it doubles the rate of stalls too.
    neighbour: f64,
}

pub(crate) const MODERATE: Host = Host {
    name: "moderate",
    stall: 0.80,
    stall_rate: 1.5,
    stall_rate_sd: 0.15,
    run_sd: 0.03,
    environment_sd: 0.05,
    neighbour: 0.06,
};

pub(crate) const NOISY: Host = Host {
    name: "noisy",
    stall: 1.30,
    stall_rate: 1.0,
    stall_rate_sd: 0.30,
    run_sd: 0.05,
    environment_sd: 0.08,
    neighbour: 0.10,
};

/// A run: logarithms of its quantiles, and the steal counted beside it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) steal_share: f64,
}

/// A standard normal draw by half of a pair (Box & Muller 1958).
#[derive(Default)]
struct Normal(Option<f64>);

impl Normal {
    fn draw(&mut self, rng: &mut ChaCha8Rng) -> f64 {
        if let Some(kept) = self.0.take() {
            return kept;
        }
        let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
        let (far, (sin, cos)) = ((-2.0 * u.ln()).sqrt(), (std::f64::consts::TAU * v).sin_cos());
        self.0 = Some(far * sin);
        far * cos
    }
}

/// The length of a stretch that ends with each request with the chance `1 / mean`.
fn stretch(rng: &mut ChaCha8Rng, mean: f64) -> usize {
    1 + ((1.0 - rng.random::<f64>()).ln() / (1.0 - 1.0 / mean).ln()) as usize
}

/// A run without environment and run effect, whose stalls come at a rate.
fn core(host: Host, rate: f64, rng: &mut ChaCha8Rng, latencies: &mut Vec<f64>) -> Run {
    let mut normal = Normal::default();
    let fresh = LEVEL_SD * (1.0 - PHI * PHI).sqrt();
    let mut level = LEVEL_SD * normal.draw(rng);
    let mut stalled = rng.random::<f64>() < STALL / (STALL + BETWEEN / rate);
    let mut left = stretch(rng, if stalled { STALL } else { BETWEEN / rate });
    let mut until_heavy = stretch(rng, 1.0 / HEAVY);
    let mut stalls = 0;
    latencies.clear();
    for _ in 0..REQUESTS {
        if left == 0 {
            stalled = !stalled;
            left = stretch(rng, if stalled { STALL } else { BETWEEN / rate });
        }
        left -= 1;
        level = PHI * level + fresh * normal.draw(rng);
        let mut latency = level + OWN_SD * normal.draw(rng);
        if stalled {
            latency += host.stall;
            stalls += 1;
        }
        until_heavy -= 1;
        if until_heavy == 0 {
            latency -= HEAVY_MEAN * (1.0 - rng.random::<f64>()).ln();
            until_heavy = stretch(rng, 1.0 / HEAVY);
        }
        latencies.push(latency);
    }
    let mut at = |q: f64| *latencies.select_nth_unstable_by((q * REQUESTS as f64) as usize - 1, f64::total_cmp).1;
    let (p99, p50) = (at(0.99), at(0.5));
    let counted = f64::from(stalls) / REQUESTS as f64 * (STEAL_SD * normal.draw(rng)).exp();
    Run { p50, p99, steal_share: (counted / TICK_SHARE).floor() * TICK_SHARE }
}

/// Cores of one host, with a quiet neighbour and with a noisy one.
pub(crate) struct Pool {
    host: Host,
    quiet: Vec<Run>,
    noisy: Vec<Run>,
}

impl Pool {
    /// `cores` with a quiet neighbour and half as many with a noisy one; stalls come `more_stalls` times as often.
    pub(crate) fn draw(host: Host, cores: usize, more_stalls: f64, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut latencies = Vec::with_capacity(REQUESTS);
        let mut normal = Normal::default();
        let mut of = |n: usize, times: f64| -> Vec<Run> {
            (0..n)
                .map(|_| {
                    let sd = host.stall_rate_sd;
                    let factor = (sd * normal.draw(&mut rng) - sd * sd / 2.0).exp();
                    core(host, host.stall_rate * times * more_stalls * factor, &mut rng, &mut latencies)
                })
                .collect()
        };
        Self { host, quiet: of(cores, 1.0), noisy: of(cores / 2, 2.0) }
    }

    fn run(&self, rng: &mut ChaCha8Rng, normal: &mut Normal, environment: f64, noisy: bool) -> Run {
        let cores = if noisy { &self.noisy } else { &self.quiet };
        let core = cores[rng.random_range(0..cores.len())];
        let neighbour = if noisy { self.host.neighbour } else { 0.0 };
        let added = environment + neighbour + self.host.run_sd * normal.draw(rng);
        Run { p50: core.p50 + added, p99: core.p99 + added, ..core }
    }

    /// Runs far apart in time, each with an environment of its own.
    pub(crate) fn apart(&self, runs: usize, rng: &mut ChaCha8Rng) -> Vec<Run> {
        let mut normal = Normal::default();
        let one = |_| {
            let environment = self.host.environment_sd * normal.draw(rng);
            let noisy = rng.random::<f64>() < BECOMES_NOISY / (BECOMES_NOISY + BECOMES_QUIET);
            self.run(rng, &mut normal, environment, noisy)
        };
        (0..runs).map(one).collect()
    }

    /// Pairs of runs in slots that follow each other, in an order that is drawn for each pair: of this pool, and of the
    /// candidate's.
    pub(crate) fn pairs(&self, candidate: &Pool, pairs: usize, rng: &mut ChaCha8Rng) -> Vec<(Run, Run)> {
        let mut normal = Normal::default();
        let mut environment = self.host.environment_sd * normal.draw(rng);
        let mut noisy = rng.random::<f64>() < BECOMES_NOISY / (BECOMES_NOISY + BECOMES_QUIET);
        let mut slot = |pool: &Pool, rng: &mut ChaCha8Rng| {
            let fresh = (1.0 - ENVIRONMENT_STAYS * ENVIRONMENT_STAYS).sqrt() * self.host.environment_sd;
            environment = ENVIRONMENT_STAYS * environment + fresh * normal.draw(rng);
            let turns = rng.random::<f64>() < if noisy { BECOMES_QUIET } else { BECOMES_NOISY };
            noisy ^= turns;
            pool.run(rng, &mut normal, environment, noisy)
        };
        let pair = |_| {
            if rng.random() {
                let first = slot(self, rng);
                (first, slot(candidate, rng))
            } else {
                let first = slot(candidate, rng);
                (slot(self, rng), first)
            }
        };
        (0..pairs).map(pair).collect()
    }
}

#[test]
fn runs_scatter_as_the_model_says() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let spread = |host: Host, rng: &mut ChaCha8Rng| {
        let runs = Pool::draw(host, 60, 1.0, 5).apart(1500, rng);
        let p99: Vec<f64> = runs.iter().map(|run| run.p99).collect();
        reports::stats::power::spread(&p99).unwrap()
    };
    let (moderate, noisy) = (spread(MODERATE, &mut rng), spread(NOISY, &mut rng));
    assert!((moderate - 0.13).abs() < 0.03 && (noisy - 0.27).abs() < 0.06, "{moderate} {noisy}");
}
