//! The flags of a plan: how long, how often, and in which order.

use std::time::Duration;

use scenarios::Scenario;

/// How long trials of a short run settle at most, and measure if nothing else is said.
const QUICK_SETTLE_NS: u64 = 500_000_000;
const QUICK_WARM_UP_NS: u64 = 500_000_000;
const QUICK_MEASURE_NS: u64 = 2_000_000_000;

/// Trials of each cell in a short run.
const QUICK_REPEATS: u32 = 3;

/// The flags.
#[derive(clap::Args, Debug)]
pub(crate) struct LengthArgs {
    /// How long each trial measures.
    #[arg(long, value_parser = crate::duration::parse, help_heading = "Plan")]
    duration: Option<Duration>,
    /// How long each trial loads before it measures.
    #[arg(long, value_parser = crate::duration::parse, help_heading = "Plan")]
    warm_up: Option<Duration>,
    /// Trials of each cell.
    #[arg(long, help_heading = "Plan")]
    repeats: Option<u32>,
    /// The seed of the order and of the arrivals.
    #[arg(long, help_heading = "Plan")]
    seed: Option<u64>,
    /// The level of the intervals.
    #[arg(long, help_heading = "Plan")]
    level: Option<f64>,
    /// Measure each unmeshed cell twice, as two cells: their difference should hold 0.
    #[arg(long, help_heading = "Plan")]
    aa: bool,
    /// A short run: 3 trials of 2 s each cell, and what is done under load as much sooner. Good for a try, too short for a
    /// decision.
    #[arg(long, help_heading = "Plan")]
    pub(super) quick: bool,
}

impl LengthArgs {
    /// Makes a scenario short where that is asked for. It comes before the factors, which may say again how often
    /// something is done under load.
    pub(crate) fn shorten(&self, scenario: &mut Scenario) {
        if self.quick {
            let timing = &mut scenario.timing;
            timing.settle_ns = timing.settle_ns.min(QUICK_SETTLE_NS);
            timing.warm_up_ns = QUICK_WARM_UP_NS;
            scenario.plan.repeats = QUICK_REPEATS;
            scenario.measure_for(self.duration.map_or(QUICK_MEASURE_NS, ns));
        }
    }

    /// What was given replaces what the scenario says; `blocks` are those of a run that may end sooner.
    pub(crate) fn put_in(&self, scenario: &mut Scenario, blocks: Option<u32>) {
        if let Some(duration) = self.duration {
            scenario.timing.measure_ns = ns(duration);
        }
        if let Some(warm_up) = self.warm_up {
            scenario.timing.warm_up_ns = ns(warm_up);
        }
        let plan = &mut scenario.plan;
        plan.repeats = self.repeats.or(blocks).unwrap_or(plan.repeats);
        plan.seed = self.seed.unwrap_or(plan.seed);
        plan.level = self.level.unwrap_or(plan.level);
        plan.aa |= self.aa;
    }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
