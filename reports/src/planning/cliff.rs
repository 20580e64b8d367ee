//! At which rate a CPU limit breaks the SLO: predicted from what a request costs each proxy, before anything is throttled.

use record::{CpuQuantity, Reading};

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

/// What a proxy uses, as far as rates tell: `cores = waiting (1 - cores) + per_request rate`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Use {
    /// Cores while it waits for requests.
    pub(crate) waiting_cores: f64,
    /// CPU seconds of a request.
    pub(crate) per_request_s: f64,
}

impl Use {
    /// By least squares over rates and cores; with one rate alone all of it is the requests'. None of no points.
    pub(crate) fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let sum = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|(rate, cores)| of(*rate, *cores)).sum::<f64>();
        let alone = || {
            let rates = sum(&|rate, _| rate * rate);
            let per_request_s = sum(&|rate, cores| rate * cores) / rates;
            (rates > 0.0).then_some(Self { waiting_cores: 0.0, per_request_s })
        };
        let several = points.iter().any(|(rate, _)| points.first().is_some_and(|(first, _)| rate != first));
        if !several {
            return alone();
        }
        let (waiting, rates) = (sum(&|_, cores| (1.0 - cores).powi(2)), sum(&|rate, _| rate * rate));
        let both = sum(&|rate, cores| (1.0 - cores) * rate);
        let (with_waiting, with_rate) = (sum(&|_, cores| (1.0 - cores) * cores), sum(&|rate, cores| rate * cores));
        let determinant = waiting * rates - both * both;
        if determinant <= 0.0 {
            return alone();
        }
        let waiting_cores = (with_waiting * rates - with_rate * both) / determinant;
        let per_request_s = (waiting * with_rate - both * with_waiting) / determinant;
        // A proxy gives no CPU back while it waits, and takes none back for a request.
        if waiting_cores < 0.0 || per_request_s <= 0.0 { alone() } else { Some(Self { waiting_cores, per_request_s }) }
    }

    /// Cores at a rate.
    pub(crate) fn cores(&self, rate: f64) -> f64 {
        (self.waiting_cores + self.per_request_s * rate) / (1.0 + self.waiting_cores)
    }

    /// The rate at which it uses so many cores.
    fn rate(&self, cores: f64) -> f64 {
        ((cores * (1.0 + self.waiting_cores) - self.waiting_cores) / self.per_request_s).max(0.0)
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

    /// What a proxy uses, as one block tells.
    fn of_proxy(&self, name: &str, block: u32) -> Option<Use> {
        let points: Vec<(f64, f64)> = self
            .trials
            .iter()
            .filter(|t| t.block == block)
            .filter_map(|t| {
                let proxy = t.proxies.iter().find(|p| p.name == name)?;
                Some((t.answered_per_second, *proxy.cores.seen()?))
            })
            .collect();
        Use::fit(&points)
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
            proxies.iter().filter_map(|name| Some(self.of_proxy(name, block)?.cores(rate) * 1000.0)).reduce(f64::max)
        };
        let values: Vec<f64> = self.blocks().into_iter().filter_map(of_block).collect();
        Estimate::over(&values, Scale::Factor, self.level)
            .map_or_else(|| Reading::absent(self.missing()), Reading::Seen)
    }

    /// Cores that a proxy uses before any load, on average.
    pub(crate) fn idle_cores(&self) -> f64 {
        mean(self.trials.iter().flat_map(|t| &t.proxies).filter_map(|p| p.idle_cores.seen().copied()))
    }

    fn stations(&self, block: u32, arrival: record::Arrival) -> Option<Vec<Station>> {
        self.proxies()
            .into_iter()
            .map(|name| {
                let used = self.of_proxy(name, block)?;
                let burst_s = |t: &&TrialSeen| {
                    let proxy = t.proxies.iter().find(|p| p.name == name)?;
                    proxy.burst_ns.seen().map(|ns| ns / 1e9)
                };
                let mut bursts: Vec<f64> = self.trials.iter().filter_map(burst_s).collect();
                bursts.sort_by(f64::total_cmp);
                let variation = bursts.get(bursts.len() / 2).map_or(0.0, |burst| {
                    let own = match arrival {
                        record::Arrival::Constant => 0.0,
                        record::Arrival::Poisson => 1.0,
                    };
                    // Whatever else bends a counter in a window counts too, up to what is still a request's.
                    (burst / used.per_request_s - own).clamp(0.0, 1.0)
                });
                Some(Station { cpu_s: used.per_request_s, variation, waiting_cores: used.waiting_cores })
            })
            .collect()
    }

    /// The cliff of a limit.
    pub(crate) fn cliff(&self, slo: &Slo, limit: CpuQuantity, workers: u32, arrival: record::Arrival) -> Cliff {
        let cores = f64::from(limit.millicores()) / 1000.0;
        let busiest = self.proxies();
        let used_up = |block: u32| {
            busiest.iter().filter_map(|name| Some(self.of_proxy(name, block)?.rate(cores))).reduce(f64::min)
        };
        let blocks = self.blocks();
        let used_up: Vec<f64> = blocks.iter().filter_map(|block| used_up(*block)).collect();
        let broken: Vec<(f64, f64)> = blocks
            .iter()
            .filter_map(|block| {
                let stations = self.stations(*block, arrival)?;
                self.breaks_at(slo, &stations, Quota { cores, workers }, arrival)
            })
            .collect();
        let figure = |values: &[f64]| {
            Estimate::over(values, Scale::Factor, self.level)
                .map_or_else(|| Reading::absent(self.missing()), Reading::Seen)
        };
        let rates: Vec<f64> = broken.iter().map(|(rate, _)| *rate).collect();
        let predicted = figure(&rates);
        let highest = self.trials.iter().map(|t| t.rate_per_second).fold(0.0, f64::max);
        Cliff {
            cpu_limit: limit,
            workers,
            quota_used_up_at: figure(&used_up),
            periods_run_out: if broken.is_empty() {
                Reading::absent(self.missing())
            } else {
                Reading::Seen(mean(broken.iter().map(|(_, share)| *share)))
            },
            beyond_measured: predicted.seen().is_some_and(|p| p.value > BEYOND * highest),
            predicted,
            measured: None,
            confirmed: None,
        }
    }

    /// The rate at which the SLO breaks, and the share of periods that run out there.
    fn breaks_at(
        &self,
        slo: &Slo,
        stations: &[Station],
        quota: Quota,
        arrival: record::Arrival,
    ) -> Option<(f64, f64)> {
        let clause = slo.time()?;
        let (quantile, requests) = match clause.metric {
            Metric::P50 => (0.5, REQUESTS),
            Metric::P90 => (0.9, REQUESTS),
            Metric::P999 => (0.999, REQUESTS_P999),
            _ => (0.99, REQUESTS),
        };
        // What a request takes without any quota: the rest of the bound is for being held up.
        let mut plain: Vec<f64> = self.trials.iter().map(|t| t.response_ns.p50 as f64).collect();
        plain.sort_by(f64::total_cmp);
        let plain = plain.get(plain.len() / 2).copied().unwrap_or(0.0);
        let own: f64 = stations.iter().map(|s| s.cpu_s).sum();
        let bound_s = ((clause.limit - plain).max(0.1 * clause.limit)) / 1e9 + own;
        let most = stations.iter().map(|s| quota.cores / s.cpu_s).fold(f64::INFINITY, f64::min) * 1.1;
        let draws = Draws::make(stations, arrival, requests, SEED);
        let (rate, became) = quota::highest(&draws, stations, quota, quantile, bound_s, most);
        Some((rate, became.periods_run_out))
    }
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
    fn what_a_proxy_uses_is_found_from_two_rates() {
        let truth = Use { waiting_cores: 0.05, per_request_s: 120e-6 };
        let points = [200.0, 500.0, 1400.0].map(|rate| (rate, truth.cores(rate)));
        let found = Use::fit(&points).unwrap();
        assert!((found.waiting_cores - 0.05).abs() < 1e-9 && (found.per_request_s - 120e-6).abs() < 1e-12, "{found:?}");
        assert!((found.rate(found.cores(777.0)) - 777.0).abs() < 1e-6);
    }

    #[test]
    fn one_rate_gives_all_of_it_to_the_requests_and_none_gives_nothing() {
        let found = Use::fit(&[(500.0, 0.1), (500.0, 0.2)]).unwrap();
        assert!(found.waiting_cores == 0.0 && (found.per_request_s - 0.0003).abs() < 1e-12, "{found:?}");
        assert_eq!(Use::fit(&[]), None);
        // A use that falls with the rate is noise.
        assert_eq!(Use::fit(&[(100.0, 0.2), (200.0, 0.1)]).unwrap().waiting_cores, 0.0);
    }
}
