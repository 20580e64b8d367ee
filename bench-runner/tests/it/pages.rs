//! The report of a run in a real browser: it opens whole, does what it offers, shuts nobody out, and asks for nothing.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;

use crate::browser::{Browser, Page};
use crate::program::{Answer, Seat, among_others, call, json};

/// A run that all tests here look at, made once. It lies in the build's own directory, since nothing ends what lives as long
/// as the tests do.
static RUN: LazyLock<PathBuf> = LazyLock::new(|| {
    let _seat = among_others();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let out = folder.to_str().unwrap();
    let factors = ["--dataplane", "none,embedded", "--rate", "200", "--duration", "1s", "--warm-up", "0s"];
    call(&[&["run"], factors.as_slice(), &["--repeats", "2", "--out", out]].concat()).done().run_directory()
});

fn report() -> PathBuf {
    RUN.join("report.html")
}

/// A browser among the others, once there is a report for it to open: that is made on a seat of its own.
fn seated() -> Option<(Seat, Browser)> {
    LazyLock::force(&RUN);
    let seat = among_others();
    Some((seat, Browser::start()?))
}

/// Every chart holds something that is seen.
fn charts(page: &mut Page<'_>) -> u64 {
    let empty = page.value(
        "[...document.querySelectorAll('figure')].filter(f => { const svg = f.querySelector('svg'); \
         return !svg || svg.getBoundingClientRect().height < 50 || \
         svg.querySelectorAll('polyline, circle, rect, path, polygon').length < 3; }).map(f => f.id).join()",
    );
    assert_eq!(empty, Value::from(""), "charts without anything in them");
    page.count("figure")
}

#[test]
fn the_report_opens_whole_and_asks_for_nothing() {
    let Some((_seat, mut browser)) = seated() else { return };
    let path = report();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.len() < 1_500_000, "{} bytes", text.len());
    let mut page = browser.open_file(&path);
    // Taxes, quantiles, costs; and of both cells a timeline and the slowest request.
    assert_eq!(charts(&mut page), 7);
    let findings = json(&RUN.join("findings.json"));
    assert_eq!(page.text(".answer li"), findings["headline"]["sentence"].as_str().unwrap());
    for (scheme, media) in [("light", "screen"), ("dark", "screen"), ("light", "print")] {
        page.look(scheme, media);
        let picture = page.picture(&format!("report-{scheme}-{media}"));
        assert!(picture > 30_000, "a picture of {picture} bytes is an empty page");
        if media == "screen" {
            assert_eq!(page.faults(), Vec::<String>::new(), "{scheme}");
        }
    }
    assert_eq!(page.complaints(), Vec::<String>::new());
    assert_eq!(page.requests(), [format!("file://{}", path.display())]);
}

#[test]
fn the_report_is_whole_without_scripts() {
    let Some((_seat, mut browser)) = seated() else { return };
    let mut page = browser.open("about:blank");
    page.go_without_scripts(&format!("file://{}", report().display()));
    assert_eq!(charts(&mut page), 7);
    assert_eq!((page.count("button"), page.count(".cursor")), (0, 0), "the script has run");
    assert!(page.text("#method").contains("The same again: meshtax run "));
    assert_eq!(page.faults(), Vec::<String>::new());
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[test]
fn the_cursor_reads_out_a_window_by_pointer_and_by_key() {
    let Some((_seat, mut browser)) = seated() else { return };
    let timeline = json(&RUN.join("findings.json"))["timelines"][1].clone();
    let mut page = browser.open_file(&report());
    let figure = format!("#timeline-{}", timeline["cell"].as_str().unwrap());
    // What stands there is what findings.json says of the window.
    let expect = |page: &mut Page<'_>, window: usize| {
        let at = timeline["at_ns"][window].as_f64().unwrap();
        let said = page.text(&format!("{figure} .readout"));
        let number = |before: &str, after: &str| -> f64 {
            let from = said.split(before).nth(1).unwrap_or_else(|| panic!("{before} in {said}"));
            from.split(after).next().unwrap().parse().unwrap()
        };
        assert!((number("at ", " s") - at / 1e9).abs() < 0.005, "{said}");
        for (name, list) in [("median ", "p50_ns"), ("p99 ", "p99_ns"), ("longest ", "max_ns")] {
            let ms = timeline[list][window].as_f64().unwrap() / 1e6;
            assert!((number(name, " ms") - ms).abs() <= ms * 0.006, "{name}{ms}: {said}");
        }
        let value = page.value(&format!("document.querySelector('{figure} .cursor').getAttribute('aria-valuetext')"));
        assert_eq!(value, Value::from(said));
    };
    let longest: Vec<u64> = timeline["max_ns"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect();
    let worst = longest.iter().position(|ns| ns == longest.iter().max().unwrap()).unwrap();
    expect(&mut page, worst);
    // A second of ten windows from 72 to 936 of 960: the middle of the fourth.
    let end = timeline["end_ns"].as_f64().unwrap();
    page.hover(&format!("{figure} .plot"), ((72.0 + 864.0 * 3.5e8 / end) / 960.0, 0.3));
    expect(&mut page, 3);
    let left = "parseFloat(document.querySelector('FIGURE .cursor').style.left)".replace("FIGURE", &figure);
    let before = page.value(&left).as_f64().unwrap();
    assert!(page.focus(&format!("{figure} .cursor")));
    page.press("ArrowRight");
    expect(&mut page, 4);
    assert!(page.value(&left).as_f64().unwrap() > before, "the line moves with it");
    page.press("ArrowLeft");
    page.press("ArrowLeft");
    expect(&mut page, 2);
    page.press("Home");
    expect(&mut page, 0);
    page.press("End");
    expect(&mut page, longest.len() - 1);
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[test]
fn series_are_hidden_and_shown_and_tables_sorted() {
    let Some((_seat, mut browser)) = seated() else { return };
    let mut page = browser.open_file(&report());
    let shown = "[...document.querySelectorAll('#chart-quantiles svg .s1')].filter(e => getComputedStyle(e).display !== 'none').length";
    let all = page.value(shown).as_u64().unwrap();
    assert!(all >= 3, "a line of the cell and one of each trial: {all}");
    let toggle = "#chart-quantiles .legend [data-class=s1] button";
    page.click(toggle);
    assert_eq!(page.value(shown), Value::from(0));
    assert_eq!(page.value(&format!("document.querySelector('{toggle}').ariaPressed")), Value::from("false"));
    assert!(page.focus(toggle));
    page.press(" ");
    assert_eq!(page.value(shown), Value::from(all));

    let column = "JSON.stringify([...document.querySelectorAll('#response tbody tr')].map(r => Number(r.cells[1].querySelector('data').value)))";
    let values =
        |page: &mut Page<'_>| -> Vec<f64> { serde_json::from_str(page.value(column).as_str().unwrap()).unwrap() };
    let was = values(&mut page);
    let mut rising = was.clone();
    rising.sort_by(f64::total_cmp);
    let falling: Vec<f64> = rising.iter().rev().copied().collect();
    let head = "#response thead th:nth-child(2)";
    for (wanted, said) in [(&falling, "descending"), (&rising, "ascending"), (&was, "")] {
        page.click(&format!("{head} button"));
        assert_eq!(&values(&mut page), wanted);
        let sort = page.value(&format!("document.querySelector('{head}').getAttribute('aria-sort') ?? ''"));
        assert_eq!(sort, Value::from(said));
    }
    page.press("Enter");
    assert_eq!(values(&mut page), falling, "the head that was clicked has the focus");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[test]
fn a_narrow_window_scrolls_tables_and_not_the_page() {
    let Some((_seat, mut browser)) = seated() else { return };
    let mut page = browser.open_file(&report());
    page.size(400, 800);
    page.drawn();
    assert_eq!(page.value("document.documentElement.scrollWidth <= 400"), Value::from(true));
    // What scrolls can be scrolled by keys.
    page.until("[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).every(e => e.tabIndex === 0)");
    assert_eq!(page.faults(), Vec::<String>::new());
    page.picture("report-narrow");
}

/// Width and height of a PNG file.
fn size(path: &Path) -> (u32, u32) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n", "{}", path.display());
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[test]
fn every_chart_becomes_a_picture() {
    let tmp = tempfile::tempdir().unwrap();
    let folder = tmp.path().join("pictures");
    let Answer { stdout, .. } = call(&["report", RUN.to_str().unwrap(), "--png", folder.to_str().unwrap()]).done();
    let said: Vec<&str> = stdout.lines().collect();
    assert_eq!(said.len(), 7, "{said:?}");
    let page = std::fs::read_to_string(report()).unwrap();
    for path in said.iter().map(Path::new) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(page.contains(&format!("<figure id=\"{name}\"")), "{name} is on the page");
        let (width, height) = size(path);
        assert!(width == 1984 && height > 300, "{name}: {width} by {height}");
        if let Some(keep) = std::env::var_os("KEEP_SCREENSHOTS") {
            std::fs::copy(path, Path::new(&keep).join(format!("chart-{name}.png"))).unwrap();
        }
    }
    let refused = call(&["report", RUN.to_str().unwrap(), "--png", "x", "--format", "html"]);
    assert_eq!(refused.code, Some(64), "{refused:?}");
    let run = RUN.to_str().unwrap();
    let two = call(&["report", run, run, "--png", folder.to_str().unwrap()]);
    assert!(two.code == Some(64) && two.stderr.contains("try:"), "{two:?}");
}

#[test]
fn a_run_can_be_measured_again_from_its_directory() {
    let findings = json(&RUN.join("findings.json"));
    let command = findings["repeat"]["command"].as_str().unwrap();
    let words: Vec<&str> = command.split(' ').collect();
    assert_eq!(words[..2], ["meshtax", "run"], "{command}");
    let tmp = tempfile::tempdir().unwrap();
    let _seat = among_others();
    let more = ["--repeats", "1", "--out", tmp.path().to_str().unwrap()];
    let again = call(&[&words[1..], more.as_slice()].concat()).done().run_directory();
    let [first, second] = [RUN.as_path(), again.as_path()].map(|run| json(&run.join("run.json")));
    for same in ["scenario", "seed", "cells", "timing", "level"] {
        assert_eq!(first[same], second[same], "{same}");
    }
    let not_a_run = call(&["run", tmp.path().to_str().unwrap()]);
    assert!(not_a_run.code == Some(2) && not_a_run.stderr.contains("run.json"), "{not_a_run:?}");
}
