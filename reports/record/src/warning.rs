//! A doubt about a trial, as a value: what, on which evidence, and what to do.

use serde::{Deserialize, Serialize};

/// What is doubted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// The generator itself was late for a share of the tail that matters.
    GeneratorLagged,
    /// Fewer requests were sent than were due.
    RateNotReached,
    /// Requests failed or were answered with an error.
    RequestsFailed,
    /// Requests had no end before the end of the trial.
    Censored,
    /// Requests waited for a free connection for a share of the tail that matters.
    ConnectionsExhausted,
    /// The hypervisor took CPU away.
    Steal,
    /// Something else on this machine used the CPU.
    BusyMachine,
    /// The probe was late or missed samples.
    ProbeLate,
    /// The probe used more CPU than it may.
    ProbeCost,
    /// There are too few trials for the interval asked for.
    TooFewTrials,
    /// There is no unmeshed cell to compare with.
    NoBaseline,
    /// Something that was asked for is not permitted here and was left out.
    NotPermitted,
    /// Both sides of a comparison are limited by the CPUs of this machine, or a chain does not keep up with what is offered.
    Saturated,
    /// The figures changed while they were taken.
    NotStationary,
    /// The figures went up or down with the order of the trials.
    Drift,
    /// Trials fall into two groups: one figure for both is of neither.
    TwoModes,
    /// A counter of the kernel went down, which it never should.
    CounterBackwards,
    /// The configuration could not be proven in every point.
    Unproven,
    /// A host was lost while it was measured on, or a trial was made again since one was.
    HostLost,
    /// What is between a host and the runner takes so long that the host's clock is known too badly.
    SlowLink,
    /// A canary's requests were not split as they should have been.
    Split,
    /// The time of day was set while it was measured.
    ClockStepped,
    /// The runner did not look after the chain for a while.
    RunnerLate,
    /// A process that a proxy had started for its work ended while it was measured.
    WorkerLost,
}

/// A doubt about a trial or a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// What is doubted.
    pub kind: WarningKind,
    /// What was seen, with its figures.
    pub evidence: String,
    /// What to do about it.
    pub remedy: String,
}

impl Warning {
    /// A doubt with its evidence and remedy.
    pub fn new(kind: WarningKind, evidence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, evidence: evidence.into(), remedy: remedy.into() }
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.evidence, self.remedy)
    }
}
