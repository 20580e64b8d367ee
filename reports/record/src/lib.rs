//! The words, units and files of a meshtax run: what is not written to a run directory does not belong here.

mod arrival;
mod canary;
mod cell;
mod clocks;
mod cluster;
mod contained;
mod directory;
mod disk_test;
mod edges;
mod end;
mod error;
mod event;
mod factors;
mod gaps;
mod hops;
mod host;
mod hosts;
mod interrupts;
mod interval;
mod istio_reading;
mod lack;
mod layer;
mod load;
mod lock;
mod machine;
mod memory_quantity;
mod mesh;
mod neighbour;
mod network;
mod outcome;
pub mod plain;
mod process_state;
pub mod quantum;
mod reading;
pub mod redacted;
mod run;
mod sample;
#[cfg(feature = "schemas")]
pub mod schemas;
mod slow;
mod slow_sample;
mod source;
mod speed;
mod split;
mod sums;
mod trial;
mod units;
mod warning;
mod window;
mod words;
mod worker_rule;

pub use arrival::{Arrival, Pace, Process};
pub use canary::{Canary, Shift, Weights};
pub use cell::Cell;
pub use clocks::ClockExchange;
pub use cluster::RunCluster;
pub use contained::{is_file_name, made_anew};
pub use directory::{LineWriter, Lines, LoadFile, RunDirectory, TrialDirectory};
pub use disk_test::{
    DISK_BLOCK_BYTES, DiskArm, DiskArmDevice, DiskArmKind, DiskEngine, DiskTest, DiskTestFile, DiskWindow,
    DiskWindowQuantiles,
};
pub use edges::{DriveHealth, EdgeReadings, Edges, ProcessMemory, SmartLog};
pub use end::{End, EndReason, Until};
pub use error::{Error, Result, USED_UP, used_up};
pub use event::Event;
pub use factors::Factors;
pub use gaps::{CauseGaps, GapCause, GapCounters, GapLosses, GapReport, LongGap};
pub use histogram::{Error as HistogramError, Histogram};
pub use hops::{CallStamps, HopStamps};
pub use host::{BlockDevice, Host};
pub use hosts::{HostPrice, HostRole, Loss, RunHost, RunHosts, TrialHost, TrialHosts};
pub use interrupts::{SoftirqCounters, SoftnetCounters};
pub use interval::{INTERVAL_NS, Interval};
pub use istio_reading::{IstioDefault, IstioField, IstioReading, IstioSetting, IstioVerdict};
pub use lack::{Lack, LeftOut};
pub use layer::{BlockLayer, BlockQueue, LayerKind};
pub use load::{
    Balance, Gaps, KeptBack, Lag, LoadSummary, NoiseFloor, Observed, Pacing, Quantiles, Setup, Share, Stationarity,
    ThreadUse, Verdict,
};
pub use lock::Lock;
pub use machine::{
    CgroupLimits, CpuCache, CpuQuota, CpuTopology, KernelTraits, MemoryLimit, MemoryTraits, ProcView, TimeSync,
};
pub use memory_quantity::MemoryQuantity;
pub use mesh::{AccessLog, Dataplane, Entry, LogSink, Mtls, Platform, Protocol, Sidecars};
pub use neighbour::Neighbour;
pub use network::{InterfaceCounters, NetworkSample, TcpCounters};
pub use outcome::{Outcome, Outcomes};
pub use process_state::ProcessState;
pub use reading::Reading;
pub use run::{PlannedTrial, Run, Timing};
pub use sample::{
    Accounts, CgroupSample, CpuBandwidth, CpuTimes, DiskCounters, LoadAverage, NodeSample, OwnCost, PressureLine,
    PressureSample, ProcessSample, RunQueueCounters, Sample,
};
pub use slow::SlowRequest;
pub use slow_sample::{MemorySample, SlowSample, VmCounters};
pub use source::Source;
pub use speed::{SiblingCheck, SiblingVerdict, SpeedCard};
pub use split::{Answers, Split};
pub use sums::Sums;
pub use trial::{ClockAnchor, Part, Phase, PhaseSpan, Proof, Role, Trial};
pub use units::{CpuQuantity, monotonic_ns, realtime_ns};
pub use warning::{Warning, WarningKind};
pub use window::{ReadWindow, ReadWindows};
pub use worker_rule::WorkerRule;

/// The number of the file formats in a run directory; a reader refuses a larger one.
pub const SCHEMA: u32 = 1;

/// The number of the way figures are made; runs of different METHOD are not compared unless asked for.
pub const METHOD: u32 = 1;
