//! The choice: every plan with every setup that was measured on it, and the cheapest that holds.

use record::{Arrival, Dataplane, MemoryQuantity, Reading};

use crate::findings::Figure;
use crate::stats::{Estimate, Scale, binomial};
use crate::{Error, Result};

use super::capacity::{Capacity, Point};
use super::cliff::{self, Costs};
use super::measured::{Measured, Setup, TrialSeen};
use super::placement::{Candidate, Demand, Replica};
use super::prices::{HostPlan, Prices};
use super::report::{Cliff, HeldAt, Placement, PlanAsked, PlanReport, PlanRow, PlanVerdict, Recommendation, Shown};
use super::slo::Slo;
use super::{advice, sizing};

/// What a plan is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What must hold.
    pub slo: Slo,
    /// Requests a second that enter the mesh.
    pub rps: f64,
    /// Services in the mesh.
    pub services: u32,
    /// What is left free of every capacity: 0.2 of it.
    pub headroom: f64,
    /// Memory of each replica of a service, in bytes; none: as the measured services have.
    pub service_memory_bytes: Option<u64>,
    /// Limits to predict the cliff of, besides those that were measured.
    pub limits: Vec<record::CpuQuantity>,
}

/// The runs of one plan of the price list, as one.
pub(crate) struct Host<'a> {
    pub(crate) plan: &'a HostPlan,
    pub(crate) runs: Vec<&'a Measured>,
    /// Trials of all runs; the blocks of each have numbers of their own.
    pub(crate) trials: Vec<TrialSeen>,
    pub(crate) level: f64,
}

/// Blocks of different runs must not be taken for one another.
const BLOCKS_OF_A_RUN: u32 = 100_000;

/// Makes a plan of runs and a price list.
///
/// # Errors
/// [`Error::PlanAsked`] for a rate, services or headroom that make no plan; [`Error::PlanRuns`] where runs differ in what a
/// plan cannot choose or belong to no plan; [`Error::Methods`]; [`Error::Prices`] where a run fits several plans.
pub fn plan(runs: &[Measured], asked: &Asked, prices: &Prices) -> Result<PlanReport> {
    asked.check()?;
    let Some(first) = runs.first() else {
        return Err(Error::PlanRuns {
            problem: "no run is given".into(),
            remedy: "meshtax plan RUN.. --prices F".into(),
        });
    };
    for (at, run) in runs.iter().enumerate() {
        run.like(first)?;
        if runs.iter().take(at).any(|other| other.run == run.run) {
            return Err(Error::PlanRuns {
                problem: format!("the run {} is given twice, and its trials would count twice", run.run),
                remedy: "each run once".to_owned(),
            });
        }
    }
    let hosts = hosts(runs, prices)?;
    let demand = Demand {
        rps: asked.rps,
        services: asked.services,
        visited: first.factors.services.max(1),
        headroom: asked.headroom,
    };
    let mut rows: Vec<(PlanRow, Option<Setup>)> = hosts.iter().map(|host| best(host, asked, &demand, false)).collect();
    rows.sort_by(|(a, _), (b, _)| order(a).total_cmp(&order(b)));
    let unmeshed = hosts.iter().filter(|h| h.has_unmeshed()).map(|h| best(h, asked, &demand, true).0);
    let without_mesh =
        unmeshed.filter(|row| row.placement.seen().is_some()).min_by(|a, b| order(a).total_cmp(&order(b)));
    let chosen = rows.first().filter(|(row, _)| row.placement.seen().is_some());
    let host = chosen.and_then(|(row, _)| hosts.iter().find(|h| h.plan.name == row.name)).or(hosts.first());
    let arrival = first.factors.arrival;
    let cliffs = host.map_or_else(Vec::new, |host| cliffs(host, asked, chosen.and_then(|(_, setup)| *setup), arrival));
    let recommendation = match (chosen, host) {
        (Some((row, Some(setup))), Some(host)) => Some(recommend(row, *setup, &rows, host, asked)?),
        _ => None,
    };
    let plans: Vec<PlanRow> = rows.into_iter().map(|(row, _)| row).collect();
    let mut report = PlanReport {
        schema: record::SCHEMA,
        method: first.method,
        verdict: if recommendation.is_some() { PlanVerdict::Holds } else { PlanVerdict::DoesNotHold },
        answer: Vec::new(),
        asked: PlanAsked {
            slo: asked.slo.text(),
            rps: asked.rps,
            services: asked.services,
            headroom: asked.headroom,
            service_memory_bytes: asked.service_memory_bytes,
            currency: prices.currency.clone(),
            prices: prices.path.clone(),
            runs: runs.iter().map(|run| run.path.clone()).collect(),
        },
        model: advice::model(&demand, first),
        recommendation,
        plans: plans.into_iter().chain(unmeasured(prices, &hosts)).collect(),
        without_mesh,
        cliffs,
        to_measure: advice::to_measure(&hosts, prices, asked),
        doubts: advice::doubts(&hosts, &demand),
    };
    report.answer = advice::answer(&report);
    Ok(report)
}

impl Asked {
    fn check(&self) -> Result<()> {
        let refuse = |problem: String, remedy| Err(Error::PlanAsked { problem, remedy });
        if !(self.rps.is_finite() && self.rps > 0.0 && self.rps <= 1e9) {
            return refuse(format!("--rps {}: no rate", self.rps), "more than 0 and at most 1e9 requests per second");
        }
        if !(1..=100_000).contains(&self.services) {
            return refuse(format!("--services {}: no mesh", self.services), "1 to 100000 services");
        }
        if !(0.0..0.9).contains(&self.headroom) {
            return refuse(format!("--headroom {}: out of range", self.headroom), "a share from 0 to below 90%");
        }
        Ok(())
    }
}

/// The plans that runs were measured on.
fn hosts<'a>(runs: &'a [Measured], prices: &'a Prices) -> Result<Vec<Host<'a>>> {
    let mut hosts: Vec<Host<'a>> = Vec::new();
    for (at, run) in (0u32..).zip(runs) {
        let Some(plan) = prices.plan_of(&run.named())? else {
            let memory =
                run.memory_bytes.map_or_else(String::new, |b| format!(" and {:.1} GiB", b as f64 / f64::from(1 << 30)));
            return Err(Error::PlanRuns {
                problem: format!(
                    "the run {} was measured on {} CPUs{memory}, and {} has no plan for it",
                    run.run, run.cores, prices.path
                ),
                remedy: format!("runs = [\"{}\"] in the plan that it was measured on", run.run),
            });
        };
        let index = match hosts.iter().position(|h| h.plan.name == plan.name) {
            Some(index) => index,
            None => {
                hosts.push(Host { plan, runs: Vec::new(), trials: Vec::new(), level: run.level });
                hosts.len() - 1
            }
        };
        if let Some(host) = hosts.get_mut(index) {
            host.runs.push(run);
            host.level = host.level.min(run.level);
            let block = |t: &TrialSeen| TrialSeen { block: at * BLOCKS_OF_A_RUN + t.block, ..t.clone() };
            host.trials.extend(run.trials.iter().map(block));
        }
    }
    Ok(hosts)
}

impl Host<'_> {
    pub(crate) fn setups(&self, meshed: bool) -> Vec<Setup> {
        let wanted = |s: &Setup| (s.dataplane != Dataplane::None) == meshed;
        let mut setups: Vec<Setup> = self.trials.iter().map(|t| t.setup).filter(wanted).collect();
        setups.sort_unstable();
        setups.dedup();
        setups
    }

    fn has_unmeshed(&self) -> bool {
        !self.setups(false).is_empty()
    }

    pub(crate) fn of(&self, setup: Setup) -> impl Iterator<Item = &TrialSeen> {
        self.trials.iter().filter(move |t| t.setup == setup)
    }

    pub(crate) fn capacity(&self, setup: Setup, slo: &Slo) -> Option<Capacity> {
        let points: Vec<Point> = self
            .of(setup)
            .map(|t| Point {
                block: t.block,
                rate_per_second: t.rate_per_second,
                standing: slo.standing(&t.response_ns, t.error_rate, t.kept_up),
            })
            .collect();
        Capacity::of(&points, self.level)
    }

    fn replica(&self, setup: Setup, asked: &Asked) -> Replica {
        let costs = Costs::of(&self.trials, setup.workers, self.level);
        let proxy = if setup.dataplane == Dataplane::None {
            0.0
        } else {
            sizing::memory_request(&rss(self, setup), asked.headroom) as f64
        };
        Replica {
            memory_bytes: proxy + service_memory(self, asked) as f64,
            idle_cores: if setup.dataplane == Dataplane::None { 0.0 } else { costs.idle_cores() },
            proxies_measured: self.of(setup).map(|t| t.proxies.len()).max().unwrap_or(0),
        }
    }
}

/// Resident memory of the largest proxy, over the trials of a setup.
pub(crate) fn rss(host: &Host<'_>, setup: Setup) -> Figure {
    let largest = |t: &TrialSeen| t.proxies.iter().filter_map(|p| p.rss_bytes.seen().copied()).reduce(f64::max);
    let values: Vec<f64> = host.of(setup).filter_map(largest).collect();
    let reason = host.of(setup).flat_map(|t| &t.proxies).find_map(|p| p.rss_bytes.reason());
    Estimate::over(&values, Scale::Factor, host.level)
        .map_or_else(|| Reading::absent(reason.unwrap_or("no proxies in this cell")), Reading::Seen)
}

/// What a replica of a service has of memory, in bytes.
pub(crate) fn service_memory(host: &Host<'_>, asked: &Asked) -> u64 {
    let measured = || host.trials.iter().filter_map(|t| t.service_rss_bytes.seen().copied()).fold(0.0, f64::max);
    asked.service_memory_bytes.unwrap_or_else(|| sizing::whole_mebibytes(measured() * (1.0 + asked.headroom)))
}

/// The best setup of a plan: the least cost, then the fewest replicas, then the smallest limit.
fn best(host: &Host<'_>, asked: &Asked, demand: &Demand, unmeshed: bool) -> (PlanRow, Option<Setup>) {
    let capacities: Vec<(Setup, Capacity)> = host
        .setups(!unmeshed)
        .into_iter()
        .filter_map(|setup| Some((setup, host.capacity(setup, &asked.slo)?)))
        .collect();
    // Sidecars with small limits do not show what a host takes: the setup that held most does.
    let most = capacities.iter().max_by(|(_, a), (_, b)| a.relied_on().total_cmp(&b.relied_on())).map(|(_, c)| *c);
    let mut best: Option<(Placement, Setup)> = None;
    let mut why: Option<String> = None;
    for (setup, sidecar) in &capacities {
        let Some(whole) = most else { continue };
        let replica = host.replica(*setup, asked);
        let candidate = Candidate { plan: host.plan, setup: *setup, host: whole, sidecar: *sidecar, replica };
        match candidate.placement(demand) {
            Ok(placement) if best.as_ref().is_none_or(|(known, _)| rank(&placement) < rank(known)) => {
                best = Some((placement, *setup));
            }
            Ok(_) => {}
            Err(reason) => why = why.or(Some(reason)),
        }
    }
    let lowest = capacities.iter().map(|(_, c)| c.lowest).fold(f64::INFINITY, f64::min);
    let row = |placement| PlanRow {
        name: host.plan.name.clone(),
        cores: host.plan.cores,
        memory_bytes: host.plan.memory_bytes,
        price_per_month: host.plan.per_month,
        runs: host.runs.iter().map(|r| r.run.clone()).collect(),
        placement,
    };
    match best {
        Some((placement, setup)) => (row(Reading::Seen(placement)), Some(setup)),
        None => {
            let why = why.unwrap_or_else(|| "no trial of it is finished".to_owned());
            (row(Reading::absent(why.replace("rate measured", &format!("rate measured, {lowest}/s")))), None)
        }
    }
}

/// What is better sorts first.
fn rank(p: &Placement) -> (u64, u64, u32, u32) {
    (p.hosts, p.replicas, p.cpu_limit.map_or(u32::MAX, record::CpuQuantity::millicores), p.workers)
}

fn order(row: &PlanRow) -> f64 {
    row.placement.seen().map_or(f64::INFINITY, |p| p.cost_per_month)
}

/// Plans that no run was measured on.
fn unmeasured<'a>(prices: &'a Prices, hosts: &'a [Host<'a>]) -> impl Iterator<Item = PlanRow> + 'a {
    prices.plans.iter().filter(|p| hosts.iter().all(|h| h.plan.name != p.name)).map(|p| PlanRow {
        name: p.name.clone(),
        cores: p.cores,
        memory_bytes: p.memory_bytes,
        price_per_month: p.per_month,
        runs: Vec::new(),
        placement: Reading::absent("no run was measured on it"),
    })
}

fn recommend(
    row: &PlanRow,
    setup: Setup,
    rows: &[(PlanRow, Option<Setup>)],
    host: &Host<'_>,
    asked: &Asked,
) -> Result<Recommendation> {
    let Some(placement) = row.placement.seen() else {
        return Err(Error::PlanRuns { problem: "nothing holds".into(), remedy: "another SLO".into() });
    };
    let costs = Costs::of(&host.trials, setup.workers, host.level);
    let sized =
        sizing::proxy(setup, costs.busiest_millicores(placement.rps_per_sidecar), rss(host, setup), asked.headroom)?;
    let cheaper = |p: &Placement| p.cost_needed.low.unwrap_or(0.0) < placement.cost_per_month;
    let service_memory = MemoryQuantity::from_bytes(service_memory(host, asked).max(1 << 20))?;
    Ok(Recommendation {
        plan: row.clone(),
        proxy: sized,
        service_cpu_request: sizing::service_cpu(host, placement.rps_per_sidecar, asked.headroom)?,
        service_memory,
        shown: shown(host, asked, placement.rps_per_host),
        level_held: if placement.host_capacity.low.is_some() {
            (1.0 + placement.host_capacity.level) / 2.0
        } else {
            0.0
        },
        not_told_apart: rows
            .iter()
            .filter(|(other, _)| other.name != row.name && other.placement.seen().is_some_and(cheaper))
            .map(|(other, _)| other.name.clone())
            .collect(),
    })
}

/// What trials at the rates around the planned one did, in the setup that shows what the host holds.
fn shown(host: &Host<'_>, asked: &Asked, planned: f64) -> Shown {
    let capacity = |setup: &Setup| host.capacity(*setup, &asked.slo).map_or(0.0, |c| c.relied_on());
    let most = host.setups(true).into_iter().max_by(|a, b| capacity(a).total_cmp(&capacity(b)));
    let Some(setup) = most else { return Shown { at_or_below: None, above: None } };
    let rates = || host.of(setup).map(|t| t.rate_per_second);
    let at = |rate: f64| {
        let here: Vec<&TrialSeen> = host.of(setup).filter(|t| t.rate_per_second == rate).collect();
        let held = here.iter().filter(|t| asked.slo.standing(&t.response_ns, t.error_rate, t.kept_up).holds()).count();
        let (held, trials) = (held as u64, here.len() as u64);
        let (low, high) = binomial::interval(held, trials, host.level);
        let share = Estimate {
            value: held as f64 / trials.max(1) as f64,
            low: Some(low),
            high: Some(high),
            level: host.level,
            n: here.len(),
        };
        HeldAt { rate_per_second: rate, held, trials, share }
    };
    Shown {
        at_or_below: rates().filter(|r| *r <= planned).reduce(f64::max).map(at),
        above: rates().filter(|r| *r > planned).reduce(f64::min).map(at),
    }
}

/// The cliffs of the limits that were measured or asked for, with the chosen number of workers.
fn cliffs(host: &Host<'_>, asked: &Asked, chosen: Option<Setup>, arrival: Arrival) -> Vec<Cliff> {
    let Some(setup) = chosen.or_else(|| host.setups(true).last().copied()) else { return Vec::new() };
    let costs = Costs::of(&host.trials, setup.workers, host.level);
    let mut limits = cliff::limits(&host.trials, setup.workers);
    limits.extend(&asked.limits);
    limits.sort_unstable();
    limits.dedup();
    limits
        .into_iter()
        .map(|limit| {
            let mut cliff = costs.cliff(&asked.slo, limit, setup.workers, arrival);
            let same = Setup { limit: Some(limit), ..setup };
            cliff.measured = cliff::swept(host.capacity(same, &asked.slo).as_ref());
            cliff
        })
        .collect()
}
