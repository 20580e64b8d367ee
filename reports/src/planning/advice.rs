//! A plan in sentences: the answer, what is assumed, what weakens it, and what is not shown with the command that shows it.

use record::Dataplane;

use crate::figure::{digits, level, percent};
use crate::stats::Estimate;

use super::choice::{Asked, Host};
use super::measured::Measured;
use super::placement::Demand;
use super::prices::Prices;
use super::report::{Bound, Placement, PlanReport, Recommendation, ToMeasure};
use super::slo::trimmed;

/// Blocks from which on an interval reaches a level of 90 %.
const FEWEST_BLOCKS: usize = 5;
/// Of a host's cores, what the load generator may use before it is said.
const GENERATOR_SHARE: f64 = 0.05;

/// A price: two digits behind the point.
pub(crate) fn money(amount: f64) -> String {
    format!("{amount:.2}")
}

/// So many of something.
pub(crate) fn many(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// A figure with its interval, whose upper end may be open: `1670 [1580, 1720]`, `2000 [2000, open]`.
pub(crate) fn ranged(estimate: &Estimate) -> String {
    match (estimate.low, estimate.high) {
        (None, None) => digits(estimate.value),
        (low, high) => {
            let end = |end: Option<f64>| end.map_or_else(|| "open".to_owned(), digits);
            format!("{} [{}, {}]", digits(estimate.value), end(low), end(high))
        }
    }
}

/// The answer, the most important first.
pub(crate) fn answer(report: &PlanReport) -> Vec<String> {
    let asked = &report.asked;
    let what = format!(
        "{} at {} requests/s through a mesh of {}",
        asked.slo,
        asked.rps,
        many(u64::from(asked.services), "service")
    );
    let Some(recommended) = &report.recommendation else {
        return vec![format!("Nothing in {} is shown to hold {what}.", asked.prices)];
    };
    let Some(p) = recommended.plan.placement.seen() else { return Vec::new() };
    let mut said = vec![take(report, recommended, p, &what), rests_on(asked.headroom, recommended, p)];
    if let Some(shown) = shown(recommended) {
        said.push(shown);
    }
    if !recommended.not_told_apart.is_empty() {
        said.push(format!(
            "Not told apart from {}: {} may cost less; more trials of both decide.",
            recommended.plan.name,
            recommended.not_told_apart.join(", ")
        ));
    }
    if let Some((row, without)) = report.without_mesh.as_ref().and_then(|row| Some((row, row.placement.seen()?))) {
        said.push(format!(
            "Without the mesh the same needs {} of {} for {} {} a month: the mesh costs {} {}.",
            many(without.hosts, "host"),
            row.name,
            money(without.cost_per_month),
            asked.currency,
            money(p.cost_per_month - without.cost_per_month),
            asked.currency
        ));
    }
    said
}

fn take(report: &PlanReport, recommended: &Recommendation, p: &Placement, what: &str) -> String {
    let cost = match (p.cost_needed.low, p.cost_needed.high) {
        (Some(low), Some(high)) => format!(" [{}, {}]", money(low), money(high)),
        (None, Some(_)) => " (at most)".to_owned(),
        _ => String::new(),
    };
    format!(
        "Take {} of {} for {} {}{cost} a month: they hold {what}. Each proxy: CPU limit {}, request {}, memory {} to {}, {}.",
        many(p.hosts, "host"),
        recommended.plan.name,
        money(p.cost_per_month),
        report.asked.currency,
        recommended.proxy.cpu_limit.map_or_else(|| "none".to_owned(), |l| l.to_string()),
        recommended.proxy.cpu_request,
        recommended.proxy.memory_request,
        recommended.proxy.memory_limit,
        many(u64::from(p.workers), "worker thread"),
    )
}

fn rests_on(headroom: f64, recommended: &Recommendation, p: &Placement) -> String {
    let sure = if recommended.level_held > 0.0 {
        let what = if p.at_least { "that" } else { "the lower end" };
        format!("with {} it holds {what} or more", level(recommended.level_held))
    } else {
        "one block gives no interval, so that nothing says how sure this is".to_owned()
    };
    let bound = match p.bound_by {
        Bound::Rate => "",
        Bound::IdleProxies => " CPU of proxies that wait decides the number of hosts.",
        Bound::Memory => " Memory decides the number of hosts.",
    };
    format!(
        "Each host is asked for {} requests/s; such a host {}/s, and {sure}. {} % of every capacity is left free.{bound}",
        digits(p.rps_per_host),
        if p.at_least {
            format!("was seen to hold {}", digits(p.host_capacity.value))
        } else {
            format!("holds {}", ranged(&p.host_capacity))
        },
        trimmed(headroom * 100.0),
    )
}

fn shown(recommended: &Recommendation) -> Option<String> {
    let at = |held: &super::report::HeldAt| {
        format!("in {} of {} trials at {}/s", held.held, held.trials, digits(held.rate_per_second))
    };
    let each: Vec<String> =
        [&recommended.shown.at_or_below, &recommended.shown.above].into_iter().flatten().map(at).collect();
    (!each.is_empty()).then(|| format!("Around that rate the SLO held {}.", each.join(", and ")))
}

/// What is assumed, so that a reader can disagree.
pub(crate) fn model(demand: &Demand, measured: &Measured) -> Vec<String> {
    let f = &measured.factors;
    let calls = demand.calls_per_service();
    let mut model = vec![
        format!(
            "Every service has a sidecar beside each of its replicas. A request crosses {} and visits {}, as in the measured shape {}.",
            many(u64::from(f.hops), "hop"),
            many(u64::from(demand.visited.min(demand.services)), "service"),
            f.chain
        ),
        format!(
            "All services get the same share: {} of {} requests/s. One that gets k times as many needs k times the replicas.",
            digits(calls),
            demand.rps
        ),
        "Each host takes its share of requests and of replicas. What one host held, several hold together; the network between them is not in the figures.".to_owned(),
        "A host's capacity is that of the setup that held most on it, a sidecar's that of its own limit; several replicas with a limit share a host as those of the measured setup did.".to_owned(),
        format!("Arrivals are {}, as measured; burstier ones break the SLO at lower rates.", f.arrival),
    ];
    if demand.services < demand.visited {
        model.push(format!(
            "The measured shape has {} services, more than the mesh: capacities are those of the longer way.",
            demand.visited
        ));
    }
    model
}

/// What weakens the figures.
pub(crate) fn doubts(hosts: &[Host<'_>], demand: &Demand) -> Vec<String> {
    let mut doubts = Vec::new();
    for host in hosts {
        let name = &host.plan.name;
        let invalid = host.trials.iter().filter(|t| t.invalid).count();
        if invalid > 0 {
            doubts.push(format!(
                "{name}: the load generator calls {invalid} of {} trials invalid; they count as they are, so that the capacity may be higher",
                host.trials.len()
            ));
        }
        let used = host.trials.iter().map(|t| t.generator_cores).fold(0.0, f64::max) / f64::from(host.plan.cores);
        if used > GENERATOR_SHARE {
            doubts.push(format!(
                "{name}: the load generator ran on the same host and used up to {} of its CPU; without it the host holds more",
                percent(used)
            ));
        }
        let mut blocks: Vec<u32> = host.trials.iter().map(|t| t.block).collect();
        blocks.sort_unstable();
        blocks.dedup();
        if blocks.len() < FEWEST_BLOCKS {
            doubts.push(format!(
                "{name}: {} of trials; an interval of fewer than {FEWEST_BLOCKS} reaches no level that is worth much",
                many(blocks.len() as u64, "block")
            ));
        }
        if host.runs.len() == 1 {
            doubts.push(format!("{name}: one run on one host of it; another one of the same plan, or another hour, may differ by more than the interval says"));
        }
    }
    doubts.push(format!(
        "memory is that of proxies which know the measured services; a mesh of {} sends each proxy more, unless a Sidecar resource limits what it hears of",
        demand.services
    ));
    doubts
}

/// What is not shown, each with the command that shows it.
pub(crate) fn to_measure(hosts: &[Host<'_>], prices: &Prices, asked: &Asked) -> Vec<ToMeasure> {
    let mut wanted = Vec::new();
    for host in hosts {
        let name = &host.plan.name;
        let Some(setup) = host.setups(true).first().copied() else { continue };
        let run = |rates: &[f64], limits: &str| {
            let rates: Vec<String> = rates.iter().map(|r| format!("{r:.0}")).collect();
            let f = host.runs.first().map(|r| &r.factors);
            let services = f.map_or(3, |f| f.services);
            format!(
                "meshtax run --dataplane none,{} --services {services} --rate {} --cpu-limit {limits} --repeats 5",
                setup.dataplane,
                rates.join(",")
            )
        };
        let capacities: Vec<_> =
            host.setups(true).into_iter().filter_map(|s| Some((s, host.capacity(s, &asked.slo)?))).collect();
        let (lowest, highest) = capacities
            .iter()
            .fold((f64::INFINITY, 0.0f64), |(low, high), (_, c)| (low.min(c.lowest), high.max(c.highest)));
        if capacities.iter().all(|(_, c)| c.at_least) {
            wanted.push(ToMeasure {
                what: format!("on {name}: what it holds above {highest:.0}/s, where every setup still held"),
                command: run(&[highest, highest * 1.5, highest * 2.0, highest * 3.0], "none"),
            });
        }
        if capacities.iter().all(|(_, c)| c.relied_on() <= 0.0) {
            wanted.push(ToMeasure {
                what: format!("on {name}: whether the SLO holds below {lowest:.0}/s"),
                command: run(&[lowest / 8.0, lowest / 4.0, lowest / 2.0], "none,500m"),
            });
        }
        if capacities.iter().all(|(s, _)| s.limit.is_none()) {
            wanted.push(ToMeasure {
                what: format!("on {name}: what CPU limits do; no limit was measured, so that none can be recommended"),
                command: run(&[highest / 4.0, highest / 2.0, highest], "none,500m,200m"),
            });
        } else if capacities.iter().all(|(s, _)| s.limit.is_some()) {
            wanted.push(ToMeasure {
                what: format!("on {name}: what the host holds when no limit holds it up"),
                command: run(&[highest / 4.0, highest / 2.0, highest], "none"),
            });
        }
        if capacities.iter().all(|(_, c)| c.rates < 2) {
            wanted.push(ToMeasure {
                what: format!(
                    "on {name}: what requests cost at other rates; one rate tells neither a capacity nor a cliff"
                ),
                command: run(&[lowest / 4.0, lowest / 2.0, lowest, lowest * 2.0], "none,500m"),
            });
        }
    }
    for plan in prices.plans.iter().filter(|p| hosts.iter().all(|h| h.plan.name != p.name)) {
        let dataplane =
            hosts.iter().flat_map(|h| h.setups(true)).map(|s| s.dataplane).next().unwrap_or(Dataplane::Envoy);
        wanted.push(ToMeasure {
            what: format!("{}: nothing was measured on it", plan.name),
            command: format!("on such a host: meshtax run --dataplane none,{dataplane} --rate 250,500,1000,2000 --cpu-limit none,500m --repeats 5"),
        });
    }
    wanted
}
