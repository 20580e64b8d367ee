//! A comparison as tables for people: which rows and columns; how they look is not known here.

use record::Reading;

use super::result::{CellInRun, ComparedCell, ComparedRun, Comparison, Contrast, Effect, EffectOf, Told};
use super::variance::{meaning, name};
use crate::figure;
use crate::findings::person_name;
use crate::stats::Estimate;
use crate::stats::components::Source;
use crate::tables::{Entry, MIB, MS, PERCENT, Row, Table, column};

/// Above what differs.
pub(super) const DIFFERENCES: &str = "What differs between the runs";
/// Above what may have bent figures.
pub(super) const FLAGS: &str = "What may have bent the figures";
/// Above what was allowed for.
pub(super) const NOTES: &str = "To be known";

/// A run's name as it stands at the head of a row, with its flags.
fn head(of: &Comparison, run: &str) -> String {
    let mut words: Vec<&str> = of.flags.iter().filter(|f| f.run == run).map(|f| f.kind.word()).collect();
    words.dedup();
    if words.is_empty() { run.to_owned() } else { format!("{run} [{}]", words.join(", ")) }
}

fn figure_or(e: Option<&Estimate>, reason: &str) -> Entry {
    Entry::Figure(e.map_or_else(|| Reading::absent(reason), |e| Reading::Seen(*e)))
}

/// A contrast as it was between the two runs; the first run has none with itself.
fn contrast(of: Option<&Contrast>, first: bool) -> Entry {
    match of {
        Some(contrast) => Entry::Figure(Reading::Seen(contrast.these_runs)),
        None if first => Entry::Short("first".to_owned()),
        None => Entry::Figure(Reading::absent("no trial of this cell has answers")),
    }
}

fn told(of: Option<Told>) -> Entry {
    let word = match of {
        Some(Told::Apart) => "told apart",
        Some(Told::OnlyTheseRuns) => "these runs only",
        Some(Told::Not) => "not told apart",
        None => "",
    };
    Entry::Short(word.to_owned())
}

/// The response times of a cell, a row for each run.
pub(super) fn response(of: &Comparison, cell: &ComparedCell) -> Table {
    let row = |(at, run): (usize, &CellInRun)| {
        let ratio = run.ratio.at(of.at).as_ref();
        let times = [&run.response_ns.p50, &run.response_ns.p90, &run.response_ns.p99, &run.response_ns.p999];
        let times = times.map(|figure| Entry::Figure(figure.clone()));
        let compared = [contrast(ratio, at == 0), told(ratio.map(|c| c.told))];
        Row { head: head(of, &run.run), entries: times.into_iter().chain(compared).collect() }
    };
    let ratio = ratio_head(of);
    Table {
        id: format!("response-{}", cell.id),
        caption: format!("{}: response time", capital(&person_name(&cell.label))),
        of: "run",
        columns: vec![
            column("p50", "ms", MS),
            column("p90", "ms", MS),
            column("p99", "ms", MS),
            column("p99.9", "ms", MS),
            column(ratio, "times the first", 1.0),
            column("differ", "", 1.0),
        ],
        rows: cell.runs.iter().enumerate().map(row).collect(),
    }
}

/// The head of a column of ratios at the point that is asked for.
fn ratio_head(of: &Comparison) -> &'static str {
    use super::Point::{P50, P90, P99, P999};
    match of.at {
        P50 => "p50 ratio",
        P90 => "p90 ratio",
        P99 => "p99 ratio",
        P999 => "p99.9 ratio",
    }
}

fn added_head(of: &Comparison) -> &'static str {
    use super::Point::{P50, P90, P99, P999};
    match of.at {
        P50 => "tax at p50",
        P90 => "tax at p90",
        P99 => "tax at p99",
        P999 => "tax at p99.9",
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

/// What the mesh of a cell costs, a row for each run; none where a run has no unmeshed cell beside it.
pub(super) fn tax(of: &Comparison, cell: &ComparedCell) -> Option<Table> {
    let row = |(at, run): (usize, &CellInRun)| {
        let over = run.tax_over_first_ns.as_ref()?.at(of.at).as_ref();
        Some(Row {
            head: head(of, &run.run),
            entries: vec![
                Entry::Figure(run.tax_ns.as_ref()?.at(of.at).clone()),
                contrast(over, at == 0),
                told(over.map(|c| c.told)),
                Entry::Figure(run.cpu_millicores_per_1000_rps.clone()),
                Entry::Figure(run.rss_bytes.clone()),
            ],
        })
    };
    let rows: Vec<Row> = cell.runs.iter().enumerate().map(row).collect::<Option<_>>()?;
    let name = capital(&person_name(&cell.label));
    Some(Table {
        id: format!("tax-{}", cell.id),
        caption: format!("{name}: what they add over no mesh, and what their proxies use"),
        of: "run",
        columns: vec![
            column(added_head(of), "ms", MS),
            column("over the first's", "ms", MS),
            column("differ", "", 1.0),
            column("CPU", "mcore/1000 rps", 1.0),
            column("memory", "MiB RSS", MIB),
        ],
        rows,
    })
}

/// The main effects; none where nothing differs.
pub(super) fn effects(of: &Comparison) -> Option<Table> {
    let rows: Vec<Row> = of.effects.iter().flat_map(effect).collect();
    (!rows.is_empty()).then(|| Table {
        id: "effects".into(),
        caption: format!("The effect of each factor on {}, over the cells that all runs have", of.at),
        of: "factor",
        columns: vec![
            column("times as long", "", 1.0),
            column("if made again", "times", 1.0),
            column("differ", "", 1.0),
            column("cells", "", 1.0),
        ],
        rows,
    })
}

/// The effect over all runs, and below it that in each.
fn effect(of: &Effect) -> Vec<Row> {
    let within = |e: &Estimate| told(Some(if e.excludes(1.0) { Told::Apart } else { Told::Not }));
    let (again, differs) = match of.of {
        EffectOf::Run => (figure_or(of.made_again.as_ref(), "one trial of a cell has no interval"), told(of.told)),
        EffectOf::Factor => (Entry::Short("paired".to_owned()), within(&of.ratio)),
    };
    let seen = |e: &Estimate| Entry::Figure(Reading::Seen(*e));
    let head = format!("{}: {} → {}", spaced(&of.factor), of.from, of.to);
    let mut rows = vec![Row { head, entries: vec![seen(&of.ratio), again, differs, Entry::Count(of.pairs as u64)] }];
    rows.extend(of.by_run.iter().map(|in_run| Row {
        head: format!("– on {}", in_run.run),
        entries: vec![
            seen(&in_run.ratio),
            Entry::Short("paired".to_owned()),
            within(&in_run.ratio),
            Entry::Count(of.pairs as u64),
        ],
    }));
    rows
}

/// What is compared: the scenario, where all runs have one.
pub(super) fn title(of: &Comparison) -> String {
    let scenario = of.runs.first().map_or("", |run| run.scenario.as_str());
    let one = of.runs.iter().all(|run| run.scenario == scenario);
    let scenario = if one { format!("{scenario}, ") } else { String::new() };
    format!("meshtax: {scenario}{} runs side by side at {}", of.runs.len(), of.at)
}

fn spaced(factor: &str) -> String {
    factor.replace('_', " ")
}

/// Whether each kind of machine has one run, so that host and time cannot be parted.
fn single(of: &Comparison) -> bool {
    !of.variance.seen().is_some_and(|parts| parts.iter().any(|p| p.source == Source::Run))
}

/// The parts of the variance; none where it cannot be parted.
pub(super) fn variance(of: &Comparison) -> Option<Table> {
    let parts = of.variance.seen()?;
    let (mesh_only, single) = (super::mesh_only(of), single(of));
    let rows = parts.iter().map(|part| Row {
        head: name(part.source, mesh_only, single).to_owned(),
        entries: vec![
            Entry::Figure(Reading::Seen(part.share)),
            Entry::Plain(part.sd.exp_m1()),
            Entry::Count(part.degrees as u64),
        ],
    });
    Some(Table {
        id: "variance".into(),
        caption: format!("Where the variance of {} comes from", of.at),
        of: "part",
        columns: vec![
            column("share", "%", PERCENT),
            column("typical size", "%", PERCENT),
            column("degrees of freedom", "", 1.0),
        ],
        rows: rows.collect(),
    })
}

/// What the parts of the variance mean.
pub(super) fn meanings(of: &Comparison) -> Vec<String> {
    let Some(parts) = of.variance.seen() else { return Vec::new() };
    let (mesh_only, single) = (super::mesh_only(of), single(of));
    parts
        .iter()
        .map(|p| format!("{}: {}.", capital(name(p.source, mesh_only, single)), meaning(p.source, single)))
        .collect()
}

/// The state of each run's machine, and its last third against its first.
pub(super) fn state(of: &Comparison) -> Table {
    let row = |run: &ComparedRun| {
        let third = |pick: fn(&super::Thirds) -> &crate::findings::Figure| match &run.thirds {
            Reading::Seen(thirds) => Entry::Figure(pick(thirds).clone()),
            Reading::Absent { absent } => Entry::Figure(Reading::absent(absent.as_str())),
        };
        Row {
            head: head(of, &run.name),
            entries: vec![
                Entry::Figure(run.steal_share.clone()),
                Entry::Figure(run.unexplained_loss_share.clone()),
                Entry::Figure(run.work_slowdown.clone()),
                Entry::Figure(run.work_ns.clone()),
                third(|t| &t.p50),
                third(|t| &t.work),
            ],
        }
    };
    Table {
        id: "state".into(),
        caption: "The machines meanwhile; the end is the last third of a run, the start its first".into(),
        of: "run",
        columns: vec![
            column("steal", "% of CPU", PERCENT),
            column("lost CPU", "% wanted", PERCENT),
            column("work", "× its best", 1.0),
            column("fixed work", "us", 1e-3),
            column("p50 at end", "× the start", 1.0),
            column("work at end", "× the start", 1.0),
        ],
        rows: of.runs.iter().map(row).collect(),
    }
}

/// Each run: where and when, and of what.
pub(super) fn runs(of: &Comparison) -> Vec<String> {
    let one = |run: &ComparedRun| {
        let host = &run.host;
        let model = if host.cpu_model.is_empty() { &host.arch } else { &host.cpu_model };
        let guest = match host.virtual_machine.as_str() {
            "" | "none" => String::new(),
            vm => format!(", {vm} guest"),
        };
        let memory = match host.memory_bytes {
            0 => String::new(),
            bytes => format!(", {:.1} GiB", bytes as f64 / f64::from(1 << 30)),
        };
        format!(
            "{}: run {}, {} trials from {} on {} × {model}{memory}{guest}, Linux {}",
            run.name, run.run, run.trials, run.started, host.cpus, host.kernel
        )
    };
    of.runs.iter().map(one).collect()
}

/// Each difference in a line: "memory: 4.0 GiB, 8.0 GiB".
pub(super) fn differences(of: &Comparison) -> Vec<String> {
    let line = |d: &super::Difference| format!("{}: {}", d.what, d.values.join(" | "));
    of.differences.iter().map(line).collect()
}

/// Each flag in a line, with what to do; flags of several runs that ask for the same are one.
pub(super) fn flags(of: &Comparison) -> Vec<(String, String)> {
    let mut lines: Vec<(super::FlagKind, String, String)> = Vec::new();
    for flag in &of.flags {
        let said = format!("{}: {}", flag.run, flag.evidence);
        match lines.iter_mut().find(|(kind, _, remedy)| *kind == flag.kind && *remedy == flag.remedy) {
            Some((_, known, _)) => known.push_str(&format!("; {said}")),
            None => lines.push((flag.kind, said, flag.remedy.clone())),
        }
    }
    lines.into_iter().map(|(_, said, remedy)| (said, remedy)).collect()
}

/// How to read it.
pub(super) fn how_to_read(of: &Comparison) -> Vec<String> {
    let scatter = of.between_runs.at(of.at);
    let by = figure::percent(scatter.sd.exp_m1());
    let known = match scatter.degrees {
        Some(degrees) => {
            format!("It was measured here, on runs of one kind of machine ({degrees} degrees of freedom).")
        }
        None => format!(
            "Too few runs of one kind of machine are here to measure it, so that {by} are assumed, which is what p99 does on a machine with noisy neighbours."
        ),
    };
    vec![
        format!(
            "Intervals between runs are at {} and of these runs: the difference of two typical trials, by Welch's t, since trials of two runs are not paired. Those within a run are paired in its blocks.",
            figure::level(of.level)
        ),
        format!(
            "\"told apart\" is what differs by more than runs of one machine do from time to time; \"these runs only\" is what another hour on the same machine may explain. {known}"
        ),
        "Shares of the variance are by analysis of variance on logarithms: of these hosts and cells, which were chosen; runs, time and repeats are draws, and would be others another time.".to_owned(),
    ]
}
