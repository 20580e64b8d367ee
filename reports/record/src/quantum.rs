//! What a counter can be short of the truth: the step it moves in, or what is credited to it later.
//!
//! With the window in which it was read this is the doubt of every reading in a [`crate::Sample`].

/// Counters in ticks of USER_HZ (/proc/stat, user and system time of a process): one tick, of each CPU.
pub fn tick_ns(ticks_per_second: u64) -> u64 {
    1_000_000_000 / ticks_per_second.max(1)
}

/// Run time in nanoseconds: brought up to date at the kernel's tick (1 to 10 ms) or when a task stops running.
pub const RUN_TIME_NS: u64 = 10_000_000;

/// Run delay: credited when the wait has ended. Most waits are shorter than this; one for a quota is as long as what is
/// left of its period.
pub const RUN_DELAY_NS: u64 = 10_000_000;

/// Pressure: added to when a CPU changes its state, or at a tick.
pub const PRESSURE_NS: u64 = 10_000_000;

/// Times of a disk: cut to whole milliseconds when they are printed.
pub const DISK_TIME_MS: u64 = 1;

/// Throttled time where the limit is not known: a whole period of the kernel's default. It is credited when the quota is
/// filled up.
pub const PERIOD_NS: u64 = 100_000_000;
