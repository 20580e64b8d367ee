//! At which rate a CPU limit breaks the SLO: predicted from what a request costs each proxy, before anything is throttled.

use record::{Arrival, CpuQuantity, Quantiles, Reading};

use crate::findings::Figure;
use crate::gate::Metric;
use crate::stats::{Estimate, Scale};

use super::capacity::Capacity;
use super::measured::{Setup, TrialSeen};
use super::quota::{self, Draws, Quota, Station};
use super::report::Cliff;
use super::slo::Slo;

/// Requests that are drawn, so that some hundreds lie beyond the quantile.
const REQUESTS: usize = 20_000;
const REQUESTS_P999: usize = 60_000;
/// Of its limit, what a proxy may have used in a trial that says what requests cost without throttling.
const UNTHROTTLED: f64 = 0.5;
/// A rate that is so much over the highest measured one is beyond it.
const BEYOND: f64 = 1.05;
/// The seed of the draws: all limits and blocks get the same.
const SEED: u64 = 17;

/// What a proxy uses at each rate, as far as it was measured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Use {
    /// Rates, rising, and the cores in use at each.
    points: Vec<(f64, f64)>,
    /// CPU seconds that a request takes of a proxy that has a queue: what it takes at the highest rate, where it costs least.
    per_request_s: f64,
}

impl Use {
    /// Of rates and cores; none of no points.
    pub(crate) fn of(measured: &[(f64, f64)]) -> Option<Self> {
        let mut points: Vec<(f64, f64)> = Vec::new();
        let mut sorted = measured.to_vec();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut same = 1.0;
        for (rate, cores) in sorted {
            match points.last_mut() {
                // Rates of one cell differ a little from trial to trial.
                Some((known, mean)) if rate < *known * 1.02 => {
                    same += 1.0;
                    *known += (rate - *known) / same;
                    *mean += (cores - *mean) / same;
                }
                _ => {
                    points.push((rate, cores));
                    same = 1.0;
                }
            }
        }
        let (rate, cores) = points.last().copied().filter(|(rate, cores)| *rate > 0.0 && *cores > 0.0)?;
        Some(Self { points, per_request_s: cores / rate })
    }

    /// Cores at a rate: on the lines between those measured, and beyond them as much for each request as at the highest.
    pub(crate) fn cores(&self, rate: f64) -> f64 {
        let after = self.points.partition_point(|(known, _)| *known < rate);
        let (from, low) = after.checked_sub(1).and_then(|i| self.points.get(i)).copied().unwrap_or((0.0, 0.0));
        match self.points.get(after) {
            Some((to, high)) => low + (rate - from) / (to - from) * (high - low),
            None => low + (rate - from) * self.per_request_s,
        }
    }

    /// The lowest rate at which it uses so many cores.
    fn rate(&self, cores: f64) -> f64 {
        let (mut from, mut low) = (0.0, 0.0);
        for (to, high) in &self.points {
            if *high >= cores {
                return from + (cores - low) / (high - low) * (to - from);
            }
            (from, low) = (*to, *high);
        }
        from + (cores - low) / self.per_request_s
    }

    /// At a rate, what it uses more than requests take of a busy one: so many cores for each second that its workers wait,
    /// and as many together as it has workers.
    fn waiting_cores(&self, rate: f64, workers: u32) -> f64 {
        let cores = self.cores(rate);
        let waits = (1.0 - cores / f64::from(workers.max(1))).max(0.05);
        ((cores - self.per_request_s * rate) / waits).max(0.0)
    }
}

/// What the trials say of the cost of requests in one kind of setup.
pub(crate) struct Costs<'a> {
    /// Trials in which nothing was throttled.
    trials: Vec<&'a TrialSeen>,
    level: f64,
}

impl<'a> Costs<'a> {
    /// Of the trials with so many workers, those without a limit; where these have a single rate, also those that used
    /// little of theirs.
    pub(crate) fn of(trials: &'a [TrialSeen], workers: u32, level: f64) -> Self {
        let with = |t: &&TrialSeen| t.setup.dataplane != record::Dataplane::None && t.setup.workers == workers;
        let free: Vec<&TrialSeen> = trials.iter().filter(with).filter(|t| t.setup.limit.is_none()).collect();
        let rates = |of: &[&TrialSeen]| {
            let mut rates: Vec<f64> = of.iter().map(|t| t.rate_per_second).collect();
            rates.sort_by(f64::total_cmp);
            rates.dedup();
            rates.len()
        };
        if rates(&free) >= 2 {
            return Self { trials: free, level };
        }
        let little = |t: &&TrialSeen| {
            let used = t.busiest().and_then(|p| p.cores.seen().copied()).unwrap_or(0.0);
            t.setup.limit.is_none_or(|limit| used < UNTHROTTLED * f64::from(limit.millicores()) / 1000.0)
        };
        Self { trials: trials.iter().filter(with).filter(little).collect(), level }
    }

    fn blocks(&self) -> Vec<u32> {
        let mut blocks: Vec<u32> = self.trials.iter().map(|t| t.block).collect();
        blocks.sort_unstable();
        blocks.dedup();
        blocks
    }

    /// The proxies, the busiest first.
    fn proxies(&self) -> Vec<&'a str> {
        let mut names: Vec<(&str, f64)> = Vec::new();
        for proxy in self.trials.iter().flat_map(|t| &t.proxies) {
            let cores = proxy.cores.seen().copied().unwrap_or(0.0);
            match names.iter_mut().find(|(name, _)| *name == proxy.name) {
                Some((_, sum)) => *sum += cores,
                None => names.push((&proxy.name, cores)),
            }
        }
        names.sort_by(|a, b| b.1.total_cmp(&a.1));
        names.into_iter().map(|(name, _)| name).collect()
    }

    /// What a proxy uses, as one block tells, or all of them.
    fn of_proxy(&self, name: &str, block: Option<u32>) -> Option<Use> {
        let points: Vec<(f64, f64)> = self
            .trials
            .iter()
            .filter(|t| block.is_none_or(|block| t.block == block))
            .filter_map(|t| {
                let proxy = t.proxies.iter().find(|p| p.name == name)?;
                Some((t.answered_per_second, *proxy.cores.seen()?))
            })
            .collect();
        Use::of(&points)
    }

    /// The lowest rate at which a proxy would use so many cores in the mean.
    fn used_up(&self, cores: f64, block: Option<u32>) -> Option<f64> {
        let of = |name: &&str| Some(self.of_proxy(name, block)?.rate(cores));
        self.proxies().iter().filter_map(of).reduce(f64::min)
    }

    /// Why there is nothing to predict from, if so.
    fn missing(&self) -> String {
        let reason = self.trials.iter().flat_map(|t| &t.proxies).find_map(|p| p.cores.reason());
        reason.map_or_else(|| "no trial without throttling tells what a request costs".to_owned(), str::to_owned)
    }

    /// Thousandths of a core that the busiest proxy uses at a rate, estimated over blocks.
    pub(crate) fn busiest_millicores(&self, rate: f64) -> Figure {
        let proxies = self.proxies();
        let of_block = |block: u32| {
            proxies
                .iter()
                .filter_map(|name| Some(self.of_proxy(name, Some(block))?.cores(rate) * 1000.0))
                .reduce(f64::max)
        };
        let values: Vec<f64> = self.blocks().into_iter().filter_map(of_block).collect();
        Estimate::over(&values, Scale::Factor, self.level)
            .map_or_else(|| Reading::absent(self.missing()), Reading::Seen)
    }

    /// Cores that a proxy uses before any load, on average.
    pub(crate) fn idle_cores(&self) -> f64 {
        mean(self.trials.iter().flat_map(|t| &t.proxies).filter_map(|p| p.idle_cores.seen().copied()))
    }

    /// What each proxy uses, and the squared coefficient of variation of what a request takes of it.
    fn chain(&self, arrival: Arrival) -> Option<Vec<(Use, f64)>> {
        let own = match arrival {
            Arrival::Constant => 0.0,
            Arrival::Poisson => 1.0,
        };
        let of = |name: &str| {
            let used = self.of_proxy(name, None)?;
            let burst_s = |t: &&TrialSeen| {
                let proxy = t.proxies.iter().find(|p| p.name == name)?;
                // In a window as many requests more or less take what they take of a busy proxy.
                proxy.burst_ns.seen().map(|ns| ns / 1e9 / used.per_request_s)
            };
            let burst = middle(self.trials.iter().filter_map(burst_s).collect());
            // Whatever else bends a counter in a window is in it too: no more is believed than what requests can be like.
            Some((used, burst.map_or(0.0, |burst| (burst - own).clamp(0.0, 1.0))))
        };
        let all: Option<Vec<(Use, f64)>> = self.proxies().into_iter().map(of).collect();
        all.filter(|all| !all.is_empty())
    }

    /// The cliff of a limit. It is simulated once, and moves from block to block as the rate that uses the quota up does.
    pub(crate) fn cliff(&self, slo: &Slo, limit: CpuQuantity, workers: u32, arrival: Arrival) -> Cliff {
        let cores = f64::from(limit.millicores()) / 1000.0;
        let figure = |values: &[f64]| {
            Estimate::over(values, Scale::Factor, self.level)
                .map_or_else(|| Reading::absent(self.missing()), Reading::Seen)
        };
        let each: Vec<f64> = self.blocks().into_iter().filter_map(|block| self.used_up(cores, Some(block))).collect();
        let used_up = self.used_up(cores, None).filter(|rate| *rate > 0.0);
        let broken = used_up.and_then(|rate| self.breaks_at(slo, Quota { cores, workers }, arrival, rate));
        let (predicted, periods_run_out) = match broken.zip(used_up) {
            Some(((rate, share), used_up)) => {
                let moved: Vec<f64> = each.iter().map(|of_block| rate * of_block / used_up).collect();
                (figure(&moved), Reading::Seen(share))
            }
            _ => (Reading::absent(self.missing()), Reading::absent(self.missing())),
        };
        let highest = self.trials.iter().map(|t| t.rate_per_second).fold(0.0, f64::max);
        Cliff {
            cpu_limit: limit,
            workers,
            quota_used_up_at: figure(&each),
            periods_run_out,
            beyond_measured: predicted.seen().is_some_and(|p| p.value > BEYOND * highest),
            predicted,
            measured: None,
            confirmed: None,
        }
    }

    /// The rate at which the SLO breaks, and the share of periods that run out there; it lies somewhere near a rate.
    fn breaks_at(&self, slo: &Slo, quota: Quota, arrival: Arrival, near: f64) -> Option<(f64, f64)> {
        let clause = slo.time()?;
        let (quantile, requests) = match clause.metric {
            Metric::P50 => (0.5, REQUESTS),
            Metric::P90 => (0.9, REQUESTS),
            Metric::P999 => (0.999, REQUESTS_P999),
            _ => (0.99, REQUESTS),
        };
        let chain = self.chain(arrival)?;
        let at = |rate: f64| -> Vec<Station> {
            let station = |(used, variation): &(Use, f64)| Station {
                cpu_s: used.per_request_s,
                variation: *variation,
                waiting_cores: used.waiting_cores(rate, quota.workers),
            };
            chain.iter().map(station).collect()
        };
        let most = chain.iter().map(|(used, _)| quota.cores / used.per_request_s).fold(f64::INFINITY, f64::min) * 1.1;
        let draws = Draws::make(&at(most), arrival, &self.without_quota(near), requests, SEED);
        let (rate, became) = quota::highest(&draws, at, quota, quantile, clause.limit / 1e9, most);
        Some((rate, became.periods_run_out))
    }

    /// What requests take without any quota, in seconds: the middle of each quantile over the trials whose rate is nearest.
    fn without_quota(&self, near: f64) -> Vec<(f64, f64)> {
        let apart = |t: &&&TrialSeen| (t.rate_per_second - near).abs();
        let nearest =
            self.trials.iter().min_by(|a, b| apart(a).total_cmp(&apart(b))).map_or(0.0, |t| t.rate_per_second);
        let of = |share: f64, pick: fn(&Quantiles) -> u64| {
            let there = self.trials.iter().filter(|t| t.rate_per_second == nearest);
            let taken = middle(there.map(|t| pick(&t.response_ns) as f64 / 1e9).collect());
            (share, taken.unwrap_or(0.0))
        };
        vec![of(0.5, |q| q.p50), of(0.9, |q| q.p90), of(0.99, |q| q.p99), of(0.999, |q| q.p999), of(1.0, |q| q.max)]
    }
}

/// The median; none of no values.
fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// What a sweep of rates says of a cliff; none where its setup was not swept across it.
pub(crate) fn swept(capacity: Option<&Capacity>) -> Option<Figure> {
    let found = capacity?;
    (!found.at_least && found.rate.value > 0.0 && found.rates >= 2).then_some(Reading::Seen(found.rate))
}

/// The limits that a cliff can be predicted for: those that were measured with so many workers.
pub(crate) fn limits(trials: &[TrialSeen], workers: u32) -> Vec<CpuQuantity> {
    let of = |setup: Setup| setup.limit.filter(|_| setup.workers == workers);
    let mut limits: Vec<CpuQuantity> = trials.iter().filter_map(|t| of(t.setup)).collect();
    limits.sort_unstable();
    limits.dedup();
    limits
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0u32), |(sum, n), v| (sum + v, n + 1));
    if n == 0 { 0.0 } else { sum / f64::from(n) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_proxy_uses_lies_on_the_lines_between_rates() {
        // The third rate costs less for each request than the first two.
        let used = Use::of(&[(1000.0, 0.18), (500.0, 0.1), (2000.0, 0.28), (505.0, 0.102)]).unwrap();
        assert!((used.cores(1500.0) - 0.23).abs() < 1e-9, "{used:?}");
        assert!((used.cores(250.0) - 0.0505 * 250.0 / 251.25).abs() < 1e-9, "below the lowest in proportion");
        for cores in [0.05, 0.15, 0.25, 0.4] {
            assert!((used.cores(used.rate(cores)) - cores).abs() < 1e-9, "{cores}");
        }
        assert!((used.per_request_s - 0.14e-3).abs() < 1e-12, "{used:?}");
        // At 1000 a second: what is over 1000 such requests, for each second of the 0.82 in which it waits.
        let over = 0.18 - 1000.0 * used.per_request_s;
        assert!((used.waiting_cores(1000.0, 1) - over / 0.82).abs() < 1e-9);
    }

    #[test]
    fn one_rate_gives_all_of_it_to_the_requests_and_none_gives_nothing() {
        let used = Use::of(&[(500.0, 0.1), (500.0, 0.2)]).unwrap();
        assert!((used.per_request_s - 0.0003).abs() < 1e-12 && used.waiting_cores(500.0, 1) < 1e-12, "{used:?}");
        assert_eq!(Use::of(&[]), None);
    }
}
