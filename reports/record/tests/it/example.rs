//! A small run with known content.

use std::collections::BTreeMap;
use std::path::Path;

use record::*;

pub(crate) fn factors(dataplane: Dataplane) -> Factors {
    let meshed = dataplane != Dataplane::None;
    Factors {
        chain: "chain3".into(),
        services: 3,
        hops: 3,
        dataplane,
        mtls: if meshed { Mtls::Strict } else { Mtls::Disable },
        cpu_limit: meshed.then(|| "500m".parse().unwrap()),
        workers: if meshed { 2 } else { 0 },
        work_us: 0,
        response_bytes: 1024,
        rate_per_second: 500.0,
        connections: 16,
        arrival: Arrival::Constant,
        pace: Pace::Hybrid,
        worker_rule: WorkerRule::Fixed(if meshed { 2 } else { 0 }),
        retries: if meshed { 2 } else { 0 },
        ..Factors::unmeshed()
    }
}

pub(crate) fn host() -> Host {
    Host {
        kernel: "6.1.0-21-cloud-amd64".into(),
        arch: "x86_64".into(),
        distribution: Reading::Seen("Debian GNU/Linux 12".into()),
        cpu_model: Reading::absent("/proc/cpuinfo has no model name"),
        cpus_online: vec![0, 1],
        cpus_allowed: 2,
        memory_bytes: Reading::Seen(4 << 30),
        virtual_machine: Reading::Seen("KVM".into()),
        container: Reading::Seen("none".into()),
        steal_known: Reading::Seen(true),
        steal_evidence: Reading::Seen("CPUID says so".into()),
        clock_source: Reading::Seen("kvm-clock".into()),
        clock_ticks_per_second: 100,
        governor: Reading::absent("no cpufreq in this guest"),
        cgroups: Reading::Seen("v2".into()),
        psi: Reading::Seen(true),
        disk: Reading::absent("the run directory is on tmpfs"),
        limits: BTreeMap::from([("nofile".into(), "1024/4096".into())]),
        topology: Reading::default(),
        caches: Reading::default(),
        kernel_traits: Default::default(),
        memory_traits: Default::default(),
        cgroup_limits: Default::default(),
        time_sync: Default::default(),
        proc_view: Default::default(),
        disk_chain: Reading::default(),
        speed: Reading::absent("not measured"),
        smt_siblings: Reading::absent("not measured"),
    }
}

pub(crate) fn run() -> Run {
    let cell = |id: &str, dataplane| Cell { id: id.into(), label: id.into(), factors: factors(dataplane) };
    let planned = |id: &str, cell: &str| PlannedTrial { id: id.into(), cell: cell.into(), block: 1 };
    Run {
        schema: SCHEMA,
        method: METHOD,
        id: "2026-11-23T0510-a1b2".into(),
        started: "2026-11-23T05:10:00Z".into(),
        program: "meshtax 0.1.0".into(),
        scenario: "first-look".into(),
        scenario_toml: "name = \"first-look\"\n".into(),
        seed: 1,
        repeats: 1,
        timing: Timing { settle_ns: 1, warm_up_ns: 2, measure_ns: 3, cool_down_ns: 4 },
        level: 0.95,
        until: Some(Until { quantile: 0.99, ratio_within: Some(0.05), budget_ns: None }),
        cells: vec![cell("chain3-none", Dataplane::None), cell("chain3-envoy-500m", Dataplane::Envoy)],
        left_out: vec![],
        trials: vec![
            planned("0001-chain3-none-r1", "chain3-none"),
            planned("0002-chain3-envoy-500m-r1", "chain3-envoy-500m"),
        ],
        host: host(),
        versions: BTreeMap::from([("envoy".into(), "1.40.0".into())]),
        source: Some(Source {
            commit: Some("0123456789abcdef0123456789abcdef01234567".into()),
            branch: Some("main".into()),
            label: None,
            told_by: Some(".git".into()),
        }),
        warnings: vec![Warning::new(WarningKind::TooFewTrials, "1 trial a cell", "--repeats 5")],
        sum: None,
    }
}

pub(crate) fn interval(start_ns: u64) -> Interval {
    let mut interval = Interval::empty(Phase::Measure, start_ns, INTERVAL_NS);
    interval.due = 50;
    interval.sent = 50;
    for i in 0..50 {
        interval.outcomes.count(Outcome::Answered(200));
        interval.response.record(1_000_000 + i);
        interval.service.record(900_000 + i);
        interval.lag_ours.record(i);
        interval.lag_theirs.record(0);
        interval.split.count(if i % 10 == 0 { b"v2" } else { b"v1" }, false, 1_000_000 + i, 900_000 + i);
    }
    interval
}

pub(crate) fn sample(round: u64) -> Sample {
    let cgroup = CgroupSample {
        read_ns: 7,
        usage_ns: Reading::Seen(1),
        periods: Reading::absent("no cpu controller here"),
        throttled_periods: Reading::absent("no cpu controller here"),
        throttled_ns: Reading::absent("no cpu controller here"),
        psi_cpu_some_us: Reading::Seen(3),
        took_ns: 1,
        parent: Some("/kubepods.slice".into()),
        limit: Reading::Seen(CpuBandwidth { quota_ns: Some(20_000_000), period_ns: 100_000_000 }),
        psi_io: Reading::absent("no PSI"),
        psi_memory: Reading::default(),
    };
    let process = ProcessSample {
        pid: 4711,
        read_ns: 8,
        user_ticks: Reading::Seen(1),
        system_ticks: Reading::Seen(2),
        rss_bytes: Reading::Seen(1 << 20),
        run_ns: Reading::Seen(30_000_000),
        run_delay_ns: Reading::absent("exited"),
        threads: Reading::Seen(3),
        accounts: Some(Accounts::Taskstats),
        ..ProcessSample::default()
    };
    Sample {
        round,
        due_ns: 1,
        before_ns: 2,
        after_ns: 3,
        node: NodeSample {
            cpu: Reading::Seen(CpuTimes { user_ticks: 5, steal_ticks: Some(1), ..CpuTimes::default() }),
            cpus: Reading::Seen(BTreeMap::from([(0, CpuTimes::default()), (8, CpuTimes::default())])),
            context_switches: Reading::Seen(9),
            forks: Reading::Seen(1),
            procs_running: Reading::Seen(1),
            procs_blocked: Reading::Seen(0),
            disk: Reading::Seen(DiskCounters {
                device: "vda".into(),
                reads: 1,
                flushes: Some(2),
                ..DiskCounters::default()
            }),
            psi_cpu: Reading::Seen(PressureSample {
                some: Some(PressureLine { avg10: 0.5, total_us: 12 }),
                full: None,
            }),
            psi_io: Reading::absent("no PSI"),
            psi_memory: Reading::absent("no PSI"),
            psi_irq: Reading::absent("no PSI"),
            load: Reading::Seen(LoadAverage { one: 0.1, five: 0.2, fifteen: 0.3 }),
            softirqs: Reading::Seen(SoftirqCounters { timer: 1, ..SoftirqCounters::default() }),
            softnet: Reading::Seen(SoftnetCounters { processed: 9, ..SoftnetCounters::default() }),
            run_queue: Reading::absent("no CONFIG_SCHEDSTATS"),
        },
        cgroups: BTreeMap::from([("s1".into(), cgroup)]),
        processes: BTreeMap::from([("s1".into(), process)]),
        own: OwnCost { cpu_ns: 1, late_ns: 2, missed_rounds: 0, rss_bytes: 3, pressure_every_ns: 100_000_000 },
        networks: BTreeMap::from([("host".into(), network())]),
        slow: Some(SlowSample {
            memory: Reading::Seen(MemorySample { total_bytes: 1 << 30, ..MemorySample::default() }),
            vm: Reading::Seen(VmCounters { page_faults: Some(7), ..VmCounters::default() }),
            interrupts: Reading::Seen(BTreeMap::from([("LOC".into(), 5)])),
        }),
        reads: ReadWindows { stat: Some(ReadWindow(1, 2)), ..ReadWindows::default() },
        sensor: Some(GapCounters { bursts: 4, burst_ns: 8_000_000, ..GapCounters::default() }),
    }
}

fn network() -> NetworkSample {
    NetworkSample {
        read_ns: 9,
        took_ns: 1,
        interfaces: Reading::Seen(BTreeMap::from([("lo".into(), InterfaceCounters::default())])),
        tcp: Reading::Seen(TcpCounters { sent_segments: Some(1), ..TcpCounters::default() }),
    }
}

pub(crate) fn slow() -> SlowRequest {
    SlowRequest {
        index: 3,
        phase: Phase::Measure,
        intended_ns: 10,
        sent_ns: Some(11),
        done_ns: 99,
        outcome: Outcome::Answered(200),
        connection: Some(1),
        hops: vec![HopStamps {
            service: "s1".into(),
            received_ns: 12,
            called_ns: Some(13),
            returned_ns: Some(90),
            answered_ns: 91,
            calls: vec![],
        }],
    }
}

pub(crate) fn summary() -> LoadSummary {
    let mut outcomes = Outcomes::default();
    (0..100).for_each(|_| outcomes.count(Outcome::Answered(200)));
    LoadSummary {
        schema: SCHEMA,
        method: METHOD,
        verdict: Verdict::Valid,
        reasons: vec![],
        url: "http://127.0.0.1:4000/".into(),
        rate_per_second: Some(500.0),
        connections: 16,
        arrival: Process::Constant,
        pace: Pace::Hybrid,
        seed: 1,
        start_ns: 1000,
        duration_ns: 200_000_000,
        end_ns: 200_001_000,
        due: 100,
        sent: 100,
        answered: 100,
        unsent: 0,
        censored: 0,
        outcomes,
        achieved_per_second: 500.0,
        response_ns: Quantiles { p50: 1, p90: 2, p99: 3, p999: 4, max: 5 },
        service_ns: Quantiles::default(),
        lag_ns: Lag::default(),
        cpu_seconds: 0.01,
        observed: Observed::default(),
        warnings: vec![],
    }
}

pub(crate) fn trial(id: &str, cell: &str) -> Trial {
    Trial {
        schema: SCHEMA,
        method: METHOD,
        id: id.into(),
        cell: cell.into(),
        block: 1,
        position: 1,
        phases: vec![PhaseSpan { phase: Phase::Measure, start_ns: 1000, end_ns: 200_001_000 }],
        anchor: ClockAnchor { monotonic_ns: 1, realtime_ns: 2 },
        load: summary(),
        parts: vec![Part {
            name: "s1".into(),
            role: Role::Service,
            pid: 4711,
            program: "meshtax 0.1.0".into(),
            cgroup: Reading::absent("not permitted"),
        }],
        proofs: vec![Proof {
            part: "s1-sidecar".into(),
            claim: "worker threads".into(),
            expected: "2".into(),
            found: "2".into(),
            source: "/proc/4712/task".into(),
        }],
        warnings: vec![Warning::new(WarningKind::Steal, "3 % steal", "another host")],
        events: vec![],
        lacks: vec![],
        edges: None,
        cpus: None,
        sums: None,
    }
}

pub(crate) fn disk_test() -> DiskTest {
    let quantiles = Quantiles { p50: 1, p90: 2, p99: 3, p999: 4, max: 5 };
    let arm = DiskArm {
        kind: DiskArmKind::WriteFdatasync,
        engine: DiskEngine::Calls,
        engine_reason: None,
        block_bytes: DISK_BLOCK_BYTES,
        start_ns: 1000,
        measured_ns: 200_000_000,
        operations: 10,
        iops: 50.0,
        iops_net: Reading::absent("no schedstat"),
        gross_ns: quantiles,
        net_ns: Reading::Seen(quantiles),
        waiting_share: Reading::Seen(0.25),
        flush_ns: Some(quantiles),
        run_delay_ns: Reading::Seen(7),
        undisturbed_ns: None,
        cpu_ns: 3,
        late_ns: None,
        missed: 0,
        errors: 1,
        first_error: Some("Input/output error".into()),
        unfinished: 1,
        unfinished_longest_ns: 9,
        thirds: None,
        device: Reading::Seen(DiskArmDevice { writes: 11, write_await_ns: Some(43_000), ..DiskArmDevice::default() }),
        windows: vec![
            DiskWindow {
                offset_ns: 0,
                operations: 10,
                gross_ns: Some(DiskWindowQuantiles { p50: 1, p99: 3, p999: 5 }),
                run_delay_ns: Some(7),
            },
            DiskWindow { offset_ns: 100_000_000, ..DiskWindow::default() },
        ],
    };
    DiskTest {
        schema: SCHEMA,
        method: METHOD,
        path: "/runs".into(),
        began_realtime_ns: 1,
        took_ns: 2,
        seed: u64::MAX,
        disk: Reading::absent("a zfs pool"),
        filesystem: Reading::Seen("zfs".into()),
        file: DiskTestFile { bytes: 1 << 28, written_in_ns: None, free_bytes: 1 << 40 },
        length_ns: 200_000_000,
        ramp_ns: 40_000_000,
        arms: vec![arm],
        cut_off: true,
        warnings: vec![Warning::new(WarningKind::Unproven, "the disk cannot be named", "none")],
    }
}

/// Writes the lines of one trial, as the generator and the probe do.
pub(crate) fn write_lines(at: &TrialDirectory) {
    let mut intervals = LineWriter::open(&at.intervals_path()).unwrap();
    let mut samples = LineWriter::open(&at.samples_path()).unwrap();
    let mut slow_requests = LineWriter::open(&at.slow_path()).unwrap();
    for i in 0..2 {
        intervals.append(&interval(1000 + i * INTERVAL_NS)).unwrap();
        samples.append(&sample(i)).unwrap();
    }
    slow_requests.append(&slow()).unwrap();
}

/// A run with its first trial sealed.
pub(crate) fn written(parent: &Path) -> RunDirectory {
    let dir = RunDirectory::create(&parent.join("r"), &run()).unwrap();
    let at = dir.begin_trial("0001-chain3-none-r1").unwrap();
    write_lines(&at);
    at.write_load(&summary()).unwrap();
    at.seal(&trial("0001-chain3-none-r1", "chain3-none")).unwrap();
    dir
}

/// One field of each verdict.
pub(crate) fn end() -> End {
    End { schema: SCHEMA, reason: EndReason::Tight, trials: 1, evidence: "the ratio at p99 is known to 4.1 %".into() }
}

pub(crate) fn istio() -> IstioReading {
    let factors = vec![IstioSetting { factor: "mtls".into(), value: "strict".into() }];
    let field = |line, verdict| IstioField {
        file: "peers.yaml".into(),
        line,
        column: 5,
        resource: "PeerAuthentication default in shop".into(),
        path: "PeerAuthentication.spec.mtls.mode".into(),
        value: "STRICT".into(),
        verdict,
    };
    IstioReading {
        schema: SCHEMA,
        directory: "mesh".into(),
        workload: "Deployment reviews-v1 in shop".into(),
        alike: vec!["Deployment reviews-v2 in shop".into()],
        files: vec!["peers.yaml".into()],
        accepted: vec!["fault".into()],
        fields: vec![
            field(1, IstioVerdict::Used { factors: factors.clone() }),
            field(2, IstioVerdict::Overridden { factors, by: "mtls = disable".into() }),
            field(3, IstioVerdict::NoEffect { reason: "it names the resource".into() }),
            field(4, IstioVerdict::Accepted { reason: "no fault is made".into() }),
        ],
        defaults: vec![IstioDefault { factor: "retries".into(), value: "2".into(), reason: "Istio's default".into() }],
    }
}

pub(crate) fn hosts() -> RunHosts {
    let driver = RunHost {
        name: "driver".into(),
        address: "10.0.0.2:7464".into(),
        roles: vec![HostRole::Load, HostRole::Probe],
        services: Vec::new(),
        serve_at: Some(std::net::Ipv4Addr::new(10, 0, 0, 2).into()),
        price: Some(HostPrice { per_month: 3.79, currency: "EUR".into() }),
        boot: "5b6c".into(),
        program: "meshtax 0.1.0".into(),
        host: host(),
    };
    let chain = RunHost {
        name: "chain".into(),
        roles: vec![HostRole::Services],
        services: vec!["s1".into(), "s3".into()],
        price: None,
        ..driver.clone()
    };
    RunHosts { schema: SCHEMA, hosts: vec![driver, chain] }
}

pub(crate) fn cluster() -> RunCluster {
    RunCluster {
        schema: SCHEMA,
        run: "2026-11-23t0510-a1b2".into(),
        context: Some("test".into()),
        uid: "4b1f".into(),
        kubernetes: "v1.37.0".into(),
        image: "meshtax:0.1.0".into(),
        placement: "together".into(),
        generators: 2,
        service_cpu: Some("500m".parse().unwrap()),
        patience_ns: 180_000_000_000,
        namespace_labels: [("istio.io/rev".to_owned(), "canary".to_owned())].into(),
        nodes: [("s1".to_owned(), "node-a".to_owned())].into(),
    }
}

pub(crate) fn trial_hosts() -> TrialHosts {
    let driver = TrialHost {
        name: "driver".into(),
        roles: vec![HostRole::Load],
        services: vec!["s2".into()],
        ahead_ns: -5,
        error_ns: 7,
    };
    TrialHosts { schema: SCHEMA, attempt: 2, hosts: vec![driver] }
}

pub(crate) fn exchange() -> ClockExchange {
    ClockExchange {
        host: "driver".into(),
        boot: "5b6c/77aa".into(),
        asked_ns: 1,
        received_ns: 2,
        answered_ns: 3,
        heard_ns: 4,
        agent_realtime_ns: 5,
        runner_realtime_ns: 6,
    }
}

pub(crate) fn loss() -> Loss {
    Loss {
        trial: "0001-a-r1".into(),
        attempt: 1,
        host: "driver".into(),
        phase: Phase::Measure,
        when: "2026-11-23T05:10:00Z".into(),
        what: "not heard of for 5 s".into(),
    }
}
