//! What lies between a path and the disks under it, layer by layer.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Reading;

/// What a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// A file system.
    FileSystem,
    /// A part of a disk.
    Partition,
    /// A mapping by device-mapper: LVM, LUKS, multipath.
    Mapping,
    /// A software RAID.
    Array,
    /// A file that is used as a disk.
    Loop,
    /// One of the ways to an NVMe disk that has several.
    NvmePath,
    /// A whole disk, as far as this kernel knows.
    Disk,
    /// Memory: what is written goes to no disk.
    Memory,
    /// Another machine.
    Network,
    /// A directory that the host of this virtual machine shares.
    HostShare,
    /// Where nothing more is shown; the name says why.
    NotShown,
}

impl LayerKind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::FileSystem => "file system",
            Self::Partition => "partition",
            Self::Mapping => "mapping",
            Self::Array => "array",
            Self::Loop => "loop",
            Self::NvmePath => "NVMe path",
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::HostShare => "share of the host",
            Self::NotShown => "not shown",
        }
    }
}

impl fmt::Display for LayerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct BlockLayer {
    /// How far below the path, from 0. Layers follow each other from the top; one that is deeper than the one
    /// before it carries that one, and several of one depth lie side by side.
    pub depth: u32,
    /// What it is.
    pub kind: LayerKind,
    /// The kernel's name: "ext4", "dm-0", "vda1".
    pub name: String,
    /// Major and minor number, of a block device: "254:1".
    pub number: Option<String>,
    /// What it says of itself, by the kernel's word for it: "driver" -> "virtio_blk", "level" -> "raid1".
    pub says: BTreeMap<String, String>,
    /// How requests are queued, where it has a queue of its own.
    pub queue: Option<BlockQueue>,
}

/// How a block device queues requests (/sys/block/X/queue; kernel document ABI/stable/sysfs-block).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct BlockQueue {
    /// The scheduler in use: "none", "mq-deadline".
    pub scheduler: Reading<String>,
    /// Requests that may wait, of each direction or each hardware queue.
    pub requests: Reading<u64>,
    /// Hardware queues; more than one lets CPUs submit without waiting for each other.
    pub hardware_queues: Reading<u32>,
    /// "write back" where a flush is needed for what must last, "write through" where not.
    pub write_cache: Reading<String>,
    /// Whether it says it rotates; virtual disks often do, whatever is under them.
    pub rotational: Reading<bool>,
    /// The smallest size it can be asked for.
    pub logical_block_bytes: Reading<u64>,
    /// The smallest size it writes without reading first.
    pub physical_block_bytes: Reading<u64>,
    /// The largest request the kernel makes of it.
    pub max_request_bytes: Reading<u64>,
    /// The latency that background writes are held back for; 0 is never.
    pub write_back_throttle_us: Reading<u64>,
}
