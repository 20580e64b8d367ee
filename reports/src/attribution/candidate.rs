//! A cause in all trials of a cell: how its time meets the slow episodes, and whether it may be named.

use crate::figure;
use crate::findings::{Cause, Known, SlowWindows};
use crate::gather::TrialData;
use crate::stats::{self, Track};
use crate::usage::{Span, Step};

use super::episodes::Episode;
use super::moments::Moments;
use super::signals::{self, Signal};

/// The smallest share of the tail that is worth a name.
pub(super) const WORTH_NAMING: f64 = 0.05;
/// The part of the delay that a cause's own time must cover at least.
pub(super) const COVER: f64 = 0.5;
/// A signal that is on in more of the moments leaves too few to compare with.
const MOSTLY_ON: f64 = 0.5;
/// A cause leads if it is there before this part of an episode has passed: what comes later came of it, as a rule.
const LEADING: f64 = 1.0 / 3.0;
/// The shortest delay above the quiet level that can be given to a cause: counters tick in 10 ms, and samples are 50 ms
/// apart. What is shorter is the scatter that every run has.
const STALL_NS: f64 = 10e6;
/// Of a tail, what its slow windows hold.
const SLOW_SHARE: f64 = 0.9;

/// One trial with its moments and episodes.
pub(super) struct Ground<'a> {
    pub(super) trial: &'a TrialData,
    pub(super) moments: Moments,
    pub(super) episodes: Vec<Episode>,
}

/// What a cause has of one episode: by part, the time that it covers.
pub(super) type Claim = Vec<(Option<String>, u64)>;

/// A candidate in all trials of a cell.
pub(super) struct Candidate {
    pub(super) cause: Cause,
    pub(super) known: Known,
    pub(super) source: &'static str,
    /// Beside what was waited, and beside what ended, by trial.
    pub(super) tracks: Vec<Track>,
    ends: Vec<Track>,
    /// By trial and episode; empty where it has none.
    pub(super) claims: Vec<Vec<Claim>>,
    /// The least time of the episodes that it leads, and how much of it its own time covers.
    pub(super) delay_ns: u64,
    pub(super) own_ns: u64,
    pub(super) chance: f64,
    pub(super) by_intervention: bool,
}

/// The time that steps can cover of a stretch at most: a step lies anywhere within its span, and those of several parts at
/// one time are one.
pub(super) fn covered<'s>(steps: impl Iterator<Item = &'s Step>, of: &Span) -> u64 {
    let mut within: Vec<(u64, u64, u64)> = steps
        .filter(|s| s.span.overlaps(of))
        .map(|s| (s.span.start_ns.max(of.start_ns), s.span.end_ns.min(of.end_ns), s.by))
        .collect();
    within.sort_unstable();
    let (mut time_ns, mut until, mut own_ns) = (0, of.start_ns, 0);
    for (start, end, by) in within {
        own_ns += by.min(end - start);
        time_ns += end.saturating_sub(start.max(until));
        until = until.max(end);
    }
    own_ns.min(time_ns)
}

/// What a signal has of an episode; nothing where it comes only after the delay has begun, and cannot carry it alone.
pub(super) fn claim(signal: &Signal, episode: &Episode, quiet_ns: f64) -> Claim {
    let span = &episode.span;
    let length = episode.length_ns;
    if (length as f64) < (quiet_ns + STALL_NS).max(signal.least_ns as f64) {
        return Claim::new();
    }
    let within: Vec<&(Option<String>, Step)> = signal.steps.iter().filter(|(_, s)| s.span.overlaps(span)).collect();
    let all = covered(within.iter().map(|(_, s)| s), span).min(length);
    let Some(first) = within.iter().map(|(_, s)| s.span.start_ns).min() else { return Claim::new() };
    // Where it lies is known to the span only, which is then longer than it is.
    let unsure = span.end_ns.saturating_sub(span.start_ns).saturating_sub(length);
    let leads = first <= span.start_ns + unsure + (length as f64 * LEADING) as u64;
    if all == 0 || !(leads || all as f64 >= COVER * length as f64) {
        return Claim::new();
    }
    let mut claim = Claim::new();
    for (part, _) in &within {
        if claim.iter().all(|(known, _)| known != part) {
            let own = within.iter().filter(|(p, _)| p == part).map(|(_, s)| s);
            claim.push((part.clone(), covered(own, span)));
        }
    }
    // Together they cover no more than there is.
    let sum: u64 = claim.iter().map(|(_, ns)| ns).sum();
    for (_, ns) in &mut claim {
        *ns = (*ns as f64 * all as f64 / sum.max(1) as f64) as u64;
    }
    claim
}

impl Candidate {
    /// The candidate, or why the trials cannot tell. Its chance is still to be found.
    pub(super) fn of(grounds: &[Ground<'_>], cause: Cause, limit_shown: bool) -> Result<Self, String> {
        let (mut tracks, mut ends, mut claims) = (Vec::new(), Vec::new(), Vec::new());
        let (mut own_ns, mut delay_ns) = (0, 0);
        let (mut known, mut source) = (Known::Measured, "");
        for Ground { trial, moments, episodes } in grounds {
            let signal = signals::of(trial, cause, moments.quiet_ns)?;
            (known, source) = (known.max(signal.known), signal.source);
            let on = moments.touched_by(signal.steps.iter().map(|(_, s)| s));
            tracks.push(moments.waits(on.clone()));
            ends.push(moments.ends(on));
            let of_trial: Vec<Claim> = episodes.iter().map(|e| claim(&signal, e, moments.quiet_ns)).collect();
            for (claim, episode) in of_trial.iter().zip(episodes).filter(|(c, _)| !c.is_empty()) {
                own_ns += claim.iter().map(|(_, ns)| ns).sum::<u64>();
                delay_ns += episode.length_ns;
            }
            claims.push(of_trial);
        }
        let mut found =
            Self { cause, known, source, tracks, ends, claims, delay_ns, own_ns, chance: 1.0, by_intervention: false };
        found.by_intervention = cause == Cause::Throttling && limit_shown && found.on_share() > MOSTLY_ON;
        Ok(found)
    }

    /// The share of the moments in which it was on.
    pub(super) fn on_share(&self) -> f64 {
        let moments: usize = self.tracks.iter().map(|t| t.on.len()).sum();
        let on: usize = self.tracks.iter().map(|t| t.on.iter().filter(|on| **on).count()).sum();
        on as f64 / moments.max(1) as f64
    }

    /// Whether its chance is worth asking for: what is never or always on coincides with everything alike.
    pub(super) fn is_testable(&self) -> bool {
        let on = self.on_share();
        on > 0.0 && on < 1.0
    }

    /// Whether it may be named, given that its chance passed or not, or why not.
    pub(super) fn verdict(&self, passed: bool) -> Result<(), String> {
        if self.on_share() == 0.0 {
            return Err("never on".to_owned());
        }
        if !passed && !self.by_intervention {
            return Err(format!("no more than by chance (p = {})", figure::digits(self.chance)));
        }
        if self.delay_ns == 0 {
            return Err("on in no stall, or only after it had begun".to_owned());
        }
        let (with, trials) =
            (self.claims.iter().filter(|t| t.iter().any(|c| !c.is_empty())).count(), self.claims.len());
        if 2 * with <= trials {
            return Err(format!("in {with} of {trials} trials, which may be an accident of theirs"));
        }
        if (self.own_ns as f64) < COVER * self.delay_ns as f64 {
            let [own, delay] = [self.own_ns, self.delay_ns].map(|ns| seconds(ns as f64));
            return Err(format!("{own} of it cannot cover {delay} of delay"));
        }
        Ok(())
    }

    /// The windows that hold most of the tail, and in how many of them it was on.
    pub(super) fn slow_windows(&self) -> SlowWindows {
        let mut all: Vec<(usize, usize, f64)> = Vec::new();
        for (trial, track) in self.ends.iter().enumerate() {
            all.extend(track.badness.iter().enumerate().map(|(t, bad)| (trial, t, *bad)));
        }
        all.sort_unstable_by(|a, b| b.2.total_cmp(&a.2));
        let total: f64 = all.iter().map(|(_, _, bad)| bad).sum();
        let mut held = 0.0;
        let slow = all.iter().take_while(|(_, _, bad)| {
            let before = held;
            held += bad;
            *bad > 0.0 && before < SLOW_SHARE * total
        });
        let slow: Vec<(usize, usize)> = slow.map(|(trial, t, _)| (*trial, *t)).collect();
        let (mut with_cause, mut by_chance) = (0, 0.0);
        for (trial, track) in self.ends.iter().enumerate() {
            let own: Vec<usize> = slow.iter().filter(|(of, _)| *of == trial).map(|(_, t)| *t).collect();
            let touched: Vec<bool> = track.touched(0).collect();
            with_cause += own.iter().filter(|t| touched[**t]).count();
            by_chance += stats::touched_by_chance(track, &own);
        }
        SlowWindows { slow: slow.len(), with_cause, by_chance }
    }
}

pub(super) fn seconds(ns: f64) -> String {
    format!("{} s", figure::digits(ns / 1e9))
}

#[cfg(test)]
mod tests {
    use super::super::moments::tests::step;
    use super::*;

    fn episode(from: u64, to: u64) -> Episode {
        Episode { windows: 0..1, span: step(from, to, 0).span, length_ns: (to - from) * 1_000_000, excess_ns: 1.0 }
    }

    fn signal(steps: &[(&str, Step)]) -> Signal {
        let steps = steps.iter().map(|(part, step)| (Some((*part).to_owned()), *step)).collect();
        Signal { known: Known::Measured, source: "made", least_ns: 0, steps }
    }

    fn ms(claim: Claim) -> Vec<(String, u64)> {
        claim.into_iter().map(|(part, ns)| (part.unwrap(), ns / 1_000_000)).collect()
    }

    #[test]
    fn a_step_covers_what_it_can_and_all_together_no_more_than_there_is() {
        let span = episode(100, 200).span;
        assert_eq!(covered([step(50, 150, 80)].iter(), &span), 50_000_000);
        assert_eq!(covered([step(50, 250, 80)].iter(), &span), 80_000_000);
        assert_eq!(covered([step(50, 250, 80), step(50, 250, 80)].iter(), &span), 100_000_000);
        assert_eq!(covered([step(170, 250, 80), step(170, 260, 80)].iter(), &span), 30_000_000);
        assert_eq!(covered([step(200, 250, 50)].iter(), &span), 0);
    }

    #[test]
    fn what_comes_after_the_delay_has_begun_has_no_part_in_it_unless_it_carries_it_alone() {
        let stall = episode(100, 500);
        let two = signal(&[("s1", step(90, 300, 200)), ("s2", step(90, 300, 200))]);
        let claim = |signal: &Signal, episode: &Episode| claim(signal, episode, 2e6);
        assert_eq!(ms(claim(&two, &stall)), [("s1".to_owned(), 100), ("s2".to_owned(), 100)]);
        // A queue that forms while a backlog is worked off.
        assert_eq!(claim(&signal(&[("s1", step(400, 500, 90))]), &stall), Claim::new());
        assert_eq!(ms(claim(&signal(&[("s1", step(250, 500, 240))]), &stall)), [("s1".to_owned(), 240)]);
        // Eleven milliseconds are scatter where the quiet level is two, and twelve are not.
        let short = signal(&[("s1", step(0, 90, 90))]);
        assert_eq!(claim(&short, &episode(20, 31)), Claim::new());
        assert_eq!(ms(claim(&short, &episode(20, 32))), [("s1".to_owned(), 12)]);
    }
}
