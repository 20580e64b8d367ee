//! What the table says of samples with known growth.

use std::collections::BTreeMap;

use record::{
    CgroupSample, CpuBandwidth, CpuTimes, DiskCounters, LoadAverage, NodeSample, OwnCost, PressureLine, PressureSample,
    ProcessSample,
};

use super::*;

const SECOND: u64 = 1_000_000_000;

fn pressure(us: u64) -> Reading<PressureSample> {
    let line = PressureLine { avg10: 0.0, total_us: us };
    Reading::Seen(PressureSample { some: Some(line), full: None })
}

fn facts(steal_known: Reading<bool>) -> Facts {
    Facts { ticks_per_second: 100, cpus: 1, steal_known }
}

/// A machine that has done `n` times as much since the start.
fn sample(n: u64) -> Sample {
    let times = CpuTimes {
        user_ticks: 60 * n,
        nice_ticks: 0,
        system_ticks: 20 * n,
        idle_ticks: 100 * n,
        iowait_ticks: Some(10 * n),
        irq_ticks: Some(n),
        softirq_ticks: Some(n),
        steal_ticks: Some(8 * n),
        guest_ticks: Some(50 * n),
        guest_nice_ticks: None,
    };
    let disk =
        DiskCounters { device: "vda".into(), reads: 200 * n, read_ms: 50 * n, in_flight: 3, ..DiskCounters::default() };
    let node = NodeSample {
        cpu: Reading::Seen(times),
        cpus: Reading::absent("not shown"),
        context_switches: Reading::Seen(n),
        forks: Reading::Seen(n),
        procs_running: Reading::Seen(n),
        procs_blocked: Reading::Seen(n),
        disk: Reading::Seen(disk),
        psi_cpu: pressure(500_000 * n),
        psi_io: pressure(0),
        psi_memory: Reading::absent("no PSI"),
        psi_irq: Reading::absent("no interrupt pressure"),
        load: Reading::Seen(LoadAverage { one: 1.5, five: 1.0, fifteen: 0.5 }),
        ..NodeSample::default()
    };
    let process = ProcessSample {
        pid: 7,
        read_ns: 2 * SECOND * n,
        user_ticks: Reading::Seen(10 * n),
        system_ticks: Reading::Seen(10 * n),
        rss_bytes: Reading::Seen(3 << 20),
        run_ns: Reading::Seen(SECOND * n),
        run_delay_ns: Reading::Seen(SECOND / 2 * n),
        threads: Reading::Seen(4),
        ..ProcessSample::default()
    };
    let gone = ProcessSample { threads: Reading::absent("exited"), ..process.clone() };
    let ticks = ProcessSample { run_ns: Reading::absent("no schedstat"), ..process.clone() };
    let cgroup = CgroupSample {
        read_ns: 2 * SECOND * n,
        usage_ns: Reading::Seen(SECOND / 2 * n),
        periods: Reading::Seen(20 * n),
        throttled_periods: Reading::Seen(18 * n),
        throttled_ns: Reading::Seen(SECOND * n),
        limit: Reading::Seen(CpuBandwidth { quota_ns: Some(50_000_000), period_ns: 100_000_000 }),
        ..CgroupSample::default()
    };
    // One thread in that group: it waited for a second in two, which is just what it was throttled.
    let held = ProcessSample {
        run_delay_ns: Reading::Seen(SECOND * n),
        threads: Reading::Seen(1),
        cgroup: Some("s1".into()),
        ..process.clone()
    };
    Sample {
        round: n,
        due_ns: 2 * SECOND * n,
        before_ns: 2 * SECOND * n,
        after_ns: 2 * SECOND * n,
        node,
        cgroups: BTreeMap::from([("s1".to_owned(), cgroup)]),
        processes: BTreeMap::from([
            ("gone".into(), gone),
            ("held".into(), held),
            ("p".into(), process),
            ("t".into(), ticks),
        ]),
        own: OwnCost { cpu_ns: SECOND / 50 * n, late_ns: 300_000, missed_rounds: 1, ..OwnCost::default() },
        ..Sample::default()
    }
}

#[test]
fn rates_are_what_the_counters_grew_by_over_the_time_between() {
    let want = "\
over the last 2.0 s
cpu       user 30.0 % ±0.5, sys 11.0 % ±0.5, steal 4.0 % ±0.5, idle with I/O pending 5.0 % ±0.5
psi cpu   some 25.0 % ±0.5, full n/a (not in this kernel)
psi io    some 0.0 % ±0.5, full n/a (not in this kernel)
psi mem   n/a (no PSI)
psi irq   n/a (no interrupt pressure)
disk      vda: reads 100/s of 0.25 ms ±0.01, writes 0/s, flushes n/a (not in this kernel), 3 in flight
load      1.50 1.00 0.50
process   gone: n/a (exited)
process   held: CPU 50.0 % ±0.5, waited for CPU 500.0 ms/s ±25.0 (without throttling 0.0 % ±0.0), RSS 3.0 MiB, 1 threads
process   p: CPU 50.0 % ±0.5, waited for CPU 250.0 ms/s ±5.0, RSS 3.0 MiB, 4 threads
process   t: CPU 10.0 % ±1.0, waited for CPU 250.0 ms/s ±5.0, RSS 3.0 MiB, 4 threads
cgroup    s1: CPU 25.0 % ±0.5 of 50.0 %, throttled 500.0 ms/s ±25.0, 18 of 20 periods
probe     1.00 % of one CPU, 0.3 ms late, 1 rounds missed
";
    let mut table = Table::new(facts(Reading::Seen(true)));
    assert_eq!(table.next(&sample(1)), None, "one sample has no rate");
    assert_eq!(table.next(&sample(2)).unwrap(), want);
}

#[test]
fn a_steal_counter_that_means_nothing_is_not_shown_as_zero() {
    let still = |n: u64| {
        let mut still = sample(n);
        still.node.cpu = still.node.cpu.map(|times| CpuTimes { steal_ticks: Some(0), ..times });
        still
    };
    let text = render(&still(1), &still(2), &facts(Reading::absent("cannot be read here")));
    assert!(text.contains("steal n/a (cannot be read here)"), "{text}");
    let text = render(&still(1), &still(2), &facts(Reading::Seen(false)));
    assert!(text.contains("steal n/a (this hypervisor does not tell)"), "{text}");
    let text = render(&sample(1), &sample(2), &facts(Reading::absent("cannot be read here")));
    assert!(text.contains("steal 4.0 %"), "{text}");
}

#[test]
fn a_counter_that_went_backwards_is_not_a_rate() {
    let text = render(&sample(2), &Sample { before_ns: 9 * SECOND, ..sample(1) }, &facts(Reading::Seen(true)));
    assert!(text.contains("throttled n/a (the counter went backwards, by 1000000000 from 2000000000)"), "{text}");
    assert!(text.contains("reads n/a (the counter went backwards, by 200 from 400)"), "{text}");
}
