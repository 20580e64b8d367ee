//! Where the tail of a cell comes from: what its slow moments coincide with, beyond chance.
//!
//! The tail is the time that requests took above the quiet level of their trial. A cause is named only if its
//! own milliseconds can cover the delay and it coincides with slow moments more than circular shifts of it do;
//! or, where it was on most of the time and so has no quiet moments to compare with, if taking it away in the
//! same block (the same cell without a limit) shortens p99. All else stays unexplained.

use record::{Cell, Reading};

use crate::figure;
use crate::findings::{Attribution, Cause, Tax, TaxKind, unlimited};
use crate::gather::{Gathered, TrialData, Window};
use crate::stats::{Estimate, Scale, Track, chance_of};
use crate::usage::{Span, Step};

/// A moment of the tracks; as long as the windows of the load.
const MOMENT_NS: u64 = record::INTERVAL_NS;
/// A tenth of a moment; shorter overlaps are not counted.
const GRAZE_NS: u64 = MOMENT_NS / 10;
/// The largest probability under chance at which a cause is named: of three causes looked at.
const CHANCE: f64 = 0.01;
/// The smallest share of the tail that is worth a name.
const WORTH_NAMING: f64 = 0.05;
/// The part of the delay that a cause's own time must cover at least.
const COVER: f64 = 0.5;
/// A signal that is on in more of the moments leaves too few to compare with.
const MOSTLY_ON: f64 = 0.5;
/// The least level at which the interval of a limit's cost shows that there is one.
const SHOWN: f64 = 0.9;

/// The moments of one trial.
struct Moments {
    excess_ns: Vec<f64>,
    worst_ns: Vec<f64>,
    lag_ours_ns: Vec<f64>,
    reach: Vec<usize>,
    quiet_ns: f64,
    start_ns: u64,
}

/// A candidate in all trials of a cell.
struct Candidate {
    cause: Cause,
    tracks: Vec<Track>,
    /// Its own time, and the delay it has to cover.
    own_ns: f64,
    delay_ns: f64,
    chance: f64,
    by_intervention: bool,
}

/// The level that most requests stay below in quiet moments: the lower quartile of the p99 of each window.
fn quiet_level(windows: &[Window]) -> Option<f64> {
    let mut levels: Vec<u64> = windows.iter().filter(|w| !w.response.is_empty()).map(|w| w.p99_ns).collect();
    levels.sort_unstable();
    levels.get(levels.len() / 4).map(|ns| *ns as f64)
}

impl Moments {
    fn of(trial: &TrialData, quiet_ns: f64) -> Option<Self> {
        let start_ns = trial.measured.start_ns;
        let place = |w: &Window| (w.span.start_ns.saturating_sub(start_ns) / MOMENT_NS) as usize;
        let n = trial.windows.iter().map(place).max()? + 1;
        let mut m = Self {
            excess_ns: vec![0.0; n],
            worst_ns: vec![0.0; n],
            lag_ours_ns: vec![0.0; n],
            reach: vec![0; n],
            quiet_ns,
            start_ns,
        };
        for w in &trial.windows {
            let t = place(w);
            let above = |(ns, count): &(u64, u64)| (*ns as f64 - quiet_ns).max(0.0) * *count as f64;
            m.excess_ns[t] += w.response.iter().map(above).sum::<f64>();
            m.worst_ns[t] = m.worst_ns[t].max(w.max_ns as f64 - quiet_ns);
            m.lag_ours_ns[t] += w.lag_ours_ns;
            m.reach[t] = m.reach[t].max((w.max_ns / MOMENT_NS) as usize);
        }
        (m.excess_ns.iter().sum::<f64>() > 0.0).then_some(m)
    }

    fn track(&self, on: Vec<bool>) -> Track {
        Track { on, reach: self.reach.clone(), badness: self.excess_ns.clone() }
    }

    /// The time, in the chosen moments and before them, in which a request was out for longer than the quiet
    /// level: each moment's slowest reaches back from its end by its excess, and what overlaps counts once. In a
    /// backlog every moment ends a request that waited through many; those are not as many delays.
    fn slow_time_ns(&self, chosen: impl Iterator<Item = bool>) -> f64 {
        let (mut total, mut counted_to) = (0.0, f64::NEG_INFINITY);
        for (t, worst) in chosen.zip(&self.worst_ns).enumerate().filter(|(_, (on, _))| *on).map(|(t, (_, w))| (t, *w)) {
            let end = (t + 1) as f64 * MOMENT_NS as f64;
            let start = (end - worst.max(0.0)).max(counted_to);
            total += (end - start).max(0.0);
            counted_to = counted_to.max(end);
        }
        total
    }

    /// The moments that any of the spans touches.
    fn touched_by(&self, spans: impl Iterator<Item = Span>) -> Vec<bool> {
        let mut on = vec![false; self.excess_ns.len()];
        for span in spans {
            // A span that only grazes a moment does not count in it: samples lie a little beside the windows.
            let begin = (span.start_ns + GRAZE_NS).saturating_sub(self.start_ns);
            let end = span.end_ns.saturating_sub(GRAZE_NS).saturating_sub(self.start_ns);
            for t in begin / MOMENT_NS..end.div_ceil(MOMENT_NS) {
                if let Some(moment) = on.get_mut(t as usize) {
                    *moment = true;
                }
            }
        }
        on
    }

    /// The moments in which the generator was later than it usually is, by more than a quiet request takes.
    fn lagging(&self) -> Vec<bool> {
        let mut sorted = self.lag_ours_ns.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let usual = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        self.lag_ours_ns.iter().map(|lag| *lag > 4.0 * usual && *lag > self.quiet_ns).collect()
    }
}

/// Throttled time is credited when throttling ends, so it may have begun before the sample that precedes the
/// rise; but not by more than it lasted, nor by more than a quota period.
fn throttled_span(step: &Step) -> Span {
    let before = step.by.min(MOMENT_NS);
    Span { start_ns: step.span.start_ns.saturating_sub(before), end_ns: step.span.end_ns }
}

/// The causes of each cell's tail, with what is left unexplained.
pub(crate) fn of(gathered: &Gathered, taxes: &[Tax]) -> Vec<Attribution> {
    gathered.run.cells.iter().flat_map(|cell| of_cell(gathered, taxes, cell)).collect()
}

fn of_cell(gathered: &Gathered, taxes: &[Tax], cell: &Cell) -> Vec<Attribution> {
    let reference = unlimited(&gathered.run, cell).and_then(|other| {
        let levels: Vec<f64> = gathered.of_cell(&other.id).filter_map(|t| quiet_level(&t.windows)).collect();
        Estimate::over(&levels, Scale::Factor, gathered.run.level).map(|e| e.value)
    });
    let trials: Vec<(&TrialData, Moments)> = gathered
        .of_cell(&cell.id)
        .filter_map(|t| {
            let quiet = reference.or_else(|| quiet_level(&t.windows))?;
            Moments::of(t, quiet).map(|m| (t, m))
        })
        .collect();
    if trials.is_empty() {
        return Vec::new();
    }
    // Two or three blocks that agree may do so by chance.
    let shows = |e: &Estimate| e.level >= SHOWN && e.low.is_some_and(|low| low > 0.0);
    let limit_shown = reference.is_some()
        && taxes.iter().any(|t| t.kind == TaxKind::Limit && t.cell == cell.id && shows(&t.response_ns.p99.difference));
    let mut named = Vec::new();
    let mut rejected = Vec::new();
    for cause in [Cause::Generator, Cause::Throttling, Cause::Steal] {
        match candidate(&trials, cause, gathered.run.seed, limit_shown) {
            Err(why) => rejected.push(format!("{}: n/a ({why})", cause.word())),
            Ok(found) => match found.verdict() {
                Ok(()) => named.push(found),
                Err(why) => rejected.push(format!("{}: {why}", cause.word())),
            },
        }
    }
    settle(&trials, named, rejected, cell, gathered.run.level)
}

fn candidate(
    trials: &[(&TrialData, Moments)],
    cause: Cause,
    seed: u64,
    limit_shown: bool,
) -> Result<Candidate, String> {
    let (mut tracks, mut own_ns, mut delay_ns) = (Vec::new(), 0.0, 0.0);
    let steps = |reading: &Reading<Vec<Step>>| match reading {
        Reading::Seen(steps) => Ok(steps.clone()),
        Reading::Absent { absent } => Err(absent.clone()),
    };
    for (trial, m) in trials {
        let on = match cause {
            Cause::Throttling => {
                let steps = steps(&trial.usage.throttling)?;
                own_ns += steps.iter().map(|s| s.by as f64).sum::<f64>();
                m.touched_by(steps.iter().map(throttled_span))
            }
            Cause::Steal => {
                let steps = steps(&trial.usage.steal)?;
                own_ns += steps.iter().map(|s| s.by as f64).sum::<f64>();
                m.touched_by(steps.iter().map(|s| s.span))
            }
            Cause::Generator | Cause::Unexplained => {
                let on = m.lagging();
                own_ns += on.iter().zip(&m.lag_ours_ns).filter(|(on, _)| **on).map(|(_, lag)| lag).sum::<f64>();
                on
            }
        };
        let track = m.track(on);
        // A stall of the chain delays every request in it at once, so its time is set against the time in which
        // any slow request was out; the generator's lag is counted request by request.
        delay_ns += if cause == Cause::Generator {
            track.touched(0).zip(&m.excess_ns).filter(|(on, _)| *on).map(|(_, d)| d.max(0.0)).sum::<f64>()
        } else {
            m.slow_time_ns(track.touched(0))
        };
        tracks.push(track);
    }
    let moments: usize = tracks.iter().map(|t| t.on.len()).sum();
    let on: usize = tracks.iter().map(|t| t.on.iter().filter(|on| **on).count()).sum();
    let mostly = on as f64 > MOSTLY_ON * moments as f64;
    let by_intervention = cause == Cause::Throttling && limit_shown && mostly;
    let chance = chance_of(&tracks, seed ^ cause as u64);
    Ok(Candidate { cause, tracks, own_ns, delay_ns, chance, by_intervention })
}

impl Candidate {
    fn shares(&self) -> (f64, f64) {
        let (mut moments, mut on, mut touched, mut all) = (0.0, 0.0, 0.0, 0.0);
        for track in &self.tracks {
            for (is_on, bad) in track.touched(0).zip(&track.badness) {
                moments += 1.0;
                all += bad;
                if is_on {
                    on += 1.0;
                    touched += bad;
                }
            }
        }
        (on / moments, touched / all)
    }

    /// Whether it may be named, or why not.
    fn verdict(&self) -> Result<(), String> {
        let (on, touched) = self.shares();
        if on == 0.0 {
            return Err("never on".to_owned());
        }
        if self.chance > CHANCE && !self.by_intervention {
            return Err(format!("no more than by chance (p = {:.2})", self.chance));
        }
        if self.own_ns < COVER * self.delay_ns {
            return Err(format!("{} of it cannot cover {}", seconds(self.own_ns), seconds(self.delay_ns)));
        }
        if !self.by_intervention && touched - on < WORTH_NAMING * (1.0 - on) {
            return Err(format!("below {} of the tail", figure::percent(WORTH_NAMING)));
        }
        Ok(())
    }

    fn evidence(&self) -> String {
        let (on, touched) = self.shares();
        let why = if self.by_intervention {
            "p99 is shorter in the same blocks without the limit".to_owned()
        } else {
            format!("chance alone does as much with p = {:.3}", self.chance)
        };
        format!(
            "on in {} of the moments, which hold {} of the tail; {} of it against {} of delay; {why}",
            figure::percent(on),
            figure::percent(touched),
            seconds(self.own_ns),
            seconds(self.delay_ns),
        )
    }
}

fn seconds(ns: f64) -> String {
    format!("{} s", figure::digits(ns / 1e9))
}

/// Shares out the tail among the causes named, each moment to the first of them that touches it.
fn settle(
    trials: &[(&TrialData, Moments)],
    named: Vec<Candidate>,
    rejected: Vec<String>,
    cell: &Cell,
    level: f64,
) -> Vec<Attribution> {
    let mut shares: Vec<Vec<f64>> = vec![Vec::new(); named.len() + 1];
    for (i, (_, m)) in trials.iter().enumerate() {
        let all: f64 = m.excess_ns.iter().sum();
        let mut owner = vec![named.len(); m.excess_ns.len()];
        for (k, candidate) in named.iter().enumerate() {
            for (t, on) in candidate.tracks[i].touched(0).enumerate() {
                if on && owner[t] == named.len() {
                    owner[t] = k;
                }
            }
        }
        let of = |k: usize| owner.iter().zip(&m.excess_ns).filter(move |(o, _)| **o == k).map(|(_, e)| e);
        let quiet = of(named.len()).sum::<f64>() / of(named.len()).count().max(1) as f64;
        let mut left = 1.0;
        for (k, candidate) in named.iter().enumerate() {
            // What quiet moments have too is not its doing, unless the limit's absence shows that it is.
            let usual = if candidate.by_intervention { 0.0 } else { quiet * of(k).count() as f64 };
            let share = ((of(k).sum::<f64>() - usual) / all).clamp(0.0, 1.0);
            shares[k].push(share);
            left -= share;
        }
        shares[named.len()].push(left.clamp(0.0, 1.0));
    }
    let share = |k: usize| Estimate::over(&shares[k], Scale::Plain, level).map(|e| e.within(0.0, 1.0));
    let attribution =
        |cause, share_of_tail, evidence| Attribution { cell: cell.id.clone(), cause, share_of_tail, evidence };
    let mut found: Vec<Attribution> =
        named.iter().enumerate().filter_map(|(k, c)| Some(attribution(c.cause, share(k)?, c.evidence()))).collect();
    let evidence = if rejected.is_empty() {
        "every cause that is looked at is named above".to_owned()
    } else {
        format!("looked at and not named: {}", rejected.join("; "))
    };
    found.extend(share(named.len()).map(|e| attribution(Cause::Unexplained, e, evidence)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_may_have_begun_before_the_sample_but_not_longer_than_it_lasted() {
        let step = |by| Step { span: Span { start_ns: 500_000_000, end_ns: 600_000_000 }, by };
        assert_eq!(throttled_span(&step(30_000_000)).start_ns, 470_000_000);
        assert_eq!(throttled_span(&step(900_000_000)).start_ns, 400_000_000);
    }

    #[test]
    fn a_backlog_is_one_long_delay_and_two_stalls_are_two() {
        let ms = |v: f64| v * 1e6;
        let m = Moments {
            excess_ns: vec![0.0; 5],
            worst_ns: vec![ms(100.0), ms(200.0), ms(290.0), -5.0, ms(40.0)],
            lag_ours_ns: vec![0.0; 5],
            reach: vec![0; 5],
            quiet_ns: 1.0,
            start_ns: 0,
        };
        assert_eq!(m.slow_time_ns([true; 5].into_iter()), ms(340.0), "three moments of backlog, and 40 ms");
        assert_eq!(m.slow_time_ns([false, false, true, true, false].into_iter()), ms(290.0));
        assert_eq!(m.slow_time_ns([false; 5].into_iter()), 0.0);
    }

    #[test]
    fn moments_are_touched_wholly_or_in_part() {
        let m = Moments {
            excess_ns: vec![0.0; 4],
            worst_ns: vec![0.0; 4],
            lag_ours_ns: vec![1.0, 1.0, 90.0, 3.0],
            reach: vec![0; 4],
            quiet_ns: 50.0,
            start_ns: 1_000_000_000,
        };
        let span = |a: u64, b: u64| Span { start_ns: a * 1_000_000, end_ns: b * 1_000_000 };
        assert_eq!(m.touched_by([span(1150, 1200)].into_iter()), [false, true, false, false]);
        assert_eq!(m.touched_by([span(1150, 1209)].into_iter()), [false, true, false, false]);
        assert_eq!(m.touched_by([span(1150, 1220)].into_iter()), [false, true, true, false]);
        assert_eq!(m.touched_by([span(900, 1020), span(1350, 9999)].into_iter()), [true, false, false, true]);
        assert_eq!(m.touched_by([span(900, 1005), span(1195, 1205)].into_iter()), [false; 4]);
        assert_eq!(m.lagging(), [false, false, true, false]);
    }
}
