//! The answer of a comparison in sentences, the most important first.

use record::Reading;

use super::result::{CellInRun, ComparedCell, Comparison, Contrast, EffectOf, Told};
use crate::figure;
use crate::findings::person_name;
use crate::stats::Estimate;
use crate::stats::components::Source;

/// Cells that the answer tells of; the rest stand in the tables.
const CELLS: usize = 3;

pub(super) fn sentences(of: &Comparison) -> Vec<String> {
    let taxed: Vec<&ComparedCell> = of.cells.iter().filter(|c| is_taxed(c)).collect();
    let mut said = Vec::new();
    if taxed.is_empty() {
        said.extend(of.cells.iter().take(CELLS).filter_map(|cell| response(of, cell)));
    } else {
        said.extend(taxed.iter().take(CELLS).filter_map(|cell| tax(of, cell)));
        said.extend(smallest(of, &taxed));
    }
    said.extend(worth(of, &taxed));
    said.extend(variance(of));
    said.extend(flags(of));
    said
}

fn is_taxed(cell: &ComparedCell) -> bool {
    cell.runs.iter().all(|run| run.tax_ns.is_some())
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

/// "1.20 ms [0.900, 1.50] more": what one has over another, with the sign in a word.
fn more(e: &Estimate) -> String {
    if e.value < 0.0 { format!("{} less", figure::ms(&e.times(-1.0))) } else { format!("{} more", figure::ms(e)) }
}

/// What follows for the sentence that a contrast stands in.
fn unsure(told: Told) -> &'static str {
    if told == Told::Not { " (not told apart)" } else { "" }
}

/// The tax of a cell in each run against the first: "At p99, Envoy sidecars cost 1.20 ms [0.900, 1.50] more on B than on A."
fn tax(of: &Comparison, cell: &ComparedCell) -> Option<String> {
    let first = cell.runs.first()?;
    let others = cell.runs.iter().skip(1).filter_map(|run| {
        let contrast = run.tax_over_first_ns.as_ref()?.at(of.at).as_ref()?;
        Some(format!("{} on {}{}", more(&contrast.these_runs), run.run, unsure(contrast.told)))
    });
    let others: Vec<String> = others.collect();
    let own = first.tax_ns.as_ref()?.at(of.at).seen()?;
    (!others.is_empty()).then(|| {
        format!(
            "At {}, {} cost {} than on {}, where they add {}.",
            of.at,
            person_name(&cell.label),
            listed(&others),
            first.run,
            figure::ms(own)
        )
    })
}

/// Where there is no tax: the response time of a cell.
fn response(of: &Comparison, cell: &ComparedCell) -> Option<String> {
    let first = cell.runs.first()?;
    let others = cell.runs.iter().skip(1).filter_map(|run| {
        let contrast = run.ratio.at(of.at).as_ref()?;
        let ratio = figure::with_interval(&contrast.these_runs, 1.0);
        Some(format!("{ratio} times as long on {}{}", run.run, unsure(contrast.told)))
    });
    let others: Vec<String> = others.collect();
    let own = of.at.of(&first.response_ns).seen()?;
    let name = capital(&person_name(&cell.label));
    (!others.is_empty()).then(|| {
        format!("{name}: {} is {} as on {}, where it is {}.", of.at, listed(&others), first.run, figure::ms(own))
    })
}

fn listed(all: &[String]) -> String {
    match all {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

fn tax_of<'a>(cell: &'a ComparedCell, run: &str, of: &Comparison) -> Option<&'a Estimate> {
    let found: &CellInRun = cell.runs.iter().find(|r| r.run == run)?;
    found.tax_ns.as_ref()?.at(of.at).seen()
}

/// Which run has the smallest tax of each cell, and which others may.
fn smallest(of: &Comparison, taxed: &[&ComparedCell]) -> Vec<String> {
    let one = |cell: &&&ComparedCell| {
        let found = of.smallest.iter().find(|s| s.cell == cell.id)?;
        let own = figure::ms(tax_of(cell, &found.run, of)?);
        let others: Vec<String> = found.may_be.iter().filter(|name| **name != found.run).cloned().collect();
        let beaten = cell.runs.len() - 1 - others.len();
        let apart = match (others.as_slice(), beaten) {
            ([], _) => "the trials tell it apart from all others".to_owned(),
            (may, 0) => format!("the trials do not tell it apart from {}", listed(may)),
            (may, _) => format!("the trials tell it apart from all others but {}", listed(may)),
        };
        let name = person_name(&cell.label);
        Some(format!("The smallest tax of {name} at {} is that of {}, {own}: {apart}.", of.at, found.run))
    };
    taxed.iter().take(CELLS).filter_map(|cell| one(&cell)).collect()
}

/// What one run for each machine is worth.
fn worth(of: &Comparison, taxed: &[&ComparedCell]) -> Option<String> {
    let contrasts: Vec<&Contrast> = if taxed.is_empty() {
        of.cells.iter().flat_map(|c| &c.runs).filter_map(|run| run.ratio.at(of.at).as_ref()).collect()
    } else {
        let runs = taxed.iter().flat_map(|c| &c.runs);
        runs.filter_map(|run| run.tax_over_first_ns.as_ref()?.at(of.at).as_ref()).collect()
    };
    let only = contrasts.iter().filter(|c| c.told == Told::OnlyTheseRuns).count();
    let apart = contrasts.iter().filter(|c| c.told == Told::Apart).count();
    let scatter = of.between_runs.at(of.at);
    let by = figure::percent(scatter.sd.exp_m1());
    let of_what =
        of.effects.iter().find(|e| e.of == EffectOf::Run && e.factor != "time").map(|e| match e.factor.as_str() {
            "host" => "the hosts".to_owned(),
            "versions" => "the versions".to_owned(),
            other => format!("what differs ({})", other.replace('_', " ")),
        });
    let known = match scatter.degrees {
        Some(_) => format!("runs of one machine differ by about {by} from time to time, as these show"),
        None => format!(
            "runs of one machine can differ by {by} from time to time (assumed: too few runs of one machine are here to measure it)"
        ),
    };
    match (apart, only) {
        (0, 0) => None,
        (_, 0) => Some(format!("Where runs are told apart, other hours do not explain it: {known}.")),
        (_, only) => {
            let which = if only == 1 { "A difference".to_owned() } else { format!("{only} differences") };
            let Some(of_what) = of_what else {
                return Some(format!("Nothing that was recorded differs between these runs but their time: {known}."));
            };
            let advice =
                if scatter.degrees.is_none() { "; three runs on each, at other hours, would tell" } else { "" };
            Some(format!("{which} between these runs may not be one between {of_what}: {known}{advice}."))
        }
    }
}

/// How much of the variance is host, mesh and repeat.
fn variance(of: &Comparison) -> Option<String> {
    let parts = match &of.variance {
        Reading::Seen(parts) => parts,
        Reading::Absent { .. } => return None,
    };
    let single = !parts.iter().any(|p| p.source == Source::Run);
    let said: Vec<String> = parts
        .iter()
        .filter(|p| p.share.value >= 0.005)
        .map(|p| {
            format!("{} {}", figure::share(&p.share), super::variance::name(p.source, super::mesh_only(of), single))
        })
        .collect();
    Some(format!("Of the variance of {} over all these trials: {}.", of.at, listed(&said)))
}

fn flags(of: &Comparison) -> Option<String> {
    let mut names: Vec<String> = of.flags.iter().map(|flag| flag.run.clone()).collect();
    names.dedup();
    match names.len() {
        0 => None,
        1 => Some(format!("{} has flags: see below before relying on a difference.", listed(&names))),
        n if n == of.runs.len() => Some("All runs have flags: see below before relying on a difference.".to_owned()),
        _ => Some(format!("{} have flags: see below before relying on a difference.", listed(&names))),
    }
}
