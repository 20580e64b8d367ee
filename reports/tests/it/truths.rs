//! The findings of runs whose answer is known.

use record::{Dataplane, Factors, Reading, RunDirectory, WarningKind};
use reports::{Cause, Estimate, Figure, Findings, Tax, TaxKind, findings};

use crate::made::{FIRST_LOOK, Made, MadeRun, change_seal, factors, first_look, made};

fn explained(run: &MadeRun) -> Findings {
    let parent = tempfile::tempdir().unwrap();
    findings(&run.write(parent.path())).unwrap()
}

fn seen(figure: &Figure) -> Estimate {
    match figure {
        Reading::Seen(e) => *e,
        Reading::Absent { absent } => panic!("absent: {absent}"),
    }
}

fn holds(e: &Estimate, truth: f64) -> bool {
    e.low.unwrap() <= truth && truth <= e.high.unwrap()
}

fn near(value: f64, truth: f64, tolerance: f64) -> bool {
    (value - truth).abs() <= tolerance * truth.abs()
}

fn tax<'a>(f: &'a Findings, cell: &str) -> &'a Tax {
    f.taxes.iter().find(|t| t.cell == cell).unwrap()
}

/// A run of one meshed cell of each kind of disturbance and its quiet baseline.
fn disturbed(disturb: impl Fn(&mut Made)) -> MadeRun {
    let mut cell = made("chain3-envoy", "envoy", factors(Dataplane::Envoy, None), 1.6);
    disturb(&mut cell);
    MadeRun { cells: vec![made("chain3-none", "none", factors(Dataplane::None, None), 0.4), cell], ..first_look() }
}

/// Every seventh tenth, with a pause that keeps two of them apart.
fn sevenths() -> Vec<usize> {
    (3..50).step_by(7).collect()
}

fn share(f: &Findings, cell: &str, cause: Cause) -> Option<Estimate> {
    f.attribution.iter().find(|a| a.cell == cell && a.cause == cause).map(|a| a.share_of_tail)
}

fn named(f: &Findings, cell: &str) -> Vec<Cause> {
    f.attribution.iter().filter(|a| a.cell == cell && a.cause != Cause::Unexplained).map(|a| a.cause).collect()
}

fn kinds(f: &Findings) -> Vec<WarningKind> {
    let mut kinds: Vec<WarningKind> = f.warnings.iter().map(|w| w.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[test]
fn medians_and_taxes_are_those_put_in_and_drift_is_paired_out() {
    let f = &FIRST_LOOK.findings;
    assert_eq!((f.trials_sealed, f.trials_planned, f.resume.as_ref()), (32, 32, None));
    for (cell, median_ms) in f.cells.iter().zip([0.4, 0.4, 1.0, 1.6]) {
        let p50 = seen(&cell.response_ns.p50);
        assert_eq!((cell.trials, p50.n), (8, 8), "{}", cell.id);
        // Drift moves each block by up to 30 %, so a cell's own interval is wide, and holds the truth.
        assert!(holds(&p50, median_ms * 1e6 + 5_000.0), "{}: {p50:?}", cell.id);
        assert!(p50.level >= 0.95 && p50.level < 1.0);
        assert_eq!(cell.requests.due, 8 * 50 * 50);
        assert_eq!((cell.requests.failed, cell.requests.error_rate), (0, 0.0));
        assert!(near(seen(&cell.answered_per_second).value, 500.0, 1e-9));
    }
    for (id, kind, ratio) in [("chain3-embedded", TaxKind::Mesh, 2.5), ("chain3-envoy", TaxKind::Mesh, 4.0)] {
        let t = tax(f, id);
        assert_eq!((t.kind, t.pairs, t.baseline.as_str()), (kind, 8, "chain3-none"));
        // The 5 us of lag in both makes the ratio a little smaller.
        let at = &t.response_ns.p50;
        assert!(near(at.ratio.value, ratio, 0.02), "{id}: {:?}", at.ratio);
        // Pairs take the drift out: the interval of the ratio is narrow, though that of the cell is wide.
        assert!(at.ratio.high.unwrap() / at.ratio.low.unwrap() < 1.05, "{:?}", at.ratio);
        assert!(near(at.per_hop.value * 3.0, at.difference.value, 1e-9));
        let service = &t.service_ns.p50.ratio;
        assert!(holds(service, ratio) || near(service.value, ratio, 0.01), "{service:?}");
        assert!(at.difference.low.unwrap() > 0.0);
    }
    assert!(f.answer[0].starts_with("On 4 × AMD EPYC 7B13 (KVM guest), Envoy sidecars add 0."), "{}", f.answer[0]);
    assert!(f.answer[1].starts_with("Embedded sidecars add 0.6"), "{}", f.answer[1]);
}

#[test]
fn an_aa_pair_differs_by_nothing() {
    let f = &FIRST_LOOK.findings;
    let t = tax(f, "chain3-none-again");
    assert_eq!(t.kind, TaxKind::Aa);
    for (quantile, at) in t.response_ns.named() {
        assert!(holds(&at.difference, 0.0), "{quantile}: {:?}", at.difference);
        assert!(holds(&at.ratio, 1.0), "{quantile}: {:?}", at.ratio);
    }
    assert!(
        f.answer.iter().any(|a| a.contains("against itself") && a.contains("the intervals hold 0")),
        "{:?}",
        f.answer
    );
}

#[test]
fn costs_and_shares_are_those_put_in() {
    let f = &FIRST_LOOK.findings;
    let envoy = f.cell("chain3-envoy").unwrap();
    // A tenth of a core at 500 requests a second.
    assert!(near(seen(&envoy.proxies.cpu_millicores_per_1000_rps).value, 200.0, 1e-3));
    assert!(near(seen(&envoy.proxies.rss_bytes).value, f64::from(40 << 20), 1e-9));
    assert_eq!(seen(&envoy.proxies.throttled_ns).value, 0.0);
    let parts: Vec<&str> = envoy.proxies.parts.keys().map(String::as_str).collect();
    assert_eq!(parts, ["entry-sidecar", "s1-sidecar", "s2-sidecar", "s3-sidecar"]);
    assert!(near(seen(&envoy.proxies.parts["s2-sidecar"].cpu_millicores).value, 100.0, 1e-3));
    assert!(near(seen(&envoy.services.cpu_millicores_per_1000_rps).value, 100.0, 1e-3));
    for (figure, want) in [
        (&envoy.node.cpu_busy_share, 0.25),
        (&envoy.node.iowait_share, 0.02),
        (&envoy.node.psi_cpu_some_share, 0.05),
        (&envoy.node.psi_io_some_share, 0.01),
        (&envoy.node.run_queue_length, 2.0),
        (&envoy.node.probe_cpu_share, 0.005),
        (&envoy.node.unexplained_loss_share, 0.01),
        (&envoy.node.work_slowdown, 1.05),
    ] {
        assert!(near(seen(figure).value, want, 0.02), "{:?} against {want}", seen(figure));
    }
    assert_eq!(seen(&envoy.node.steal_share).value, 0.0);
    let none = f.cell("chain3-none").unwrap();
    assert_eq!(none.proxies.cpu_millicores_per_1000_rps.reason(), Some("no proxies in this cell"));
    assert_eq!(kinds(f), []);
}

#[test]
fn in_a_quiet_run_no_cause_is_named() {
    let f = &FIRST_LOOK.findings;
    for cell in &f.cells {
        assert_eq!(named(f, &cell.id), [], "{:?}", f.attribution);
        assert_eq!(share(f, &cell.id, Cause::Unexplained).unwrap().value, 1.0);
    }
}

#[test]
fn throttling_is_named_with_its_share_and_its_figures() {
    let f = explained(&disturbed(|c| c.throttled = sevenths()));
    assert_eq!(named(&f, "chain3-envoy"), [Cause::Throttling], "{:?}", f.attribution);
    // Requests in a stall of 60 ms wait 30 ms on average, and that is nearly all of the tail.
    let throttling = share(&f, "chain3-envoy", Cause::Throttling).unwrap();
    assert!(throttling.value > 0.9 && throttling.n == 8, "{throttling:?}");
    assert!(share(&f, "chain3-envoy", Cause::Unexplained).unwrap().value < 0.1);
    let proxies = &f.cell("chain3-envoy").unwrap().proxies;
    // Seven tenths of 60 ms each, of 50; the samples see all but what lies outside of the first and last.
    assert_eq!(seen(&proxies.throttled_periods).value, 7.0);
    assert_eq!(seen(&proxies.throttled_ns).value, 7.0 * 60e6);
    assert!(near(seen(&proxies.throttled_period_share).value, 7.0 / 49.0, 1e-9));
    assert!(f.answer.iter().any(|a| a.contains("CPU quota")), "{:?}", f.answer);
    assert_eq!(named(&f, "chain3-none"), []);
}

#[test]
fn a_tail_is_shared_between_throttling_and_what_is_not_known() {
    // Every seventh tenth is throttled and every fifth is slow anyway, so each falls on the other as by chance.
    let slow: Vec<usize> = (0..50).step_by(5).collect();
    let f = explained(&disturbed(|c| {
        c.slow = slow.clone();
        c.throttled = sevenths();
    }));
    assert_eq!(named(&f, "chain3-envoy"), [Cause::Throttling], "{:?}", f.attribution);
    let throttling = share(&f, "chain3-envoy", Cause::Throttling).unwrap();
    // Seven stalls of seventeen.
    assert!((throttling.value - 7.0 / 17.0).abs() < 0.06, "{throttling:?}");
    let unexplained = share(&f, "chain3-envoy", Cause::Unexplained).unwrap();
    assert!((throttling.value + unexplained.value - 1.0).abs() < 0.01);
}

#[test]
fn what_is_slow_for_no_recorded_reason_stays_unexplained() {
    let f = explained(&disturbed(|c| c.slow = sevenths()));
    assert_eq!(named(&f, "chain3-envoy"), [], "{:?}", f.attribution);
}

#[test]
fn throttling_and_steal_that_coincide_with_nothing_are_not_blamed() {
    // All three are regular, and never at the same time.
    let f = explained(&disturbed(|c| {
        c.slow = (0..50).step_by(10).collect();
        c.throttled = (5..50).step_by(10).collect();
        c.stolen = (7..50).step_by(10).collect();
        c.harmless = true;
    }));
    assert_eq!(named(&f, "chain3-envoy"), [], "{:?}", f.attribution);
}

#[test]
fn a_counter_that_went_backwards_is_flagged_and_its_figure_left_out() {
    let f = explained(&disturbed(|c| c.iowait_falls = true));
    assert_eq!(kinds(&f), [WarningKind::CounterBackwards]);
    let said = &f.warnings.iter().find(|w| w.kind == WarningKind::CounterBackwards).unwrap().evidence;
    assert!(said.contains("iowait in /proc/stat, from "), "{said}");
    let iowait = &f.cell("chain3-envoy").unwrap().node.iowait_share;
    assert!(iowait.reason().unwrap().contains("went backwards"), "{iowait:?}");
}

#[test]
fn steal_is_named_and_doubted_where_it_can_be_known() {
    let mut run = disturbed(|c| c.stolen = sevenths());
    let f = explained(&run);
    assert_eq!(named(&f, "chain3-envoy"), [Cause::Steal], "{:?}", f.attribution);
    assert_eq!(kinds(&f), [WarningKind::Steal]);
    // 50 ms in seven tenths of a trial, of four CPUs for 4.9 s.
    let steal = seen(&f.cell("chain3-envoy").unwrap().node.steal_share);
    assert!(near(steal.value, 7.0 * 0.05 / (4.0 * 4.9), 0.02), "{steal:?}");
    run.steal_known = false;
    run.psi = false;
    let f = explained(&run);
    assert_eq!(named(&f, "chain3-envoy"), []);
    let node = &f.cell("chain3-envoy").unwrap().node;
    assert_eq!(node.steal_share.reason(), Some("gVisor shows no steal"));
    assert_eq!(node.psi_io_some_share.reason(), Some("PSI is off in this kernel"));
    assert!(f.attribution.iter().any(|a| a.evidence.contains("steal: never on; inferred by the gap sensor")));
}

#[test]
fn a_late_generator_is_blamed_for_its_own_lag() {
    let f = explained(&disturbed(|c| c.lagged = sevenths()));
    assert_eq!(named(&f, "chain3-envoy"), [Cause::Generator], "{:?}", f.attribution);
    assert!(share(&f, "chain3-envoy", Cause::Generator).unwrap().value > 0.9);
    assert_eq!(kinds(&f), [WarningKind::GeneratorLagged]);
    let lag = seen(&f.cell("chain3-envoy").unwrap().lag_ours_p99_ns);
    assert!(lag.value > 20e6, "{lag:?}");
}

#[test]
fn a_part_that_stood_still_is_named_with_its_name_and_its_windows() {
    let f = explained(&disturbed(|c| c.stopped = sevenths()));
    let found = &f.attribution.iter().find(|a| a.cell == "chain3-envoy").unwrap();
    assert_eq!((found.cause, found.part.as_deref()), (Cause::Stopped, Some("s2-sidecar")), "{:?}", f.ledger);
    assert!(found.share_of_tail.value > 0.9 && found.known == reports::Known::Measured, "{found:?}");
    // Seven windows of each of eight trials hold nine tenths of the tail or more.
    let windows = found.windows.unwrap();
    assert!(windows.slow > 40 && windows.slow == windows.with_cause && windows.by_chance < 20.0, "{windows:?}");
    assert!(found.evidence.contains("fell in windows where the s2 sidecar stood still ("), "{}", found.evidence);
    let worst = f.worst_windows.iter().find(|w| w.cell == "chain3-envoy").unwrap();
    assert!(worst.stopped_ns["s2-sidecar"] > 50_000_000 && worst.causes == [Cause::Stopped], "{worst:?}");
    assert_eq!(worst.retransmits.reason(), Some("no network namespace was watched"));
}

#[test]
fn two_causes_at_once_are_ranked_by_what_each_has() {
    let f = explained(&disturbed(|c| {
        c.throttled = vec![3, 11, 16, 24, 33, 38, 45];
        c.lagged = vec![0, 8, 29, 42];
    }));
    assert_eq!(named(&f, "chain3-envoy"), [Cause::Throttling, Cause::Generator], "{:?}", f.ledger);
    // Seven stalls of 60 ms and four of 40 ms; what is waited goes by the square of a stall.
    let throttled = 7.0 * 3600.0 / (7.0 * 3600.0 + 4.0 * 1600.0);
    let share = share(&f, "chain3-envoy", Cause::Throttling).unwrap().value;
    assert!((share - throttled).abs() < 0.08, "{share} against {throttled}");
    let lines: Vec<_> = f.ledger.iter().filter(|l| l.cell == "chain3-envoy").collect();
    assert_eq!(lines.len(), 7);
    assert_eq!(lines.iter().filter(|l| l.named).count(), 2);
    let network = lines.iter().find(|l| l.cause == Cause::Network).unwrap();
    assert_eq!(network.known, reports::Known::NotMeasurable);
}

#[test]
fn a_limit_that_throttles_all_the_time_is_shown_by_its_absence() {
    let mut limited = made("chain3-envoy-50m", "envoy, 50m", factors(Dataplane::Envoy, Some("50m")), 1.6);
    limited.throttled = (0..50).collect();
    let mut run = disturbed(|_| {});
    run.cells.push(limited);
    let f = explained(&run);
    let limit = f.taxes.iter().find(|t| t.kind == TaxKind::Limit).unwrap();
    assert_eq!((limit.cell.as_str(), limit.baseline.as_str()), ("chain3-envoy-50m", "chain3-envoy"));
    // Of 60 ms, 99 of 100 requests wait 59.4 or less.
    assert!(near(limit.response_ns.p99.difference.value, 58e6, 0.05), "{:?}", limit.response_ns.p99);
    assert_eq!(named(&f, "chain3-envoy-50m"), [Cause::Throttling], "{:?}", f.attribution);
    assert!(share(&f, "chain3-envoy-50m", Cause::Throttling).unwrap().value > 0.95);
    assert_eq!(named(&f, "chain3-envoy"), []);
    // Both the mesh and the limit are comparisons of the limited cell.
    assert_eq!(f.taxes.iter().filter(|t| t.cell == "chain3-envoy-50m").count(), 2);
}

#[test]
fn two_blocks_that_agree_do_not_show_a_limit() {
    let mut limited = made("chain3-envoy-50m", "envoy, 50m", factors(Dataplane::Envoy, Some("50m")), 1.6);
    limited.throttled = (0..50).collect();
    let mut run = disturbed(|_| {});
    run.cells.push(limited);
    run.repeats = 2;
    let f = explained(&run);
    assert_eq!(named(&f, "chain3-envoy-50m"), [], "{:?}", f.attribution);
    let text = reports::text::render(&f, 80, false).replace("\n  ", " ");
    assert!(text.contains("with 50 % from 2 pairs of trials; that is too few to rely on"), "{text}");
}

#[test]
fn a_run_that_was_cut_off_says_how_far_it_came() {
    let mut run = first_look();
    run.missing = (4..=8).flat_map(|b| run.cells.iter().map(move |c| (c.cell.id.clone(), b))).collect();
    run.missing.retain(|m| *m != ("chain3-none".to_owned(), 4));
    let parent = tempfile::tempdir().unwrap();
    let dir = run.write(parent.path());
    let f = findings(&dir).unwrap();
    assert_eq!((f.trials_sealed, f.trials_planned), (13, 32));
    assert_eq!(f.resume, Some(format!("meshtax resume {}", dir.path().display())));
    // Block 4 holds the baseline alone: its pairs are left out, and that is said.
    assert_eq!(tax(&f, "chain3-envoy").pairs, 3);
    let said = f.warnings.iter().filter(|w| w.evidence.starts_with("block 4 has no trial of chain3-")).count();
    assert_eq!(said, 3, "{:?}", f.warnings);
    let text = reports::text::render(&f, 100, false);
    assert!(text.contains("13 of 32 trials; the run was cut off: meshtax resume"), "{text}");
}

#[test]
fn one_trial_has_figures_without_intervals() {
    let f = explained(&MadeRun { repeats: 1, ..first_look() });
    let e = seen(&f.cell("chain3-envoy").unwrap().response_ns.p99);
    assert_eq!((e.low, e.high, e.level, e.n), (None, None, 0.0, 1));
    assert_eq!(kinds(&f), [WarningKind::TooFewTrials]);
    let json: serde_json::Value = serde_json::from_str(&reports::json::render(&f).unwrap()).unwrap();
    let p99 = &json["cells"][3]["response_ns"]["p99"];
    assert!(p99["low"].is_null() && p99["value"].is_f64(), "{p99}");
}

#[test]
fn a_quota_around_the_whole_run_is_doubted_by_its_group() {
    let tmp = tempfile::tempdir().unwrap();
    let path = first_look().write(tmp.path()).path().join("run.json");
    let mut run: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    run.as_object_mut().unwrap().remove("sum");
    let quota = |cgroup: &str, quota_us: u64| serde_json::json!({ "cgroup": cgroup, "quota_us": quota_us, "period_us": 100_000 });
    run["host"]["cgroup_limits"]["cpu"] = vec![quota("/a/b", 6_400_000), quota("/a", 50_000)].into();
    std::fs::write(&path, run.to_string()).unwrap();
    let f = findings(&RunDirectory::open(path.parent().unwrap()).unwrap()).unwrap();
    assert_eq!(kinds(&f), [WarningKind::Saturated]);
    let said = &f.warnings[0].evidence;
    assert!(said.contains("held to 0.50 of ") && said.contains("by the limit of /a, which"), "{said}");
}

#[test]
fn failed_requests_are_counted_and_doubted() {
    let f = explained(&disturbed(|c| c.failed = 5));
    let requests = f.cell("chain3-envoy").unwrap().requests;
    assert_eq!((requests.failed, requests.answered, requests.due), (40, 19_960, 20_000));
    assert!(near(requests.error_rate, 0.002, 1e-9));
    assert_eq!(kinds(&f), [WarningKind::RequestsFailed]);
    let said = f.warnings.iter().find(|w| w.kind == WarningKind::RequestsFailed).unwrap();
    assert_eq!(said.evidence, "of 2500 requests, 5 failed and 0 were answered with an error");
}

#[test]
fn a_meshed_cell_without_a_baseline_is_said_to_have_none() {
    let mut run = first_look();
    run.cells[2].cell.factors = Factors { rate_per_second: 900.0, ..run.cells[2].cell.factors.clone() };
    let f = explained(&run);
    assert!(f.taxes.iter().all(|t| t.cell != "chain3-embedded"));
    assert_eq!(kinds(&f), [WarningKind::NoBaseline]);
}

/// Two Envoy cells that differ in a limit only, with so many workers found in each.
fn limited_and_not(found: [u32; 2]) -> MadeRun {
    let mut run = disturbed(|c| c.workers_found = found[0]);
    let mut limited = made("chain3-envoy-500m", "envoy, 500m", factors(Dataplane::Envoy, Some("500m")), 1.6);
    limited.workers_found = found[1];
    run.cells.push(limited);
    run.repeats = 1;
    run
}

fn refused(run: &MadeRun) -> String {
    let parent = tempfile::tempdir().unwrap();
    findings(&run.write(parent.path())).unwrap_err().to_string()
}

#[test]
fn cells_that_differ_in_more_than_their_factors_are_refused() {
    let f = explained(&limited_and_not([2, 2]));
    assert_eq!(f.cells.len(), 3);
    let said = refused(&limited_and_not([2, 4]));
    assert!(
        said.starts_with(
            "worker threads: 4 in trial 0003-chain3-envoy-500m-r1, and 2 in trial 0002-chain3-envoy-r1, though no factor"
        ),
        "{said}"
    );
    // With the factor that says so they may.
    let mut run = limited_and_not([2, 4]);
    run.cells[2].cell.factors.workers = 4;
    assert_eq!(explained(&run).cells.len(), 3);
}

#[test]
fn what_a_proxy_does_on_its_ways_must_be_what_its_factors_say() {
    let parent = tempfile::tempdir().unwrap();
    let dir = limited_and_not([2, 2]).write(parent.path());
    let with = |trial: &str, claim: &str, found: &str| {
        let seal = dir.trial_path(trial).join("trial.json");
        let text = std::fs::read_to_string(&seal).unwrap();
        let trial: serde_json::Value = serde_json::from_str(&text).unwrap();
        let part = trial["parts"].as_array().unwrap().iter().find(|p| p["role"] == "sidecar").unwrap()["name"].clone();
        let proof = serde_json::json!(
            {"part": part, "claim": claim, "expected": found, "found": found, "source": "/config_dump"}
        );
        change_seal(&seal, |text| text.replacen("\"proofs\": [", &format!("\"proofs\": [{proof},"), 1));
    };
    with("0002-chain3-envoy-r1", "retries outbound to s2", "2 on reset");
    with("0003-chain3-envoy-500m-r1", "retries outbound to s3", "2 on reset");
    assert_eq!(findings(&dir).unwrap().cells.len(), 3, "which way it is says nothing of how it is configured");
    with("0003-chain3-envoy-500m-r1", "retries outbound to s2", "0 on reset");
    let said = findings(&dir).unwrap_err().to_string();
    assert!(
        said.starts_with("retries outbound: 0 on reset and 2 on reset in trial 0003-chain3-envoy-500m-r1"),
        "{said}"
    );
}

#[test]
fn trials_of_a_cell_that_were_made_by_two_versions_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    let dir = MadeRun { repeats: 2, ..disturbed(|_| {}) }.write(parent.path());
    let seal = dir.trial_path("0003-chain3-none-r2").join("trial.json");
    let text = std::fs::read_to_string(&seal).unwrap();
    change_seal(&seal, |text| text.replace("\"program\": \"meshtax 0.1.0\"", "\"program\": \"meshtax 0.2.0\""));
    let said = findings(&dir).unwrap_err().to_string();
    assert!(said.starts_with("program: meshtax 0.2.0 in trial 0003-chain3-none-r2, and meshtax 0.1.0 in"), "{said}");
    std::fs::write(&seal, text).unwrap();
    assert_eq!(findings(&dir).unwrap().trials_sealed, 4);
}

#[test]
fn cells_of_two_platforms_are_not_compared() {
    let mut run = disturbed(|_| {});
    run.cells[1].cell.factors.platform = record::Platform::Pods;
    let said = refused(&run);
    assert!(
        said.starts_with(
            "the cell chain3-none ran on the platform 'processes' and the cell chain3-envoy on 'pods': their paths"
        ),
        "{said}"
    );
    run.cells[0].cell.factors.platform = record::Platform::Pods;
    let mut f = explained(&run);
    let loopback = explained(&MadeRun { repeats: 1, ..disturbed(|_| {}) });
    let said = reports::comparable(&f, &loopback).unwrap_err().to_string();
    assert!(said.starts_with("the run 2026-11-23T0510-a1b2 ran on the platform 'pods' and the run"), "{said}");
    assert!(reports::comparable(&f, &f).is_ok() && reports::comparable(&loopback, &loopback).is_ok());
    f.method += 1;
    let said = reports::comparable(&f, &loopback).unwrap_err().to_string();
    assert!(said.contains("were made by method 2, and those of the run") && said.contains("by method 1"), "{said}");
    assert!(reports::text::render(&f, 100, false).contains("Platform pods: a network namespace for each service"));
}

#[test]
fn what_does_not_hold_together_is_refused_with_its_place() {
    let parent = tempfile::tempdir().unwrap();
    let run = first_look();
    let empty = RunDirectory::create(&parent.path().join("empty"), &run.run()).unwrap();
    let said = findings(&empty).unwrap_err().to_string();
    assert!(said.contains("holds no finished trial of the 32 planned") && said.contains("meshtax resume"), "{said}");

    let mut small = MadeRun { repeats: 1, ..first_look() };
    small.cells.truncate(1);
    let dir = small.write(parent.path());
    let seal = dir.trial_path("0001-chain3-none-r1").join("trial.json");
    change_seal(&seal, |text| text.replace("\"method\": 1", "\"method\": 2"));
    let said = findings(&dir).unwrap_err().to_string();
    assert!(said.contains("trial 0001-chain3-none-r1 was measured by method 2"), "{said}");
    change_seal(&seal, |text| {
        text.replace("\"method\": 2", "\"method\": 1").replace("\"cell\": \"chain3-none\"", "\"cell\": \"other\"")
    });
    let said = findings(&dir).unwrap_err().to_string();
    assert!(said.contains("is of the cell 'other'"), "{said}");
}

#[test]
fn figures_that_rise_from_block_to_block_are_said_to() {
    let f = explained(&MadeRun { drift: 0.0, trend: |block| 0.05 * f64::from(block), ..first_look() });
    let drifts: Vec<&str> =
        f.warnings.iter().filter(|w| w.kind == WarningKind::Drift).map(|w| w.evidence.as_str()).collect();
    assert!(drifts[0].starts_with("over all cells together p50 rose by ") && drifts[0].ends_with("of 8 blocks"));
    // 5 % a block, seven times.
    let said: f64 = drifts[0].split("rose by ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((said - 42.0).abs() < 4.0, "{drifts:?}");
    assert!(drifts.iter().any(|said| said.contains("trials of chain3-envoy")), "{drifts:?}");
    // The same without a rise, though blocks differ by as much.
    assert_eq!(kinds(&explained(&first_look())), []);
}

#[test]
fn trials_of_two_kinds_are_told_apart() {
    let f = explained(&MadeRun { drift: 0.0, trend: |block| if block % 3 == 0 { 0.7 } else { 0.0 }, ..first_look() });
    let said: Vec<&str> =
        f.warnings.iter().filter(|w| w.kind == WarningKind::TwoModes).map(|w| w.evidence.as_str()).collect();
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(said[0].starts_with("trials of chain3-none are of two kinds: 6 with a p50 around 0.4"), "{said:?}");
}

#[test]
fn a_run_that_ended_when_the_tax_was_known_is_complete_and_its_intervals_allow_for_the_looks() {
    let parent = tempfile::tempdir().unwrap();
    let ids = ["chain3-none", "chain3-none-again", "chain3-embedded", "chain3-envoy"];
    let missing = ids.iter().flat_map(|id| [((*id).to_owned(), 7), ((*id).to_owned(), 8)]).collect();
    let dir = MadeRun { missing, ..first_look() }.write(parent.path());
    let before = reports::findings(&dir).unwrap();
    assert!(before.resume.is_some() && !before.sequential);
    let evidence = "after 6 blocks the ratio at p99 is known to 4.1 %".to_owned();
    dir.write_end(&record::End { schema: 1, reason: record::EndReason::Tight, trials: 24, evidence }).unwrap();
    let f = reports::findings(&dir).unwrap();
    assert!(f.resume.is_none() && f.sequential);
    let text = reports::text::render(&f, 80, false);
    assert!(text.contains("Ended before the most trials that were planned: after 6 blocks"), "{text}");
    assert!(!text.contains("cut off"), "{text}");
    // Of six pairs nothing but the widest interval holds at 95 % with two looks to come; it claims no more than that.
    let (then, now) = (before.taxes[1].response_ns.p99.ratio, f.taxes[1].response_ns.p99.ratio);
    assert_eq!((then.low, then.high, then.n, now.level), (now.low, now.high, now.n, 0.95));
    assert!(then.level > 0.96, "{then:?}");
    // What may end a run is what the report says.
    let run = dir.run().unwrap();
    let loosest = reports::tightness::loosest(&run, &dir.trials(&run).unwrap(), 0.99).unwrap();
    let tax = f.taxes.iter().find(|t| t.cell == loosest.cell && t.baseline == loosest.baseline).unwrap();
    assert_eq!(loosest.ratio, tax.response_ns.p99.ratio);
}

#[test]
fn a_comparison_says_what_it_would_find() {
    let f = explained(&first_look());
    let envoy = f.taxes.iter().find(|t| t.cell == "chain3-envoy").unwrap();
    // Trials scatter by 1 %, pairs by 1.4 %; (2.36 + 0.90) * 1.4 % / sqrt(8).
    let found = envoy.response_ns.p50.detectable.unwrap();
    assert!((0.008..0.03).contains(&found), "{found}");
    assert!(reports::markdown::render(&f).contains("finds: the smallest change of the ratio"));
    let mean = seen(&f.cell("chain3-envoy").unwrap().response_mean_ns);
    assert!(near(mean.value, 1.6e6, 0.2), "{mean:?}");
}
