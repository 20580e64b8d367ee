//! What `meshtax disk` measures, and `disk-before.json` and `disk-after.json` of a run hold.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{BlockDevice, Quantiles, Reading, Warning};

/// The bytes of one operation of every arm but the appending one, and what each of its offsets is a multiple of.
pub const DISK_BLOCK_BYTES: u64 = 4096;

/// A test of the disk under a directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DiskTest {
    /// The file format.
    pub schema: u32,
    /// The way the figures are made.
    pub method: u32,
    /// The directory that was tested, as an absolute path.
    pub path: String,
    /// When it began, nanoseconds since 1970.
    pub began_realtime_ns: u64,
    /// How long it took in all, the writing of its file included.
    pub took_ns: u64,
    /// The seed of the file's bytes, of the offsets and of the order of the arms.
    pub seed: u64,
    /// The disk under the directory, or why it cannot be named.
    pub disk: Reading<BlockDevice>,
    /// The file system the directory is on.
    pub filesystem: Reading<String>,
    /// The file that was read and written.
    pub file: DiskTestFile,
    /// How long each arm was measured for.
    pub length_ns: u64,
    /// How long each arm ran before that without being counted.
    pub ramp_ns: u64,
    /// The arms, in the order they were made.
    pub arms: Vec<DiskArm>,
    /// Whether the user cut it off: then arms are missing.
    pub cut_off: bool,
    /// Doubts, with their evidence and remedy.
    pub warnings: Vec<Warning>,
}

/// The file of a disk test: it has no name, so that it is gone when the test is, however that ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DiskTestFile {
    /// Its size. All of it was written with random bytes and flushed before the first arm.
    pub bytes: u64,
    /// How long writing and flushing it took; none where the test was cut off before that was done.
    pub written_in_ns: Option<u64>,
    /// What this user could have written there before.
    pub free_bytes: u64,
}

/// What an arm of the test does, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DiskArmKind {
    /// One random 4 KiB read at a time, past the page cache.
    ReadQd1,
    /// 32 of them in flight.
    ReadQd32,
    /// One random 4 KiB write at a time, past the page cache; the disk's own cache may take it.
    WriteQd1,
    /// 32 of them in flight.
    WriteQd32,
    /// One read every 20 ms: a disk that is not kept busy, as a proxy leaves it.
    PacedReadQd1,
    /// One write every 20 ms.
    PacedWriteQd1,
    /// One 4 KiB write and then fdatasync: it is on the disk.
    WriteFdatasync,
    /// A record of an access log appended through the page cache, and then fdatasync.
    AppendFdatasync,
}

impl DiskArmKind {
    /// All of them, in the order people read them.
    pub const ALL: [Self; 8] = [
        Self::ReadQd1,
        Self::ReadQd32,
        Self::WriteQd1,
        Self::WriteQd32,
        Self::PacedReadQd1,
        Self::PacedWriteQd1,
        Self::WriteFdatasync,
        Self::AppendFdatasync,
    ];

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadQd1 => "read_qd1",
            Self::ReadQd32 => "read_qd32",
            Self::WriteQd1 => "write_qd1",
            Self::WriteQd32 => "write_qd32",
            Self::PacedReadQd1 => "paced_read_qd1",
            Self::PacedWriteQd1 => "paced_write_qd1",
            Self::WriteFdatasync => "write_fdatasync",
            Self::AppendFdatasync => "append_fdatasync",
        }
    }

    /// Operations it keeps in flight.
    pub fn depth(self) -> u32 {
        match self {
            Self::ReadQd32 | Self::WriteQd32 => 32,
            _ => 1,
        }
    }

    /// Whether it writes.
    pub fn writes(self) -> bool {
        !matches!(self, Self::ReadQd1 | Self::ReadQd32 | Self::PacedReadQd1)
    }

    /// Whether its operations are due by a clock, so that their number says nothing of the disk.
    pub fn is_paced(self) -> bool {
        matches!(self, Self::PacedReadQd1 | Self::PacedWriteQd1)
    }
}

impl fmt::Display for DiskArmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DiskArmKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!("'{text}' is none of {}", names.join(", "))
        })
    }
}

/// How operations are handed to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DiskEngine {
    /// One thread, one blocking call at a time.
    Calls,
    /// One thread and an io_uring.
    IoUring,
    /// A thread with blocking calls for each operation in flight: the same IOPS for about twice the CPU.
    Threads,
}

/// One arm of a disk test. Operations that ended within its measured time are counted.
///
/// *Gross* is what the clock says, as other tools print it. *Net* is without the time this program was runnable
/// and waited for a CPU (run delay, /proc/thread-self/schedstat). At depth 1 nothing is at the disk during such a
/// wait, so net is exact. At depth 32 the disk works on through the first part of a wait: of each wait only what
/// goes beyond `undisturbed_ns` is lost time, and an operation that was in flight during one counts as that long
/// or as its gross less the wait, whichever is more; the tail of net is then a lower bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DiskArm {
    /// What it did.
    pub kind: DiskArmKind,
    /// How.
    pub engine: DiskEngine,
    /// Why not by io_uring, where that was wanted.
    pub engine_reason: Option<String>,
    /// Bytes of one operation.
    pub block_bytes: u64,
    /// When its measured time began, CLOCK_MONOTONIC.
    pub start_ns: u64,
    /// How long it was measured.
    pub measured_ns: u64,
    /// Operations that ended in that time.
    pub operations: u64,
    /// Operations over the measured time.
    pub iops: f64,
    /// Operations over the measured time less what was lost waiting for a CPU.
    pub iops_net: Reading<f64>,
    /// From call to return (from submission to being reaped, with io_uring).
    pub gross_ns: Quantiles,
    /// The same without our own run delay.
    pub net_ns: Reading<Quantiles>,
    /// The part of all gross time together that was waiting for a CPU.
    pub waiting_share: Reading<f64>,
    /// The part of the gross time that fdatasync took, in arms that have one.
    pub flush_ns: Option<Quantiles>,
    /// Run delay of the threads that did it, over the measured time.
    pub run_delay_ns: Reading<u64>,
    /// Depth 32 by io_uring: how long the median operation takes that no wait of ours disturbs.
    pub undisturbed_ns: Option<u64>,
    /// CPU time of the threads that did it, ramp included.
    pub cpu_ns: u64,
    /// Paced arms: how late operations began, our own waking.
    pub late_ns: Option<Quantiles>,
    /// Paced arms: operations that were not made, as one before them took too long.
    pub missed: u64,
    /// Operations that failed; they are not in the figures.
    pub errors: u64,
    /// What the kernel said of the first of them.
    pub first_error: Option<String>,
    /// Operations still in flight when the measured time was over.
    pub unfinished: u64,
    /// The longest that one of those took in the end.
    pub unfinished_longest_ns: u64,
    /// Operations in the first and in the last third of the time; none with fewer than 3 windows.
    pub thirds: Option<[u64; 2]>,
    /// What the disk itself counted over the arm, ramp included; others that used it are in it.
    pub device: Reading<DiskArmDevice>,
    /// Windows of 100 ms, one after another from the start.
    pub windows: Vec<DiskWindow>,
}

/// Counters of the disk over an arm (/sys/block/X/stat); kept in milliseconds, so means are good to 1 ms over all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DiskArmDevice {
    /// Reads completed.
    pub reads: u64,
    /// How long one was in the block layer and the disk, on average.
    pub read_await_ns: Option<u64>,
    /// Writes completed.
    pub writes: u64,
    /// How long one was in the block layer and the disk, on average.
    pub write_await_ns: Option<u64>,
    /// Flushes completed, where the kernel counts them.
    pub flushes: Option<u64>,
    /// How long one took, on average.
    pub flush_await_ns: Option<u64>,
}

/// 100 ms of an arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DiskWindow {
    /// When it began, after the arm's start.
    pub offset_ns: u64,
    /// Operations that ended in it.
    pub operations: u64,
    /// Gross times of them; none where no operation ended.
    pub gross_ns: Option<DiskWindowQuantiles>,
    /// Run delay in it, where it is known; credited when a wait ended.
    pub run_delay_ns: Option<u64>,
}

/// Three points of a distribution, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DiskWindowQuantiles {
    /// Half are at or below.
    pub p50: u64,
    /// 99 of 100 are at or below.
    pub p99: u64,
    /// 999 of 1000 are at or below.
    pub p999: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_has_one_name_in_files_and_on_the_command_line() {
        for kind in DiskArmKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        let said = "read".parse::<DiskArmKind>().unwrap_err();
        assert!(said.contains("'read'") && said.contains("read_qd1"), "{said}");
    }
}
