//! What this kernel was built and booted with, as far as it decides which readings exist and how fine they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use record::{KernelTraits, Reading};

use super::kernel_config::KernelConfig;
use crate::disk::device::line;

/// Options of the command line that are kept. All others are left out: some installations pass secrets there.
const OPTIONS: &[&str] = &[
    "cgroup_no_v1",
    "clocksource",
    "cpuidle.off",
    "cpuidle_haltpoll.force",
    "delayacct",
    "elevator",
    "haltpoll.guest_halt_poll_ns",
    "idle",
    "intel_idle.max_cstate",
    "irqaffinity",
    "isolcpus",
    "kpti",
    "maxcpus",
    "mitigations",
    "nodelayacct",
    "nohz",
    "nohz_full",
    "no-steal-acc",
    "nopti",
    "nopv",
    "nosmt",
    "nospectre_v1",
    "nospectre_v2",
    "nr_cpus",
    "nvme_core.multipath",
    "preempt",
    "processor.max_cstate",
    "psi",
    "pti",
    "rcu_nocbs",
    "retbleed",
    "schedstats",
    "skew_tick",
    "spec_store_bypass_disable",
    "spectre_v2",
    "systemd.unified_cgroup_hierarchy",
    "threadirqs",
    "transparent_hugepage",
    "tsc",
];

/// Everything about the kernel.
pub(super) fn of(root: &Path) -> KernelTraits {
    let build = KernelConfig::read(root);
    let boot_options = boot_options(root);
    KernelTraits {
        tick_hz: match build.value("HZ") {
            Ok(hz) => hz
                .and_then(|hz| hz.parse().ok())
                .map_or_else(|| Reading::absent("the kernel's build options have no CONFIG_HZ"), Reading::Seen),
            Err(reason) => Reading::absent(reason),
        },
        preemption: preemption(root, &build, boot_options.seen()),
        irq_time_accounting: build.has("IRQ_TIME_ACCOUNTING"),
        paravirt_time_accounting: build.has("PARAVIRT_TIME_ACCOUNTING"),
        schedstat_version: schedstat_version(root),
        schedstats: switch(root, "sched_schedstats", "no such switch: built without CONFIG_SCHEDSTATS"),
        delay_accounting: switch(
            root,
            "task_delayacct",
            "no such switch: before Linux 5.14 delays are always counted, unless built without them",
        ),
        io_uring: match line(&root.join("proc/sys/kernel/io_uring_disabled")).as_deref() {
            Some("0") => Reading::Seen("everyone".to_owned()),
            Some("1") => Reading::Seen("a group".to_owned()),
            Some("2") => Reading::Seen("nobody".to_owned()),
            _ => Reading::absent("no such switch before Linux 6.6; a container's filter may forbid it all the same"),
        },
        boot_options,
        vulnerabilities: vulnerabilities(root),
    }
}

fn preemption(root: &Path, build: &KernelConfig, options: Option<&BTreeMap<String, String>>) -> Reading<String> {
    if line(&root.join("sys/kernel/realtime")).as_deref() == Some("1") {
        return Reading::Seen("rt".to_owned());
    }
    // The one in brackets is in force.
    if let Some(text) = line(&root.join("sys/kernel/debug/sched/preempt"))
        && let Some((_, rest)) = text.split_once('(')
        && let Some((now, _)) = rest.split_once(')')
    {
        return Reading::Seen(now.to_owned());
    }
    if let Err(reason) = build.value("PREEMPT") {
        return Reading::absent(reason);
    }
    let set = |option| build.value(option) == Ok(Some("y"));
    if set("PREEMPT_DYNAMIC")
        && let Some(chosen) = options.and_then(|options| options.get("preempt"))
    {
        return Reading::Seen(chosen.clone());
    }
    [
        ("PREEMPT_RT", "rt"),
        ("PREEMPT_LAZY", "lazy"),
        ("PREEMPT", "full"),
        ("PREEMPT_VOLUNTARY", "voluntary"),
        ("PREEMPT_NONE", "none"),
    ]
    .into_iter()
    .find(|(option, _)| set(option))
    .map_or_else(
        || Reading::absent("the kernel's build options name no preemption"),
        |(_, word)| Reading::Seen(word.to_owned()),
    )
}

fn schedstat_version(root: &Path) -> Reading<u32> {
    let path = root.join("proc/schedstat");
    match fs::read_to_string(&path) {
        Ok(text) => text
            .lines()
            .find_map(|line| line.strip_prefix("version ")?.trim().parse().ok())
            .map_or_else(|| Reading::absent(format!("{} names no version", path.display())), Reading::Seen),
        Err(_) => Reading::absent(format!("no {}: built without CONFIG_SCHEDSTATS", path.display())),
    }
}

/// A switch below /proc/sys/kernel.
fn switch(root: &Path, name: &str, missing: &str) -> Reading<bool> {
    match line(&root.join("proc/sys/kernel").join(name)).as_deref() {
        Some("0") => Reading::Seen(false),
        Some(_) => Reading::Seen(true),
        None => Reading::absent(missing),
    }
}

fn boot_options(root: &Path) -> Reading<BTreeMap<String, String>> {
    let path = root.join("proc/cmdline");
    match fs::read_to_string(&path) {
        Ok(text) => Reading::Seen(
            text.split_whitespace()
                // What follows is for the first process and not for the kernel.
                .take_while(|word| *word != "--")
                .map(|word| word.split_once('=').unwrap_or((word, "")))
                .filter(|(name, _)| OPTIONS.contains(name))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        ),
        Err(e) => Reading::absent(format!("cannot read {}: {e}", path.display())),
    }
}

fn vulnerabilities(root: &Path) -> Reading<BTreeMap<String, String>> {
    let directory = root.join("sys/devices/system/cpu/vulnerabilities");
    let Ok(entries) = fs::read_dir(&directory) else {
        return Reading::absent(format!("no {} (kernel older than 4.15, or no /sys here)", directory.display()));
    };
    let said = entries.flatten().filter_map(|entry| {
        let text = line(&entry.path())?;
        Some((entry.file_name().to_string_lossy().into_owned(), text))
    });
    Reading::Seen(said.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text_tree::tree;

    const RELEASE: (&str, &str) = ("proc/sys/kernel/osrelease", "6.1.0\n");

    const BUILD: &str = "# CONFIG_HZ_100 is not set\nCONFIG_HZ_250=y\nCONFIG_HZ=250\nCONFIG_PREEMPT_BUILD=y\n\
                         CONFIG_PREEMPT_VOLUNTARY=y\nCONFIG_PREEMPT_DYNAMIC=y\n# CONFIG_IRQ_TIME_ACCOUNTING is not set\n";

    #[test]
    fn build_options_are_those_of_the_kernel_that_runs() {
        let told = of(tree(&[RELEASE, ("boot/config-6.1.0", BUILD)]).path());
        assert_eq!(told.tick_hz, Reading::Seen(250));
        assert_eq!(told.preemption, Reading::Seen("voluntary".into()));
        assert_eq!(told.irq_time_accounting, Reading::Seen(false));
        let said = of(tree(&[("proc/sys/kernel/osrelease", "6.1.1\n"), ("boot/config-6.1.0", BUILD)]).path()).tick_hz;
        assert!(said.reason().unwrap().contains("no /boot/config-6.1.1"), "{said:?}");
    }

    #[test]
    fn what_is_in_force_goes_before_what_was_built() {
        let chosen = tree(&[RELEASE, ("boot/config-6.1.0", BUILD), ("proc/cmdline", "quiet preempt=full\n")]);
        assert_eq!(of(chosen.path()).preemption, Reading::Seen("full".into()));
        let told = tree(&[
            RELEASE,
            ("boot/config-6.1.0", BUILD),
            ("sys/kernel/debug/sched/preempt", "none (voluntary) full\n"),
        ]);
        assert_eq!(of(told.path()).preemption, Reading::Seen("voluntary".into()));
        let realtime = tree(&[RELEASE, ("boot/config-6.1.0", BUILD), ("sys/kernel/realtime", "1\n")]);
        assert_eq!(of(realtime.path()).preemption, Reading::Seen("rt".into()));
    }

    #[test]
    fn only_known_options_of_the_command_line_are_kept() {
        let tree = tree(&[("proc/cmdline", "root=/dev/vda1 token=secret mitigations=off threadirqs -- isolcpus=1\n")]);
        let want = [("mitigations", "off"), ("threadirqs", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(of(tree.path()).boot_options, Reading::Seen(want.into()));
    }
}
