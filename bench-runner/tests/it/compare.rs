//! Runs side by side, by the built program.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::browser::Browser;
use crate::errors::refused;
use crate::program::{among_others, call};

/// A short run without a mesh and with one.
fn measured(out: &Path, seed: &str, more: &[&str]) -> PathBuf {
    let short = ["--rate", "200", "--duration", "500ms", "--warm-up", "0s", "--repeats", "3"];
    let to = ["--out", out.to_str().unwrap(), "--seed", seed];
    call(&[&["run", "--dataplane", "none,embedded"], &short[..], &to, more].concat()).done().run_directory()
}

#[test]
fn two_runs_are_set_side_by_side_in_every_form_and_the_page_opens_whole() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let [one, other] = ["1", "2"].map(|seed| measured(tmp.path(), seed, &[]));
    let (small, large) = (format!("small={}", one.display()), format!("large={}", other.display()));
    let said = |more: &[&str]| call(&[&["compare", small.as_str(), large.as_str()], more].concat()).done().stdout;

    let json: Value = serde_json::from_str(&said(&["--format", "json"])).unwrap();
    let names: Vec<&str> = json["runs"].as_array().unwrap().iter().filter_map(|run| run["name"].as_str()).collect();
    assert_eq!(names, ["small", "large"]);
    assert_eq!(json["cells"].as_array().map(Vec::len), Some(2));
    let answer = json["answer"][0].as_str().unwrap();
    assert!(answer.starts_with("At p99, embedded sidecars cost ") && answer.contains(" on large"), "{answer}");
    // One machine, one configuration: nothing but time lies between the two.
    assert_eq!(json["effects"][0]["factor"], "time", "{}", json["effects"]);
    assert_eq!(json["runs"][1]["machine"], 1);

    let text = said(&["--at", "p50"]);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.lines().next().is_some_and(|line| line.ends_with("2 runs side by side at p50")), "{text}");
    assert!(said(&["--format", "markdown"]).starts_with("# meshtax: "));
    assert!(said(&["--format", "csv"]).starts_with("# cells.csv\nof,cell,run,"));
    let folder = tmp.path().join("tables");
    said(&["--format", "csv", "--output", folder.to_str().unwrap()]);
    assert!(
        std::fs::read_to_string(folder.join("contrasts.csv")).unwrap().contains("tax,chain3-embedded,large,small,p99,")
    );

    let page = tmp.path().join("comparison.html");
    assert_eq!(said(&["--format", "html", "--output", page.to_str().unwrap()]), "");
    the_page_opens(&page);

    // What a run lacks is a flag, and a flag fails where that is asked for.
    let trial = std::fs::read_dir(other.join("trials")).unwrap().flatten().map(|entry| entry.path()).max().unwrap();
    std::fs::remove_file(trial.join("trial.json")).unwrap();
    let answer = call(&["compare", &small, &large, "--strict"]);
    assert_eq!(answer.code, Some(1), "{answer:#?}");
    assert!(answer.stdout.contains("large: 1 of 6 trials of its plan are missing"), "{answer:#?}");
    assert!(said(&[]).contains("meshtax resume"));
}

/// No complaint, every chart with something in it, no serious fault, and nothing asked of the network.
fn the_page_opens(path: &Path) {
    let Some(mut browser) = Browser::start() else { return };
    let mut page = browser.open_file(path);
    assert_eq!(page.count("figure svg[role=img][aria-label]"), 4);
    for chart in 0..4 {
        let drawn = format!(
            "(svg => svg.querySelectorAll('circle, polyline, rect').length > 1 && svg.getBoundingClientRect().height > 50)\
             (document.querySelectorAll('figure svg')[{chart}])"
        );
        assert_eq!(page.value(&drawn), Value::Bool(true), "chart {chart} is empty");
    }
    assert!(page.count("table data") > 30);
    assert!(page.text("ul.answer li").contains("embedded sidecars"));
    let wide = page.value("document.documentElement.scrollWidth <= document.documentElement.clientWidth");
    assert_eq!(wide, Value::Bool(true), "the page is wider than its window");
    for scheme in ["light", "dark"] {
        page.look(scheme, "screen");
        let picture = page.picture(&format!("comparison-{scheme}"));
        assert!(picture > 30_000, "a picture of {picture} bytes is an empty page");
        assert_eq!(page.faults(), Vec::<String>::new(), "{scheme}");
    }
    assert_eq!(page.complaints(), Vec::<String>::new());
    assert_eq!(page.requests(), [format!("file://{}", path.display())]);
}

#[test]
fn what_cannot_be_compared_says_why_and_which_flag_lets_it_pass() {
    let seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let one = measured(tmp.path(), "1", &[]);
    let other = measured(tmp.path(), "2", &["--workers", "1,2"]);
    drop(seat);
    let [one, other] = [one, other].map(|path| path.to_str().unwrap().to_owned());
    refused(&call(&["compare", &one]), 64, &["2 values required"]);
    refused(&call(&["compare", &one, &one]), 64, &["are the same run", "try: name each run once"]);
    refused(&call(&["compare", &format!("a={one}"), &format!("a={other}")]), 64, &["two runs are called a", "try:"]);
    refused(&call(&["compare", &one, &other, "--at", "p98"]), 64, &["'p98'", "p99.9"]);
    refused(&call(&["compare", &one, &other, "--across", "colour"]), 64, &["'colour' is no factor", "cpu_limit"]);
    refused(&call(&["compare", &one, &other]), 2, &["do not have the same cells", "try: --shared-cells"]);
    let shared = call(&["compare", &one, &other, "--shared-cells"]).done().stdout;
    assert!(shared.contains("left out (--shared-cells)"), "{shared}");
    let nowhere = tmp.path().join("nowhere");
    refused(&call(&["compare", &one, nowhere.to_str().unwrap()]), 2, &["nowhere"]);
    // A later version's files are not read, whatever is allowed.
    let run = Path::new(&other).join("run.json");
    let mut newer = crate::program::json(&run);
    newer["schema"] = (record::SCHEMA + 1).into();
    std::fs::write(&run, newer.to_string()).unwrap();
    let answer = call(&["compare", &one, &other, "--allow-method", "--shared-cells"]);
    refused(&answer, 2, &["run.json", "try:"]);
}
