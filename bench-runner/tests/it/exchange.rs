//! The files that a run is exported to, read by the programs that they are for.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::browser::Browser;
use crate::program::{among_others, call, json as read, skip};

fn a_run(folder: &Path) -> PathBuf {
    let out = folder.to_str().unwrap();
    let options = ["--rate", "200", "--duration", "1s", "--warm-up", "300ms", "--repeats", "2"];
    call(&[&["run", "--dataplane", "none,embedded", "--out", out], &options[..]].concat()).done().run_directory()
}

fn export(run: &Path, format: &str, to: &Path) -> String {
    call(&["report", run.to_str().unwrap(), "--format", format, "--output", to.to_str().unwrap()]).done().stdout
}

/// Reads a log with the public library of HdrHistogram and prints, for each tag, its count and its p99.
const READ_LOG: &str = r#"
import json, math, sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
merged = {}
reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 3_600_000_000_000, 3))
latest = 0
while (interval := reader.get_next_interval_histogram()) is not None:
    assert interval.get_start_time_stamp() >= latest
    latest = interval.get_start_time_stamp()
    merged.setdefault(interval.get_tag(), HdrHistogram(1, 3_600_000_000_000, 3)).add(interval)
def p99(h):
    n = h.get_total_count()
    return h.get_value_at_percentile(100 * math.ceil(0.99 * n) / n)
print(json.dumps({tag: [h.get_total_count(), p99(h)] for tag, h in merged.items()}))
"#;

#[test]
fn the_public_reader_of_hdr_histograms_finds_every_request() {
    let has = Command::new("python3").args(["-c", "import hdrh"]).output().is_ok_and(|o| o.status.success());
    if !has {
        assert!(skip("there is no Python with hdrhistogram", "REQUIRE_PYTHON"));
        return;
    }
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let (run, folder) = (a_run(tmp.path()), tmp.path().join("logs"));
    assert!(export(&run, "hlog", &folder).starts_with("6 files in "));
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let id = path.file_stem().unwrap().to_str().unwrap();
        let done = Command::new("python3").args(["-c", READ_LOG]).arg(&path).output().unwrap();
        assert!(done.status.success(), "{id}: {}", String::from_utf8_lossy(&done.stderr));
        let found: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        let trial = run.join("trials").join(id).join("trial.json");
        if !trial.is_file() {
            assert_eq!((&found["response"][0], &found["service"][0]), (&json!(400), &json!(400)), "{id}: two trials");
            continue;
        }
        let load = &read(&trial)["load"];
        assert_eq!((&found["response"][0], &found["service"][0]), (&load["due"], &load["sent"]), "{id}");
        let (theirs, ours) = (found["response"][1].as_f64().unwrap(), load["response_ns"]["p99"].as_f64().unwrap());
        assert!((theirs - ours).abs() <= 0.001 * ours, "{id}: {theirs} {ours}");
    }
}

#[test]
fn fortios_own_page_shows_its_results() {
    let has = Command::new("fortio").arg("version").output().is_ok_and(|o| o.status.success());
    if !has {
        assert!(skip("there is no Fortio on PATH (go install fortio.org/fortio@v1.68.1)", "REQUIRE_FORTIO"));
        return;
    }
    let _seat = among_others();
    let Some(mut browser) = Browser::start() else { return };
    let tmp = tempfile::tempdir().unwrap();
    let (run, folder) = (a_run(tmp.path()), tmp.path().join("fortio"));
    assert!(export(&run, "fortio", &folder).starts_with("6 files in "));
    let mut fortio = Command::new("fortio")
        .args(["report", "-http-port", "127.0.0.1:0", "-redirect-port", "disabled", "-data-dir"])
        .arg(&folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(fortio.stdout.take().unwrap()).lines().map(Result::unwrap);
    let url = lines
        .find_map(|line| line.find("http://").map(|at| line[at..].trim().to_owned()))
        .expect("it says where it is");
    let mut page = browser.open(&url);
    assert_eq!(page.count("#files option"), 6, "it lists them");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let (file, result) = (path.file_name().unwrap().to_str().unwrap().to_owned(), read(&path));
        page.go(&format!("{url}browse?url={file}"));
        // Its script has read the file, and made a curve and bars of it.
        page.until("typeof data === 'object' && data.dataH.length > 0 && data.dataP.length > 0");
        let title = page.value("data.title.join(' ')").as_str().unwrap().to_owned();
        assert!(title.contains(result["Labels"].as_str().unwrap()), "{file}: {title}");
        assert_eq!(page.value("data.dataP[data.dataP.length - 1].y"), json!(100), "{file}: all requests");
    }
    page.picture("fortio");
    let thrown: Vec<String> = page.complaints().into_iter().filter(|c| c.contains("exceptionId")).collect();
    let _ = fortio.kill();
    let _ = fortio.wait();
    assert_eq!(thrown, Vec::<String>::new());
}

#[test]
fn other_forms_are_written_where_they_are_asked_for() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let run = a_run(tmp.path());
    let at = run.to_str().unwrap();
    let answer = call(&["report", at, "--format", "smp"]);
    assert_eq!(answer.code, Some(64), "{answer:#?}");
    assert!(answer.stderr.contains("--output DIR"), "{answer:#?}");
    // environment, four trials with two files each, two cells with three, and one mesh.
    assert!(export(&run, "smp", &tmp.path().join("smp")).starts_with("16 files in "));
    for (format, begins, ends) in [
        ("openmetrics", "# TYPE meshtax_run_about info\n", "# EOF\n"),
        ("open-metrics", "# TYPE meshtax_run_about info\n", "# EOF\n"),
        ("intervals-csv", "trial,cell,block,phase,start_ns,", "\n"),
        ("samples-csv", "trial,cell,block,", "\n"),
    ] {
        let stdout = call(&["report", at, "--format", format]).done().stdout;
        assert!(stdout.starts_with(begins) && stdout.ends_with(ends), "{format}: {stdout:.200}");
        let file = tmp.path().join(format);
        export(&run, format, &file);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), stdout, "{format}");
        let answer = call(&["report", at, at, "--format", format]);
        assert_eq!(answer.code, Some(64), "{format} of two runs: {answer:#?}");
    }
    // Where it cannot be written, the file is named.
    let answer = call(&["report", at, "--format", "hlog", "--output", "/proc/none"]);
    assert_eq!(answer.code, Some(2), "{answer:#?}");
    assert!(answer.stderr.contains("/proc/none") && answer.stderr.contains("try:"), "{answer:#?}");
    let head = format!("'{}' report '{at}' --format samples-csv | head -c 100", env!("CARGO_BIN_EXE_meshtax"));
    let done = Command::new("sh").args(["-c", &head]).output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "a reader that went away is no error: {done:?}");
}
