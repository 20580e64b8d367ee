//! Searches on simulated servers whose limit is known.

mod server;

use std::convert::Infallible;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use record::{Arrival, LoadSummary, Verdict, Warning, WarningKind};

use super::*;
use server::{Server, Service};

fn search(slo: &str, seed: u64) -> Search {
    Search { seed, ..Search::new(slo.parse().unwrap()) }
}

fn found(search: &Search, mut server: Server) -> Found {
    let measured: std::result::Result<Found, Infallible> = find_max(search, |ask| Ok(server.load(ask)));
    measured.unwrap()
}

/// How a number of searches went.
#[derive(Default, Debug)]
struct Tally {
    searches: u32,
    within_5_percent: u32,
    covered: u32,
    converged: u32,
    steps_most: usize,
    steps: usize,
    spent: f64,
    spent_most: f64,
    off: Vec<String>,
    error: Vec<f64>,
}

impl Tally {
    fn add(&mut self, found: &Found, truth: f64) {
        let rate = found.rate_per_second.unwrap_or(0.0);
        let near = (rate / truth - 1.0).abs() <= 0.05;
        self.searches += 1;
        self.within_5_percent += u32::from(near);
        self.error.push(rate / truth - 1.0);
        let (low, high) = (found.low_per_second.unwrap_or(0.0), found.high_per_second.unwrap_or(0.0));
        self.covered += u32::from(found.level.is_some() && low <= truth && truth <= high);
        self.converged += u32::from(found.end == End::Converged);
        self.steps_most = self.steps_most.max(found.steps.len());
        self.steps += found.steps.len();
        self.spent += found.spent_s;
        self.spent_most = self.spent_most.max(found.spent_s);
        if !near {
            self.off.push(format!("seed {}: {rate:.0} of {truth:.0}, {:?}", found.seed, found.end));
        }
    }

    fn assert_good(&self) {
        assert!(self.within_5_percent * 10 >= self.searches * 9, "{}", self.said());
        assert!(self.covered * 10 >= self.converged * 9, "{}", self.said());
        assert!(self.steps <= 25 * self.searches as usize && self.spent_most <= 60.0, "{}", self.said());
    }

    fn said(&self) -> String {
        let n = f64::from(self.searches);
        let mean = self.error.iter().sum::<f64>() / n;
        let sd = (self.error.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n).sqrt();
        format!(
            "{} of {} within 5 %, bias {:.2} % sd {:.2} %, covered {}, converged {}, steps {:.1} (most {}), \
             {:.0} s (most {:.0}); off: {:?}",
            self.within_5_percent,
            self.searches,
            100.0 * mean,
            100.0 * sd,
            self.covered,
            self.converged,
            self.steps as f64 / n,
            self.steps_most,
            self.spent / n,
            self.spent_most,
            self.off
        )
    }
}

/// A capacity of its own for each seed, spread evenly in its logarithm.
fn capacity(seed: u64, most: f64) -> f64 {
    let u: f64 = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(77)).random();
    200.0 * (most / 200.0).powf(u)
}

fn known_capacity(arrival: Arrival, seeds: std::ops::Range<u64>, most: f64) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        let capacity = capacity(seed, most);
        // With random arrivals a limit of a few service times is reached well below capacity: that is the truth,
        // and no error. One of 150 is reached within 1.6 % of it.
        let limit_us = match arrival {
            Arrival::Constant => 25_000.0,
            Arrival::Poisson => (150e6 / capacity).max(25_000.0),
        };
        let search = search(&format!("p99={limit_us:.0}us"), seed);
        tally.add(&found(&search, Server::new(capacity, Service::Fixed, arrival, seed)), capacity);
    }
    tally
}

#[test]
fn a_known_capacity_is_found_within_5_percent_with_even_arrivals() {
    let tally = known_capacity(Arrival::Constant, 0..40, 50_000.0);
    println!("constant: {}", tally.said());
    tally.assert_good();
}

#[test]
fn a_known_capacity_is_found_within_5_percent_with_random_arrivals() {
    let tally = known_capacity(Arrival::Poisson, 100..140, 50_000.0);
    println!("poisson: {}", tally.said());
    tally.assert_good();
}

#[test]
#[ignore = "a minute: the rates that the commit and the documentation cite"]
fn hit_rates_over_many_seeds() {
    for (arrival, name) in [(Arrival::Constant, "constant"), (Arrival::Poisson, "poisson")] {
        println!("{name}: {}", known_capacity(arrival, 5000..5400, 50_000.0).said());
    }
    println!("m/m/1: {}", soft(5000..5200).said());
}

/// The 99th percentile of the time in an M/M/1 system is ln(100) / (mu - lambda).
fn soft(seeds: std::ops::Range<u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        let mu = 2000.0 * 2.0_f64.powf(ChaCha8Rng::seed_from_u64(seed).random_range(0.0..1.0));
        let truth = mu - 100.0_f64.ln() / 0.005;
        tally.add(
            &found(&search("p99=5ms", seed), Server::new(mu, Service::Exponential, Arrival::Poisson, seed)),
            truth,
        );
    }
    tally
}

#[test]
fn a_soft_limit_is_within_its_interval() {
    let tally = soft(0..40);
    println!("m/m/1: {}", tally.said());
    assert!(tally.converged * 10 >= tally.searches * 9, "{}", tally.said());
    // A level of 95 % for runs without end; the 99th percentile of a short one is below its own more often than above.
    assert!(tally.covered * 100 >= tally.converged * 85, "{}", tally.said());
}

fn even(capacity: f64, seed: u64) -> Server {
    Server::new(capacity, Service::Fixed, Arrival::Constant, seed)
}

#[test]
fn a_limit_below_the_lowest_rate_is_never_held() {
    let search = Search { from: Some(500.0), ..search("p99=25ms", 1) };
    let found = found(&search, even(300.0, 1));
    assert_eq!((found.end, found.rate_per_second), (End::NeverHeld, None));
    assert!(found.answer().starts_with("never holds p99=25ms: the lowest rate, 500/s, broke it: p99"), "{found}");
    assert!(found.steps.len() <= 3, "{found}");
}

#[test]
fn a_limit_above_the_highest_rate_is_always_held() {
    let search = Search { to: Some(2000.0), ..search("p99=25ms", 1) };
    let found = found(&search, even(5000.0, 1));
    assert_eq!((found.end, found.rate_per_second), (End::AlwaysHeld, Some(2000.0)));
    assert_eq!(found.answer(), "holds p99=25ms at 2 000/s, the highest rate that was to be tried.");
    assert_eq!((found.confirmations, found.high_per_second), (3, None));
}

#[test]
fn a_search_that_begins_above_the_limit_goes_down_to_it() {
    let found = found(&search("p99=400ms", 3), even(30.0, 3));
    let rate = found.rate_per_second.unwrap();
    assert!((20.0..=40.0).contains(&rate), "{found}");
}

/// The generator is late from a rate on: it is the limit, and the target has none.
fn late_from(limit: f64, mut server: Server) -> impl FnMut(&Ask) -> std::result::Result<LoadSummary, Infallible> {
    move |ask| {
        let mut load = server.load(ask);
        if ask.rate_per_second > limit {
            load.response_ns.p99 += 40_000_000;
            load.lag_ns.ours.p99 = 40_000_000;
            load.verdict = Verdict::Invalid;
            load.warnings.push(Warning::new(WarningKind::GeneratorLagged, "it was late", "another machine"));
        }
        Ok(load)
    }
}

#[test]
fn a_late_generator_ends_the_search_and_is_not_taken_for_the_target() {
    let Ok(found) = find_max(&search("p99=25ms", 1), late_from(3000.0, even(50_000.0, 1)));
    assert_eq!(found.end, End::Generator);
    let rate = found.rate_per_second.unwrap();
    assert!(rate > 1300.0 && rate <= 3000.0, "{found}");
    assert_eq!((found.high_per_second, found.level, found.limit), (None, None, None));
    assert!(found.answer().contains("the generator itself was late"), "{found}");
    // It was asked once more before it was believed.
    assert_eq!(found.steps.iter().filter(|s| s.generator_limited).count(), 2);
}

#[test]
fn what_breaks_without_the_generators_lag_is_the_targets_doing() {
    let Ok(found) = find_max(&search("p50=1ns", 1), late_from(0.0, even(1000.0, 1)));
    assert_ne!(found.end, End::Generator, "{found}");
    assert!(found.rate_per_second.is_none() && found.steps.iter().all(|s| !s.generator_limited), "{found}");
}

#[test]
fn one_late_moment_of_the_generator_does_not_end_the_search() {
    let mut server = even(1000.0, 1);
    let mut asked = 0;
    let measured: std::result::Result<Found, Infallible> = find_max(&search("p99=25ms", 1), |ask| {
        asked += 1;
        if asked == 3 { late_from(0.0, even(1000.0, 1))(ask) } else { Ok(server.load(ask)) }
    });
    let found = measured.unwrap();
    assert_eq!(found.end, End::Converged, "{found}");
    assert!((found.rate_per_second.unwrap() / 1000.0 - 1.0).abs() < 0.05, "{found}");
}

#[test]
fn one_slow_request_of_a_short_probe_is_no_limit() {
    let (mut server, mut asked) = (even(1000.0, 1), 0);
    let measured: std::result::Result<Found, Infallible> = find_max(&search("p99=25ms", 1), |ask| {
        let mut load = server.load(ask);
        asked += 1;
        if asked == 1 {
            load.response_ns.p99 = 30_000_000;
        }
        Ok(load)
    });
    let found = measured.unwrap();
    assert!((found.rate_per_second.unwrap() / 1000.0 - 1.0).abs() < 0.05, "{found}");
    assert_eq!(found.steps[1].rate_per_second, Search::START, "{found}");
}

#[test]
fn errors_are_a_limit_of_their_own() {
    let mut server = even(50_000.0, 1);
    let measured: std::result::Result<Found, Infallible> = find_max(&search("p99=25ms,errors=0.5%", 1), |ask| {
        // An overload manager that refuses what is beyond 1000/s.
        server.failing = (1.0 - 1000.0 / ask.rate_per_second).max(0.0);
        Ok(server.load(ask))
    });
    let found = measured.unwrap();
    assert!((found.rate_per_second.unwrap() / 1000.0 - 1.0).abs() < 0.05, "{found}");
    assert!(matches!(found.limit, Some(Broken::Errors { .. })), "{found}");
    assert!(found.answer().contains("limited by errors"), "{found}");
}

#[test]
fn when_the_time_is_up_the_bracket_is_given() {
    let search = Search { budget: Duration::from_secs(9), ..search("p99=25ms", 1) };
    let found = found(&search, even(1000.0, 1));
    assert_eq!((found.end, found.level), (End::Budget, None));
    let (low, high) = (found.low_per_second.unwrap(), found.high_per_second.unwrap());
    assert!(low <= 1017.0 && high >= 1000.0 && low < high, "{found}");
    assert!(found.spent_s <= 9.0, "{found}");
    assert!(found.answer().starts_with("the time was up: held p99=25ms at "), "{found}");
    assert!(found.to_string().contains("which broke: a bracket,"), "{found}");
}

#[test]
fn an_error_of_the_measurement_ends_the_search_as_it_is() {
    let mut server = even(1000.0, 1);
    let mut left = 4;
    let measured = find_max(&search("p99=25ms", 1), |ask| {
        left -= 1;
        if left == 0 { Err("gone") } else { Ok(server.load(ask)) }
    });
    assert_eq!(measured.err(), Some("gone"));
}

#[test]
fn the_same_seed_asks_the_same_questions() {
    let rates = |seed| -> Vec<f64> {
        found(&search("p99=25ms", seed), even(700.0, 9)).steps.iter().map(|s| s.rate_per_second).collect()
    };
    assert_eq!(rates(1), rates(1));
    assert_ne!(rates(1), rates(2));
}

#[test]
fn an_overload_is_followed_by_a_rest() {
    let mut server = even(500.0, 1);
    let mut after_break = None;
    let measured: std::result::Result<Found, Infallible> = find_max(&search("p99=25ms", 1), |ask| {
        if let Some(true) = after_break {
            assert!(ask.rest >= Duration::from_millis(250), "{ask:?}");
        }
        let load = server.load(ask);
        after_break = Some(load.response_ns.p99 > 25_000_000);
        Ok(load)
    });
    assert_eq!(measured.unwrap().end, End::Converged);
}

#[test]
fn a_slow_answer_on_its_way_at_the_end_is_no_queue() {
    // 60 ms on the way, without any limit: 4 % of a step's requests are unanswered when it ends.
    let mut server = Server { noise: None, ..even(1e6, 1) };
    let search = Search { to: Some(1000.0), ..search("p99=200ms", 1) };
    let measured: std::result::Result<Found, Infallible> = find_max(&search, |ask| {
        let mut load = server.load(ask);
        let q = &mut load.response_ns;
        for at in [&mut q.p50, &mut q.p90, &mut q.p99, &mut q.p999, &mut q.max] {
            *at += 60_000_000;
        }
        load.achieved_per_second *= 1.0 - 0.060 / ask.duration.as_secs_f64();
        Ok(load)
    });
    assert_eq!(measured.unwrap().end, End::AlwaysHeld);
}

#[test]
fn values_that_make_no_search_are_refused_by_name() {
    type Change = fn(&mut Search);
    let cases: [(&str, Change); 8] = [
        ("the lowest rate is 0.0", |s| s.from = Some(0.0)),
        ("the highest rate is NaN", |s| s.to = Some(f64::NAN)),
        ("the lowest rate is 9.0: it must be below", |s| (s.from, s.to) = (Some(9.0), Some(9.0))),
        ("the resolution is 2.0", |s| s.resolution = 2.0),
        ("the number of confirmations is 0", |s| s.confirmations = 0),
        ("the step is 0ns", |s| s.step = Duration::ZERO),
        ("the confirmation's length is 0ns", |s| s.confirm = Duration::ZERO),
        ("the budget is 1s", |s| s.budget = Duration::from_secs(1)),
    ];
    for (want, change) in cases {
        let mut search = search("p99=25ms", 1);
        assert!(search.check().is_ok());
        change(&mut search);
        let said = search.check().unwrap_err().to_string();
        assert!(said.starts_with(want), "{said}");
    }
}

#[test]
fn what_is_found_fits_80_columns_and_is_json() {
    let found = found(&search("p99=25ms,errors=0.1%", 2), even(9870.0, 2));
    let text = found.to_string();
    println!("{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(found.answer().starts_with("holds p99=25ms,errors=0.1% up to 9 "), "{text}");
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["end"], "converged");
    assert_eq!(json["slo"], "p99=25ms,errors=0.1%");
    assert_eq!(json["steps"].as_array().unwrap().len(), found.steps.len());
    assert_eq!(json["limit"]["by"], "response");
    assert_eq!(json["level"], 0.95);
}

#[test]
fn a_ladder_mixes_its_order_and_sorts_its_rungs() {
    let mut server = even(1000.0, 1);
    let slo = "p99=25ms".parse().unwrap();
    let rates = [1500.0, 200.0, 400.0, 800.0, 600.0];
    let step = Duration::from_millis(500);
    let measured: std::result::Result<Ladder, Infallible> =
        ladder(&rates, 3, 5, Some(&slo), step, |ask| Ok(server.load(ask)));
    let ladder = measured.unwrap();
    let asked: Vec<f64> = ladder.steps.iter().map(|s| s.rate_per_second).collect();
    assert_ne!(asked[..5], asked[5..10]);
    let rungs: Vec<(f64, u32, u32)> = ladder.rungs.iter().map(|r| (r.rate_per_second, r.held, r.runs)).collect();
    assert_eq!(rungs, [(200.0, 3, 3), (400.0, 3, 3), (600.0, 3, 3), (800.0, 3, 3), (1500.0, 0, 3)]);
    for r in &ladder.rungs {
        assert!(r.least_ns.p99 <= r.response_ns.p99 && r.response_ns.p99 <= r.most_ns.p99);
    }
    let text = ladder.to_string();
    println!("{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("up to 800/s every run held (p99=25ms)."), "{text}");
    assert_eq!(serde_json::to_value(&ladder).unwrap()["rungs"][4]["held"], 0);
}
