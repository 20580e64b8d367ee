//! `meshtax load --find-max` and `--ladder`: several loads over the same warm connections, and what they say.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use load_gen::search::{Ask, End, Found, Search, Slo, find_max, ladder};
use load_gen::{Arrivals, Draw, Generator, Plan, Profile};
use record::LoadSummary;

use super::Format;
use crate::exit::{Exit, Usage};
use crate::interrupt::Stopped;
use crate::progress::say;
use crate::report::print;

/// What is searched for.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Sought {
    /// Find the highest rate that holds --slo, instead of loading at a set one.
    #[arg(long, requires = "slo", conflicts_with_all = ["rate", "replay", "ladder"], help_heading = "Search")]
    find_max: bool,
    /// What must hold, such as p99=25ms,errors=0.1%. With a plain load: exit with 1 if it does not.
    #[arg(long, value_name = "SLO", value_parser = slo, help_heading = "Search")]
    pub(crate) slo: Option<Slo>,
    /// Measure latency at each of these rates, in shuffled order.
    #[arg(long, value_name = "N,N,..", value_delimiter = ',', value_parser = rung, conflicts_with_all = ["rate", "replay"],
          help_heading = "Search")]
    ladder: Vec<f64>,
    /// How often each rate of a ladder is measured.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Search")]
    repeats: u32,
    /// The lowest rate to try.
    #[arg(long, value_name = "N", help_heading = "Search")]
    from: Option<f64>,
    /// The highest rate to try.
    #[arg(long, value_name = "N", help_heading = "Search")]
    to: Option<f64>,
    /// How long each step lasts.
    #[arg(long, value_name = "TIME", value_parser = super::some_time, help_heading = "Search")]
    step: Option<Duration>,
    /// How long each confirmation lasts.
    #[arg(long, value_name = "TIME", value_parser = super::some_time, help_heading = "Search")]
    confirm: Option<Duration>,
    /// How long all of it may take.
    #[arg(long, value_name = "TIME", value_parser = super::some_time, help_heading = "Search")]
    budget: Option<Duration>,
}

impl Sought {
    /// The highest rate that it may come to, in requests a second; none where nothing bounds it.
    pub(crate) fn highest(&self) -> Option<f64> {
        if self.find_max { self.to } else { self.ladder.iter().copied().reduce(f64::max) }
    }
}

fn slo(text: &str) -> Result<Slo, String> {
    text.parse().map_err(|e: load_gen::Error| e.to_string())
}

fn rung(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 && rate <= 1e9 => Ok(rate),
        _ => Err("a rate is more than 0 and at most 1e9 requests per second, such as 500".into()),
    }
}

impl Sought {
    /// Whether there is a search, instead of one load.
    pub(crate) fn any(&self) -> bool {
        self.find_max || !self.ladder.is_empty()
    }

    /// Makes the loads, and prints what they say.
    ///
    /// # Errors
    /// When the target cannot be reached, or a value makes no search.
    pub(crate) fn execute(
        &self,
        plan: &Plan,
        draw: Draw,
        format: Format,
        stop: &AtomicBool,
    ) -> anyhow::Result<ExitCode> {
        if plan.record_to.is_some() {
            let said =
                "--record keeps one load, and a search makes many\n  try: a plain load at the rate that was found";
            return Err(Usage(said.to_owned()).into());
        }
        let search = self.search(plan)?;
        let mut generator = Generator::open(plan)?;
        let warm_up = plan.warm_up;
        let mut measure = |ask: &Ask| -> anyhow::Result<LoadSummary> {
            sleep(ask.rest, stop)?;
            let arrivals = Arrivals::Open { draw, profile: Profile::Flat(ask.rate_per_second) };
            say(&format!("{:.0}/s for {:.1} s\n", ask.rate_per_second, ask.duration.as_secs_f64()));
            let load = generator.load(&arrivals, warm_up, ask.duration, ask.seed, stop, None)?;
            if stop.load(Ordering::Relaxed) { Err(Stopped.into()) } else { Ok(load) }
        };
        let result = match search {
            Some(search) => find_max(&search, &mut measure).map(|found| (exit_of(&found), shown(&found, format))),
            None => {
                let step = self.step.unwrap_or(plan.duration);
                ladder(&self.ladder, self.repeats, plan.seed, self.slo.as_ref(), step, &mut measure)
                    .map(|ladder| (Exit::Done, shown(&ladder, format)))
            }
        };
        match result {
            Ok((exit, text)) => {
                print(&text?)?;
                Ok(exit.into())
            }
            Err(error) if error.is::<Stopped>() => Ok(Exit::Cut.into()),
            Err(error) => Err(error),
        }
    }

    fn search(&self, plan: &Plan) -> anyhow::Result<Option<Search>> {
        let Some(slo) = self.slo.clone().filter(|_| self.find_max) else { return Ok(None) };
        let usual = Search::new(slo);
        let search = Search {
            from: self.from,
            to: self.to,
            step: self.step.unwrap_or(usual.step),
            confirm: self.confirm.unwrap_or(usual.confirm),
            budget: self.budget.unwrap_or(usual.budget),
            seed: plan.seed,
            ..usual
        };
        search.check().map_err(|e| Usage(e.to_string()))?;
        Ok(Some(search))
    }
}

fn exit_of(found: &Found) -> Exit {
    match found.end {
        End::Converged | End::AlwaysHeld => Exit::Done,
        End::NeverHeld => Exit::Failed,
        End::Budget | End::Generator => Exit::Inconclusive,
    }
}

fn shown<T: std::fmt::Display + serde::Serialize>(found: &T, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Text => found.to_string(),
        Format::Json => serde_json::to_string(found)?,
    })
}

/// Sleeps, and hears a Ctrl-C soon.
fn sleep(length: Duration, stop: &AtomicBool) -> anyhow::Result<()> {
    let end = std::time::Instant::now() + length;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Stopped.into());
        }
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
}
