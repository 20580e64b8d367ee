//! What was done to a cell's chain under load besides shifts: certificates replaced, counters asked for.

use std::collections::BTreeSet;

use record::{Event, Reading};
use serde::{Deserialize, Serialize};

use super::Figure;
use super::cell::over;
use crate::gather::TrialData;
use crate::stats::Scale;

/// Over all trials of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EventFindings {
    /// Certificates that were replaced.
    pub certificates_rotated: u64,
    /// Of those, the ones that a handshake from outside was shown afterwards, by their serial numbers.
    pub certificates_seen: u64,
    /// Answers to questions for a proxy's counters.
    pub scrapes: u64,
    /// How long such an answer took: the median of a trial.
    pub scrape_ns: Figure,
    /// How large it was: the median of a trial.
    pub scrape_bytes: Figure,
}

/// None where nothing was done.
pub(super) fn of(trials: &[&TrialData], level: f64) -> Option<EventFindings> {
    let (mut rotated, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut scrapes = 0;
    let (mut times, mut sizes) = (Vec::new(), Vec::new());
    for trial in trials {
        let id = trial.trial.id.as_str();
        let (mut took, mut bytes) = (Vec::new(), Vec::new());
        for event in &trial.trial.events {
            match event {
                Event::WeightsShifted { .. } => {}
                Event::CertificateRotated { part, serial, .. } => drop(rotated.insert((id, part, serial))),
                Event::CertificateSeen { part, serial, .. } => drop(seen.insert((id, part, serial))),
                Event::StatsScraped { took_ns, bytes: size, .. } => {
                    took.push(*took_ns);
                    bytes.push(*size);
                }
            }
        }
        scrapes += took.len() as u64;
        times.push(median(took));
        sizes.push(median(bytes));
    }
    (!rotated.is_empty() || scrapes > 0).then(|| EventFindings {
        certificates_rotated: rotated.len() as u64,
        certificates_seen: rotated.intersection(&seen).count() as u64,
        scrapes,
        scrape_ns: over(times.into_iter(), Scale::Factor, level),
        scrape_bytes: over(sizes.into_iter(), Scale::Factor, level),
    })
}

fn median(mut values: Vec<u64>) -> Reading<f64> {
    values.sort_unstable();
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (None, _) => Reading::absent("no counters were asked for"),
        (Some(high), 0) => Reading::Seen(u64::midpoint(values[middle - 1], *high) as f64),
        (Some(value), _) => Reading::Seen(*value as f64),
    }
}
