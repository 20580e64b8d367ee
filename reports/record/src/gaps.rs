//! Time that a thread wanted to run and did not, by what took it: of one look, and counted up during a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Quantiles, Reading};

/// What took the CPU away from a thread that was spinning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// Another thread of this machine had the CPU (the thread's own run delay, less what a quota explains).
    OwnRunDelay,
    /// A CPU quota of its own cgroup or of one above it.
    Quota,
    /// Steal that this kernel was told of.
    KnownSteal,
    /// An interrupt, by its length: ticks and devices; everything too short to be asked about is here.
    Interrupt,
    /// None of these: a hypervisor that does not tell, or an interrupt far longer than those of this machine.
    Unexplained,
}

impl GapCause {
    /// All of them, in the order in which a gap is given to them.
    pub const ALL: [Self; 5] = [Self::OwnRunDelay, Self::Quota, Self::KnownSteal, Self::Interrupt, Self::Unexplained];

    /// Its word in files: "own_run_delay".
    pub fn word(self) -> &'static str {
        match self {
            Self::OwnRunDelay => "own_run_delay",
            Self::Quota => "quota",
            Self::KnownSteal => "known_steal",
            Self::Interrupt => "interrupt",
            Self::Unexplained => "unexplained",
        }
    }
}

/// Lost time by cause, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GapLosses {
    /// See [`GapCause::OwnRunDelay`].
    pub own_run_delay_ns: u64,
    /// See [`GapCause::Quota`].
    pub quota_ns: u64,
    /// See [`GapCause::KnownSteal`].
    pub known_steal_ns: u64,
    /// See [`GapCause::Interrupt`].
    pub interrupt_ns: u64,
    /// See [`GapCause::Unexplained`].
    pub unexplained_ns: u64,
}

impl GapLosses {
    /// Each cause with its part.
    pub fn parts(&self) -> [(GapCause, u64); 5] {
        let Self { own_run_delay_ns, quota_ns, known_steal_ns, interrupt_ns, unexplained_ns } = *self;
        [
            (GapCause::OwnRunDelay, own_run_delay_ns),
            (GapCause::Quota, quota_ns),
            (GapCause::KnownSteal, known_steal_ns),
            (GapCause::Interrupt, interrupt_ns),
            (GapCause::Unexplained, unexplained_ns),
        ]
    }

    /// All causes together.
    pub fn total_ns(&self) -> u64 {
        self.parts().iter().map(|(_, ns)| ns).sum()
    }

    /// The cause with the largest part; of equal ones, the first of [`GapCause::ALL`].
    pub fn main(&self) -> GapCause {
        let first = (GapCause::OwnRunDelay, 0);
        self.parts().into_iter().fold(first, |most, part| if part.1 > most.1 { part } else { most }).0
    }
}

impl std::ops::AddAssign for GapLosses {
    fn add_assign(&mut self, other: Self) {
        let Self { own_run_delay_ns, quota_ns, known_steal_ns, interrupt_ns, unexplained_ns } = other;
        self.own_run_delay_ns += own_run_delay_ns;
        self.quota_ns += quota_ns;
        self.known_steal_ns += known_steal_ns;
        self.interrupt_ns += interrupt_ns;
        self.unexplained_ns += unexplained_ns;
    }
}

/// Gaps of one cause. Lengths are those of the gaps whose largest part is this cause's, other parts included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CauseGaps {
    /// Time lost to it in all.
    pub lost_ns: u64,
    /// The same, of the time that was watched.
    pub share: f64,
    /// Gaps whose largest part it is.
    pub gaps: u64,
    /// Their lengths.
    pub length_ns: Quantiles,
}

/// One gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LongGap {
    /// When it began, from the start of the watch.
    pub at_ns: u64,
    /// How long it was.
    pub length_ns: u64,
    /// What has the largest part in it.
    pub cause: GapCause,
    /// All parts.
    pub parts: GapLosses,
}

/// What a thread that spins on the clock saw; `meshtax probe --gaps` prints it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GapReport {
    /// The file format.
    pub schema: u32,
    /// The CPU it was pinned to.
    pub cpu: u32,
    /// How the CPU was chosen.
    pub cpu_chosen: String,
    /// Whether it watched for as long as it was asked to.
    pub whole: bool,
    /// Time watched, gaps included; the shares are of this.
    pub wall_ns: u64,
    /// Of it, spent reading the thread's own counters: neither lost nor watched closely.
    pub reading_ns: u64,
    /// Looks at the clock.
    pub looks: u64,
    /// Time from one look to the next, as a rule (median).
    pub look_ns: u64,
    /// Gaps longer than this are seen.
    pub seen_from_ns: u64,
    /// Gaps longer than this are attributed by counters, shorter ones by their length.
    pub attributed_from_ns: u64,
    /// The longest that an interrupt of this machine is taken to be.
    pub interrupt_bound_ns: u64,
    /// What one takes as a rule; what is left of a gap longer than the bound is unexplained.
    pub interrupt_usual_ns: u64,
    /// How the bound was found.
    pub interrupt_bound_from: String,
    /// Gaps seen.
    pub gaps: u64,
    /// Time lost in all.
    pub lost_ns: u64,
    /// The same, of the time that was watched.
    pub share: f64,
    /// By cause.
    pub causes: BTreeMap<GapCause, CauseGaps>,
    /// The longest gaps, the longest first.
    pub longest: Vec<LongGap>,
    /// What the steal counter of this CPU grew by (/proc/stat, 10 ms ticks as a rule).
    pub steal_counter_ns: Reading<u64>,
    /// Of the known steal, what the counter said of gaps that no other counter explained.
    pub steal_from_counter_ns: u64,
    /// Cgroups whose throttled time was read.
    pub quota_watched: Reading<Vec<String>>,
    /// What time the thread's CPU clock leaves out here, and so can be told apart to the nanosecond.
    pub clock_leaves_out: String,
    /// What the figures cannot say, or bend.
    pub bias: Vec<String>,
}

/// What a sensor of short bursts has counted up since it started: gaps, and the speed of its work.
///
/// Everything grows but the best and the longest; shares and means are made from two of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GapCounters {
    /// Bursts made.
    pub bursts: u64,
    /// Bursts that were due while another was still going on; they are not made up for.
    pub missed_bursts: u64,
    /// Time watched: from each burst's first look to its last, and what it lost when it woke up. Shares are of this.
    pub burst_ns: u64,
    /// Time lost in it, by cause.
    pub lost: GapLosses,
    /// Gaps in it.
    pub gaps: u64,
    /// The longest gap.
    pub longest_gap_ns: u64,
    /// How late bursts began, all together. Lost is what goes beyond the quickest wake-up of the last bursts.
    pub late_ns: u64,
    /// The latest.
    pub latest_ns: u64,
    /// The median time of each burst's chunks of work, all bursts together; over `bursts` it is their mean.
    pub chunk_median_sum_ns: u64,
    /// The fastest chunk.
    pub chunk_best_ns: u64,
    /// CPU time of the sensor's thread since its first burst.
    pub cpu_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_cause_is_the_largest_part_and_sums_hold_all_of_them() {
        let mut losses = GapLosses { quota_ns: 70, interrupt_ns: 5, ..GapLosses::default() };
        assert_eq!((losses.main(), losses.total_ns()), (GapCause::Quota, 75));
        for cause in GapCause::ALL {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.word());
        }
        losses +=
            GapLosses { own_run_delay_ns: 1, quota_ns: 2, known_steal_ns: 3, interrupt_ns: 4, unexplained_ns: 100 };
        assert_eq!((losses.main(), losses.total_ns()), (GapCause::Unexplained, 185));
        assert_eq!(losses.parts().map(|(cause, _)| cause), GapCause::ALL);
    }

    #[test]
    fn causes_are_keys_by_their_names() {
        let causes = BTreeMap::from([(GapCause::OwnRunDelay, CauseGaps::default())]);
        let text = serde_json::to_string(&causes).unwrap();
        assert!(text.starts_with(r#"{"own_run_delay":{"lost_ns":0"#), "{text}");
        assert_eq!(serde_json::from_str::<BTreeMap<GapCause, CauseGaps>>(&text).unwrap(), causes);
    }
}
