//! What machine this is: the facts that decide whether two runs may be compared, and which figures to trust.

mod cgroup_limits;
mod cgroups;
mod container;
mod cpu;
mod cpuid;
mod kernel;
pub(crate) mod kernel_config;
mod limits;
pub(crate) mod memory;
pub(crate) mod proc_view;
pub(crate) mod steal;
mod time_sync;
mod topology;
mod virtual_machine;

pub(crate) use cpu::parse_list as parse_cpu_list;

use std::fs;
use std::path::Path;

use record::{Host, Reading};
use rustix::system::uname;

use crate::absence;
use crate::disk::device::line;
use crate::disk::{chain, identity};
use crate::proc::mountinfo;
use crate::source::{Page, Source};

/// The machine under `root` ("/", or a tree with the text of another), and the disk under `path` in it.
///
/// Nothing here fails: what cannot be read is absent with the reason. Limits, the affinity and USER_HZ are
/// those of this process, which no text tells.
pub fn host(root: &Path, path: &Path) -> Host {
    let mounts = mountinfo::read(root).unwrap_or_default();
    let cpu = cpu::Cpu::read(root);
    let system = uname();
    let kernel = line(&root.join("proc/sys/kernel/osrelease"));
    let container = container::of(root, &mounts);
    let kernel = kernel.unwrap_or_else(|| system.release().to_string_lossy().into_owned());
    let hypervisor = cpuid::hypervisor(root);
    let virtual_machine = virtual_machine::of(root, &cpu, hypervisor.as_ref());
    let steal = steal::of(root, &mounts, &virtual_machine, hypervisor.as_ref());
    Host {
        kernel_traits: kernel::of(root),
        kernel,
        arch: system.machine().to_string_lossy().into_owned(),
        distribution: distribution(root),
        cpu_model: cpu.model(root),
        cpus_online: cpu::online(root),
        cpus_allowed: cpu::allowed(),
        memory_bytes: memory(root),
        steal_known: steal.known,
        steal_evidence: steal.evidence,
        virtual_machine,
        container,
        clock_source: said(root, "sys/devices/system/clocksource/clocksource0/current_clocksource"),
        clock_ticks_per_second: rustix::param::clock_ticks_per_second(),
        governor: line(&root.join("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")).map_or_else(
            || Reading::absent("no frequency scaling is shown here (as a rule so in virtual machines)"),
            Reading::Seen,
        ),
        cgroups: cgroups::kind(&mounts),
        psi: psi(root),
        disk: identity::of(root, path),
        limits: limits::all(),
        topology: topology::of(root),
        caches: topology::caches(root),
        memory_traits: memory::of(root),
        cgroup_limits: cgroup_limits::of(root, &mounts),
        time_sync: time_sync::of(root),
        proc_view: proc_view::of(&mounts),
        disk_chain: chain::of(root, path),
        speed: Reading::absent(crate::speed::NOT_MEASURED),
        smt_siblings: Reading::absent(crate::speed::NOT_MEASURED),
    }
}

/// The one line of a file, or that it is missing.
fn said(root: &Path, path: &str) -> Reading<String> {
    let path = root.join(path);
    line(&path).map_or_else(|| Reading::absent(format!("{} does not say", path.display())), Reading::Seen)
}

/// PRETTY_NAME of os-release (os-release(5)): the one in /etc wins.
fn distribution(root: &Path) -> Reading<String> {
    for path in ["etc/os-release", "usr/lib/os-release"] {
        let Ok(text) = fs::read_to_string(root.join(path)) else { continue };
        let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        if let Some(name) = name {
            return Reading::Seen(name.trim().trim_matches(['"', '\'']).to_owned());
        }
    }
    Reading::absent("no os-release says its name")
}

fn memory(root: &Path) -> Reading<u64> {
    let path = root.join("proc/meminfo");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) => return Reading::absent(format!("cannot read {}: {e}", path.display())),
    };
    text.lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
        .map_or_else(
            || Reading::absent(format!("{} has no MemTotal", path.display())),
            |kb| Reading::Seen(kb.saturating_mul(1024)),
        )
}

/// Seen when it can be read; a pressure file may be there and refuse.
fn psi(root: &Path) -> Reading<bool> {
    let path = root.join("proc/pressure/cpu");
    let read = |source: Source| source.read(&mut Page::new()).map(drop);
    match Source::open(&path).and_then(read) {
        Ok(()) => Reading::Seen(true),
        Err(errno) => Reading::absent(absence::no_pressure(&path, errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text_tree::tree;

    #[test]
    fn a_tree_of_text_is_told_as_it_says() {
        let tree = tree(&[
            ("proc/sys/kernel/osrelease", "6.1.0-21-cloud-arm64\n"),
            ("etc/os-release", "NAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            ("proc/meminfo", "MemTotal:       24683656 kB\nMemFree:        20000000 kB\n"),
            ("sys/devices/system/clocksource/clocksource0/current_clocksource", "kvm-clock \n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "schedutil\n"),
            ("sys/devices/system/cpu/online", "0-1,8\n"),
            ("proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"),
        ]);
        let host = host(tree.path(), Path::new("/runs"));
        assert_eq!(host.kernel, "6.1.0-21-cloud-arm64");
        assert_eq!(host.distribution, Reading::Seen("Debian GNU/Linux 12 (bookworm)".into()));
        assert_eq!(host.memory_bytes, Reading::Seen(24_683_656 * 1024));
        assert_eq!(host.clock_source, Reading::Seen("kvm-clock".into()));
        assert_eq!(host.governor, Reading::Seen("schedutil".into()));
        assert_eq!(host.cpus_online, [0, 1, 8]);
        assert_eq!(host.psi, Reading::Seen(true));
        assert!(host.limits["nofile"].contains('/'), "{:?}", host.limits);
    }

    #[test]
    fn an_empty_tree_has_reasons_and_no_zeros() {
        let tree = tree(&[]);
        let host = host(tree.path(), Path::new("/runs"));
        for reason in [
            host.distribution.reason(),
            host.cpu_model.reason(),
            host.memory_bytes.reason(),
            host.virtual_machine.reason(),
            host.steal_known.reason(),
            host.steal_evidence.reason(),
            host.speed.reason(),
            host.smt_siblings.reason(),
            host.clock_source.reason(),
            host.governor.reason(),
            host.cgroups.reason(),
            host.psi.reason(),
            host.disk.reason(),
        ] {
            assert!(reason.is_some_and(|r| !r.is_empty()), "{host:#?}");
        }
        assert!(host.cpus_allowed > 0);
    }
}
