//! A delay put into the candidate that is over the limit, to see whether the gate finds it.

use anyhow::Context as _;
use reports::gate::{Asked, GateVerdict, Question, TrialFigures};

use super::side::{Gate, Side};
use crate::exit::Usage;
use crate::interrupt::Interrupt;
use crate::lab::Lab;
use crate::progress::{Progress, say};
use crate::trial::{self, Conditions};

/// How many times the limit the delay is: far enough over it that a gate which works cannot miss it.
const TIMES_THE_LIMIT: f64 = 3.0;

/// Work that keeps a CPU busy is the delay; more than this part of the machine would be an overload and not a delay.
const CPU_SHARE_MOST: f64 = 0.3;

/// Measures the baseline once, and returns the same with so much work added to each service that the time asked about is
/// longer by three times its limit; and what was done, in words.
pub(crate) fn put_delay(
    baseline: &Side,
    candidate: &Side,
    gate: &Gate<'_>,
    lab: &Lab,
    interrupt: &Interrupt,
    asked: &Asked,
) -> anyhow::Result<(Side, String)> {
    let regress = asked.questions.iter().find_map(|(metric, question)| match question {
        Question::Regress { limit, .. } if metric.is_time() => Some((*metric, *limit)),
        _ => None,
    });
    let Some((metric, limit)) = regress else {
        let said = "--self-test puts in a delay, and no response time is asked about\n  try: --max-regress p99=10%";
        return Err(Usage(said.to_owned()).into());
    };
    let pilot = pilot(baseline, gate, lab, interrupt)?;
    let value = pilot.value(metric).map_err(|why| anyhow::anyhow!("the baseline's {metric} is not known: {why}"))?;
    let cell = baseline.cells.first().context("there is no cell to judge")?;
    let services = f64::from(cell.factors.services.max(1));
    let added_us = (TIMES_THE_LIMIT * limit * value / 1e3 / services).ceil().max(1.0);
    let cpus = gate.host.cpus_online.len().max(1) as f64;
    let busy = added_us * 1e-6 * services * cell.factors.rate_per_second;
    if busy > CPU_SHARE_MOST * cpus {
        let said = format!(
            "--self-test: a delay of {:.1} ms by work at {} requests a second would keep {busy:.1} of {cpus} CPUs busy, which is an overload and no delay\n  try: a lower --rate, or a smaller limit in --max-regress",
            added_us * services / 1e3,
            cell.factors.rate_per_second
        );
        return Err(Usage(said).into());
    }
    let mut scenario = candidate.scenario.clone();
    scenario.chain.work_us.iter_mut().for_each(|work| *work += added_us as u64);
    let delayed = candidate.with(format!("{} with a delay", candidate.label), scenario)?;
    let note = format!(
        "a delay was put into the candidate: {added_us:.0} µs more work in each of {services} services, {:.0} % of the {} that one trial of the baseline showed",
        added_us * services * 1e5 / value,
        metric.shown(value)
    );
    say(&format!("{note}\n"));
    Ok((delayed, note))
}

/// One trial of the baseline that no pair has a part in.
fn pilot(baseline: &Side, gate: &Gate<'_>, lab: &Lab, interrupt: &Interrupt) -> anyhow::Result<TrialFigures> {
    let side = Side { name: "pilot", ..baseline.clone() };
    let (directory, run) = side.create(gate, 1)?;
    let planned = run.trials.first().context("the pilot has no trial")?;
    let cell = run.cell(&planned.cell).context("the pilot has no cell")?;
    let mut progress = Progress::new(1, std::time::Duration::from_nanos(run.timing.trial_ns()));
    progress.begin(1, "pilot");
    let conditions = Conditions {
        lab,
        programs: &side.programs,
        program: &side.program,
        program_says: side.program_says(),
        run: &run,
        scenario: &side.scenario,
        interrupt,
        run_path: directory.path(),
        beside: None,
    };
    trial::make(&conditions, planned, cell, directory.begin_trial(&planned.id)?, &mut progress)?;
    progress.end();
    Ok(TrialFigures::read(&directory, &run, &planned.id)?)
}

/// The delay is there: what finds it passes, and what passes it fails.
pub(crate) fn verdict(of_gate: GateVerdict) -> GateVerdict {
    match of_gate {
        GateVerdict::Fail => GateVerdict::Pass,
        GateVerdict::Pass | GateVerdict::Inconclusive => GateVerdict::Fail,
    }
}
