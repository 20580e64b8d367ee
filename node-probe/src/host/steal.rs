//! Whether the steal counter of this kernel can mean anything, and how that is known.
//!
//! Steal is what the hypervisor tells the guest it took. One that tells nothing leaves the counter at zero,
//! which looks like a machine that loses nothing. On x86 under KVM the answer is bit 5 of EAX in CPUID leaf
//! 0x40000001 (KVM_FEATURE_STEAL_TIME).

use std::fs;
use std::path::Path;

use record::Reading;

use super::container::fakes_proc;
use super::cpuid::{self, Hypervisor};
use super::kernel_config::KernelConfig;
use crate::disk::device::line;
use crate::proc::mountinfo::Mount;
use crate::proc::stat;

/// What can be known about steal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Steal {
    /// True: a zero means that nothing was taken. False: it means nothing at all.
    pub(crate) known: Reading<bool>,
    /// How that is known, and what the CPU clocks of threads leave out.
    pub(crate) evidence: Reading<String>,
}

/// Looks at the container, the counter, the processor and the kernel's configuration, in this order.
pub(super) fn of(
    root: &Path,
    mounts: &[Mount],
    virtual_machine: &Reading<String>,
    hypervisor: Option<&Hypervisor>,
) -> Steal {
    let (known, why) = known(root, mounts, virtual_machine, hypervisor);
    let evidence = why.map_or_else(
        || Reading::absent(known.reason().unwrap_or_default()),
        |why| Reading::Seen(format!("{why}; {}", accounting(root))),
    );
    Steal { known, evidence }
}

/// Whether it is known, and the reason; for an absent reading the reason is in it.
fn known(
    root: &Path,
    mounts: &[Mount],
    virtual_machine: &Reading<String>,
    hypervisor: Option<&Hypervisor>,
) -> (Reading<bool>, Option<String>) {
    let absent = |reason: &str| (Reading::absent(reason), None);
    let seen = |known: bool, why: String| (Reading::Seen(known), Some(why));
    if fakes_proc(mounts) {
        return absent("/proc/stat is made by lxcfs, which leaves steal out");
    }
    if root.join("proc/vz").exists() && !root.join("proc/bc").exists() {
        return absent("/proc/stat is made by OpenVZ for each container, and its steal is not the hypervisor's");
    }
    let total = fs::read_to_string(root.join("proc/stat")).ok().and_then(|text| stat::parse(&text).ok()?.all);
    let ticks = match total.map(|all| all.steal_ticks) {
        None => return absent("/proc/stat cannot be read"),
        Some(None) => return absent("this kernel has no steal counter"),
        Some(Some(ticks)) => ticks,
    };
    // Only a hypervisor that tells can have moved it.
    if ticks > 0 {
        let also = hypervisor.map(|h| format!(" under {}", said(h))).unwrap_or_default();
        return seen(true, format!("the counter has moved since boot ({ticks} ticks){also}"));
    }
    if switched_off(root) {
        return seen(false, "the kernel was booted with no-steal-acc".to_owned());
    }
    match (virtual_machine.seen().map(String::as_str), hypervisor) {
        (Some("none"), _) => seen(true, "there is no hypervisor that could take CPU time".to_owned()),
        (_, Some(h @ Hypervisor { kvm_steal: Some(tells), .. })) => seen(*tells, said(h)),
        (Some(name), _) if name.starts_with("Xen") => seen(true, "Xen tells each guest its run states".to_owned()),
        (
            Some(
                name @ ("Hyper-V" | "VirtualBox" | "Parallels" | "bhyve" | "User Mode Linux" | "QEMU TCG" | "ACRN"
                | "QNX" | "OpenBSD vmm" | "NetBSD nvmm" | "HAXM" | "Jailhouse"),
            ),
            _,
        ) => seen(false, format!("{name} has no interface that tells a guest of steal")),
        _ => absent("steal has been 0 since boot, and whether this hypervisor would tell of it cannot be read here"),
    }
}

fn said(hypervisor: &Hypervisor) -> String {
    let name = hypervisor.name;
    let letters = hypervisor.letters();
    match hypervisor.kvm_steal {
        Some(true) => format!("{name} (CPUID {letters}) that says it tells of steal (0x40000001 EAX bit 5)"),
        Some(false) => format!("{name} (CPUID {letters}) that says it does not tell of steal (0x40000001 EAX bit 5)"),
        None => format!("{name} (CPUID {letters})"),
    }
}

/// The word on the kernel's command line that turns the accounting off.
fn switched_off(root: &Path) -> bool {
    line(&root.join("proc/cmdline")).is_some_and(|text| text.split_ascii_whitespace().any(|w| w == "no-steal-acc"))
}

/// Whether the CPU time of threads has steal in it: without paravirtual time accounting a thread is charged for
/// time that the hypervisor took, and /proc/stat tells of it in ticks only.
fn accounting(root: &Path) -> String {
    let config = KernelConfig::read(root);
    match config.has("PARAVIRT_TIME_ACCOUNTING") {
        Reading::Seen(on) => {
            let (state, place) = (if on { "on" } else { "off" }, config.place().unwrap_or_default());
            format!("paravirtual time accounting is {state} ({place})")
        }
        Reading::Absent { absent } => format!("whether paravirtual time accounting is on is unknown ({absent})"),
    }
}

/// What the CPU clock of a thread leaves out besides the time it waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeftOut {
    /// Nothing: what a hypervisor or an interrupt takes is charged to the thread.
    Nothing,
    /// Interrupts (CONFIG_IRQ_TIME_ACCOUNTING).
    Interrupts,
    /// Steal (CONFIG_PARAVIRT_TIME_ACCOUNTING, and a hypervisor that tells).
    Steal,
    /// Both, or steal and perhaps interrupts.
    Both,
}

impl LeftOut {
    /// For the machine we run on.
    pub(crate) fn here(steal_told: bool) -> Self {
        let config = KernelConfig::read(Path::new("/"));
        let steal = steal_told && config.has("PARAVIRT_TIME_ACCOUNTING") != Reading::Seen(false);
        // The pressure of interrupts is made from the same accounts; where it can be read, they are kept.
        let interrupts = fs::read_to_string("/proc/pressure/irq").is_ok();
        let interrupts = interrupts || config.has("IRQ_TIME_ACCOUNTING") != Reading::Seen(false);
        match (steal, interrupts) {
            (false, false) => Self::Nothing,
            (false, true) => Self::Interrupts,
            (true, false) => Self::Steal,
            (true, true) => Self::Both,
        }
    }

    /// The same for people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing: steal and interrupts are charged to whatever thread they hit",
            Self::Interrupts => "interrupts, if anything: no steal",
            Self::Steal => "steal",
            Self::Both => "steal, and perhaps interrupts",
        }
    }
}

/// Whether steal is told here by a hypervisor that is there, as [`crate::host()`] finds it.
pub(crate) fn told_here() -> (bool, Steal) {
    let root = Path::new("/");
    let mounts = crate::proc::mountinfo::read(root).unwrap_or_default();
    let hypervisor = cpuid::hypervisor(root);
    let machine = super::virtual_machine::of(root, &super::cpu::Cpu::read(root), hypervisor.as_ref());
    let steal = of(root, &mounts, &machine, hypervisor.as_ref());
    let metal = machine.seen().is_some_and(|name| name == "none");
    (steal.known == Reading::Seen(true) && !metal, steal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::mountinfo;

    fn of_tree(files: &[(&str, &str)], mounts: &str, machine: &str, hypervisor: Option<Hypervisor>) -> Steal {
        let tree = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        of(tree.path(), &mountinfo::parse(mounts), &Reading::Seen(machine.into()), hypervisor.as_ref())
    }

    fn told(steal: &str, mounts: &str, machine: &str) -> Reading<bool> {
        of_tree(&[("proc/stat", &format!("cpu  1 2 3 4 5 6 7{steal}\n"))], mounts, machine, None).known
    }

    const STILL: (&str, &str) = ("proc/stat", "cpu  1 2 3 4 5 6 7 0 0 0\n");

    fn kvm(steal: bool) -> Option<Hypervisor> {
        Some(Hypervisor { name: cpuid::KVM, signature: *b"KVMKVMKVM\0\0\0", kvm_steal: Some(steal) })
    }

    #[test]
    fn a_counter_that_moved_is_known_and_one_at_zero_is_not_taken_for_none() {
        assert_eq!(told(" 30 0 0", "", "KVM"), Reading::Seen(true));
        assert!(told(" 0 0 0", "", "KVM").reason().unwrap().contains("0 since boot"));
        assert_eq!(told(" 0 0 0", "", "none"), Reading::Seen(true), "bare metal has none to lose");
        assert_eq!(told(" 0 0 0", "", "Xen"), Reading::Seen(true));
        assert_eq!(told(" 0 0 0", "", "Hyper-V"), Reading::Seen(false));
        assert_eq!(told(" 0 0 0", "", "QEMU TCG"), Reading::Seen(false));
        assert!(told("", "", "KVM").reason().unwrap().contains("no steal counter"));
        let lxcfs = "40 22 0:60 /proc/stat /proc/stat rw - fuse.lxcfs lxcfs rw\n";
        assert!(told(" 30 0 0", lxcfs, "none").reason().unwrap().contains("lxcfs"));
    }

    #[test]
    fn the_processor_decides_and_the_evidence_says_so() {
        let yes = of_tree(&[STILL], "", "KVM ABI", kvm(true));
        assert_eq!(yes.known, Reading::Seen(true));
        let evidence = yes.evidence.seen().unwrap();
        assert!(evidence.starts_with("KVM ABI (CPUID KVMKVMKVM) that says it tells of steal"), "{evidence}");
        assert!(evidence.contains("whether paravirtual time accounting is on is unknown"), "{evidence}");
        let no = of_tree(&[STILL], "", "KVM ABI", kvm(false));
        assert_eq!(no.known, Reading::Seen(false));
        assert!(no.evidence.seen().unwrap().contains("does not tell"), "{no:?}");
    }

    #[test]
    fn what_stands_in_front_of_the_counter_goes_first() {
        let off = of_tree(&[STILL, ("proc/cmdline", "quiet no-steal-acc\n")], "", "KVM ABI", kvm(true));
        assert_eq!(off.known, Reading::Seen(false));
        assert!(off.evidence.seen().unwrap().contains("no-steal-acc"));
        let moved = ("proc/stat", "cpu  1 2 3 4 5 6 7 30 0 0\n");
        let openvz = of_tree(&[moved, ("proc/vz/version", "1\n")], "", "KVM ABI", kvm(true));
        assert!(openvz.known.reason().unwrap().contains("OpenVZ"), "{openvz:?}");
        assert_eq!(openvz.evidence.reason(), openvz.known.reason());
    }
}
