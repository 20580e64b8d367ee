//! Differences with the hypervisor's steal accounted for, and the guard that may refuse it.
//!
//! Only what comes from outside of the cells may be accounted for: never throttling or CPU of the proxies themselves, and
//! no metric but response times.

use super::figures::CellTrials;
use super::noise::log_steal;
use crate::stats::{Estimate, Scale};

/// Pairs from which on the slope can be taken from the very pairs that it adjusts.
const PAIRS_LEAST: usize = 10;

/// The level at which a difference of the two sides' steal is believed: low, since a guard must rather trip too often.
const GUARD_LEVEL: f64 = 0.9;

/// What became of the differences.
pub(super) struct Adjusted {
    /// The adjusted differences; none where the guard refuses them or there is nothing to adjust by.
    pub(super) differences: Option<Vec<f64>>,
    /// By which power of the steal's ratio the metric's ratio is divided.
    pub(super) slope: Option<f64>,
    /// Why, or why not.
    pub(super) reason: String,
}

impl Adjusted {
    fn refused(reason: String) -> Self {
        Self { differences: None, slope: None, reason }
    }
}

/// Takes out of each difference what goes with the difference of the logarithms of the steal shares (analysis of
/// covariance). A candidate that changes the steal itself, by using up credits for instance, must not be excused by it.
pub(super) fn adjust(pairs: &CellTrials, differences: &[f64]) -> Adjusted {
    let one = |(candidate, baseline)| Some(log_steal(candidate)? - log_steal(baseline)?);
    let Some(steal) = pairs.candidate.iter().zip(&pairs.baseline).map(one).collect::<Option<Vec<f64>>>() else {
        let why = pairs.candidate.iter().chain(&pairs.baseline).find_map(|t| t.steal_share.reason());
        return Adjusted::refused(format!("steal is not known here: {}", why.unwrap_or("no reading")));
    };
    let n = differences.len();
    if n < PAIRS_LEAST {
        return Adjusted::refused(format!("{n} pairs are too few: the slope is known from {PAIRS_LEAST} on"));
    }
    if steal.iter().all(|x| *x == 0.0) {
        return Adjusted::refused("there was no steal to account for".to_owned());
    }
    if Estimate::over(&steal, Scale::Plain, GUARD_LEVEL).is_some_and(|e| e.excludes(0.0)) {
        return Adjusted::refused(
            "the candidate's trials had another steal than the baseline's, which it may have caused itself: the verdict stays the raw one"
                .to_owned(),
        );
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n as f64;
    let (mean_x, mean_d) = (mean(&steal), mean(differences));
    let xx: f64 = steal.iter().map(|x| (x - mean_x).powi(2)).sum();
    let xd: f64 = steal.iter().zip(differences).map(|(x, d)| (x - mean_x) * (d - mean_d)).sum();
    let slope = if xx > 0.0 { xd / xx } else { 0.0 };
    Adjusted {
        differences: Some(steal.iter().zip(differences).map(|(x, d)| d - slope * x).collect()),
        slope: Some(slope),
        reason: format!("the metric goes with the power {slope:.2} of the steal, and both sides had the same of it"),
    }
}
