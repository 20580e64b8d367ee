//! What a canary's trials say together: the split that came about, what each subset took, and how shifts were followed.

use record::{Canary, Event, Quantiles, Reading, WarningKind, Weights};
use serde::{Deserialize, Serialize};

use super::cell::over;
use super::{Figure, FoundWarning, PerQuantile};
use crate::figure;
use crate::gather::TrialData;
use crate::stats::{Scale, binomial, changeover};
use crate::subsets::{SubsetAnswers, SubsetWindow};

/// The level of a share's interval, and of the bounds of a moment: a canary is judged often, and seldom to be doubted by
/// chance.
const LEVEL: f64 = 0.999;

/// A canary, over all trials of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CanaryFindings {
    /// The service.
    pub service: String,
    /// How requests were split, from one shift of the weights to the next.
    pub stretches: Vec<Stretch>,
    /// What each subset took, the stable one first.
    pub subsets: Vec<SubsetFindings>,
    /// How each shift was followed.
    pub shifts: Vec<ShiftFindings>,
    /// Answers that name no subset: a proxy's own, most often.
    pub unnamed: u64,
    /// Requests that ended without an answer, and so belong to no subset.
    pub unanswered: u64,
}

/// A stretch of the measured phases in which requests were to be split in one way. The answers while a shift was not yet
/// followed are in none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Stretch {
    /// Its planned start, since the measured phase began.
    pub from_ns: u64,
    /// How they were to be split.
    pub weights: Weights,
    /// Answers in it that name a subset.
    pub answered: u64,
    /// How they were split, the stable subset first.
    pub shares: Vec<SubsetShare>,
}

/// The share of one subset. Each request is drawn on its own, so that all answers of all trials count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubsetShare {
    /// The subset.
    pub subset: String,
    /// Its share of the weights.
    pub asked: f64,
    /// Its answers.
    pub answered: u64,
    /// Its share of the answers; absent where there are none.
    pub share: Option<f64>,
    /// Where its share lies: the lower end of the exact binomial interval (Clopper & Pearson 1934).
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The level of the interval.
    pub level: f64,
    /// Whether the share asked for lies inside.
    pub holds: bool,
}

/// What the answers of one subset took, over the whole measured phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubsetFindings {
    /// The subset.
    pub subset: String,
    /// Its answers.
    pub answered: u64,
    /// Of which with a status outside 200 to 399.
    pub errors: u64,
    /// From intended to done.
    pub response_ns: PerQuantile<Figure>,
    /// From sent to done.
    pub service_ns: PerQuantile<Figure>,
    /// Its response times less those of the stable subset in the same trial; absent for the stable one.
    pub over_stable_ns: Option<PerQuantile<Figure>>,
}

/// How a shift of the weights was followed.
///
/// The moment is the boundary between two windows of a tenth of a second at which a change from the old weights to the
/// new is most likely, by when answers came, counted from when the new weights were begun to be given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ShiftFindings {
    /// When it was to be, since the measured phase began.
    pub at_ns: u64,
    /// From then on.
    pub weights: Weights,
    /// Trials in which it was made.
    pub trials: usize,
    /// Those of them in which the split changed to the new weights.
    pub followed: usize,
    /// Until it did.
    pub after_ns: Figure,
    /// Not before that, in the quickest trial, with 99.9 %; absent where none followed.
    pub earliest_ns: Option<u64>,
    /// Until it did at the latest, in the slowest trial, with 99.9 %; absent where a trial did not follow.
    pub latest_ns: Option<u64>,
    /// Requests without an answer that ended from the shift until it was followed at the latest, over all trials.
    pub failed: u64,
    /// Answers with a status outside 200 to 399 meanwhile.
    pub errors: u64,
}

/// The likeliest time from a shift until it was followed, and its bounds.
#[derive(Clone, Copy)]
struct After {
    likeliest_ns: u64,
    earliest_ns: u64,
    latest_ns: u64,
}

/// What one trial says of one shift.
struct Followed {
    /// None where it did not follow.
    after: Option<After>,
    failed: u64,
    errors: u64,
}

/// What one trial says.
struct Seen {
    /// Answers by subset, of each stretch.
    stretches: Vec<Vec<u64>>,
    shifts: Vec<Followed>,
}

pub(super) fn of(canary: &Canary, trials: &[&TrialData], level: f64) -> CanaryFindings {
    let names: Vec<&str> = canary.weights.subsets().iter().map(|(name, _)| name.as_str()).collect();
    let seen: Vec<Seen> = trials.iter().map(|t| Seen::of(t, canary, &names)).collect();
    let known = |value: &str| names.contains(&value);
    let answers = || trials.iter().flat_map(|t| &t.subsets.answers);
    CanaryFindings {
        service: canary.service.clone(),
        stretches: weights_of(canary)
            .enumerate()
            .map(|(at, (from_ns, weights))| stretch(&seen, &names, at, (from_ns, weights)))
            .collect(),
        subsets: names.iter().enumerate().map(|(at, name)| subset(trials, name, names[0], at > 0, level)).collect(),
        shifts: (0..canary.shifts.len()).map(|at| shift(&seen, canary, at, level)).collect(),
        unnamed: answers().filter(|(value, _)| !known(value)).map(|(_, a)| a.answered).sum(),
        unanswered: trials.iter().flat_map(|t| &t.subsets.windows).map(|w| w.failed).sum(),
    }
}

/// Each set of weights in the order of time, with when it is to begin.
fn weights_of(canary: &Canary) -> impl Iterator<Item = (u64, &Weights)> {
    std::iter::once((0, &canary.weights)).chain(canary.shifts.iter().map(|s| (s.at_ns, &s.weights)))
}

fn shares(weights: &Weights, names: &[&str]) -> Vec<f64> {
    names.iter().map(|name| weights.share(name)).collect()
}

impl Seen {
    fn of(trial: &TrialData, canary: &Canary, names: &[&str]) -> Self {
        let shifted: Vec<u64> = trial
            .trial
            .events
            .iter()
            .filter_map(|event| match event {
                Event::WeightsShifted { at_ns, .. } => Some(*at_ns),
                _ => None,
            })
            .collect();
        let windows = &trial.subsets.windows;
        let until = |at: usize| shifted.get(at).copied().unwrap_or(u64::MAX);
        let counts = |of: &[&SubsetWindow]| -> Vec<Vec<u64>> {
            let count = |w: &&SubsetWindow| names.iter().map(|n| w.answered.get(*n).copied().unwrap_or(0)).collect();
            of.iter().map(count).collect()
        };
        let first: Vec<&SubsetWindow> = windows.iter().filter(|w| w.span.end_ns <= until(0)).collect();
        let mut seen = Self { stretches: vec![sums(&counts(&first), names.len())], shifts: Vec::new() };
        let weights: Vec<Vec<f64>> = weights_of(canary).map(|(_, w)| shares(w, names)).collect();
        for ((at, from_ns), pair) in shifted.iter().enumerate().zip(weights.windows(2)) {
            let after: Vec<&SubsetWindow> =
                windows.iter().filter(|w| w.span.end_ns > *from_ns && w.span.end_ns <= until(at + 1)).collect();
            let counted = counts(&after);
            let moment = |boundary: usize| match boundary.checked_sub(1).and_then(|before| after.get(before)) {
                Some(window) => window.span.end_ns - from_ns,
                None => 0,
            };
            let change = if pair[0] == pair[1] {
                Some(changeover::Changeover { at: 0, earliest: 0, latest: 0 })
            } else {
                changeover::changeover(&counted, &pair[0], &pair[1], 1.0 - LEVEL)
            };
            let meanwhile = &after[..change.map_or(after.len(), |c| c.latest)];
            seen.shifts.push(Followed {
                after: change.map(|c| After {
                    likeliest_ns: moment(c.at),
                    earliest_ns: moment(c.earliest),
                    latest_ns: moment(c.latest),
                }),
                failed: meanwhile.iter().map(|w| w.failed).sum(),
                errors: meanwhile.iter().map(|w| w.errors).sum(),
            });
            // Where it did not follow, its answers are judged by the new weights all the same.
            let settled = change.map_or(1, |c| c.latest).min(counted.len());
            seen.stretches.push(sums(&counted[settled..], names.len()));
        }
        seen
    }
}

fn sums(counts: &[Vec<u64>], subsets: usize) -> Vec<u64> {
    (0..subsets).map(|subset| counts.iter().filter_map(|window| window.get(subset)).sum()).collect()
}

fn stretch(seen: &[Seen], names: &[&str], at: usize, (from_ns, weights): (u64, &Weights)) -> Stretch {
    let counts: Vec<Vec<u64>> = seen.iter().filter_map(|s| s.stretches.get(at).cloned()).collect();
    let counts = sums(&counts, names.len());
    let all: u64 = counts.iter().sum();
    let share = |(subset, answered): (&&str, &u64)| {
        let (low, high) = binomial::interval(*answered, all, LEVEL);
        let asked = weights.share(subset);
        SubsetShare {
            subset: (*subset).to_owned(),
            asked,
            answered: *answered,
            share: (all > 0).then(|| *answered as f64 / all as f64),
            low,
            high,
            level: LEVEL,
            holds: low <= asked && asked <= high,
        }
    };
    let shares = names.iter().zip(&counts).map(share).collect();
    Stretch { from_ns, weights: weights.clone(), answered: all, shares }
}

fn subset(trials: &[&TrialData], name: &str, stable: &str, compared: bool, level: f64) -> SubsetFindings {
    let answers: Vec<Option<&SubsetAnswers>> = trials.iter().map(|t| t.subsets.answers.get(name)).collect();
    let none = || Reading::absent(format!("{name} answered nothing"));
    let time = |of: fn(&SubsetAnswers) -> &Quantiles, pick: fn(&Quantiles) -> u64| {
        let read = answers.iter().map(|a| a.map_or_else(none, |a| Reading::Seen(pick(of(a)) as f64)));
        over(read, Scale::Factor, level)
    };
    let over_stable = |pick: fn(&Quantiles) -> u64| {
        let differences =
            trials.iter().zip(&answers).map(|(trial, own)| match (own, trial.subsets.answers.get(stable)) {
                (Some(own), Some(stable)) => Reading::Seen(pick(&own.response) as f64 - pick(&stable.response) as f64),
                (None, _) => none(),
                (_, None) => Reading::absent(format!("{stable} answered nothing")),
            });
        over(differences, Scale::Plain, level)
    };
    SubsetFindings {
        subset: name.to_owned(),
        answered: answers.iter().flatten().map(|a| a.answered).sum(),
        errors: answers.iter().flatten().map(|a| a.errors).sum(),
        response_ns: PerQuantile::make(|pick| time(|a| &a.response, pick)),
        service_ns: PerQuantile::make(|pick| time(|a| &a.service, pick)),
        over_stable_ns: compared.then(|| PerQuantile::make(over_stable)),
    }
}

fn shift(seen: &[Seen], canary: &Canary, at: usize, level: f64) -> ShiftFindings {
    let made: Vec<&Followed> = seen.iter().filter_map(|s| s.shifts.get(at)).collect();
    let after: Vec<After> = made.iter().filter_map(|f| f.after).collect();
    let read = made.iter().map(|f| match f.after {
        Some(after) => Reading::Seen(after.likeliest_ns as f64),
        None => Reading::absent("the split did not follow"),
    });
    ShiftFindings {
        at_ns: canary.shifts[at].at_ns,
        weights: canary.shifts[at].weights.clone(),
        trials: made.len(),
        followed: after.len(),
        after_ns: over(read, Scale::Plain, level),
        earliest_ns: after.iter().map(|a| a.earliest_ns).min(),
        latest_ns: if after.len() == made.len() { after.iter().map(|a| a.latest_ns).max() } else { None },
        failed: made.iter().map(|f| f.failed).sum(),
        errors: made.iter().map(|f| f.errors).sum(),
    }
}

impl SubsetShare {
    /// "10.1 % [9.4, 10.8]", or that nothing answered.
    pub(crate) fn said(&self) -> String {
        let Some(share) = self.share else { return "n/a (no answers)".to_owned() };
        format!(
            "{} [{}, {}]",
            figure::percent(share),
            figure::digits(self.low * 100.0),
            figure::digits(self.high * 100.0)
        )
    }
}

/// What is doubted of a cell's canary.
pub(super) fn warnings(cell: &str, trials: usize, found: &CanaryFindings) -> Vec<FoundWarning> {
    let doubt = |evidence: String, remedy: &str| FoundWarning {
        trial: None,
        cell: Some(cell.to_owned()),
        kind: WarningKind::Split,
        evidence,
        remedy: remedy.to_owned(),
    };
    let mut doubts = Vec::new();
    for stretch in &found.stretches {
        // Two subsets are off together; the first that is says it.
        let Some(off) = stretch.shares.iter().find(|s| !s.holds) else { continue };
        doubts.push(doubt(
            format!(
                "{} answered {} of {} requests, and {} was asked for from {} on",
                off.subset,
                off.said(),
                stretch.answered,
                figure::percent(off.asked),
                figure::seconds(stretch.from_ns)
            ),
            "see the weights in the proxies' configuration as it ran; retries of failed requests move a split too",
        ));
    }
    for shift in &found.shifts {
        let name = format!("the shift to {} at {}", shift.weights, figure::seconds(shift.at_ns));
        if shift.trials < trials {
            let missing = trials - shift.trials;
            let said = format!("{name} was not made in {missing} of {trials} trials");
            doubts.push(doubt(said, "make the measured phase longer than the last shift"));
        }
        if shift.followed < shift.trials {
            let [not, all] = [shift.trials - shift.followed, shift.trials];
            let said = format!("the split did not follow {name} in {not} of {all} trials, as far as its answers tell");
            doubts.push(doubt(
                said,
                "leave more time between shifts, or raise the rate; else see the logs of the proxies",
            ));
        }
    }
    doubts
}
