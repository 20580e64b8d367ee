//! Baselines: kept whole or not at all, listed, followed, and pruned but for the last.

use std::fs;
use std::path::{Path, PathBuf};

use crate::errors::refused;
use crate::program::{Answer, Mounted, among_others, call, change_run, is_root, json, meshtax, skip};

/// A run of half a second, of a commit that the forge names.
fn measured(out: &Path) -> PathBuf {
    let _seat = among_others();
    let args = ["run", "--dataplane", "none", "--duration", "500ms", "--warm-up", "0s", "--repeats", "1", "--out"];
    let mut command = meshtax(&args);
    command.arg(out).env("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567").env("GITHUB_REF_NAME", "main");
    let answer: Answer = command.env_remove("GITHUB_HEAD_REF").output().unwrap().into();
    answer.done().run_directory()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The names of what is in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A second run of the same, as if made at another time.
fn another(of: &Path, id: &str, started: &str) -> PathBuf {
    let path = of.with_file_name(id);
    let status = std::process::Command::new("cp").arg("-r").arg(of).arg(&path).status().unwrap();
    assert!(status.success());
    for file in ["run.json", "findings.json"] {
        let mut value = json(&path.join(file));
        value[if file == "run.json" { "id" } else { "run" }] = id.into();
        value["started"] = started.into();
        value.as_object_mut().unwrap().remove("sum");
        fs::write(path.join(file), value.to_string()).unwrap();
    }
    path
}

#[test]
fn a_run_is_kept_listed_followed_and_pruned_but_for_the_last() {
    let tmp = tempfile::tempdir().unwrap();
    let run = measured(&tmp.path().join("runs"));
    let folder = tmp.path().join("baselines");
    let dir = ["--dir", text(&folder)];
    let baseline = |args: &[&str]| call(&[&["baseline"], args, &dir].concat());
    let kept = baseline(&["add", text(&run)]).done().run_directory();
    assert_eq!(kept.file_name(), run.file_name());
    assert_eq!(json(&kept.join("run.json")), json(&run.join("run.json")), "it keeps its id");
    call(&["report", text(&kept)]).done();
    refused(&baseline(&["add", text(&run)]), 2, &["is there already", "--name", "try:"]);
    refused(&baseline(&["add", text(&run), "--name", "again"]), 2, &["kept already", "twice"]);
    refused(&baseline(&["add", text(&run), "--name", "../x"]), 64, &["--name", "try:"]);
    let older = another(&run, "2020-01-01T0000-0000", "2020-01-01T00:00:00Z");
    baseline(&["add", text(&older), "--name", "old"]).done();
    assert_eq!(names(&folder).len(), 2, "{:?}", names(&folder));

    let listed = baseline(&["list"]).done().stdout;
    assert!(listed.starts_with("old  2020-01-01T00:00:00Z") && listed.contains("012345678"), "{listed}");
    let listed: serde_json::Value = serde_json::from_str(&baseline(&["list", "--format", "json"]).stdout).unwrap();
    assert_eq!(listed["baselines"][1]["source"]["branch"], "main");
    assert!(listed["baselines"][0]["cells"][0]["response_p99_ns"].as_f64() > Some(0.0), "{listed}");
    let history = call(&["history", text(&folder), "--metric", "p50"]).done().stdout;
    assert!(history.contains("2 runs") && history.contains("2 runs are too few"), "{history}");

    refused(&baseline(&["prune"]), 64, &["--keep 10", "try:"]);
    refused(&baseline(&["prune", "--keep", "0"]), 64, &["--keep"]);
    let tried = baseline(&["prune", "--older-than", "30d", "--dry-run"]).done().stdout;
    assert!(tried.starts_with("would remove old") && names(&folder).len() == 2, "{tried}");
    baseline(&["prune", "--older-than", "30d"]).done();
    assert_eq!(names(&folder).len(), 1);
    // However old: the last of its machine and scenario stays.
    assert!(baseline(&["prune", "--older-than", "0s"]).done().stdout.contains("nothing to remove"));
    assert_eq!(names(&folder), [kept.file_name().unwrap().to_str().unwrap()]);
}

#[test]
fn what_is_no_whole_run_of_this_method_is_refused_and_leaves_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let run = measured(&tmp.path().join("runs"));
    let folder = tmp.path().join("baselines");
    let add = |run: &Path| call(&["baseline", "add", text(run), "--dir", text(&folder)]);
    refused(&add(tmp.path()), 2, &["is not a run directory", "try:"]);
    let whole = fs::read(run.join("run.json")).unwrap();
    change_run(&run, |plan| plan["method"] = (plan["method"].as_u64().unwrap() + 1).into());
    refused(&add(&run), 2, &["method", "try:"]);
    fs::write(run.join("run.json"), &whole).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", run.join("link")).unwrap();
    refused(&add(&run), 2, &["link", "neither a file nor a directory", "try:"]);
    fs::remove_file(run.join("link")).unwrap();
    assert_eq!(names(&folder), Vec::<String>::new());
    change_run(&run, |plan| {
        let mut second = plan["trials"][0].clone();
        second["id"] = "0002-not-made".into();
        plan["trials"].as_array_mut().unwrap().push(second);
    });
    refused(&add(&run), 2, &["was cut off", "1 of its 2 trials", "meshtax resume"]);
    assert_eq!(names(&folder), Vec::<String>::new());
}

#[test]
fn a_full_disk_keeps_nothing_and_says_so() {
    if !is_root() {
        assert!(skip("a small tmpfs needs root", "REQUIRE_ROOT"));
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let run = measured(&tmp.path().join("runs"));
    fs::write(run.join("large"), vec![7; 1 << 20]).unwrap();
    let small = tmp.path().join("small");
    fs::create_dir(&small).unwrap();
    let _mounted = Mounted::tmpfs(&small, "300k");
    let answer = call(&["baseline", "add", text(&run), "--dir", text(&small)]);
    refused(&answer, 2, &["nothing was kept", "full", "--dir"]);
    assert_eq!(names(&small), Vec::<String>::new());
}
