//! A chain of proxies with CPU quotas, request by request: how long each request takes, and how many periods run out.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use record::Arrival;

/// The quota period of Kubernetes (cpu.cfs_period_us), in seconds.
pub(crate) const PERIOD_S: f64 = 0.1;

/// One proxy on a request's way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Station {
    /// CPU time of a request, in seconds.
    pub(crate) cpu_s: f64,
    /// Its squared coefficient of variation.
    pub(crate) variation: f64,
    /// Cores that it uses while its workers wait for requests: waking up, and what it does besides. Workers that find a queue
    /// do not wake up for each request, so that a proxy which was held up works it off for less.
    pub(crate) waiting_cores: f64,
}

/// What all proxies of a chain have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quota {
    /// Cores: quota over period.
    pub(crate) cores: f64,
    /// Threads that work at a time.
    pub(crate) workers: u32,
}

/// Requests as they will be drawn: the same draws for every rate, so that what differs is the rate.
pub(crate) struct Draws {
    /// Sums of gaps of mean 1.
    arrivals: Vec<f64>,
    /// For each station: where in its period it begins, and for each request its demand of mean 1 and its worker, 0 to 1.
    stations: Vec<(f64, Vec<(f64, f64)>)>,
    /// What each request takes without any quota, in seconds.
    plain_s: Vec<f64>,
}

/// What became of the requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Became {
    /// The quantile of the time from arrival to the last proxy's end, in seconds.
    pub(crate) quantile_s: f64,
    /// Of the periods of the proxy that held requests up most often, the share in which it did.
    pub(crate) periods_run_out: f64,
}

impl Draws {
    /// So many requests through these stations. `plain` says what requests take without a quota: shares of them, rising to 1,
    /// each with the seconds that so many take at most; without it they take the CPU time alone.
    pub(crate) fn make(
        stations: &[Station],
        arrival: Arrival,
        plain: &[(f64, f64)],
        requests: usize,
        seed: u64,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut at = 0.0;
        let mut arrivals = Vec::with_capacity(requests);
        for _ in 0..requests {
            at += match arrival {
                Arrival::Constant => 1.0,
                Arrival::Poisson => exponential(&mut rng),
            };
            arrivals.push(at);
        }
        let stations = stations
            .iter()
            .map(|s| {
                let begins = rng.random::<f64>() * PERIOD_S;
                (begins, (0..requests).map(|_| (demand(s.variation, &mut rng), rng.random())).collect())
            })
            .collect();
        let plain_s = (0..requests).map(|_| at_share(plain, rng.random())).collect();
        Self { arrivals, stations, plain_s }
    }

    /// Sends them at a rate.
    ///
    /// A request meets the proxies one after the other, and its answer meets them on the way back: half of its CPU time is
    /// for either. At each it waits for the worker that its connection belongs to, and takes CPU time while the period has some
    /// left; what does not fit goes on in the next period.
    pub(crate) fn at(&self, rate: f64, stations: &[Station], quota: Quota, quantile: f64) -> Became {
        let workers = quota.workers.max(1) as usize;
        let mut at_work: Vec<AtWork<'_>> = stations
            .iter()
            .zip(&self.stations)
            .map(|(station, (begins, draws))| AtWork {
                draws,
                half_s: station.cpu_s / 2.0,
                waiting: station.waiting_cores / workers as f64,
                free: vec![0.0; workers],
                periods: Periods {
                    begins: *begins,
                    budget_s: quota.cores * PERIOD_S,
                    used: Vec::new(),
                    held_up: 0,
                    last: None,
                },
            })
            .collect();
        let own: f64 = stations.iter().map(|s| s.cpu_s).sum();
        let legs = 2 * at_work.len();
        let mut under_way: BinaryHeap<Reverse<Leg>> = BinaryHeap::new();
        let mut coming = self.arrivals.iter().enumerate().peekable();
        let mut took: Vec<f64> = Vec::with_capacity(self.arrivals.len());
        loop {
            let due = coming.peek().map(|(_, at)| *at / rate);
            let leg = match (under_way.peek(), due) {
                (Some(Reverse(first)), Some(due)) if first.at > due => Self::next(&mut coming, rate),
                (None, Some(_)) => Self::next(&mut coming, rate),
                _ => under_way.pop().map(|Reverse(leg)| leg),
            };
            let Some(mut leg) = leg else { break };
            if leg.done == legs {
                let due = self.arrivals.get(leg.request).map_or(leg.at, |at| at / rate);
                // What it took here beyond its CPU time, it was held up.
                let plain = self.plain_s.get(leg.request).copied().unwrap_or(0.0);
                took.push((leg.at - due - own).max(0.0) + plain.max(own));
                continue;
            }
            let station = if leg.done < at_work.len() { leg.done } else { legs - 1 - leg.done };
            if let Some(station) = at_work.get_mut(station) {
                leg.at = station.serve(leg.request, leg.at);
            }
            leg.done += 1;
            under_way.push(Reverse(leg));
        }
        let at = ((took.len() as f64 * quantile).ceil() as usize).clamp(1, took.len().max(1)) - 1;
        let quantile_s = if took.is_empty() { 0.0 } else { *took.select_nth_unstable_by(at, f64::total_cmp).1 };
        Became { quantile_s, periods_run_out: at_work.iter().map(|s| s.periods.run_out()).fold(0.0, f64::max) }
    }

    fn next<'a>(coming: &mut impl Iterator<Item = (usize, &'a f64)>, rate: f64) -> Option<Leg> {
        coming.next().map(|(request, at)| Leg { at: at / rate, request, done: 0 })
    }
}

/// A request between two proxies: when it comes to the next, and how many it has behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Leg {
    at: f64,
    request: usize,
    done: usize,
}

impl Eq for Leg {}

impl PartialOrd for Leg {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Leg {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.request.cmp(&other.request)).then(self.done.cmp(&other.done))
    }
}

/// A proxy while requests come to it.
struct AtWork<'a> {
    draws: &'a [(f64, f64)],
    half_s: f64,
    /// Cores that each worker uses while it waits.
    waiting: f64,
    /// When each worker has done what it was given.
    free: Vec<f64>,
    periods: Periods,
}

impl AtWork<'_> {
    /// Gives it a request or an answer, to be called in the order in which they come; returns when it is done.
    fn serve(&mut self, request: usize, at: f64) -> f64 {
        let Some((demand, worker)) = self.draws.get(request) else { return at };
        let worker = ((worker * self.free.len() as f64) as usize).min(self.free.len() - 1);
        let free = self.free[worker];
        self.periods.wait(free, at, self.waiting);
        let done = self.periods.spend(at.max(free), self.half_s * demand);
        self.free[worker] = done;
        done
    }
}

/// The quota of one proxy, period by period.
struct Periods {
    begins: f64,
    budget_s: f64,
    used: Vec<f64>,
    /// Periods in which a request was held up, and the last of them.
    held_up: usize,
    last: Option<usize>,
}

impl Periods {
    /// Takes CPU time from `at` on, on one worker; returns when it has it.
    fn spend(&mut self, mut at: f64, mut cpu_s: f64) -> f64 {
        loop {
            let (index, end) = self.period(at);
            let left = self.budget_s - self.used[index];
            let takes = cpu_s.min(left).min(end - at).max(0.0);
            self.used[index] += takes;
            cpu_s -= takes;
            at += takes;
            if cpu_s <= 1e-9 {
                return at;
            }
            if at < end && self.last < Some(index) {
                self.held_up += 1;
                self.last = Some(index);
            }
            at = at.max(end);
        }
    }

    /// Takes what waiting costs, so many cores from one moment to another, of the periods in between.
    fn wait(&mut self, mut from: f64, to: f64, cores: f64) {
        while cores > 0.0 && from < to {
            let (index, end) = self.period(from);
            let until = end.min(to);
            let left = (self.budget_s - self.used[index]).max(0.0);
            self.used[index] += left.min(cores * (until - from));
            from = until;
        }
    }

    /// The period of a moment, and its end.
    fn period(&mut self, at: f64) -> (usize, f64) {
        let index = ((at - self.begins) / PERIOD_S + 1.0 + 1e-9).floor().max(0.0);
        let end = self.begins + index * PERIOD_S;
        let index = index as usize;
        if self.used.len() <= index {
            self.used.resize(index + 1, 0.0);
        }
        (index, end)
    }

    /// The share of periods that ran out with a request in hand.
    fn run_out(&self) -> f64 {
        self.held_up as f64 / self.used.len().max(1) as f64
    }
}

fn exponential(rng: &mut ChaCha8Rng) -> f64 {
    -(1.0 - rng.random::<f64>()).ln()
}

/// A demand of mean 1: equal for all, or a gamma's of which the shape is a whole number or below 1 mixed in as a share of
/// exponential ones.
fn demand(variation: f64, rng: &mut ChaCha8Rng) -> f64 {
    if variation <= 0.0 {
        return 1.0;
    }
    if variation >= 1.0 {
        // Two exponentials of which the rarer is the longer (balanced means), with this variation.
        let p = 0.5 * (1.0 + ((variation - 1.0) / (variation + 1.0)).sqrt());
        let mean = if rng.random::<f64>() < p { 0.5 / p } else { 0.5 / (1.0 - p) };
        return mean * exponential(rng);
    }
    // A fixed part and an exponential one.
    let share = variation.sqrt();
    1.0 - share + share * exponential(rng)
}

/// The time at a share of requests, on the line of logarithms between those known; 0 where nothing is.
fn at_share(known: &[(f64, f64)], share: f64) -> f64 {
    let after = known.partition_point(|(of, _)| *of < share);
    let before = after.checked_sub(1).and_then(|i| known.get(i));
    match (before, known.get(after)) {
        (Some((from, low)), Some((to, high))) if *low > 0.0 && *high > 0.0 => {
            let part = (share - from) / (to - from);
            (low.ln() + part * (high.ln() - low.ln())).exp()
        }
        (_, Some((_, time))) | (Some((_, time)), None) => *time,
        (None, None) => 0.0,
    }
}

/// The highest rate at which the quantile stays at or below a bound, by halving between 0 and `most`; with what becomes of
/// the requests there. What stations are like may depend on the rate.
pub(crate) fn highest(
    draws: &Draws,
    stations: impl Fn(f64) -> Vec<Station>,
    quota: Quota,
    quantile: f64,
    bound_s: f64,
    most: f64,
) -> (f64, Became) {
    const HALVINGS: usize = 11;
    let (mut low, mut high) = (0.0, most);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if draws.at(middle, &stations(middle), quota, quantile).quantile_s <= bound_s {
            low = middle;
        } else {
            high = middle;
        }
    }
    let low = low.max(most * 1e-6);
    (low, draws.at(low, &stations(low), quota, quantile))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn station(cpu_ms: f64) -> Station {
        Station { cpu_s: cpu_ms / 1e3, variation: 0.0, waiting_cores: 0.0 }
    }

    const HALF: Quota = Quota { cores: 0.5, workers: 1 };

    #[test]
    fn a_quota_that_is_never_used_up_costs_nothing() {
        let draws = Draws::make(&[station(1.0)], Arrival::Constant, &[], 2000, 1);
        let became = draws.at(200.0, &[station(1.0)], HALF, 0.99);
        assert!((became.quantile_s - 0.001).abs() < 1e-9 && became.periods_run_out == 0.0, "{became:?}");
    }

    #[test]
    fn one_that_is_used_up_stalls_for_the_rest_of_its_period() {
        // 60 requests of 1 ms in each period of 100 ms, and 50 ms: overloaded, the queue grows by 10 in each period.
        let draws = Draws::make(&[station(1.0)], Arrival::Constant, &[], 6000, 1);
        let became = draws.at(600.0, &[station(1.0)], HALF, 1.0);
        assert!(became.periods_run_out > 0.9, "{became:?}");
        // 6000 requests need 120 periods and are due in 100: 20 periods for the last, and more for one whose answer waits again.
        assert!((2.0..2.6).contains(&became.quantile_s), "{became:?}");
    }

    #[test]
    fn evenly_spaced_requests_reach_the_mean_and_random_ones_fall_off_earlier() {
        let highest = |arrival, bound_s| {
            let draws = Draws::make(&[station(1.0)], arrival, &[], 20_000, 1);
            super::highest(&draws, |_| vec![station(1.0)], HALF, 0.99, bound_s, 1000.0).0
        };
        // The quota is used up in the mean at 500 a second.
        let even = highest(Arrival::Constant, 0.025);
        assert!((480.0..505.0).contains(&even), "{even}");
        let random = highest(Arrival::Poisson, 0.025);
        assert!((340.0..470.0).contains(&random), "{random}");
        assert!(highest(Arrival::Poisson, 0.075) > random, "a looser bound is reached later");
    }

    #[test]
    fn more_workers_use_a_quota_up_sooner_and_no_more_of_it() {
        let stations = [station(1.0)];
        let draws = Draws::make(&stations, Arrival::Constant, &[], 12_000, 1);
        let two = draws.at(600.0, &stations, Quota { cores: 0.5, workers: 2 }, 1.0);
        assert!((4.0..5.2).contains(&two.quantile_s), "{two:?}");
        let four = draws.at(1900.0, &stations, Quota { cores: 2.0, workers: 4 }, 0.5);
        assert!(four.quantile_s < 0.01, "{four:?}");
    }

    #[test]
    fn what_waiting_costs_is_saved_while_there_is_a_queue() {
        let busy = Station { waiting_cores: 0.2, ..station(1.0) };
        let draws = Draws::make(&[busy], Arrival::Constant, &[], 20_000, 1);
        // At 290 a second: 0.29 + 0.2 * 0.71 = 0.432 of 0.5 cores; at 450: 0.45 + 0.2 * 0.55 = 0.56, if it were not for the
        // queue, in which it uses 0.45.
        assert_eq!(draws.at(290.0, &[busy], HALF, 0.99).periods_run_out, 0.0);
        let over = draws.at(450.0, &[busy], HALF, 0.99);
        assert!(over.periods_run_out > 0.5 && over.quantile_s < 0.1, "{over:?}");
        assert!(draws.at(560.0, &[busy], HALF, 0.99).quantile_s > 1.0, "beyond 500 no saving is enough");
    }

    #[test]
    fn what_requests_take_anyway_is_added_to_what_they_are_held_up() {
        let plain = [(0.5, 0.002), (0.99, 0.02), (1.0, 0.08)];
        let draws = Draws::make(&[station(1.0)], Arrival::Constant, &plain, 20_000, 1);
        let quiet = draws.at(100.0, &[station(1.0)], HALF, 0.99);
        assert!((quiet.quantile_s - 0.02).abs() < 0.002, "{quiet:?}");
        assert!((at_share(&plain, 0.2) - 0.002).abs() < 1e-12 && (at_share(&plain, 0.995) - 0.04).abs() < 1e-9);
        assert_eq!(at_share(&[], 0.5), 0.0);
    }

    #[test]
    fn demands_have_the_mean_and_the_variation_asked_for() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for variation in [0.0, 0.3, 1.0, 2.5] {
            let n = 200_000;
            let all: Vec<f64> = (0..n).map(|_| demand(variation, &mut rng)).collect();
            let mean = all.iter().sum::<f64>() / n as f64;
            let found = all.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / n as f64 / mean.powi(2);
            assert!((mean - 1.0).abs() < 0.01, "{variation}: {mean}");
            assert!((found - variation).abs() < 0.05 * (1.0 + variation), "{variation}: {found}");
        }
    }
}
