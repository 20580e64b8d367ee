//! `--until` and `--budget`: a run ends when the tax is known well enough, or its time is spent.

use std::time::{Duration, Instant};

use record::{End, EndReason, PlannedTrial, Run, RunDirectory, SCHEMA, Until};
use reports::stats::cuts::{PAIRS_MOST, looks};
use reports::tightness::{self, QUANTILES};

use crate::exit::Usage;

/// The most blocks, where nothing else is said.
const BLOCKS: u32 = 40;

#[derive(clap::Args)]
pub(crate) struct UntilArgs {
    /// End when the ratio of each mesh to no mesh is known to so much at this quantile, looked at after block upon block from the
    /// fifth on: `p99=5%`. --repeats are the most blocks then (40 if it is not given).
    #[arg(long, value_name = "QUANTILE=PERCENT", value_parser = parse, help_heading = "Plan")]
    until: Option<(f64, f64)>,
    /// Begin no further block after this time.
    #[arg(long, value_parser = crate::duration::parse, help_heading = "Plan")]
    budget: Option<Duration>,
}

/// Reads `p99=5%`: the quantile, and the part of the ratio.
fn parse(text: &str) -> Result<(f64, f64), String> {
    let names: Vec<&str> = QUANTILES.iter().map(|(name, _)| *name).collect();
    let refuse = |why: String| format!("{why}; write it as p99=5%, with one of {}", names.join(", "));
    let (name, width) = text.split_once('=').ok_or_else(|| refuse("there is no '='".to_owned()))?;
    let known = QUANTILES.iter().find(|(known, _)| *known == name.trim());
    let (_, quantile) = known.ok_or_else(|| refuse(format!("'{name}' is no quantile of the report")))?;
    let number = width.trim().strip_suffix('%').ok_or_else(|| refuse(format!("'{width}' is no percentage")))?;
    match number.trim().parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent < 100.0 => Ok((*quantile, percent / 100.0)),
        _ => Err(refuse(format!("'{width}' does not lie between 0 and 100 %"))),
    }
}

impl UntilArgs {
    /// What is asked for, as it is kept with the run.
    pub(crate) fn until(&self) -> Option<Until> {
        let budget_ns = self.budget.map(|budget| u64::try_from(budget.as_nanos()).unwrap_or(u64::MAX));
        match self.until {
            Some((quantile, within)) => Some(Until { quantile, ratio_within: Some(within), budget_ns }),
            None => budget_ns.map(|_| Until { quantile: 0.99, ratio_within: None, budget_ns }),
        }
    }

    /// The most blocks, if that is not said otherwise.
    pub(crate) fn blocks(&self) -> Option<u32> {
        self.until().map(|_| BLOCKS)
    }
}

/// Whether a plan can be ended by what is known of a tax.
pub(crate) fn check(run: &Run) -> anyhow::Result<()> {
    if run.until.is_none_or(|until| until.ratio_within.is_none()) {
        return Ok(());
    }
    let compared = run.cells.iter().any(|c| c.factors.meshed() && run.baseline_of(c).is_some());
    let problem = if !compared {
        "--until waits for a mesh tax, and this run has no cells to take one from\n  try: --dataplane none,embedded"
    } else if run.repeats as usize > PAIRS_MOST {
        "--until looks at 120 blocks at most\n  try: --repeats 120"
    } else {
        return Ok(());
    };
    Err(Usage(problem.to_owned()).into())
}

/// Watches over the end of a run, block after block.
pub(crate) struct Watch<'a> {
    directory: &'a RunDirectory,
    run: &'a Run,
    began: Instant,
    /// What an earlier sitting took, by the phases of the trials it sealed.
    earlier: Duration,
}

impl<'a> Watch<'a> {
    pub(crate) fn begin(directory: &'a RunDirectory, run: &'a Run, trial: Duration) -> Self {
        let sealed = run.trials.iter().filter(|t| directory.is_sealed(&t.id)).count();
        Self { directory, run, began: Instant::now(), earlier: trial * u32::try_from(sealed).unwrap_or(u32::MAX) }
    }

    /// Before a trial: why no more are made, if the blocks there are suffice. Within a block there is no end.
    pub(crate) fn end(&self, next: &PlannedTrial) -> anyhow::Result<Option<End>> {
        let Some(until) = self.run.until else { return Ok(None) };
        let begun = |t: &&PlannedTrial| t.block == next.block && self.directory.is_sealed(&t.id);
        let blocks = next.block - 1;
        if blocks == 0 || self.run.trials.iter().find(begun).is_some() {
            return Ok(None);
        }
        let made = self.run.trials.iter().filter(|t| self.directory.is_sealed(&t.id)).count();
        let end = |reason, evidence| Some(End { schema: SCHEMA, reason, trials: made, evidence });
        let is_look = looks(self.run.repeats as usize).contains(&(blocks as usize));
        if let Some(within) = until.ratio_within.filter(|_| is_look) {
            let trials = self.directory.trials(self.run)?;
            let loosest = tightness::loosest(self.run, &trials, until.quantile);
            if let Some(known) = loosest.filter(|known| known.half_width <= within) {
                let percent = |share: f64| format!("{:.1} %", share * 100.0);
                let evidence = format!(
                    "after {blocks} blocks the ratio at {} is known to {} ({} asked for), least of {} to {}",
                    name(until.quantile),
                    percent(known.half_width),
                    percent(within),
                    known.cell,
                    known.baseline
                );
                return Ok(end(EndReason::Tight, evidence));
            }
        }
        let spent = self.began.elapsed() + self.earlier;
        let budget = until.budget_ns.map(Duration::from_nanos).filter(|budget| spent >= *budget);
        Ok(budget.and_then(|budget| {
            let evidence =
                format!("the {} that it may take were spent after {blocks} blocks", crate::duration::text(budget));
            end(EndReason::Budget, evidence)
        }))
    }
}

fn name(quantile: f64) -> &'static str {
    QUANTILES.iter().find(|(_, known)| (known - quantile).abs() < 1e-9).map_or("p99", |(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_width_is_read_and_what_is_none_is_refused_with_the_way_out() {
        assert_eq!(parse("p99=5%"), Ok((0.99, 0.05)));
        assert_eq!(parse(" p99.9 = 12.5 % "), Ok((0.999, 0.125)));
        for text in ["p99", "p98=5%", "p99=5", "p99=0%", "p99=100%", "p99=x%", "=5%"] {
            let said = parse(text).unwrap_err();
            assert!(said.ends_with("write it as p99=5%, with one of p50, p90, p99, p99.9"), "{text}: {said}");
        }
    }

    #[test]
    fn time_alone_ends_a_run_too_and_both_bring_more_blocks() {
        let args = |until, budget| UntilArgs { until, budget };
        assert_eq!((args(None, None).until(), args(None, None).blocks()), (None, None));
        let timed = args(None, Some(Duration::from_secs(60)));
        assert_eq!(timed.until(), Some(Until { quantile: 0.99, ratio_within: None, budget_ns: Some(60_000_000_000) }));
        assert_eq!(args(Some((0.5, 0.1)), None).blocks(), Some(BLOCKS));
    }
}
