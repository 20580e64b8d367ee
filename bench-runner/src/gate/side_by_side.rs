//! Two scenarios, or one with two binaries, measured in randomised pairs until the gate is settled.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use node_probe::Effort;
use record::{Cell, End, EndReason, METHOD, Run, RunDirectory, SCHEMA};
use reports::gate::{
    Asked, Budget, GateReport, GateVerdict, Matched, Purpose, Question, Way, deciders, matches, noise_floor,
    percent_text,
};
use reports::stats::cuts::{PAIRS_MOST, fewest_pairs};

use super::halves::Halves;
use super::pairs::{Made, Measured, Sitting, planned};
use super::side::{Gate, Own, Side};
use super::{Args, finish, self_test};
use crate::exit::{Exit, Usage};
use crate::interrupt::Interrupt;
use crate::lab::Lab;
use crate::progress::say;
use crate::report;
use crate::run::{PROGRAM, name_of_now};

/// What starting and stopping a trial's parts takes, about.
const AROUND_NS: u64 = 1_000_000_000;

/// Both sides, and which cell of the one is compared with which of the other.
struct Sides {
    candidate: Side,
    baseline: Side,
    cells: Vec<(Cell, Cell)>,
    notes: Vec<String>,
}

pub(crate) fn execute(candidate: &str, args: &Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let mut sides = Sides::prepare(candidate, args)?;
    let duet = sides.duet(args)?;
    let pair_ns = if duet.is_some() { sides.pair_ns() / 2 } else { sides.pair_ns() };
    let pairs_max = pairs(args, pair_ns)?;
    let asked = args.questions.asked(true, pairs_max)?;
    enough(&asked)?;
    crate::run::make_out(&args.out)?;
    let mut host = node_probe::host(Path::new("/"), &args.out);
    node_probe::measure_speed(&mut host, Effort::Quick);
    let both: Vec<Cell> = sides.candidate.cells.iter().chain(&sides.baseline.cells).cloned().collect();
    let lab = Lab::shared(&both, sides.candidate.programs.clone(), &[&sides.baseline.programs])?;
    // Two trials at a time must not meet in one cgroup or one file of keys.
    let second = duet.as_ref().map(|_| Lab::second(&both, sides.baseline.programs.clone())).transpose()?;
    let (id, started) = name_of_now();
    let path = args.out.join(&id);
    std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let gate = Gate { id: &id, started: &started, path: &path, host: &host, warnings: lab.warnings() };
    if args.plan.self_test {
        match self_test::put_delay(&sides.baseline, &sides.candidate, &gate, &lab, &interrupt, &asked) {
            Ok((candidate, note)) => {
                sides.notes.push(note);
                sides.cells = candidate.cells.iter().cloned().zip(sides.baseline.cells.iter().cloned()).collect();
                sides.candidate = candidate;
            }
            Err(error) => return ended(error, &interrupt, &path),
        }
    }
    let pairs = u32::try_from(planned(pairs_max)).unwrap_or(u32::MAX);
    let candidate = sides.candidate.create(&gate, pairs)?;
    let baseline = sides.baseline.create(&gate, pairs)?;
    let _locks = (candidate.0.lock()?, baseline.0.lock()?);
    announce(&sides, &asked, &candidate.1, pair_ns);
    let sitting = Sitting {
        interrupt: &interrupt,
        candidate: Measured { side: &sides.candidate, lab: &lab, directory: &candidate.0, run: &candidate.1 },
        baseline: Measured {
            side: &sides.baseline,
            lab: second.as_ref().unwrap_or(&lab),
            directory: &baseline.0,
            run: &baseline.1,
        },
        cells: sides.cells.clone(),
        asked: &asked,
        time: args.plan.budget,
        all: args.plan.aa,
        duet: duet.as_ref(),
    };
    let made = sitting.execute();
    // Processes and cgroups are gone before anything is said.
    drop((lab, second));
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            if interrupt.asked() {
                stopped(&[&candidate, &baseline])?;
            }
            return ended(error, &interrupt, &path);
        }
    };
    let mut doubts = close(&made, &[&candidate, &baseline], pairs_max)?;
    doubts.extend(duet.as_ref().and_then(Halves::doubt));
    let report = judged(args, &asked, &sides, (&candidate.1, &baseline.1), made, doubts);
    let report = GateReport { id, started, ..report };
    finish::write(&report, Some(&path), &args.output)?;
    finish::tell(&report, Some(&path), &args.output)
}

/// A side of a gate that was stopped is not to be resumed on its own: pairs have both trials within minutes.
fn stopped(runs: &[&(RunDirectory, Run)]) -> anyhow::Result<()> {
    for (directory, run) in runs {
        let trials = run.trials.iter().filter(|t| directory.is_sealed(&t.id)).count();
        let evidence = format!("the gate was stopped after {trials} of {} trials of this side", run.trials.len());
        directory.write_end(&End { schema: SCHEMA, reason: EndReason::Stopped, trials, evidence })?;
    }
    Ok(())
}

/// What was sealed is kept; a part that was hit by the same signal fails in its own way.
fn ended(error: anyhow::Error, interrupt: &Interrupt, path: &Path) -> anyhow::Result<ExitCode> {
    let kept = format!("sealed trials are kept in {}: meshtax report {}/candidate", path.display(), path.display());
    if interrupt.asked() {
        say(&format!("stopped before a verdict: {kept}\n"));
        report::print(&path.display().to_string())?;
        return Ok(Exit::Cut.into());
    }
    Err(anyhow::anyhow!("{}\n  {kept}", crate::exit::say(&error)))
}

impl Sides {
    fn prepare(candidate: &str, args: &Args) -> anyhow::Result<Self> {
        let label = args.baseline.as_deref().unwrap_or(candidate);
        let of_baseline = args.sides.baseline(&args.programs);
        let same = args.plan.aa || args.plan.self_test;
        let (label_of_candidate, of_candidate): (&str, Own) =
            if same { (label, of_baseline.clone()) } else { (candidate, args.sides.candidate(&args.programs)) };
        let side = |name, label: &str, own: &Own| Side::prepare(name, label, &args.factors, &args.plan, own);
        let mut candidate = side("candidate", label_of_candidate, &of_candidate)?;
        let mut baseline = side("baseline", label, &of_baseline)?;
        // Both are asked for the same requests at the same moments.
        baseline.scenario.plan.seed = candidate.scenario.plan.seed;
        let (one, other) = (candidate.scenario.timing, baseline.scenario.timing);
        if one != other {
            let said = format!(
                "{} and {} measure for different times ({} s and {} s): their quantiles are not of the same\n  try: the same [trial] in both, or --duration and --warm-up for both",
                candidate.label,
                baseline.label,
                one.measure_ns as f64 / 1e9,
                other.measure_ns as f64 / 1e9
            );
            return Err(Usage(said).into());
        }
        let mut notes = Vec::new();
        let cells = matched(&candidate, &baseline, &mut notes)?;
        candidate.cells = cells.iter().map(|(cell, _)| cell.clone()).collect();
        baseline.cells = cells.iter().map(|(_, cell)| cell.clone()).collect();
        for (cell, other) in &cells {
            for (factor, is, was) in cell.factors.differences(&other.factors) {
                notes.push(format!("{}: {factor} is {is}, and {was} in the baseline", cell.label));
            }
        }
        if !candidate.left_out.is_empty() {
            notes.push(format!("not judged, since they have no mesh: {}", candidate.left_out.join("; ")));
        }
        Ok(Self { candidate, baseline, cells, notes })
    }

    /// The CPUs of either side, where both are to be measured at the same time.
    fn duet(&mut self, args: &Args) -> anyhow::Result<Option<Halves>> {
        if !args.plan.duet {
            return Ok(None);
        }
        let halves = Halves::find(self.cells.iter().flat_map(|(cell, other)| [cell, other]))?;
        self.notes.push(halves.note());
        Ok(Some(halves))
    }

    fn pair_ns(&self) -> u64 {
        let trial = self.candidate.scenario.timing.trial_ns() + AROUND_NS;
        2 * trial * self.cells.len() as u64
    }
}

fn matched(candidate: &Side, baseline: &Side, notes: &mut Vec<String>) -> anyhow::Result<Vec<(Cell, Cell)>> {
    let of = |side: &Side| side.cells.iter().map(|cell| cell.label.clone()).collect::<Vec<_>>().join("; ");
    let ours: Vec<Matched<'_>> = candidate.cells.iter().map(Into::into).collect();
    let theirs: Vec<Matched<'_>> = baseline.cells.iter().map(Into::into).collect();
    let mut cells = Vec::new();
    for (cell, found) in candidate.cells.iter().zip(matches(&ours, &theirs)) {
        match found.and_then(|at| baseline.cells.get(at)) {
            Some(other) => cells.push((cell.clone(), other.clone())),
            None => notes.push(format!("not judged, since the baseline has no such cell: {}", cell.label)),
        }
    }
    let differ = |(one, other): &&(Cell, Cell)| one.factors.platform != other.factors.platform;
    if let Some((one, other)) = cells.iter().find(differ) {
        let said = format!(
            "{} runs on the platform '{}' and {} on '{}': their paths are not the same\n  try: --platform {} for both",
            candidate.label, one.factors.platform, baseline.label, other.factors.platform, one.factors.platform
        );
        return Err(Usage(said).into());
    }
    if cells.is_empty() {
        let said = format!(
            "no cell of {} is one of {}: {} against {}\n  try: the same matrix in both, or flags that leave one cell each, as --dataplane embedded",
            candidate.label,
            baseline.label,
            of(candidate),
            of(baseline)
        );
        return Err(Usage(said).into());
    }
    Ok(cells)
}

/// How many pairs there may be: those asked for, as far as they fit into the time.
fn pairs(args: &Args, pair_ns: u64) -> anyhow::Result<usize> {
    let most = args.plan.pairs_max;
    if most == 0 || most > PAIRS_MOST {
        let said = format!("--pairs-max: {most} is out of range\n  try: a number from 5 to {PAIRS_MOST}");
        return Err(Usage(said).into());
    }
    let Some(budget) = args.plan.budget else { return Ok(most) };
    let fit = usize::try_from(budget.as_nanos() / u128::from(pair_ns.max(1))).unwrap_or(usize::MAX);
    if fit == 0 {
        let said = format!(
            "--budget: a pair takes about {} s, and there is less\n  try: more time, or shorter trials with --duration",
            pair_ns / 1_000_000_000
        );
        return Err(Usage(said).into());
    }
    Ok(most.min(fit))
}

/// Whether so many pairs can prove anything at the levels that were asked for.
fn enough(asked: &Asked) -> anyhow::Result<()> {
    let regress = asked.questions.iter().any(|(_, question)| matches!(question, Question::Regress { .. }));
    for (name, level) in [("alpha", asked.alpha), ("beta", asked.beta)] {
        let least = fewest_pairs(level).unwrap_or(PAIRS_MOST);
        if regress && asked.pairs_max < least {
            let said = format!(
                "{} pairs cannot reach --{name} {}: even if all of them agree, chance alone does as much; {least} can\n  try: --pairs-max {least} or more, more time in --budget, or shorter trials",
                asked.pairs_max,
                percent_text(level),
            );
            return Err(Usage(said).into());
        }
    }
    Ok(())
}

fn announce(sides: &Sides, asked: &Asked, run: &Run, pair_ns: u64) {
    let labels: Vec<&str> = sides.cells.iter().map(|(cell, _)| cell.label.as_str()).collect();
    say(&format!(
        "gate: {} against {} ({}), at most {} pairs of about {} s, seed {}\n",
        sides.candidate.label,
        sides.baseline.label,
        labels.join("; "),
        asked.pairs_max,
        pair_ns / 1_000_000_000,
        run.seed
    ));
    sides.notes.iter().for_each(|note| say(&format!("{note}\n")));
}

/// Writes down why the runs ended, and their reports; returns what is doubted about them.
fn close(made: &Made, runs: &[&(RunDirectory, Run)], pairs_max: usize) -> anyhow::Result<Vec<String>> {
    let mut doubts = made.doubts.clone();
    for (side, (directory, run)) in ["candidate", "baseline"].into_iter().zip(runs) {
        let trials = run.trials.iter().filter(|t| directory.is_sealed(&t.id)).count();
        if trials < run.trials.len() {
            let (reason, evidence) = match made.judged.verdict {
                _ if made.out_of_time => (EndReason::Budget, "the gate's time was spent"),
                GateVerdict::Inconclusive if !made.judged.settled || made.pairs >= pairs_max => {
                    (EndReason::Budget, "the gate's pairs were spent")
                }
                GateVerdict::Inconclusive => (EndReason::Futile, "the pairs left would hardly have settled the gate"),
                GateVerdict::Pass | GateVerdict::Fail => (EndReason::Decided, "the gate was settled"),
            };
            let evidence = format!("{evidence} after {} of at most {pairs_max} pairs", made.pairs);
            directory.write_end(&End { schema: SCHEMA, reason, trials, evidence })?;
        }
        let explained = reports::explain(directory)?;
        report::write_all(&explained, directory)?;
        doubts.extend(reports::gate::doubts(side, &explained.findings));
    }
    Ok(doubts)
}

/// The whole answer, but for its name.
fn judged(
    args: &Args,
    asked: &Asked,
    sides: &Sides,
    (candidate, baseline): (&Run, &Run),
    made: Made,
    mut doubts: Vec<String>,
) -> GateReport {
    let Made { mut judged, pairs, pair_ns, cells, .. } = made;
    let counted = cells.iter().map(|cell| cell.candidate.len()).min().unwrap_or(0);
    let purpose = match args.plan {
        super::PlanArgs { aa: true, .. } => Purpose::NoiseFloor,
        super::PlanArgs { self_test: true, .. } => Purpose::SelfTest,
        _ => Purpose::Gate,
    };
    if purpose == Purpose::NoiseFloor {
        doubts.extend(noise_floor(&mut judged, asked.pairs_max));
    }
    let budget = Budget {
        pairs: asked.pairs_max,
        time_ns: args.plan.budget.and_then(|time| u64::try_from(time.as_nanos()).ok()),
    };
    let trials = pairs * sides.cells.len();
    let verdict = if purpose == Purpose::SelfTest { self_test::verdict(judged.verdict) } else { judged.verdict };
    GateReport {
        schema: SCHEMA,
        method: METHOD,
        id: String::new(),
        started: String::new(),
        program: PROGRAM.to_owned(),
        purpose,
        way: Way::SideBySide,
        candidate: sides.candidate.said(candidate, trials),
        baseline: Some(sides.baseline.said(baseline, trials)),
        alpha: asked.alpha,
        beta: asked.beta,
        budget,
        seed: Some(candidate.seed),
        pairs: counted,
        verdict,
        answer: reports::gate::answer(purpose, verdict, &judged.metrics),
        deciders: deciders(&judged.metrics, Way::SideBySide, budget, pair_ns),
        metrics: judged.metrics,
        doubts,
        notes: sides.notes.clone(),
    }
}
