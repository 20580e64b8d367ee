//! Histories of made runs, whose levels are known.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use reports::history::{Followed, History};
use serde_json::{Value, json};

use crate::made::{MadeRun, first_look, normal};

/// The findings of one made run, from which others are made by changing them.
static TEMPLATE: LazyLock<Value> = LazyLock::new(|| {
    let parent = tempfile::tempdir().unwrap();
    let run = MadeRun { repeats: 2, ..first_look() };
    serde_json::to_value(reports::findings(&run.write(parent.path())).unwrap()).unwrap()
});

/// A day after the other.
fn started(at: usize) -> String {
    let (month, day) = (1 + at / 28 % 12, 1 + at % 28);
    format!("{}-{month:02}-{day:02}T00:00:00Z", 2020 + at / 336)
}

/// Writes findings.json of the run `at`, whose figures are `factor` times the template's.
fn write(folder: &Path, template: &Value, at: usize, factor: f64, change: impl Fn(&mut Value)) {
    let mut findings = template.clone();
    findings["run"] = format!("run-{at:04}").into();
    findings["started"] = started(at).into();
    findings["source"] = json!({"commit": format!("{at:040x}"), "branch": "main", "told_by": ".git"});
    for cell in findings["cells"].as_array_mut().unwrap() {
        for end in ["value", "low", "high"] {
            let p99 = &mut cell["response_ns"]["p99"][end];
            *p99 = (p99.as_f64().unwrap() * factor).into();
        }
    }
    change(&mut findings);
    let path = folder.join(format!("run-{at:04}"));
    fs::create_dir(&path).unwrap();
    fs::write(path.join("findings.json"), findings.to_string()).unwrap();
}

fn history(folder: &Path, cell: Option<&str>) -> History {
    History::of(folder, "p99".parse::<Followed>().unwrap(), cell).unwrap()
}

/// 40 runs with 2 % of noise, 30 % slower from the 25th on, when Envoy changed as well.
fn stepped(folder: &Path) {
    let template = &TEMPLATE;
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for at in 0..40 {
        let step = if at < 25 { 1.0 } else { 1.3 };
        let version = if at < 25 { "1.39.0" } else { "1.40.0" };
        let factor = step * (0.02 * normal(&mut rng)).exp();
        write(folder, template, at, factor, |f| f["versions"] = json!({"envoy": version}));
    }
}

#[test]
fn a_step_is_found_with_its_runs_its_commits_and_what_changed_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    stepped(folder.path());
    let all = history(folder.path(), None);
    assert_eq!((all.runs, all.series.len()), (40, 4), "a series for each cell");
    let one = history(folder.path(), Some("chain3-embedded"));
    let series = &one.series[0];
    let [change] = series.changes.as_slice() else { panic!("{:?}", series.changes) };
    assert_eq!(change.at, 25);
    assert!(change.earliest <= 25 && change.latest >= 25, "{change:?}");
    let ratio = change.ratio.unwrap();
    assert!((1.25..1.35).contains(&ratio), "{ratio}");
    let [old, new] = change.commits.clone().unwrap();
    assert_eq!(old, format!("{:040x}", change.earliest - 1));
    assert_eq!(new, format!("{:040x}", change.latest));
    assert_eq!(change.meanwhile, ["envoy: 1.39.0 -> 1.40.0"]);
}

#[test]
fn every_form_tells_the_same_change() {
    let folder = tempfile::tempdir().unwrap();
    stepped(folder.path());
    let one = history(folder.path(), Some("embedded"));
    let text = reports::history::text(&one, 100, Some(3));
    for said in ["worse, +", "git log 0000", "envoy: 1.39.0 -> 1.40.0", "▁", "^", "37 earlier runs", "run-0039"] {
        assert!(text.contains(said), "'{said}' is missing:\n{text}");
    }
    assert!(!text.contains("run-0036"), "three are listed:\n{text}");
    let csv = reports::history::csv(&one).unwrap();
    assert_eq!(csv.lines().count(), 41);
    let changed: Vec<&str> = csv.lines().skip(1).filter(|row| !row.ends_with(',')).collect();
    assert!(changed.len() == 1 && changed[0].contains("run-0025"), "{changed:?}");
    let page = reports::history::page(&one).unwrap();
    assert!(page.contains("<svg") && page.contains("worse, +") && page.contains("run-0025"), "{page}");
    // A name space is no address that is asked for.
    assert!(!page.replace("xmlns=\"http:", "").contains("://"), "it needs nothing else:\n{page}");
    let again: History = serde_json::from_str(&serde_json::to_string(&one).unwrap()).unwrap();
    assert_eq!(again, one);
}

#[test]
fn what_may_not_be_compared_is_a_series_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let template = &TEMPLATE;
    write(folder.path(), template, 0, 1.0, |_| {});
    write(folder.path(), template, 1, 1.0, |f| f["method"] = 99.into());
    write(folder.path(), template, 2, 1.0, |f| f["host"]["cpu_model"] = "another".into());
    write(folder.path(), template, 3, 1.0, |f| f["scenario"] = "another".into());
    write(folder.path(), template, 5, 1.0, |f| f["measure_ns"] = 1.into());
    // Another kernel is what a history is to show.
    write(folder.path(), template, 4, 1.0, |f| f["host"]["kernel"] = "6.99".into());
    let one = history(folder.path(), Some("chain3-envoy"));
    let points: Vec<usize> = one.series.iter().map(|s| s.points.len()).collect();
    assert_eq!(points, [2, 1, 1, 1, 1]);
    assert!(one.series[0].not_searched.as_deref().is_some_and(|why| why.contains("2 runs are too few")));
}

#[test]
fn a_run_without_findings_is_explained_anew_and_one_that_is_broken_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = MadeRun { repeats: 2, ..first_look() };
    run.write(folder.path());
    let broken = folder.path().join("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("run.json"), "{").unwrap();
    fs::create_dir(folder.path().join(".unfinished-1")).unwrap();
    fs::write(folder.path().join(".unfinished-1/run.json"), "{").unwrap();
    let all = history(folder.path(), None);
    assert_eq!(all.runs, 1);
    let [left_out] = all.left_out.as_slice() else { panic!("{:?}", all.left_out) };
    assert!(left_out.path.ends_with("broken") && left_out.reason.contains("run.json"), "{left_out:?}");
}

#[test]
fn nothing_to_follow_is_an_error_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let p99: Followed = "p99".parse().unwrap();
    let said = |cell| History::of(folder.path(), p99, cell).unwrap_err().to_string();
    assert!(said(None).contains("holds no run directory") && said(None).contains("try:"), "{}", said(None));
    write(folder.path(), &TEMPLATE, 0, 1.0, |_| {});
    assert!(said(Some("x")).contains("no run in") && said(Some("x")).contains("chain3-envoy"), "{}", said(Some("x")));
    let missing = History::of(&folder.path().join("no"), p99, None).unwrap_err().to_string();
    assert!(missing.contains("cannot read the folder") && missing.contains("try:"), "{missing}");
}

#[test]
fn each_figure_is_the_cells() {
    let folder = tempfile::tempdir().unwrap();
    let template = &TEMPLATE;
    write(folder.path(), template, 0, 1.0, |_| {});
    let cell = template["cells"].as_array().unwrap().iter().find(|c| c["id"] == "chain3-envoy").unwrap();
    let tax = template["taxes"].as_array().unwrap().iter().find(|t| t["cell"] == "chain3-envoy").unwrap();
    for (name, expected) in [
        ("p99.9", &cell["response_ns"]["p999"]["value"]),
        ("service-p50", &cell["service_ns"]["p50"]["value"]),
        ("tax-p90", &tax["response_ns"]["p90"]["difference"]["value"]),
        ("cpu", &cell["all_proxies"]["cpu_millicores_per_1000_rps"]["value"]),
        ("rss", &cell["all_proxies"]["rss_bytes"]["value"]),
        ("errors", &cell["requests"]["error_rate"]),
        ("rate", &cell["answered_per_second"]["value"]),
    ] {
        let followed: Followed = name.parse().unwrap();
        let one = History::of(folder.path(), followed, Some("chain3-envoy")).unwrap();
        let figure = one.series[0].points[0].figure.seen().map(|e| e.value);
        assert_eq!(figure, expected.as_f64(), "{name}");
    }
    let unmeshed = History::of(folder.path(), "tax-p99".parse().unwrap(), Some("chain3-none")).unwrap();
    assert!(unmeshed.series[0].points[0].figure.reason().is_some());
}
