//! A canary whose split, delay and difference are known, and what is said of it.

use record::{Event, Lack, LeftOut, Reading, WarningKind};
use reports::{CanaryFindings, Estimate, Figure, Findings, findings};

use crate::made::{MadeRun, SECOND, explain, first_look, with_canary};

fn explained(run: &MadeRun) -> Findings {
    let parent = tempfile::tempdir().unwrap();
    findings(&run.write(parent.path())).unwrap()
}

fn canary(f: &Findings) -> &CanaryFindings {
    f.cell("chain3-envoy").unwrap().canary.as_ref().unwrap()
}

fn seen(figure: &Figure) -> Estimate {
    *figure.seen().unwrap_or_else(|| panic!("{figure:?}"))
}

fn near(value: f64, truth: f64) -> bool {
    (value - truth).abs() <= 1e-6 * truth
}

fn split_doubts(f: &Findings) -> Vec<&str> {
    f.warnings.iter().filter(|w| w.kind == WarningKind::Split).map(|w| w.evidence.as_str()).collect()
}

#[test]
fn the_split_of_each_stretch_and_what_a_subset_adds_are_those_put_in() {
    let f = explained(&with_canary(Some(300_000_000)));
    let c = canary(&f);
    assert_eq!((c.service.as_str(), c.unnamed, c.unanswered), ("s2", 0, 0));
    let asked: Vec<(u64, f64, bool)> =
        c.stretches.iter().map(|s| (s.from_ns, s.shares[1].asked, s.shares[1].holds)).collect();
    assert_eq!(asked, [(0, 0.1, true), (2 * SECOND, 0.5, true), (7 * SECOND / 2, 1.0, true)]);
    // 2 s of 500 a second in 8 trials; after a shift what came until it was surely followed is in no stretch.
    assert_eq!(c.stretches[0].answered, 8000);
    assert!(c.stretches[1].answered <= 8 * 600 && c.stretches[1].answered >= 8 * 400, "{}", c.stretches[1].answered);
    assert_eq!(c.stretches[2].shares[0].answered, 0);
    let share = &c.stretches[0].shares[1];
    assert!((share.share.unwrap() - 0.1).abs() < 0.011, "{share:?}");
    assert!(share.low < 0.1 && 0.1 < share.high && share.high - share.low < 0.025 && share.level == 0.999);
    let over = seen(&c.subsets[1].over_stable_ns.as_ref().unwrap().p50);
    assert!((over.value - 2e6).abs() < 0.1e6 && over.n == 8, "{over:?}");
    assert!(c.subsets[0].over_stable_ns.is_none());
    assert_eq!(c.subsets.iter().map(|s| s.answered).sum::<u64>(), 8 * 2500);
    assert_eq!(split_doubts(&f), Vec::<&str>::new());
}

#[test]
fn shifts_are_followed_after_the_delay_put_in_and_failures_meanwhile_are_counted() {
    for delay_ms in [0, 300, 700] {
        let mut run = with_canary(Some(delay_ms * 1_000_000));
        // In the tenth of the first shift; 5 in each trial.
        (run.cells[1].failed, run.cells[1].failed_at) = (5, 20);
        let f = explained(&run);
        let c = canary(&f);
        assert_eq!(c.shifts.iter().map(|s| (s.trials, s.followed)).collect::<Vec<_>>(), [(8, 8), (8, 8)]);
        for shift in &c.shifts {
            let after = seen(&shift.after_ns);
            assert!((after.value / 1e6 - delay_ms as f64).abs() <= 50.0, "{delay_ms} ms: {after:?}");
            let latest = shift.latest_ns.unwrap() / 1_000_000;
            assert!(latest >= delay_ms && latest <= delay_ms + 500, "{delay_ms} ms: at the latest {latest}");
        }
        assert_eq!((c.shifts[0].failed, c.shifts[1].failed, c.unanswered), (40, 0, 40), "after {delay_ms} ms");
        assert_eq!(split_doubts(&f), Vec::<&str>::new());
    }
}

#[test]
fn a_split_that_does_not_follow_or_is_another_is_doubted() {
    let f = explained(&with_canary(None));
    let c = canary(&f);
    assert!(c.stretches[0].shares.iter().all(|s| s.holds));
    assert!(c.shifts.iter().all(|s| s.followed == 0 && s.latest_ns.is_none() && s.after_ns.seen().is_none()));
    let doubts = split_doubts(&f);
    assert_eq!(doubts.len(), 4, "{doubts:?}");
    assert!(doubts.iter().any(|d| d.contains("and 50.0 % was asked for from 2 s on")), "{doubts:?}");
    assert!(
        doubts.contains(
            &"the split did not follow the shift to v1=0,v2=100 at 3.5 s in 8 of 8 trials, as far as its answers tell"
        ),
        "{doubts:?}"
    );

    // Split by 90 to 10, while 80 to 20 was asked for.
    let mut run = with_canary(Some(0));
    run.cells[1].cell.factors.canary.as_mut().unwrap().shifts.clear();
    let parent = tempfile::tempdir().unwrap();
    let dir = run.write(parent.path());
    let path = dir.path().join("run.json");
    let unsummed = record::Run { sum: None, ..dir.run().unwrap() };
    let text = serde_json::to_string(&unsummed).unwrap();
    std::fs::write(&path, text.replace("v1=90,v2=10", "v1=80,v2=20")).unwrap();
    let f = findings(&dir).unwrap();
    let doubts = split_doubts(&f);
    assert!(doubts.len() == 1 && doubts[0].starts_with("v1 answered "), "{doubts:?}");
    assert!(doubts[0].ends_with("of 20000 requests, and 80.0 % was asked for from 0 s on"), "{doubts:?}");
}

fn with_everything() -> MadeRun {
    let mut run = with_canary(Some(200_000_000));
    let part = || "s2-sidecar".to_owned();
    run.cells[1].events = vec![
        Event::CertificateRotated { at_ns: 5, part: part(), serial: "0a".into() },
        Event::CertificateSeen { at_ns: 6, part: part(), serial: "0a".into() },
        Event::CertificateRotated { at_ns: 7, part: part(), serial: "0b".into() },
        Event::StatsScraped { at_ns: 8, part: part(), took_ns: 3_000_000, bytes: 4096 },
        Event::StatsScraped { at_ns: 9, part: part(), took_ns: 5_000_000, bytes: 8192 },
    ];
    run.cells[1].lacks = vec![Lack { what: "istio.stats".into(), reason: "its filter is not built in".into() }];
    run.left_out = vec![LeftOut { what: "nginx, permissive".into(), reason: "it cannot look at first bytes".into() }];
    run
}

#[test]
fn what_was_done_what_lacks_and_what_was_left_out_stand_on_every_page() {
    let run = with_everything();
    let parent = tempfile::tempdir().unwrap();
    let dir = run.write(parent.path());
    let f = findings(&dir).unwrap();
    let cell = f.cell("chain3-envoy").unwrap();
    let events = cell.events.as_ref().unwrap();
    assert_eq!((events.certificates_rotated, events.certificates_seen, events.scrapes), (16, 8, 16));
    assert!(near(seen(&events.scrape_ns).value, 4e6) && near(seen(&events.scrape_bytes).value, 6144.0), "{events:?}");
    assert_eq!((cell.lacks.len(), f.left_out.len()), (1, 1));
    assert!(f.cells[0].events.is_none() && f.cells[0].canary.is_none() && f.cells[0].lacks.is_empty());
    let page = reports::html::render(&f, &dir).unwrap().replace("&#x27;", "'");
    // The tax, the quantiles, two timelines, the costs and the split.
    assert_eq!((page.matches("<svg").count(), page.matches("Shares of the subsets").count()), (6, 1));
    for page in [reports::text::render(&f, 200, false), reports::markdown::render(&f).replace('\\', ""), page] {
        for said in [
            "istio.stats: its filter is not built in",
            "nginx, permissive: it cannot look at first bytes",
            "Platform processes: services and proxies on loopback",
            "What these dataplanes lack of Istio's path",
            "Combinations that cannot be",
            "Canary: how requests were split",
            "v2 less v1",
            "v1=50,v2=50 from 2 s",
            "8 of 8",
            "Done under load",
            "Envoy sidecars: v2 answered",
            "16 of 16 shifts were followed within",
        ] {
            assert!(page.contains(said), "{said}: {page}");
        }
    }
    let tables = reports::csv::render(&f).unwrap();
    let rows = |name: &str| {
        let text = &tables.iter().find(|(n, _)| n == name).unwrap().1;
        csv::Reader::from_reader(text.as_bytes()).into_records().map(|r| r.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(rows("splits.csv").len(), 3 * 2);
    assert_eq!(rows("subsets.csv").len(), 2 * 10 + 5);
    assert_eq!(rows("shifts.csv").len(), 2);
    assert_eq!(rows("events.csv").len(), 5);
    assert_eq!(rows("lacks.csv").iter().map(|r| r[0].to_owned()).collect::<Vec<_>>(), ["chain3-envoy", ""]);
}

#[test]
fn proxies_at_rest_are_summed_with_what_the_sum_is_known_to() {
    let f = explained(&first_look());
    let all = &f.cell("chain3-envoy").unwrap().all_proxies;
    assert_eq!((all.count, all.worker_threads.as_slice()), (4, &[2][..]));
    assert!(near(seen(&all.rss_bytes).value, 4.0 * f64::from(40 << 20)));
    // Four proxies at a thousandth of a core each; read five times in half a second, 100 ms apart.
    assert!(near(seen(&all.idle_millicores).value, 4.0), "{:?}", all.idle_millicores);
    // A step of 10 ms in 400 ms, of each of the four CPUs.
    assert!(matches!(all.idle_error_millicores, Reading::Seen(error) if near(error, 4.0 * 25.0)), "{all:?}");
    let none = &f.cell("chain3-none").unwrap().all_proxies;
    assert_eq!((none.count, none.idle_millicores.reason()), (0, Some("no proxies in this cell")));
    // Leaves the pages of a canary where they are asked for, to be looked at.
    if let Some(at) = std::env::var_os("MESHTAX_PAGES") {
        let at = std::path::PathBuf::from(at);
        std::fs::create_dir_all(&at).unwrap();
        let made = explain(&with_everything());
        std::fs::write(at.join("canary.html"), &made.page).unwrap();
        std::fs::write(at.join("canary.txt"), reports::text::render(&made.findings, 80, false)).unwrap();
    }
}
