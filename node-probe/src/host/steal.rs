//! Whether the steal counter of this kernel can mean anything.
//!
//! Steal is what the hypervisor tells the guest it took. One that tells nothing leaves the counter at zero,
//! which looks like a machine that loses nothing. On x86 under KVM the answer is bit 5 of EAX in CPUID leaf
//! 0x40000001 (KVM_FEATURE_STEAL_TIME), readable through /dev/cpu/0/cpuid where that is offered.

use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use record::Reading;

use super::container::fakes_proc;
use crate::proc::mountinfo::Mount;
use crate::proc::stat;

/// True: a zero means that nothing was taken. False: it means nothing at all.
pub(super) fn known(root: &Path, mounts: &[Mount], virtual_machine: &Reading<String>) -> Reading<bool> {
    if fakes_proc(mounts) {
        return Reading::absent("/proc/stat is made by lxcfs, which leaves steal out");
    }
    let total = fs::read_to_string(root.join("proc/stat")).ok().and_then(|text| stat::parse(&text).ok()?.all);
    match total.map(|all| all.steal_ticks) {
        None => return Reading::absent("/proc/stat cannot be read"),
        Some(None) => return Reading::absent("this kernel has no steal counter"),
        Some(Some(0)) => {}
        // Only a hypervisor that tells can have moved it.
        Some(Some(_)) => return Reading::Seen(true),
    }
    match virtual_machine.seen().map(String::as_str) {
        Some("none") => Reading::Seen(true),
        Some(name) if name.starts_with("Xen") => Reading::Seen(true),
        Some("Hyper-V" | "VirtualBox" | "Parallels" | "bhyve" | "User Mode Linux") => Reading::Seen(false),
        _ => cpuid_tells(root).map_or_else(
            || {
                Reading::absent(
                    "steal has been 0 since boot, and whether this hypervisor would tell of it cannot be read here",
                )
            },
            Reading::Seen,
        ),
    }
}

/// KVM's feature bits, where the kernel lets the processor be asked (the cpuid module, and root).
fn cpuid_tells(root: &Path) -> Option<bool> {
    let file = File::open(root.join("dev/cpu/0/cpuid")).ok()?;
    let leaf = |number: u64| {
        let mut registers = [0; 16];
        file.read_exact_at(&mut registers, number).ok()?;
        Some(registers)
    };
    // EBX, ECX, EDX hold the name.
    if !leaf(0x4000_0000)?[4..].starts_with(b"KVMKVMKVM") {
        return None;
    }
    let eax = leaf(0x4000_0001)?[0];
    Some(eax & (1 << 5) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::mountinfo;

    fn told(steal: &str, mounts: &str, machine: &str) -> Reading<bool> {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("proc")).unwrap();
        fs::write(tree.path().join("proc/stat"), format!("cpu  1 2 3 4 5 6 7{steal}\n")).unwrap();
        known(tree.path(), &mountinfo::parse(mounts), &Reading::Seen(machine.into()))
    }

    #[test]
    fn a_counter_that_moved_is_known_and_one_at_zero_is_not_taken_for_none() {
        assert_eq!(told(" 30 0 0", "", "KVM"), Reading::Seen(true));
        assert!(told(" 0 0 0", "", "KVM").reason().unwrap().contains("0 since boot"));
        assert_eq!(told(" 0 0 0", "", "none"), Reading::Seen(true), "bare metal has none to lose");
        assert_eq!(told(" 0 0 0", "", "Xen"), Reading::Seen(true));
        assert_eq!(told(" 0 0 0", "", "Hyper-V"), Reading::Seen(false));
        assert!(told("", "", "KVM").reason().unwrap().contains("no steal counter"));
        let lxcfs = "40 22 0:60 /proc/stat /proc/stat rw - fuse.lxcfs lxcfs rw\n";
        assert!(told(" 30 0 0", lxcfs, "none").reason().unwrap().contains("lxcfs"));
    }
}
