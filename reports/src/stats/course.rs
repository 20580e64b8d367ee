//! The course of one sequential test: look after look, until one decides.

use std::borrow::Cow;

use super::cuts::{cuts, looks};
use super::estimate::{Estimate, middle, walsh};
use super::power::Outlook;
use super::sequential::{Decision, Judgement, Rule};
use super::signed_rank::statistic;

/// Below this chance of a decision it is not worth going on.
const FUTILE: f64 = 0.1;
/// The steps of the ladder of levels, and how far it goes below and above the level that was asked for.
const LADDER: f64 = 1.1;
const LADDER_DOWN: i32 = -80;
const LEVEL_MOST: f64 = 0.5;

/// What of a level is spent: neighbouring pairs of a machine that wanders are not quite independent, for which the simulations
/// ask for a part of it.
const SPENT: f64 = 0.97;

/// The cuts of a proof at a level.
fn proofs(looks: &[usize], level: f64) -> Vec<Option<u32>> {
    cuts(looks, level * SPENT)
}

/// The differences of pairs in the order in which these were made.
pub(super) enum Pairs<'a> {
    /// They are what they are.
    Given(&'a [f64]),
    /// So many there are, and how those of the first few are to be seen while there are only so few.
    Made(usize, &'a dyn Fn(usize) -> Vec<f64>),
}

impl Pairs<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Given(all) => all.len(),
            Self::Made(pairs, _) => *pairs,
        }
    }

    fn first(&self, pairs: usize) -> Cow<'_, [f64]> {
        match self {
            Self::Given(all) => Cow::Borrowed(&all[..pairs]),
            Self::Made(_, first) => Cow::Owned(first(pairs)),
        }
    }
}

/// Where one figure of a family stands while looks pass by.
pub(super) struct Course<'a> {
    rule: Rule,
    pairs: Pairs<'a>,
    looks: Vec<usize>,
    /// The cuts at the looks for alpha whole, halved, and so on, down to one part for each figure of the family.
    slower_cuts: Vec<Vec<Option<u32>>>,
    below_cuts: Vec<Option<u32>>,
    outlook: Outlook,
    /// Into how many parts alpha may be divided so that one of them still proves it slower; 0 where not even all does.
    proof_parts: usize,
    /// Whether it was proven to be slower than the tolerance.
    pub(super) slower: bool,
    look: usize,
    decision: Decision,
    chance_to_decide: f64,
}

impl<'a> Course<'a> {
    pub(super) fn new(rule: &Rule, pairs: Pairs<'a>, family: usize) -> Self {
        let looks = looks(rule.pairs_max);
        Self {
            rule: *rule,
            pairs,
            slower_cuts: (1..=family).map(|parts| proofs(&looks, rule.alpha / parts as f64)).collect(),
            below_cuts: proofs(&looks, rule.beta),
            looks,
            outlook: Outlook::new(rule, family),
            proof_parts: 0,
            slower: false,
            look: 0,
            decision: Decision::Continue,
            chance_to_decide: 1.0,
        }
    }

    /// Whether these pairs are to be looked at, are there, and nothing was decided before.
    fn is_open_at(&self, pairs: usize) -> bool {
        !self.decision.is_final() && pairs <= self.pairs.len() && self.looks.contains(&pairs)
    }

    /// The cut of a look that there is.
    fn cut(&self, cuts: &[Option<u32>], pairs: usize) -> Option<f64> {
        let look = self.looks.iter().position(|n| *n == pairs)?;
        cuts.get(look).copied().flatten().map(f64::from)
    }

    /// Takes in what the pairs of a look prove of a slowdown.
    pub(super) fn look_at(&mut self, pairs: usize) {
        if !self.is_open_at(pairs) {
            return;
        }
        self.look = pairs;
        let w = statistic(&self.pairs.first(pairs), self.rule.tolerance.ln_1p());
        let parts =
            self.slower_cuts.iter().take_while(|cuts| self.cut(cuts, pairs).is_some_and(|cut| w >= cut)).count();
        self.proof_parts = self.proof_parts.max(parts);
    }

    /// Whether one of so many parts of alpha is enough to call it slower, and that is new.
    pub(super) fn may_be_called_slower(&self, parts: usize) -> bool {
        !self.slower && self.proof_parts >= parts
    }

    /// Decides by the pairs of a look, if they do.
    pub(super) fn decide(&mut self, pairs: usize) {
        if !self.is_open_at(pairs) {
            return;
        }
        let d = self.pairs.first(pairs);
        let limit = self.rule.limit.ln_1p();
        let below = self.cut(&self.below_cuts, pairs).is_some_and(|cut| -statistic(&d, limit) >= cut);
        let typical = middle(&walsh(&d));
        let left = self.looks.last().is_some_and(|last| pairs < *last);
        self.decision = if below {
            Decision::Pass
        } else if self.slower && typical >= limit {
            Decision::Fail
        } else if !left {
            self.chance_to_decide = 0.0;
            Decision::Spent
        } else {
            self.chance_to_decide = self.outlook.chance_to_decide(&d, typical, self.slower);
            if self.chance_to_decide < FUTILE { Decision::Futile } else { Decision::Continue }
        };
        if below || self.decision == Decision::Fail {
            self.chance_to_decide = 1.0;
        }
    }

    pub(super) fn judgement(&self) -> Judgement {
        let seen = self.pairs.first(if self.look == 0 { self.pairs.len() } else { self.look });
        Judgement {
            decision: self.decision,
            look: self.look,
            pairs: self.pairs.len(),
            ratio: self.ratio(&seen),
            p_slower: self.smallest_level(self.rule.alpha, |d| statistic(d, self.rule.tolerance.ln_1p())),
            p_below: self.smallest_level(self.rule.beta, |d| -statistic(d, self.rule.limit.ln_1p())),
            slower: self.slower,
            chance_to_decide: self.chance_to_decide,
        }
    }

    fn ratio(&self, seen: &[f64]) -> Estimate {
        let averages = walsh(seen);
        let ends = |cuts: &[Option<u32>]| self.cut(cuts, self.look).and_then(|cut| kept(&averages, cut));
        let low = self.slower_cuts.first().and_then(|cuts| ends(cuts)).map(|(low, _)| low);
        let high = ends(&self.below_cuts).map(|(_, high)| high);
        let level = if low.or(high).is_some() { 1.0 - self.rule.alpha - self.rule.beta } else { 0.0 };
        Estimate {
            value: middle(&averages).exp(),
            low: low.map(f64::exp),
            high: high.map(f64::exp),
            level,
            n: seen.len(),
        }
    }

    /// The smallest level of the ladder at which the statistic would have reached a cut by the look.
    fn smallest_level(&self, around: f64, w: impl Fn(&[f64]) -> f64) -> f64 {
        let path: Vec<f64> =
            self.looks.iter().take_while(|n| **n <= self.look).map(|n| w(&self.pairs.first(*n))).collect();
        let level = |step: i32| around * LADDER.powi(step);
        let crossed = |step: i32| {
            let cuts = proofs(&self.looks, level(step));
            path.iter().zip(cuts).any(|(w, cut)| cut.is_some_and(|cut| *w >= f64::from(cut)))
        };
        // The level that was asked for is one of the ladder, so that the level found is at most it where it was proven.
        let top = (LEVEL_MOST / around).log(LADDER).floor().max(0.0) as i32;
        let (mut not, mut does) = if crossed(0) { (LADDER_DOWN - 1, 0) } else { (0, top + 1) };
        while does - not > 1 {
            let step = not + (does - not) / 2;
            if crossed(step) { does = step } else { not = step }
        }
        if does > top { 1.0 } else { level(does) }
    }
}

/// The interval that a cut leaves of the sorted means of all pairs: where the true value may lie so that the statistic
/// around it reaches the cut on neither side. The statistic is the number of means above less that of those below.
pub(super) fn kept(averages: &[f64], cut: f64) -> Option<(f64, f64)> {
    let beyond = ((averages.len() as f64 - cut) / 2.0).floor();
    let k = if beyond >= 0.0 { beyond as usize } else { return None };
    let last = averages.len().checked_sub(1)?;
    Some((*averages.get(k)?, *averages.get(last.checked_sub(k)?)?))
}
