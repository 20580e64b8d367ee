//! What is too dear to read under load: memory by ownership and the health of drives, before and after.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Reading;

/// The two readings of a trial: when every part was up and nothing was asked of it yet, and when the load had
/// ended and the parts were still there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Edges {
    /// Before the load.
    pub before: EdgeReadings,
    /// After it.
    pub after: EdgeReadings,
}

/// One reading of what is read at the edges of a trial only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct EdgeReadings {
    /// Before the first read, CLOCK_MONOTONIC.
    pub before_ns: u64,
    /// After the last one.
    pub after_ns: u64,
    /// The memory of each process, by the name it was given.
    pub processes: BTreeMap<String, Reading<ProcessMemory>>,
    /// The drives under the disk path, as far as they tell of their health.
    pub drives: Reading<Vec<DriveHealth>>,
}

/// /proc/PID/smaps_rollup: the memory of a process by whose it is (kernel document filesystems/proc).
///
/// The kernel walks all pages for it, about 50 ns each, and holds the lock on the process's mappings meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ProcessMemory {
    /// Its process id.
    pub pid: u32,
    /// Resident memory, shared pages counted whole.
    pub rss_bytes: u64,
    /// Resident memory, shared pages counted by the share of it: the sum over processes counts each page once.
    pub pss_bytes: u64,
    /// Of which memory that no file backs (5.9 and later).
    pub pss_anon_bytes: Option<u64>,
    /// Of which files, the program itself among them (5.9 and later).
    pub pss_file_bytes: Option<u64>,
    /// Of which shared memory (5.9 and later).
    pub pss_shmem_bytes: Option<u64>,
    /// Pages of no other process: what would come free if it ended.
    pub private_bytes: u64,
    /// Memory in swap.
    pub swap_bytes: u64,
}

/// What a drive tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DriveHealth {
    /// The kernel's name: "nvme0n1".
    pub device: String,
    /// What the kernel says of the controller: "state" -> "live", "queue_count" -> "3".
    pub controller: BTreeMap<String, String>,
    /// Its temperature by the kernel's own sensor.
    pub temperature_millicelsius: Reading<i64>,
    /// Its own log, by way of smartctl.
    pub smart: Reading<SmartLog>,
}

/// The parts of a drive's SMART log that tell whether it slows down or wears out (NVM Express base
/// specification, SMART / Health Information; the temperature and errors also of ATA drives).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct SmartLog {
    /// Whether the drive passes its own check.
    pub passed: Option<bool>,
    /// Bits of what is wrong; 0 is nothing (NVMe).
    pub critical_warning: Option<u64>,
    /// Its temperature.
    pub temperature_celsius: Option<i64>,
    /// Wear: 100 is what the maker promised; it may go on beyond (NVMe).
    pub percentage_used: Option<u64>,
    /// Spare left (NVMe).
    pub available_spare_percent: Option<u64>,
    /// Reads and writes that failed for good (NVMe).
    pub media_errors: Option<u64>,
    /// Minutes above the warning temperature since it was made, where it may have slowed down (NVMe).
    pub warning_temperature_minutes: Option<u64>,
    /// Minutes above the critical temperature since it was made (NVMe).
    pub critical_temperature_minutes: Option<u64>,
    /// Thousands of 512-byte units read since it was made (NVMe).
    pub data_units_read: Option<u64>,
    /// Thousands of 512-byte units written since it was made (NVMe).
    pub data_units_written: Option<u64>,
    /// Hours it was on.
    pub power_on_hours: Option<u64>,
}
