//! A run that was measured already, against stored ones or against bounds of its own.

use std::path::Path;
use std::process::ExitCode;

use record::{METHOD, Reading, Run, RunDirectory, SCHEMA};
use reports::gate::{
    Asked, Budget, CellTrials, GateReport, Judged, Matched, Metric, Purpose, Question, Side, StoredCell, TrialFigures,
    Way, deciders, judge, judge_stored, judged, matches, overall,
};
use reports::{Findings, HostCard};

use super::baseline::{self, Baseline};
use super::{Args, finish};
use crate::exit::Usage;
use crate::run::{FactorArgs, PROGRAM};

pub(crate) fn execute(path: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    let plan = &args.plan;
    for (asked, flag) in [
        (plan.aa, "--aa"),
        (plan.self_test, "--self-test"),
        (plan.duet, "--duet"),
        (plan.budget.is_some(), "--budget"),
        (plan.seed.is_some(), "--seed"),
        (plan.duration.is_some(), "--duration"),
        (plan.warm_up.is_some(), "--warm-up"),
        (args.sides.any(), "a binary of one side"),
        (args.factors != FactorArgs::default(), "a factor"),
    ] {
        if asked {
            let said = format!(
                "{flag} is for what is measured now, and RUN was measured already\n  try: --candidate SCENARIO instead of RUN"
            );
            return Err(Usage(said).into());
        }
    }
    let directory = RunDirectory::open(path)?;
    let run = directory.run()?;
    let findings = reports::findings(&directory)?;
    let baseline = args.baseline.as_ref().map(|b| baseline::read(Path::new(b), &findings, args.discount_host));
    let baseline = baseline.transpose()?;
    let kept = judged(findings.cells.iter().map(|cell| &cell.factors));
    let trials = kept.iter().filter_map(|at| findings.cells.get(*at)).map(|cell| cell.trials).max().unwrap_or(0);
    let asked = args.questions.asked(baseline.is_some(), trials)?;
    let mut notes = Vec::new();
    let stored = baseline.as_ref().map(|b| cells(&findings, &kept, b, &mut notes)).unwrap_or_default();
    if let (Some(baseline), true) = (&baseline, stored.is_empty()) {
        let labels =
            |cells: &[reports::CellFindings]| cells.iter().map(|c| c.label.clone()).collect::<Vec<_>>().join("; ");
        let theirs = baseline.runs.last().map(|run| labels(&run.cells)).unwrap_or_default();
        let said = format!(
            "no cell of {} is one of the baseline: {} against {theirs}\n  try: a baseline of the same scenario",
            run.id,
            labels(&findings.cells)
        );
        return Err(Usage(said).into());
    }
    let verdicts = verdicts(&asked, &directory, &run, &findings, &kept, &stored)?;
    let report = report(path, args, &asked, (&run, &findings), baseline, verdicts, notes);
    finish::write(&report, None, &args.output)?;
    finish::tell(&report, None, &args.output)
}

/// The candidate's cells with the same of each stored run.
fn cells<'a>(
    findings: &'a Findings,
    kept: &[usize],
    baseline: &'a Baseline,
    notes: &mut Vec<String>,
) -> Vec<StoredCell<'a>> {
    let ours: Vec<_> = kept.iter().filter_map(|at| findings.cells.get(*at)).collect();
    let of = |cell: &'a reports::CellFindings| Matched { factors: &cell.factors, label: &cell.label };
    let mut cells: Vec<StoredCell<'a>> = Vec::new();
    for cell in &ours {
        cells.push(StoredCell { candidate: cell, baselines: Vec::new(), other_machine: None });
    }
    for run in &baseline.runs {
        let theirs: Vec<_> =
            judged(run.cells.iter().map(|c| &c.factors)).into_iter().filter_map(|at| run.cells.get(at)).collect();
        let found =
            matches(&ours.iter().map(|c| of(c)).collect::<Vec<_>>(), &theirs.iter().map(|c| of(c)).collect::<Vec<_>>());
        for (cell, found) in cells.iter_mut().zip(found) {
            cell.baselines.extend(found.and_then(|at| theirs.get(at)));
            if baseline.other_host {
                cell.other_machine = Some(slower(findings, run));
            }
        }
    }
    for cell in cells.iter().filter(|cell| cell.baselines.is_empty()) {
        notes.push(format!("not judged, since no stored run has such a cell: {}", cell.candidate.label));
    }
    cells.retain(|cell| !cell.baselines.is_empty());
    for cell in &cells {
        let last = cell.baselines.last();
        for (factor, is, was) in last.map(|b| cell.candidate.factors.differences(&b.factors)).unwrap_or_default() {
            notes.push(format!("{}: {factor} is {is}, and {was} in the baseline", cell.candidate.label));
        }
    }
    cells
}

/// How many times as long this machine takes for a fixed piece of work; 1 where that is not known of both.
fn slower(candidate: &Findings, other: &Findings) -> f64 {
    match (&candidate.host.speed, &other.host.speed) {
        (Reading::Seen(here), Reading::Seen(there)) if there.median_ns > 0 && here.median_ns > 0 => {
            here.median_ns as f64 / there.median_ns as f64
        }
        _ => 1.0,
    }
}

/// Regressions by the rule for stored runs, bounds by that for trials; each kind has its part of alpha.
fn verdicts(
    asked: &Asked,
    directory: &RunDirectory,
    run: &Run,
    findings: &Findings,
    kept: &[usize],
    stored: &[StoredCell<'_>],
) -> anyhow::Result<Judged> {
    let is_slo = |(_, question): &&(Metric, Question)| matches!(question, Question::Slo { .. });
    let (bounds, regressions): (Vec<_>, Vec<_>) = asked.questions.iter().partition(is_slo);
    let part = |some: Vec<(Metric, Question)>| Asked {
        alpha: asked.alpha * some.len() as f64 / asked.questions.len().max(1) as f64,
        questions: some,
        ..asked.clone()
    };
    let mut all = judge_stored(&part(regressions), stored);
    let bounds = part(bounds);
    if !bounds.questions.is_empty() {
        let figures = TrialFigures::read_all(directory, run)?;
        let mut cells: Vec<CellTrials> =
            kept.iter().filter_map(|at| findings.cells.get(*at)).map(|cell| alone(cell, &figures)).collect();
        cells.iter_mut().for_each(|cell| drop(cell.without_invalid()));
        let judged = judge(&bounds, &cells);
        let first = all.metrics.is_empty();
        all.metrics.extend(judged.metrics.into_iter().map(|mut metric| {
            metric.primary &= first;
            metric
        }));
    }
    all.verdict = overall(&all.metrics);
    Ok(all)
}

fn alone(cell: &reports::CellFindings, figures: &[TrialFigures]) -> CellTrials {
    CellTrials {
        cell: cell.id.clone(),
        baseline_cell: None,
        label: cell.label.clone(),
        candidate: figures.iter().filter(|trial| trial.cell == cell.id).cloned().collect(),
        baseline: Vec::new(),
    }
}

fn report(
    path: &Path,
    args: &Args,
    asked: &Asked,
    (run, findings): (&Run, &Findings),
    baseline: Option<Baseline>,
    judged: Judged,
    mut notes: Vec<String>,
) -> GateReport {
    let way = if baseline.is_some() { Way::Stored } else { Way::Alone };
    let budget = Budget { pairs: asked.pairs_max, time_ns: None };
    let of_baseline = baseline.as_ref().and_then(|b| stored_side(args, b));
    if let Some(Baseline { notes: more, other_host, .. }) = baseline {
        notes.extend(more);
        if other_host {
            notes.push("the baseline is of another machine: it was scaled by how fast both do a fixed piece of work, and what is assumed of drift stands for what else differs".to_owned());
        }
        notes.push("the two were measured at different times: what changed on the machine in between is in the difference; side by side (--candidate, --baseline SCENARIO) is free of it".to_owned());
    }
    GateReport {
        schema: SCHEMA,
        method: METHOD,
        id: run.id.clone(),
        started: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
        program: PROGRAM.to_owned(),
        purpose: Purpose::Gate,
        way,
        candidate: Side::of(run, path.display().to_string(), findings.trials_sealed),
        baseline: of_baseline,
        alpha: asked.alpha,
        beta: asked.beta,
        budget,
        seed: None,
        pairs: asked.pairs_max,
        verdict: judged.verdict,
        answer: reports::gate::answer(Purpose::Gate, judged.verdict, &judged.metrics),
        deciders: deciders(&judged.metrics, way, budget, None),
        metrics: judged.metrics,
        doubts: reports::gate::doubts(&run.id, findings),
        notes,
    }
}

fn stored_side(args: &Args, baseline: &Baseline) -> Option<Side> {
    let last = baseline.runs.last()?;
    Some(Side {
        label: args.baseline.clone().unwrap_or_default(),
        run: last.run.clone(),
        started: last.started.clone(),
        scenario: last.scenario.clone(),
        program: last.program.clone(),
        versions: std::collections::BTreeMap::new(),
        host: HostCard::of(&last.host),
        runs: baseline.runs.len(),
        trials: baseline.runs.iter().map(|run| run.trials_sealed).sum(),
    })
}
