//! The highest rate that holds an SLO, and a ladder of rates: what to measure next, and what it all says.
//!
//! Nothing here opens a connection: whoever calls brings a closure that measures one [`Ask`].
//!
//! ```text
//! probe     a low rate, doubled until the SLO breaks
//! refine    rates drawn from where the limit is believed to be; every answer changes the belief
//! confirm   longer runs, in mixed order, at a candidate and a little above it, until the candidate held
//!           in all of its runs and the rate above broke in one
//! ```

mod find;
mod ladder;
mod model;
mod render;
mod slo;
mod step;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;

use crate::{Error, Result};

pub use find::find_max;
pub use ladder::{Ladder, Rung, ladder};
pub use slo::{Clause, Quantile, Slo};
pub use step::{Broken, Phase, Step};

/// One measurement asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    /// Requests per second, in total.
    pub rate_per_second: f64,
    /// For how long requests fall due.
    pub duration: Duration,
    /// The seed of the arrivals.
    pub seed: u64,
    /// How long to leave the target alone first, so that it is rid of what an overload left behind.
    pub rest: Duration,
}

/// What is searched for, and with how much effort. [`Search::new`] fills in what is seldom changed.
#[derive(Clone, Debug)]
pub struct Search {
    /// What must hold.
    pub slo: Slo,
    /// The lowest rate to try. Without it the search begins at [`Search::START`] and may go down to 1/s.
    pub from: Option<f64>,
    /// The highest rate to try.
    pub to: Option<f64>,
    /// How long one step lasts; at low rates up to three times as long, so that it sees enough requests.
    pub step: Duration,
    /// How long a confirmation lasts.
    pub confirm: Duration,
    /// In how many confirmations a rate must hold.
    pub confirmations: u32,
    /// How far apart, relatively, the rate that holds and the one that breaks are in the end.
    pub resolution: f64,
    /// The time all steps and their rests may take.
    pub budget: Duration,
    /// The seed of everything drawn.
    pub seed: u64,
}

impl Search {
    /// Where a search begins, unless said otherwise.
    pub const START: f64 = 100.0;

    /// A search of about half a minute, and of a minute at the most.
    pub fn new(slo: Slo) -> Self {
        Self {
            slo,
            from: None,
            to: None,
            step: Duration::from_millis(1500),
            confirm: Duration::from_secs(3),
            confirmations: 3,
            resolution: 0.02,
            budget: Duration::from_secs(60),
            seed: 1,
        }
    }

    /// Refuses values that make no search. [`find_max`] does not ask: it keeps to the nearest that make one.
    ///
    /// # Errors
    /// Names the first such value and what it must be.
    pub fn check(&self) -> Result<()> {
        let refuse =
            |what, found: &dyn std::fmt::Debug, remedy| Err(Error::Plan { what, found: format!("{found:?}"), remedy });
        for (what, rate) in [("the lowest rate", self.from), ("the highest rate", self.to)] {
            if let Some(rate) = rate
                && !(rate > 0.0 && rate <= find::HIGHEST)
            {
                return refuse(what, &rate, "it must be more than 0 and at most 1e9 requests per second");
            }
        }
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return refuse("the lowest rate", &from, "it must be below the highest rate");
        }
        if !(0.001..=0.5).contains(&self.resolution) {
            return refuse("the resolution", &self.resolution, "it must be from 0.001 to 0.5: 0.02 is 2 %");
        }
        if self.confirmations == 0 {
            return refuse("the number of confirmations", &self.confirmations, "it must be at least 1");
        }
        for (what, time) in [("the step", self.step), ("the confirmation's length", self.confirm)] {
            if time.is_zero() {
                return refuse(what, &time, "it must be more than 0 seconds");
            }
        }
        if self.budget < self.step {
            return refuse("the budget", &self.budget, "it must be enough for one step at least");
        }
        Ok(())
    }
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// A rate held in all its confirmations, and the next one up broke.
    Converged,
    /// The time was up first.
    Budget,
    /// The generator itself was late: what the target can take beyond this is unknown.
    Generator,
    /// The lowest rate broke.
    NeverHeld,
    /// The highest rate held in all its confirmations.
    AlwaysHeld,
}

/// What a search found.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// What had to hold.
    pub slo: Slo,
    /// The highest rate that held: in all its confirmations where the search converged. None where none held.
    pub rate_per_second: Option<f64>,
    /// The limit lies above this...
    pub low_per_second: Option<f64>,
    /// ...and below this, so far as is known.
    pub high_per_second: Option<f64>,
    /// How much the interval may be relied on: that the rate at which half of such runs hold lies within it, given
    /// that runs are independent and hold the less often the higher the rate. None where it is only a bracket:
    /// the highest rate that held and the lowest above it that broke.
    pub level: Option<f64>,
    /// The lowest rate above the answer that broke.
    pub broke_per_second: Option<f64>,
    /// What broke there.
    pub limit: Option<Broken>,
    /// Confirmations the answer held in.
    pub confirmations: u32,
    /// How long each of them was.
    pub confirm_s: f64,
    /// Why it ended.
    pub end: End,
    /// All that was measured, in order.
    pub steps: Vec<Step>,
    /// How long steps and rests took.
    pub spent_s: f64,
    /// The seed of everything drawn.
    pub seed: u64,
}
