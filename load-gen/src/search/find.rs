//! The search itself: probe, refine, confirm.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use record::LoadSummary;

use super::model::Model;
use super::step::{Broken, Phase, Step};
use super::{Ask, End, Found, Search};

/// Beyond this, due times would share a nanosecond.
pub(super) const HIGHEST: f64 = 1e9;
/// The lowest rate a search goes down to unasked.
const LOWEST: f64 = 1.0;
/// Probes only find the bracket: half a step shows twice too much load.
const PROBE_SHARE: f64 = 0.5;
/// Steps at low rates are so many times longer at the most.
const LONGEST: f64 = 3.0;
/// Steps that refine, at the most: a soft limit needs many, and confirmations teach more from there on.
const REFINE_MOST: usize = 14;
/// The limit's interval is narrow enough to confirm when this much of the belief is within two resolutions.
const REFINE_LEVEL: f64 = 0.9;
/// After so many steps in good order the limit is taken for a sharp one.
const SHARP_AFTER: usize = 8;
/// The level of the interval that is reported.
const LEVEL: f64 = 0.95;
/// The chance that a first candidate shall have to hold in all its confirmations.
const CANDIDATE_HOLDS: f64 = 0.5;
/// A target that was idle in between is rid of its queue after this, and after the time its queue needed.
const REST_AFTER_BREAK: Duration = Duration::from_millis(250);
const REST: Duration = Duration::from_millis(50);
const REST_MOST: Duration = Duration::from_secs(5);

/// Finds the highest rate that holds the SLO. `measure` makes the load asked for, on warm connections at best.
///
/// # Errors
/// The first error of `measure`, as it is.
pub fn find_max<E>(search: &Search, measure: impl FnMut(&Ask) -> Result<LoadSummary, E>) -> Result<Found, E> {
    let mut hunt = Hunt::new(search, measure);
    let end = match hunt.run() {
        Ok(end) => end,
        Err(Stop::Early(end)) => end,
        Err(Stop::Failed(error)) => return Err(error),
    };
    Ok(hunt.found(end))
}

/// Why a search does not go on.
enum Stop<E> {
    Early(End),
    Failed(E),
}

/// Where the probes lead.
enum Probed {
    Bracket { held: f64, broke: f64 },
    Over(End),
}

struct Hunt<'a, M> {
    search: &'a Search,
    measure: M,
    chance: ChaCha8Rng,
    from: f64,
    to: f64,
    resolution: f64,
    model: Option<Model>,
    steps: Vec<Step>,
    spent: Duration,
    rest: Duration,
    /// The lowest median seen: what an answer takes without a queue.
    base_ns: u64,
    /// The rate that held in all its confirmations.
    confirmed: Option<f64>,
}

impl<'a, E, M: FnMut(&Ask) -> Result<LoadSummary, E>> Hunt<'a, M> {
    fn new(search: &'a Search, measure: M) -> Self {
        let sane = |rate: &f64| rate.is_finite() && *rate > 0.0;
        let to = search.to.filter(sane).unwrap_or(HIGHEST).min(HIGHEST);
        Self {
            search,
            measure,
            chance: ChaCha8Rng::seed_from_u64(search.seed),
            from: search.from.filter(sane).unwrap_or(LOWEST).min(to),
            to,
            resolution: if search.resolution.is_finite() { search.resolution.clamp(0.001, 0.5) } else { 0.02 },
            model: None,
            steps: Vec::new(),
            spent: Duration::ZERO,
            rest: Duration::ZERO,
            base_ns: u64::MAX,
            confirmed: None,
        }
    }

    fn run(&mut self) -> Result<End, Stop<E>> {
        let (held, broke) = match self.probe()? {
            Probed::Bracket { held, broke } => (held, broke),
            Probed::Over(end) => return Ok(end),
        };
        let mut model = Model::new(held, broke, self.resolution);
        // Longer steps so far count; the probes are the bracket already.
        for step in self.steps.iter().filter(|s| s.phase != Phase::Probe) {
            model.observe(step.due_per_second, step.held());
        }
        self.model = Some(model);
        self.refine(held, broke)?;
        self.confirm()
    }

    /// Doubles the rate until the SLO breaks; or goes down until it holds.
    fn probe(&mut self) -> Result<Probed, Stop<E>> {
        let mut rate = self.search.from.map_or(Search::START, |_| self.from).clamp(self.from, self.to);
        let (mut held, mut broke) = (None, None);
        let mut below = self.from;
        loop {
            if self.probe_holds(rate)? {
                below = held.unwrap_or(below);
                held = Some(rate);
            } else {
                broke = Some(rate);
            }
            match (held, broke) {
                (Some(held), Some(broke)) => return Ok(Probed::Bracket { held, broke }),
                (None, Some(_)) if rate <= self.from => {
                    // Once may be chance.
                    if !self.ask(rate, Phase::Confirm)? {
                        return Ok(Probed::Over(End::NeverHeld));
                    }
                    held = Some(rate);
                    rate = (rate * 2.0).min(self.to);
                    broke = None;
                }
                (None, _) => rate = (rate / 4.0).max(self.from),
                (Some(_), None) if rate >= self.to => {
                    if self.all_hold(rate)? {
                        self.confirmed = Some(rate);
                        return Ok(Probed::Over(End::AlwaysHeld));
                    }
                    return Ok(Probed::Bracket { held: below, broke: rate });
                }
                // Twice, more or less: rates that follow the powers of two would meet the same resonances.
                (Some(_), None) => rate = (rate * self.chance.random_range(1.8..2.2)).min(self.to),
            }
        }
    }

    /// A probe sees few requests, and one slow one of them is no limit: what broke without a queue is asked once more,
    /// for longer.
    fn probe_holds(&mut self, rate: f64) -> Result<bool, Stop<E>> {
        let held = self.ask(rate, Phase::Probe)?;
        let queue = |s: &Step| s.broken.iter().any(|b| matches!(b, Broken::Rate { .. }));
        Ok(held || (!self.steps.last().is_some_and(queue) && self.ask(rate, Phase::Refine)?))
    }

    /// Whether all steps below some rate held and all above broke, several of each, with little in between.
    fn is_sharp(&self) -> bool {
        let refined = || self.steps.iter().filter(|s| s.phase == Phase::Refine && !s.generator_limited);
        let rates = |held: bool| refined().filter(move |s| s.held() == held).map(|s| s.due_per_second);
        let (highest_held, lowest_broke) =
            (rates(true).fold(0.0, f64::max), rates(false).fold(f64::INFINITY, f64::min));
        let gap = lowest_broke / highest_held - 1.0;
        refined().count() >= SHARP_AFTER && (0.0..=self.resolution).contains(&gap)
    }

    fn all_hold(&mut self, rate: f64) -> Result<bool, Stop<E>> {
        for _ in 0..self.search.confirmations.max(1) {
            if !self.ask(rate, Phase::Confirm)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Asks where the belief is divided, at no fixed place within it: above and below follow by chance, so that a
    /// drift of the machine does not look like a limit.
    fn refine(&mut self, held: f64, broke: f64) -> Result<(), Stop<E>> {
        // An overloaded queue answers at its capacity: a good place to begin, and no more than that.
        let hint = self.steps.iter().rev().find(|s| !s.held()).map_or(0.0, |s| s.achieved_per_second);
        let mut hints: Vec<f64> = [1.0 - self.resolution, 1.0 + self.resolution].map(|f| hint * f).into();
        hints.retain(|rate| (held..broke).contains(rate));
        if hints.len() == 2 && self.chance.random() {
            hints.swap(0, 1);
        }
        for _ in 0..REFINE_MOST {
            let Some(model) = &self.model else { return Ok(()) };
            if model.spread(REFINE_LEVEL) <= 2.0 * self.resolution || self.is_sharp() {
                break;
            }
            let rate = match hints.pop() {
                Some(hint) => hint,
                None => model.quantile(self.chance.random_range(0.2..0.8)),
            };
            self.ask(rate.clamp(self.from, self.to), Phase::Refine)?;
        }
        Ok(())
    }

    /// Walks on rates a resolution apart until one held in all its confirmations and the next one up broke.
    fn confirm(&mut self) -> Result<End, Stop<E>> {
        let first = self.candidate();
        let mut at = 0;
        loop {
            let (here, above) = (self.point(first, at), self.point(first, at + 1));
            let ask_at = match (self.confirmed_at(here), self.confirmed_at(above)) {
                // Either may decide: which is asked first is left to chance.
                (None, None) if above > here && self.chance.random() => above,
                (None, _) => here,
                (Some(false), _) if here <= self.from => return Ok(End::NeverHeld),
                (Some(false), _) => {
                    at -= 1;
                    continue;
                }
                (Some(true), above_held) => {
                    self.confirmed = Some(here);
                    match above_held {
                        _ if above <= here => return Ok(End::AlwaysHeld),
                        Some(false) => return Ok(End::Converged),
                        Some(true) => {
                            at += 1;
                            continue;
                        }
                        None => above,
                    }
                }
            };
            self.ask(ask_at, Phase::Confirm)?;
        }
    }

    /// A little below the limit, so that it has a fair chance to hold in all its confirmations.
    fn candidate(&self) -> f64 {
        let Some(model) = &self.model else { return self.from };
        let each = CANDIDATE_HOLDS.powf(1.0 / f64::from(self.search.confirmations.max(1)));
        let margin = (model.width() * (each / (1.0 - each)).ln()).max(self.resolution / 2.0);
        (model.quantile(0.5) * (-margin).exp()).clamp(self.from, self.to)
    }

    /// Whether a rate held in all its confirmations, once that is known. A run counts by the requests that really fell
    /// due: one that held counts for all rates below its own, one that broke against all above.
    fn confirmed_at(&self, rate: f64) -> Option<bool> {
        let confirmations = || self.steps.iter().filter(|s| s.phase == Phase::Confirm && !s.generator_limited);
        if confirmations().any(|s| !s.held() && s.due_per_second <= rate * (1.0 + self.tolerance())) {
            return Some(false);
        }
        (self.held_in(rate) >= self.search.confirmations.max(1)).then_some(true)
    }

    fn held_in(&self, rate: f64) -> u32 {
        let least = rate * (1.0 - self.tolerance());
        let held = |s: &&Step| s.phase == Phase::Confirm && s.held() && s.due_per_second >= least;
        u32::try_from(self.steps.iter().filter(held).count()).unwrap_or(u32::MAX)
    }

    /// Rates this close are the same: half way to the next rung of the walk.
    fn tolerance(&self) -> f64 {
        self.resolution / 2.0
    }

    fn point(&self, first: f64, steps: i32) -> f64 {
        (first * (1.0 + self.resolution).powi(steps)).clamp(self.from, self.to)
    }

    /// Measures one step, and whether it held. What the generator alone broke is asked for once more.
    fn ask(&mut self, rate: f64, phase: Phase) -> Result<bool, Stop<E>> {
        for _ in 0..2 {
            let (held, generator_limited) = self.once(rate, phase)?;
            if !generator_limited {
                return Ok(held);
            }
        }
        Err(Stop::Early(End::Generator))
    }

    fn once(&mut self, rate: f64, phase: Phase) -> Result<(bool, bool), Stop<E>> {
        let duration = self.duration(rate, phase);
        if self.spent.saturating_add(self.rest).saturating_add(duration) > self.search.budget {
            return Err(Stop::Early(End::Budget));
        }
        let ask = Ask { rate_per_second: rate, duration, seed: self.chance.random(), rest: self.rest };
        let load = (self.measure)(&ask).map_err(Stop::Failed)?;
        self.spent += self.rest + duration;
        if load.answered > 0 {
            self.base_ns = self.base_ns.min(load.response_ns.p50);
        }
        let base_ns = if self.base_ns == u64::MAX { 0 } else { self.base_ns };
        let step = Step::new(phase, rate, &load, Some(&self.search.slo), base_ns);
        let (held, generator_limited) = (step.held(), step.generator_limited);
        self.rest = if held { REST } else { rest_after(&load) };
        if let Some(model) = self.model.as_mut().filter(|_| !generator_limited && step.due > 0) {
            model.observe(step.due_per_second, held);
        }
        self.steps.push(step);
        Ok((held, generator_limited))
    }

    fn duration(&self, rate: f64, phase: Phase) -> Duration {
        let step = self.search.step;
        let enough = |least: Duration| {
            let seconds = (self.search.slo.requests() / rate).min(LONGEST * step.as_secs_f64());
            least.max(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        };
        match phase {
            Phase::Probe => step.mul_f64(PROBE_SHARE),
            Phase::Refine | Phase::Rung => enough(step),
            Phase::Confirm => enough(self.search.confirm),
        }
    }

    fn found(self, end: End) -> Found {
        let of_target = || self.steps.iter().filter(|s| !s.generator_limited);
        let rate = self
            .confirmed
            .filter(|rate| end != End::NeverHeld && self.confirmed_at(*rate) != Some(false))
            .or_else(|| self.best_seen(end));
        let beyond = |s: &&Step| !s.held() && rate.is_none_or(|rate| s.due_per_second > rate);
        let next = of_target().filter(beyond).min_by(|a, b| a.due_per_second.total_cmp(&b.due_per_second));
        let broke = next.map(|s| s.due_per_second);
        let believed = self.model.as_ref().filter(|_| end == End::Converged);
        let tail = (1.0 - LEVEL) / 2.0;
        let (low, high) = match (believed, rate) {
            // Nothing finer than the resolution was asked, so nothing finer is claimed; and what was seen to hold and
            // to break does not lie outside.
            (Some(model), Some(rate)) => {
                let (held, broke) = (rate * (1.0 - self.resolution / 2.0), broke.unwrap_or(rate));
                (Some(model.quantile(tail).min(held)), Some(model.quantile(1.0 - tail).max(broke)))
            }
            _ => (rate, broke),
        };
        let confirmations = rate.map_or(0, |rate| self.held_in(rate));
        Found {
            slo: self.search.slo.clone(),
            rate_per_second: rate,
            low_per_second: low,
            high_per_second: high,
            level: believed.map(|_| LEVEL),
            broke_per_second: broke,
            limit: next.and_then(|s| s.broken.first().copied()),
            confirmations,
            confirm_s: self.search.confirm.as_secs_f64(),
            end,
            spent_s: self.spent.as_secs_f64(),
            seed: self.search.seed,
            steps: self.steps,
        }
    }

    /// The highest rate that held and that the limit is more likely above than below.
    fn best_seen(&self, end: End) -> Option<f64> {
        if end == End::NeverHeld {
            return None;
        }
        let believed = self.model.as_ref().map_or(f64::INFINITY, |m| m.quantile(0.5));
        let held = self.steps.iter().filter(|s| s.held() && s.due_per_second <= believed);
        held.map(|s| s.due_per_second).max_by(f64::total_cmp)
    }
}

/// As long as the target may need for what it was left with.
pub(super) fn rest_after(load: &LoadSummary) -> Duration {
    let seconds = load.censored as f64 / load.achieved_per_second.max(1.0);
    let queue = if seconds.is_finite() { seconds.clamp(0.0, REST_MOST.as_secs_f64()) } else { 0.0 };
    (REST_AFTER_BREAK + Duration::from_secs_f64(queue)).min(REST_MOST)
}
