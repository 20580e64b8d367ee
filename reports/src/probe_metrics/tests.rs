//! Pages whose every line is known.

use std::collections::BTreeMap;

use record::{
    Accounts, CgroupSample, CpuBandwidth, CpuTimes, DiskCounters, GapCounters, GapLosses, InterfaceCounters,
    LoadAverage, MemorySample, NetworkSample, NodeSample, OwnCost, PressureLine, PressureSample, ProcessSample,
    ReadWindow, ReadWindows, Reading, RunQueueCounters, Sample, SlowSample, SoftirqCounters, SoftnetCounters,
    TcpCounters, VmCounters,
};

use super::*;

const MS: u64 = 1_000_000;

fn facts(steal_known: Reading<bool>) -> Facts {
    Facts { ticks_per_second: 100, steal_known }
}

fn line(total_us: u64) -> Option<PressureLine> {
    Some(PressureLine { avg10: 2.5, total_us })
}

fn times(n: u64) -> CpuTimes {
    CpuTimes {
        user_ticks: n,
        nice_ticks: n + 1,
        system_ticks: n + 2,
        idle_ticks: n + 3,
        iowait_ticks: Some(n + 4),
        irq_ticks: Some(n + 5),
        softirq_ticks: Some(n + 6),
        steal_ticks: Some(0),
        guest_ticks: Some(n + 8),
        guest_nice_ticks: None,
    }
}

/// A first round, which has everything.
fn first() -> Sample {
    let node = NodeSample {
        cpu: Reading::Seen(times(200)),
        cpus: Reading::Seen(BTreeMap::from([(0, times(100)), (2, times(1000))])),
        context_switches: Reading::Seen(11),
        forks: Reading::Seen(12),
        procs_running: Reading::Seen(13),
        procs_blocked: Reading::Seen(0),
        disk: Reading::Seen(DiskCounters {
            device: "vda".into(),
            reads: 1,
            read_sectors: 2,
            read_ms: 1500,
            writes: 3,
            write_sectors: 4,
            write_ms: 2500,
            in_flight: 5,
            weighted_ms: 250,
            flushes: Some(6),
            flush_ms: None,
        }),
        psi_cpu: Reading::Seen(PressureSample { some: line(1_500_000), full: None }),
        psi_io: Reading::absent("PSI is off in this kernel"),
        psi_memory: Reading::Seen(PressureSample { some: line(250), full: line(125) }),
        psi_irq: Reading::absent("this kernel has no pressure/irq"),
        load: Reading::Seen(LoadAverage { one: 0.5, five: 1.0, fifteen: 1.25 }),
        softirqs: Reading::Seen(SoftirqCounters {
            timer: 1,
            net_tx: 2,
            net_rx: 3,
            block: 4,
            sched: 5,
            rcu: 6,
            other: 7,
        }),
        softnet: Reading::Seen(SoftnetCounters {
            processed: 21,
            dropped: 22,
            time_squeeze: 23,
            received_rps: 24,
            flow_limit: 25,
            backlog: None,
        }),
        run_queue: Reading::Seen(RunQueueCounters { run_ns: 31 * MS, run_delay_ns: 32 * MS, timeslices: 33 }),
    };
    let tcp = TcpCounters { retransmitted_segments: Some(9), listen_drops: Some(0), ..TcpCounters::default() };
    let lo = InterfaceCounters {
        received_bytes: 1,
        received_packets: 2,
        receive_errors: 3,
        receive_drops: 4,
        sent_bytes: 5,
        sent_packets: 6,
        send_errors: 7,
        send_drops: 8,
    };
    let network = NetworkSample {
        read_ns: 1003 * MS,
        took_ns: MS,
        interfaces: Reading::Seen(BTreeMap::from([("lo".to_owned(), lo)])),
        tcp: Reading::Seen(tcp),
    };
    let slow = SlowSample {
        memory: Reading::Seen(MemorySample {
            total_bytes: 1,
            free_bytes: 2,
            available_bytes: Some(3),
            cached_bytes: 4,
            dirty_bytes: 5,
            writeback_bytes: 6,
            swap_total_bytes: 7,
            swap_free_bytes: 8,
        }),
        vm: Reading::Seen(VmCounters { major_page_faults: Some(41), oom_kills: Some(0), ..VmCounters::default() }),
        interrupts: Reading::Seen(BTreeMap::from([("LOC".to_owned(), 51), ("24 virtio1-req.0".to_owned(), 52)])),
    };
    Sample {
        round: 0,
        due_ns: 1000 * MS,
        before_ns: 1001 * MS,
        after_ns: 1006 * MS,
        node,
        cgroups: BTreeMap::from([("s1".to_owned(), group())]),
        processes: BTreeMap::from([("s1-sidecar".to_owned(), process())]),
        own: OwnCost { cpu_ns: 61 * MS, late_ns: MS, missed_rounds: 0, rss_bytes: 62, pressure_every_ns: 100 * MS },
        networks: BTreeMap::from([("host".to_owned(), network)]),
        slow: Some(slow),
        reads: ReadWindows {
            stat: Some(ReadWindow(MS, 2 * MS)),
            memory: Some(ReadWindow(4 * MS, 5 * MS)),
            ..ReadWindows::default()
        },
        sensor: None,
    }
}

fn group() -> CgroupSample {
    CgroupSample {
        read_ns: 1002 * MS,
        took_ns: MS / 2,
        usage_ns: Reading::Seen(1_500 * MS),
        periods: Reading::Seen(15),
        throttled_periods: Reading::Seen(14),
        throttled_ns: Reading::Seen(750 * MS),
        psi_cpu_some_us: Reading::Seen(900),
        parent: Some("/kubepods".into()),
        limit: Reading::Seen(CpuBandwidth { quota_ns: Some(50 * MS), period_ns: 100 * MS }),
        psi_io: Reading::Seen(PressureSample { some: line(1), full: line(2) }),
        psi_memory: Reading::absent("no memory.pressure here"),
    }
}

fn process() -> ProcessSample {
    ProcessSample {
        pid: 4711,
        read_ns: 1001 * MS,
        took_ns: MS / 4,
        user_ticks: Reading::Seen(71),
        system_ticks: Reading::Seen(72),
        rss_bytes: Reading::Seen(73),
        run_ns: Reading::Seen(740 * MS),
        run_delay_ns: Reading::Seen(75 * MS),
        threads: Reading::Seen(3),
        timeslices: Reading::Seen(76),
        accounts: Some(Accounts::Taskstats),
        cgroup: Some("s1".into()),
        voluntary_switches: Reading::Seen(77),
        involuntary_switches: Reading::Seen(78),
        block_io_delay_ns: Reading::absent("delay accounting is off (kernel.task_delayacct=0)"),
        state: Reading::default(),
    }
}

/// A round in which only what is read in every round was due.
fn fast(round: u64) -> Sample {
    let first = first();
    let at = 1000 * MS + round * 50 * MS;
    let unread = NodeSample {
        disk: first.node.disk.clone(),
        softirqs: first.node.softirqs.clone(),
        softnet: first.node.softnet.clone(),
        ..NodeSample::default()
    };
    let group = CgroupSample {
        read_ns: at,
        usage_ns: Reading::Seen(1_600 * MS),
        psi_cpu_some_us: Reading::default(),
        limit: Reading::default(),
        psi_io: Reading::default(),
        psi_memory: Reading::default(),
        ..group()
    };
    let process = ProcessSample {
        read_ns: at,
        run_ns: Reading::Seen(800 * MS),
        user_ticks: Reading::default(),
        system_ticks: Reading::default(),
        rss_bytes: Reading::default(),
        accounts: None,
        voluntary_switches: Reading::default(),
        involuntary_switches: Reading::default(),
        block_io_delay_ns: Reading::default(),
        ..process()
    };
    Sample {
        round,
        due_ns: at,
        before_ns: at,
        after_ns: at + MS,
        node: unread,
        cgroups: BTreeMap::from([("s1".to_owned(), group)]),
        processes: BTreeMap::from([("s1-sidecar".to_owned(), process)]),
        networks: BTreeMap::new(),
        slow: None,
        reads: ReadWindows { disk: Some(ReadWindow(0, MS)), ..ReadWindows::default() },
        ..first
    }
}

fn page(samples: &[Sample], now_ns: u64) -> String {
    let mut latest = Latest::default();
    for sample in samples {
        latest.take(sample);
    }
    render(&latest, &facts(Reading::absent("this hypervisor does not say")), Format::OpenMetrics, now_ns)
}

/// The value of a series, without the prefix that all have.
fn value<'p>(page: &'p str, series: &str) -> Option<&'p str> {
    page.lines().find_map(|line| line.strip_prefix("meshtax_node_")?.strip_prefix(series)?.strip_prefix(' '))
}

#[test]
fn every_line_of_a_whole_round_is_known() {
    let version = format!("probe_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    let page = page(&[first()], 2001 * MS).replace(&version, "probe_info{version=\"V\"}");
    let known = include_str!("tests/whole_round.txt");
    if page != known {
        let differing = page.lines().zip(known.lines()).find(|(made, known)| made != known);
        panic!("the first line that differs, made and known: {differing:?}; the page:\n{page}");
    }
}

#[test]
fn a_sensor_is_told_by_what_took_the_time() {
    let lost = GapLosses { quota_ns: 3 * MS, unexplained_ns: MS, ..GapLosses::default() };
    let sensor = GapCounters { bursts: 5, burst_ns: 10 * MS, lost, chunk_best_ns: 2 * MS, ..GapCounters::default() };
    let page = page(&[Sample { sensor: Some(sensor), ..first() }], 1200 * MS);
    for (series, want) in [
        ("sensor_bursts_total", "5"),
        ("sensor_watched_seconds_total", "0.01"),
        (r#"sensor_lost_seconds_total{cause="quota"}"#, "0.003"),
        (r#"sensor_lost_seconds_total{cause="unexplained"}"#, "0.001"),
        (r#"sensor_lost_seconds_total{cause="known_steal"}"#, "0.0"),
        ("sensor_work_best_seconds", "0.002"),
    ] {
        assert_eq!(value(&page, series), Some(want), "{series} in:\n{page}");
    }
}

#[test]
fn what_was_not_due_keeps_what_it_said_and_its_age() {
    let page = page(&[first(), fast(1), fast(2)], 1200 * MS);
    for (series, want) in [
        // Read in every round.
        (r#"cgroup_usage_seconds_total{cgroup="s1"}"#, "1.6"),
        (r#"process_run_seconds_total{process="s1-sidecar"}"#, "0.8"),
        (r#"read_age_seconds{source="processes"}"#, "0.1"),
        (r#"read_age_seconds{source="disk"}"#, "0.1"),
        // From the first.
        (r#"cpu_seconds_total{cpu="0",mode="user"}"#, "1.0"),
        (r#"read_age_seconds{source="stat"}"#, "0.198"),
        (r#"read_window_seconds{source="stat"}"#, "0.001"),
        (r#"process_resident_bytes{process="s1-sidecar"}"#, "73"),
        (r#"read_age_seconds{source="process_details"}"#, "0.199"),
        (r#"cgroup_quota_seconds{cgroup="s1"}"#, "0.05"),
        (r#"network_received_bytes_total{namespace="host",interface="lo"}"#, "1"),
        ("memory_free_bytes", "2"),
        ("probe_rounds_total", "3"),
    ] {
        assert_eq!(value(&page, series), Some(want), "{series} in:\n{page}");
    }
    let info = r#"process_info{process="s1-sidecar",pid="4711",cgroup="s1",accounts="taskstats"}"#;
    assert_eq!(value(&page, info), Some("1"), "{page}");
}

#[test]
fn what_has_ended_is_said_once_and_nothing_older_of_it_is_told() {
    let exited = || Reading::absent("exited");
    let mut ended = fast(1);
    // What is read once a second may be left unread in the very round in which the end is seen.
    ended.processes.insert(
        "s1-sidecar".into(),
        ProcessSample {
            pid: 4711,
            run_ns: exited(),
            run_delay_ns: exited(),
            threads: Reading::absent("exited"),
            timeslices: exited(),
            ..ProcessSample::default()
        },
    );
    let removed = || Reading::absent("the cgroup was removed");
    ended.cgroups.insert(
        "s1".into(),
        CgroupSample {
            usage_ns: removed(),
            periods: removed(),
            throttled_periods: removed(),
            throttled_ns: removed(),
            // This file was never there, and says so still.
            psi_cpu_some_us: Reading::absent("no cpu.pressure here"),
            ..CgroupSample::default()
        },
    );
    // The namespace of a process went with it.
    let mut before = first();
    before.networks.insert("s1-sidecar".into(), before.networks["host"].clone());
    ended.networks = first().networks;
    let page = page(&[before, ended], 1200 * MS);
    let of = |name: &str| -> Vec<&str> {
        page.lines().filter(|line| !line.starts_with('#') && line.contains(&format!("\"{name}\""))).collect()
    };
    assert_eq!(
        of("s1-sidecar"),
        [r#"meshtax_node_absent_info{reading="process",process="s1-sidecar",reason="exited"} 1"#],
        "{page}"
    );
    assert_eq!(
        of("s1"),
        [
            r#"meshtax_node_absent_info{reading="cgroup",cgroup="s1",reason="no cpu.pressure here"} 1"#,
            r#"meshtax_node_absent_info{reading="cgroup",cgroup="s1",reason="the cgroup was removed"} 1"#,
        ],
        "{page}"
    );
    assert!(value(&page, r#"network_received_bytes_total{namespace="host",interface="lo"}"#).is_some());
}

#[test]
fn a_source_that_falls_silent_is_absent_and_comes_back() {
    let mut silent = first();
    silent.node.cpus = Reading::absent("cannot read /proc/stat");
    let seen = r#"cpu_seconds_total{cpu="0",mode="user"}"#;
    let gone = r#"absent_info{reading="cpu_seconds",reason="cannot read /proc/stat"}"#;
    let after = page(&[first(), silent.clone()], 1200 * MS);
    assert_eq!((value(&after, seen), value(&after, gone)), (None, Some("1")), "{after}");
    let back = page(&[first(), silent, first()], 1200 * MS);
    assert_eq!((value(&back, seen), value(&back, gone)), (Some("1.0"), None), "{back}");
}

#[test]
fn steal_is_told_only_where_its_zero_means_something() {
    let mut latest = Latest::default();
    latest.take(&first());
    let told = |latest: &Latest, known: Reading<bool>| {
        let page = render(latest, &facts(known), Format::OpenMetrics, 2001 * MS);
        let reasons = page.lines().filter(|line| line.contains("absent_info") && line.contains("steal")).count();
        (value(&page, r#"cpu_seconds_total{cpu="2",mode="steal"}"#).map(str::to_owned), reasons)
    };
    assert_eq!(told(&latest, Reading::Seen(true)), (Some("0.0".into()), 0));
    // Once of all CPUs together, once of each.
    assert_eq!(told(&latest, Reading::Seen(false)), (None, 2));
    assert_eq!(told(&latest, Reading::absent("hidden")), (None, 2));
    // It has moved since the host was asked: somebody tells.
    let mut moved = first();
    moved.node.cpu = Reading::Seen(CpuTimes { steal_ticks: Some(7), ..times(200) });
    moved.node.cpus = Reading::Seen(BTreeMap::from([(2, CpuTimes { steal_ticks: Some(7), ..times(200) })]));
    latest.take(&moved);
    assert_eq!(told(&latest, Reading::absent("hidden")), (Some("0.07".into()), 0));
}

#[test]
fn no_limit_is_infinite_and_no_round_is_an_empty_page() {
    let mut open = first();
    let group = CgroupSample { limit: Reading::Seen(CpuBandwidth { quota_ns: None, period_ns: 100 * MS }), ..group() };
    open.cgroups.insert("s1".into(), group);
    let unlimited = page(&[open], 1200 * MS);
    assert_eq!(value(&unlimited, r#"cgroup_quota_seconds{cgroup="s1"}"#), Some("+Inf"));
    assert!(page(&[], 0).lines().all(|line| line.starts_with('#')));
}

#[test]
fn the_older_format_has_the_same_samples() {
    let mut latest = Latest::default();
    latest.take(&first());
    let [new, old] = [Format::OpenMetrics, Format::Text].map(|format| {
        let page = render(&latest, &facts(Reading::Seen(true)), format, 2001 * MS);
        page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(new, old);
}
