//! At which rate a CPU limit breaks the SLO: predicted from what a request costs each proxy, before anything is throttled.

use record::{Arrival, CpuQuantity, Quantiles, Reading};

use crate::findings::Figure;
use crate::gate::Metric;
use crate::stats::{Estimate, Scale, steal};

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
    /// The line of least squares through them: cores at rate 0...
    waiting: f64,
    /// ...and the CPU seconds that one more request takes.
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
        let (rates, cores): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
        let n = rates.len() as f64;
        let (rate, used) = (rates.iter().sum::<f64>() / n, cores.iter().sum::<f64>() / n);
        if !(rate > 0.0 && used > 0.0) {
            return None;
        }
        let slope = if points.len() < 2 { None } else { steal::slope(&cores, &rates) };
        // A proxy gives no CPU back while it waits, and takes none back for a request: a line that says so is noise.
        let (waiting, per_request_s) = match slope {
            Some(slope) if slope > 0.0 && used > slope * rate => (used - slope * rate, slope),
            _ => (0.0, used / rate),
        };
        Some(Self { points, waiting, per_request_s })
    }

    /// Cores at a rate: between those measured, and beyond them by the line through all.
    pub(crate) fn cores(&self, rate: f64) -> f64 {
        let after = self.points.partition_point(|(known, _)| *known < rate);
        let (from, low) = after.checked_sub(1).and_then(|i| self.points.get(i)).copied().unwrap_or((0.0, 0.0));
        match self.points.get(after) {
            Some((to, high)) => low + (rate - from) / (to - from) * (high - low),
            None => low + (rate - from) * self.per_request_s,
        }
    }

    /// The rate at which it uses so many cores, by the line through all.
    fn rate(&self, cores: f64) -> f64 {
        ((cores - self.waiting) / self.per_request_s).max(0.0)
    }

    /// Of what it uses at a rate, that which requests do not add: so many cores for each second that its workers wait, which
    /// all of them use together.
    fn waiting_cores(&self, rate: f64, workers: u32) -> f64 {
        let busy = (self.waiting + self.per_request_s * rate) / f64::from(workers.max(1));
        self.waiting / (1.0 - busy).max(0.05)
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
        let draws = Draws::make(&at(most), arrival, &self.without_quota(slo, near), requests, SEED);
        let (rate, became) = quota::highest(&draws, at, quota, quantile, clause.limit / 1e9, most);
        Some((rate, became.periods_run_out))
    }

    /// What requests take without any quota, in seconds: the middle of each quantile over the trials that hold the SLO and whose
    /// rate is no further than a factor of two; over all that hold it, where none is so near.
    fn without_quota(&self, slo: &Slo, near: f64) -> Vec<(f64, f64)> {
        let holds = |t: &TrialSeen| slo.standing(&t.response_ns, t.error_rate, t.kept_up).holds();
        let is_near = |t: &TrialSeen| (0.5 * near..=2.0 * near).contains(&t.rate_per_second);
        let any = self.trials.iter().any(|t| is_near(t) && holds(t));
        let of = |share: f64, pick: fn(&Quantiles) -> u64| {
            let there = self.trials.iter().filter(|t| holds(t) && (!any || is_near(t)));
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
    fn what_a_proxy_uses_lies_on_the_line_of_its_rates() {
        // 0.06 cores, and 120 us a request.
        let points = [200.0, 500.0, 1400.0].map(|rate| (rate, 0.06 + 120e-6 * rate));
        let used = Use::of(&points).unwrap();
        assert!((used.waiting - 0.06).abs() < 1e-9 && (used.per_request_s - 120e-6).abs() < 1e-12, "{used:?}");
        assert!((used.rate(0.15) - 750.0).abs() < 1e-6 && used.rate(0.01) == 0.0);
        // At 1000 a second a worker is busy for 0.18 of the time, and waits for 0.82 of it; two wait for 1.82.
        assert!((used.waiting_cores(1000.0, 1) - 0.06 / 0.82).abs() < 1e-9);
        assert!((used.waiting_cores(1000.0, 2) - 0.06 / 0.91).abs() < 1e-9);
        for (rate, cores) in [(100.0, 0.042), (350.0, 0.102), (2400.0, 0.348)] {
            assert!((used.cores(rate) - cores).abs() < 1e-9, "{rate}: {}", used.cores(rate));
        }
    }

    #[test]
    fn one_rate_gives_all_of_it_to_the_requests_and_none_gives_nothing() {
        let used = Use::of(&[(500.0, 0.1), (505.0, 0.2)]).unwrap();
        assert!((used.per_request_s - 0.15 / 502.5).abs() < 1e-9 && used.waiting == 0.0, "{used:?}");
        assert_eq!(Use::of(&[]), None);
        // A use that falls with the rate is noise.
        assert_eq!(Use::of(&[(100.0, 0.2), (200.0, 0.1)]).unwrap().waiting, 0.0);
    }
}
