//! /sys/block/X/queue: how a block device queues requests (kernel document ABI/stable/sysfs-block).

use std::fs;
use std::path::Path;

use record::{BlockQueue, Reading};

use super::device::line;
use crate::host::memory::chosen;

/// The queue of the device with this directory.
pub(crate) fn of(directory: &Path) -> BlockQueue {
    let said = |file: &str| {
        line(&directory.join("queue").join(file))
            .map_or_else(|| Reading::absent(format!("this kernel has no queue/{file} for it")), Reading::Seen)
    };
    let number = |file: &str| match said(file) {
        Reading::Seen(text) => {
            text.parse::<u64>().map_or_else(|_| Reading::absent(format!("queue/{file} says '{text}'")), Reading::Seen)
        }
        Reading::Absent { absent } => Reading::absent(absent),
    };
    BlockQueue {
        // "none" alone where there is no choice; else the one in brackets.
        scheduler: said("scheduler").map(|text| chosen(&text).unwrap_or(&text).to_owned()),
        requests: number("nr_requests"),
        hardware_queues: hardware_queues(directory),
        write_cache: said("write_cache"),
        rotational: rotational(directory),
        logical_block_bytes: number("logical_block_size"),
        physical_block_bytes: number("physical_block_size"),
        max_request_bytes: number("max_sectors_kb").map(|kib| kib.saturating_mul(1024)),
        write_back_throttle_us: number("wbt_lat_usec"),
    }
}

/// Whether the device says it rotates.
pub(crate) fn rotational(directory: &Path) -> Reading<bool> {
    match line(&directory.join("queue/rotational")).as_deref() {
        Some("1") => Reading::Seen(true),
        Some("0") => Reading::Seen(false),
        _ => Reading::absent("it does not say"),
    }
}

fn hardware_queues(directory: &Path) -> Reading<u32> {
    match fs::read_dir(directory.join("mq")) {
        Ok(queues) => Reading::Seen(u32::try_from(queues.flatten().count()).unwrap_or(u32::MAX)),
        Err(_) => Reading::absent("it has none of its own (a mapping, or a kernel before the multi-queue block layer)"),
    }
}
