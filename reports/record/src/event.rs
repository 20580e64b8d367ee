//! What was done to a chain while it was under load, and when: weights shifted, certificates rotated, counters scraped.

use serde::{Deserialize, Serialize};

use crate::Weights;

/// One deed, or what was seen of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// A canary's weights were changed.
    WeightsShifted {
        /// When the new ones were given, CLOCK_MONOTONIC.
        at_ns: u64,
        /// The new ones.
        weights: Weights,
    },
    /// A part was given a new certificate.
    CertificateRotated {
        /// When, CLOCK_MONOTONIC.
        at_ns: u64,
        /// Which part.
        part: String,
        /// The new certificate's serial number, hexadecimal.
        serial: String,
    },
    /// A peer was shown a certificate in a handshake, the first time with this serial number.
    CertificateSeen {
        /// When, CLOCK_MONOTONIC.
        at_ns: u64,
        /// Whose certificate.
        part: String,
        /// Its serial number, hexadecimal.
        serial: String,
    },
    /// A proxy's counters were asked for, as Prometheus does.
    StatsScraped {
        /// When the answer was there, CLOCK_MONOTONIC.
        at_ns: u64,
        /// Which part.
        part: String,
        /// How long the answer took.
        took_ns: u64,
        /// Bytes of the answer.
        bytes: u64,
    },
}

impl Event {
    /// When, CLOCK_MONOTONIC.
    pub fn at_ns(&self) -> u64 {
        match self {
            Self::WeightsShifted { at_ns, .. }
            | Self::CertificateRotated { at_ns, .. }
            | Self::CertificateSeen { at_ns, .. }
            | Self::StatsScraped { at_ns, .. } => *at_ns,
        }
    }

    /// Moves it in time: onto the clock of another host.
    pub fn move_by(&mut self, ns: i64) {
        match self {
            Self::WeightsShifted { at_ns, .. }
            | Self::CertificateRotated { at_ns, .. }
            | Self::CertificateSeen { at_ns, .. }
            | Self::StatsScraped { at_ns, .. } => *at_ns = at_ns.saturating_add_signed(ns),
        }
    }
}
