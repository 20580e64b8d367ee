//! The things that are looked at, one function each.

use std::path::Path;

use record::{Dataplane, Host, Reading, SiblingVerdict, SpeedCard};
use scenarios::limits::CgroupTree;

use super::{Finding, card};
use crate::programs::ProgramArgs;

/// Looks at everything, the most general first.
pub(super) fn all(host: &Host, programs: &ProgramArgs, out: &Path) -> Vec<Finding> {
    vec![
        cpus(host),
        memory(host),
        machine(host),
        proc_view(host),
        steal(host),
        speed(host),
        siblings(host),
        clock(host),
        governor(host),
        load(host),
        cgroups(),
        memory_limits(),
        pods(),
        psi(host),
        open_files(),
        ports(),
        disk(host, out),
        envoy(programs),
        packaged("haproxy", Dataplane::Haproxy, programs.haproxy.as_deref()),
        packaged("nginx", Dataplane::Nginx, programs.nginx.as_deref()),
    ]
}

fn cpus(host: &Host) -> Finding {
    let model = host.cpu_model.seen().map_or("unknown model", String::as_str);
    let found = format!("{} of {} CPUs ({model})", host.cpus_allowed, host.cpus_online.len());
    if let Some(quota) = reports::tightest_quota(host) {
        return Finding::note(
            "cpu",
            format!("{found}, held to {:.2} of them by the limit of {}", reports::quota_cores(quota), quota.cgroup),
            "outside of this limit: it throttles everything that is measured, with a mesh and without",
        );
    }
    match host.cpus_allowed {
        0 | 1 => Finding::note(
            "cpu",
            format!("{found}: the generator, the services and the proxies share one"),
            "two CPUs or more; on one, differences between cells still hold, absolute figures do not",
        ),
        _ => Finding::good("cpu", found),
    }
}

fn memory(host: &Host) -> Finding {
    match &host.memory_bytes {
        Reading::Seen(bytes) => {
            let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
            let limits = host.cgroup_limits.memory.seen().into_iter().flatten();
            let tightest = limits.min_by_key(|limit| limit.bytes).filter(|limit| limit.bytes < *bytes);
            let (found, bytes) = match tightest {
                Some(limit) => {
                    let found = format!("{} of {}, by the limit of {}", gib(limit.bytes), gib(*bytes), limit.cgroup);
                    (found, limit.bytes)
                }
                None => (gib(*bytes), *bytes),
            };
            if bytes < 512 << 20 {
                return Finding::note("memory", found, "512 MiB or more for three services with Envoy sidecars");
            }
            Finding::good("memory", found)
        }
        Reading::Absent { absent } => Finding::note("memory", absent.clone(), "check /proc/meminfo"),
    }
}

fn machine(host: &Host) -> Finding {
    let say = |r: &Reading<String>| {
        r.seen().cloned().or_else(|| r.reason().map(|w| format!("unknown: {w}"))).unwrap_or_default()
    };
    Finding::good(
        "machine",
        format!(
            "Linux {} {}, virtual machine: {}, container: {}",
            host.kernel,
            host.arch,
            say(&host.virtual_machine),
            say(&host.container)
        ),
    )
}

/// What is hidden in /proc, or made by something else than the kernel.
fn proc_view(host: &Host) -> Finding {
    let view = &host.proc_view;
    if let Some(replaced) = view.replaced.seen().filter(|files| !files.is_empty()) {
        let files = replaced.keys().cloned().collect::<Vec<_>>().join(", ");
        return Finding::note(
            "proc",
            format!("not the kernel's own, but made for this container: {files}"),
            "run on the machine itself; in here steal, I/O wait and load are not the machine's",
        );
    }
    match (&view.hidepid, view.hidepid.reason()) {
        (Reading::Seen(Some(value)), _) => Finding::note(
            "proc",
            format!("processes of other users are hidden (hidepid={value})"),
            "run as root, or with the group that `gid=` of the mount names, to watch processes of others",
        ),
        (_, Some(reason)) => Finding::note("proc", reason.to_owned(), "check that /proc is mounted"),
        _ => Finding::good("proc", "the kernel's own, and nothing is hidden"),
    }
}

fn steal(host: &Host) -> Finding {
    let evidence = host.steal_evidence.seen().map(|why| format!(": {why}")).unwrap_or_default();
    match &host.steal_known {
        Reading::Seen(true) => {
            Finding::good("steal", format!("this kernel is told of CPU time that the hypervisor takes away{evidence}"))
        }
        Reading::Seen(false) => Finding::note(
            "steal",
            format!("this kernel is not told of CPU time that a hypervisor takes away{evidence}"),
            "meshtax probe --gaps 20s, which sees it without being told; in reports steal is n/a",
        ),
        Reading::Absent { absent } => Finding::note(
            "steal",
            absent.clone(),
            "meshtax probe --gaps 20s, which sees it without being told; in reports steal is n/a",
        ),
    }
}

/// A speed that changes by itself bends every comparison of two moments.
fn speed(host: &Host) -> Finding {
    match &host.speed {
        Reading::Seen(SpeedCard { best_ns, median_ns, p95_ns, variation, .. }) => {
            let us = |ns: &u64| *ns as f64 / 1e3;
            let found = format!(
                "a fixed piece of work takes {:.2} us (best {:.2}, p95 {:.2}), which varies by {:.1} %",
                us(median_ns),
                us(best_ns),
                us(p95_ns),
                variation * 100.0
            );
            if *variation > 0.05 {
                return Finding::note(
                    "speed",
                    found,
                    "more and shorter trials: the frequency, a sibling or a neighbour changes the speed, and no counter tells",
                );
            }
            Finding::good("speed", found)
        }
        Reading::Absent { absent } => {
            Finding::note("speed", absent.clone(), "meshtax doctor on this machine, by itself")
        }
    }
}

fn siblings(host: &Host) -> Finding {
    let checks = match &host.smt_siblings {
        Reading::Seen(checks) => checks,
        Reading::Absent { absent } => return Finding::good("siblings", format!("n/a ({absent})")),
    };
    let of = |verdict| checks.iter().filter(move |check| check.verdict == verdict);
    let all = checks.iter().map(card::beside).collect::<Vec<_>>().join("; ");
    if let Some(check) = of(SiblingVerdict::ShareACore).next() {
        let told = match check.topology_says.seen() {
            Some(true) => "",
            _ => ", which the topology does not say",
        };
        return Finding::note(
            "siblings",
            format!("CPUs {} and {} share a core{told} ({all})", check.cpu, check.other),
            "count such a pair as one core, and compare only with machines that have them too",
        );
    }
    if of(SiblingVerdict::CannotTell).next().is_some() {
        let found = format!("whether CPUs share a core cannot be told ({all})");
        return Finding::note("siblings", found, "the same on a quiet machine");
    }
    Finding::good("siblings", format!("no CPUs that were compared share a core ({all})"))
}

fn clock(host: &Host) -> Finding {
    match host.clock_source.seen().map(String::as_str) {
        Some(fast @ ("tsc" | "kvm-clock" | "arch_sys_counter" | "hyperv_clocksource_tsc_page")) => {
            Finding::good("clock", fast)
        }
        Some(slow) => Finding::note(
            "clock",
            format!("{slow}: reading the time is a system call here"),
            "the kernel's tsc or kvm-clock, where the host offers it (clocksource= on the kernel's command line)",
        ),
        None => Finding::note(
            "clock",
            host.clock_source.reason().unwrap_or("unknown").to_owned(),
            "nothing, if `meshtax load` shows a small lag",
        ),
    }
}

fn governor(host: &Host) -> Finding {
    match &host.governor {
        Reading::Seen(g) if g == "performance" => Finding::good("governor", "performance"),
        Reading::Seen(g) => Finding::note(
            "governor",
            format!("{g}: the frequency follows the load, and latency with it"),
            "cpupower frequency-set -g performance, for the time of the run",
        ),
        Reading::Absent { absent } => Finding::good("governor", format!("n/a ({absent})")),
    }
}

/// Others at work on the machine bend every figure.
fn load(host: &Host) -> Finding {
    let Ok(text) = std::fs::read_to_string("/proc/loadavg") else {
        return Finding::note("other work", "/proc/loadavg cannot be read", "check that /proc is mounted");
    };
    let one: f64 = text.split_whitespace().next().and_then(|f| f.parse().ok()).unwrap_or(0.0);
    let share = one / f64::from(host.cpus_allowed.max(1));
    let found = format!("load average {one:.2} over the last minute");
    if share > 0.3 {
        return Finding::note(
            "other work",
            found,
            "end other programs, or wait a minute: they take CPU from what is measured",
        );
    }
    Finding::good("other work", found)
}

/// Tries it: permissions are hard to predict and easy to test.
fn cgroups() -> Finding {
    match CgroupTree::create("doctor") {
        Ok(tree) => match tree.leaf("probe", record::CpuQuantity::from_millicores(500).ok()) {
            Ok(_) => Finding::good("cpu limits", format!("cgroups may be made here ({})", tree.describe())),
            Err(error) => refused("cpu limits", &error),
        },
        Err(error) => refused("cpu limits", &error),
    }
}

/// Tries it too: memory is a controller of its own, which may be missing where that of CPUs is there.
fn memory_limits() -> Finding {
    let tried = || {
        let tree = CgroupTree::with_memory("doctor-memory")?;
        let leaf = tree.leaf("probe", None)?;
        record::MemoryQuantity::from_bytes(64 << 20).map_or(Ok(()), |limit| tree.set_memory(&leaf, limit))
    };
    match tried() {
        Ok(()) => Finding::good("memory limits", "the memory of a cgroup can be limited here"),
        Err(error) => refused("memory limits", &error),
    }
}

/// Tries it too: a network of a pod with all that a trial uses.
fn pods() -> Finding {
    match scenarios::network::Network::permitted() {
        Ok(()) => Finding::good("pods", "network namespaces, their firewall and a capture of their links work here"),
        Err(error) => refused("pods", &error),
    }
}

fn refused(what: &'static str, error: &scenarios::Error) -> Finding {
    let said = error.to_string();
    let (found, remedy) = said.split_once("\n  try: ").unwrap_or((&said, "run as root"));
    Finding::note(what, found.to_owned(), remedy.to_owned())
}

fn psi(host: &Host) -> Finding {
    match &host.psi {
        Reading::Seen(true) => Finding::good("pressure", "PSI can be read"),
        Reading::Seen(false) => Finding::note("pressure", "no PSI here", "psi=1 on the kernel's command line"),
        Reading::Absent { absent } => Finding::note(
            "pressure",
            absent.clone(),
            "a kernel with CONFIG_PSI, booted with psi=1; reports print n/a until then",
        ),
    }
}

fn open_files() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let text = |l: Option<u64>| l.map_or_else(|| "unlimited".to_owned(), |n| n.to_string());
    let found = format!("{} (hard limit {})", text(limit.current), text(limit.maximum));
    match limit.current {
        Some(n) if n < 1024 => Finding::note(
            "open files",
            format!("{found}: enough for about {} connections", n / 4),
            "ulimit -n 4096, or LimitNOFILE= in the unit",
        ),
        _ => Finding::good("open files", found),
    }
}

/// Loopback and a port chosen by the kernel are all that a run needs.
fn ports() -> Finding {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .map(|t| t.split_whitespace().collect::<Vec<_>>().join("-"))
        .unwrap_or_else(|_| "unknown".to_owned());
    match crate::lab::loopback() {
        Ok(()) => Finding::good("ports", format!("loopback answers; the kernel chooses from {range}")),
        Err(e) => Finding::problem(
            "ports",
            format!("127.0.0.1 cannot be used: {e}"),
            "bring the loopback interface up: ip link set lo up",
        ),
    }
}

fn disk(host: &Host, out: &Path) -> Finding {
    let device = match &host.disk {
        Reading::Seen(d) => d.name.clone(),
        Reading::Absent { absent } => format!("n/a ({absent})"),
    };
    match rustix::fs::statvfs(out) {
        Ok(s) => {
            let free = s.f_bavail * s.f_frsize;
            let found =
                format!("{:.1} GiB free under {}, device {device}", free as f64 / f64::from(1 << 30), out.display());
            if free < 100 << 20 {
                return Finding::note("disk", found, "100 MiB free, or another place with --out DIR");
            }
            Finding::good("disk", found)
        }
        Err(e) => {
            Finding::problem("disk", format!("{}: {e}", out.display()), "a directory that exists, with --out DIR")
        }
    }
}

fn envoy(programs: &ProgramArgs) -> Finding {
    match scenarios::proxy::envoy::find(programs.envoy.as_deref()) {
        Ok(found) => Finding::good("envoy", format!("{} at {}", found.version, found.path.display())),
        Err(error) => missing("envoy", &error),
    }
}

fn packaged(what: &'static str, dataplane: Dataplane, named: Option<&Path>) -> Finding {
    match scenarios::proxy::packaged::find(dataplane, named) {
        Ok(found) => Finding::good(what, format!("{} at {}", found.version, found.path.display())),
        Err(error) => missing(what, &error),
    }
}

fn missing(what: &'static str, error: &scenarios::Error) -> Finding {
    let said = error.to_string();
    let (found, remedy) = said.split_once("\n  try: ").unwrap_or((&said, "another place, with its flag"));
    let found: Vec<&str> = found.lines().map(str::trim).collect();
    Finding::note(what, found.join("; "), remedy.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::doctor::Weight;

    use super::*;

    #[test]
    fn what_a_cgroup_allows_is_what_there_is() {
        let mut host = node_probe::host(Path::new("/"), Path::new("."));
        host.cpus_allowed = 2;
        host.memory_bytes = Reading::Seen(8 << 30);
        host.cgroup_limits.cpu = Reading::Seen(vec![]);
        host.cgroup_limits.memory = Reading::Seen(vec![]);
        assert_eq!((cpus(&host).weight, memory(&host).weight), (Weight::Good, Weight::Good));
        let limit = |cgroup: &str, bytes| record::MemoryLimit { cgroup: cgroup.into(), bytes };
        host.cgroup_limits.memory = Reading::Seen(vec![limit("/a/b", 256 << 20), limit("/a", 1 << 30)]);
        let found = memory(&host);
        assert!(found.weight == Weight::Note && found.found == "0.2 GiB of 8.0 GiB, by the limit of /a/b", "{found:?}");
        // A group above may be the tighter one.
        let quota = |cgroup: &str, quota_us| record::CpuQuota { cgroup: cgroup.into(), quota_us, period_us: 100_000 };
        host.cgroup_limits.cpu = Reading::Seen(vec![quota("/a/b", 400_000), quota("/a", 50_000)]);
        let found = cpus(&host);
        assert!(
            found.weight == Weight::Note && found.found.ends_with("held to 0.50 of them by the limit of /a"),
            "{found:?}"
        );
    }

    #[test]
    fn a_proc_that_is_hidden_or_made_by_others_is_a_note() {
        let mut host = node_probe::host(Path::new("/"), Path::new("."));
        host.proc_view.replaced = Reading::Seen([].into());
        host.proc_view.hidepid = Reading::Seen(None);
        assert_eq!(proc_view(&host).weight, Weight::Good);
        host.proc_view.hidepid = Reading::Seen(Some("invisible".into()));
        let hidden = proc_view(&host);
        assert!(hidden.weight == Weight::Note && hidden.found.contains("hidepid=invisible"), "{hidden:?}");
        host.proc_view.replaced = Reading::Seen([("/proc/stat".to_owned(), "fuse.lxcfs".to_owned())].into());
        let replaced = proc_view(&host);
        assert!(replaced.weight == Weight::Note && replaced.found.contains("/proc/stat"), "{replaced:?}");
    }
}
