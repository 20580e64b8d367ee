//! Shares out the tail among the causes named: each episode by the time of it that each of them covers.

use crate::findings::{Cause, PartShare};
use crate::stats::{Estimate, Scale};

use super::candidate::{COVER, Candidate, Claim, Ground};
use super::moments::Moments;

/// What the named causes have of the tail, and what is left.
pub(super) struct Shares {
    /// By cause, in the order given: over trials, and by part on average.
    pub(super) of: Vec<(Option<Estimate>, Vec<PartShare>)>,
    pub(super) unexplained: Option<Estimate>,
}

/// The parts of one episode, by cause and part, as shares of it.
struct Cut {
    by_cause: Vec<Vec<(Option<String>, f64)>>,
    claimed: f64,
}

/// Shares out the tail of each trial among the candidates.
pub(super) fn settle(grounds: &[Ground<'_>], named: &[&Candidate], level: f64) -> Shares {
    let mut shares: Vec<Vec<f64>> = vec![Vec::new(); named.len()];
    let mut parts: Vec<Vec<PartShare>> = vec![Vec::new(); named.len()];
    let mut left: Vec<f64> = Vec::new();
    for (trial, ground) in grounds.iter().enumerate() {
        let all = ground.moments.total_ns();
        let cuts: Vec<Cut> = (0..ground.episodes.len()).map(|e| cut(named, trial, e, ground)).collect();
        let usual = usual_ns(&ground.moments, ground, &cuts);
        let mut of_trial = vec![0.0; named.len()];
        for (episode, cut) in ground.episodes.iter().zip(&cuts) {
            for (k, claim) in cut.by_cause.iter().enumerate() {
                // What quiet windows have too is not its doing, unless the limit's absence shows that it is.
                let quiet = if named[k].by_intervention { 0.0 } else { usual * episode.windows.len() as f64 };
                let its = (episode.excess_ns - quiet).max(0.0) / all;
                for (part, of_episode) in claim {
                    of_trial[k] += its * of_episode;
                    if let Some(part) = part {
                        add(&mut parts[k], part, its * of_episode / grounds.len() as f64);
                    }
                }
            }
        }
        left.push((1.0 - of_trial.iter().sum::<f64>()).clamp(0.0, 1.0));
        shares.iter_mut().zip(of_trial).for_each(|(all, share)| all.push(share.clamp(0.0, 1.0)));
    }
    let over = |values: &[f64]| Estimate::over(values, Scale::Plain, level).map(|e| e.within(0.0, 1.0));
    parts.iter_mut().for_each(|parts| parts.sort_by(|a, b| b.share_of_tail.total_cmp(&a.share_of_tail)));
    Shares { of: shares.iter().map(|s| over(s)).zip(parts).collect(), unexplained: over(&left) }
}

fn add(parts: &mut Vec<PartShare>, part: &str, share: f64) {
    match parts.iter_mut().find(|known| known.part == part) {
        Some(known) => known.share_of_tail += share,
        None => parts.push(PartShare { part: part.to_owned(), share_of_tail: share }),
    }
}

/// An episode in proportion to what each candidate covers of it. It is theirs as a whole where they cover as much of it as
/// a cause must, since the rest is the backlog that they left; else in proportion.
fn cut(named: &[&Candidate], trial: usize, episode: usize, ground: &Ground<'_>) -> Cut {
    let length = ground.episodes[episode].length_ns as f64;
    let mut room = length;
    let claims: Vec<&Claim> = named.iter().map(|c| &c.claims[trial][episode]).collect();
    let mut order: Vec<usize> = (0..named.len()).collect();
    order.sort_by_key(|k| precedence(named[*k].cause));
    let mut by_cause = vec![Vec::new(); named.len()];
    for k in order {
        let own: f64 = claims[k].iter().map(|(_, ns)| *ns as f64).sum();
        // A counter that is read once a second is on beside everything: it has only what nothing else carries.
        let carried = length - room >= COVER * length;
        let has = if named[k].cause == Cause::Network && carried { 0.0 } else { own.min(room) };
        room -= has;
        by_cause[k] = claims[k].iter().map(|(part, ns)| (part.clone(), *ns as f64 / own.max(1.0) * has)).collect();
    }
    let covered = length - room;
    let claimed = (covered / (COVER * length).max(1.0)).min(1.0);
    let of_covered = |ns: f64| if covered > 0.0 { ns / covered * claimed } else { 0.0 };
    by_cause.iter_mut().flatten().for_each(|(_, ns)| *ns = of_covered(*ns));
    Cut { by_cause, claimed }
}

fn precedence(cause: Cause) -> usize {
    Cause::ALL.iter().position(|c| *c == cause).unwrap_or(Cause::ALL.len())
}

/// The time above the quiet level that a window has which none of them claims.
fn usual_ns(m: &Moments, ground: &Ground<'_>, cuts: &[Cut]) -> f64 {
    let mut free = vec![true; m.len()];
    for (episode, _) in ground.episodes.iter().zip(cuts).filter(|(_, cut)| cut.claimed > 0.0) {
        free[episode.windows.clone()].fill(false);
    }
    let quiet: Vec<f64> = m.excess_ns.iter().zip(free).filter(|(_, free)| *free).map(|(e, _)| *e).collect();
    quiet.iter().sum::<f64>() / quiet.len().max(1) as f64
}
