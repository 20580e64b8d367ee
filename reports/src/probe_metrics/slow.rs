//! Counters of the machine that are read once a second: memory, paging, interrupts.

use record::{MemorySample, SlowSample, VmCounters};

use super::part::{Exposition, Part, count};

pub(super) fn slow(out: &mut Exposition, slow: Option<&SlowSample>) {
    let Some(SlowSample { memory, vm, interrupts }) = slow else { return };
    let mut part = out.part("slow", &[]);
    if let Some(memory) = part.open("memory", &[], memory) {
        memory_sizes(&mut part, memory);
    }
    if let Some(vm) = part.open("vm", &[], vm) {
        vm_counters(&mut part, vm);
    }
    if let Some(interrupts) = part.open("interrupts", &[], interrupts) {
        for (interrupt, n) in interrupts {
            let help = "Interrupts by their line in /proc/interrupts, all CPUs together.";
            part.counted("interrupts", help, &[("interrupt", interrupt)], count(n));
        }
    }
    part.end();
}

fn memory_sizes(part: &mut Part<'_>, memory: &MemorySample) {
    let MemorySample {
        total_bytes,
        free_bytes,
        available_bytes,
        cached_bytes,
        dirty_bytes,
        writeback_bytes,
        swap_total_bytes,
        swap_free_bytes,
    } = memory;
    let help = "Memory that could be had without swapping.";
    part.gauged_if("memory_available_bytes", help, &[], available_bytes.as_ref().map(count));
    for (name, help, bytes) in [
        ("memory_total_bytes", "All memory.", total_bytes),
        ("memory_free_bytes", "Unused memory.", free_bytes),
        ("memory_cached_bytes", "Page cache.", cached_bytes),
        ("memory_dirty_bytes", "Waiting to be written back.", dirty_bytes),
        ("memory_writeback_bytes", "Being written back.", writeback_bytes),
        ("memory_swap_total_bytes", "All swap.", swap_total_bytes),
        ("memory_swap_free_bytes", "Unused swap.", swap_free_bytes),
    ] {
        part.gauged(name, help, &[], count(bytes));
    }
}

fn vm_counters(part: &mut Part<'_>, vm: &VmCounters) {
    let VmCounters {
        page_faults,
        major_page_faults,
        swapped_in_pages,
        swapped_out_pages,
        direct_scan_pages,
        allocation_stalls,
        compaction_stalls,
        oom_kills,
    } = vm;
    for (name, help, n) in [
        ("vm_page_faults", "Page faults.", page_faults),
        ("vm_major_page_faults", "Page faults that had to read.", major_page_faults),
        ("vm_swapped_in_pages", "Pages swapped in.", swapped_in_pages),
        ("vm_swapped_out_pages", "Pages swapped out.", swapped_out_pages),
        ("vm_direct_scan_pages", "Pages looked at by tasks that had to free memory themselves.", direct_scan_pages),
        ("vm_allocation_stalls", "Times a task had to free memory before it got some.", allocation_stalls),
        ("vm_compaction_stalls", "Times a task waited for memory to be moved together.", compaction_stalls),
        ("vm_oom_kills", "Processes killed for want of memory.", oom_kills),
    ] {
        part.counted_if(name, help, &[], n.as_ref().map(count));
    }
}
