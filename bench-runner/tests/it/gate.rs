//! `meshtax gate` as a script would use it: its verdicts and exit codes, what it leaves, and what it refuses.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::errors::refused;
use crate::program::{Answer, alone, among_others, call, json, meshtax, processes_of, within, write_script};
use crate::run::keeps_to;

/// A chain so small and trials so short that a pair takes about two seconds.
const SMALL: &str = r#"
name = "small"
[chain]
services = 1
[load]
rate = 100
connections = 2
[mesh]
dataplane = "embedded"
[trial]
settle = "0s"
warm_up = "100ms"
measure = "300ms"
cool_down = "0s"
[plan]
repeats = 3
"#;

fn small(folder: &Path, more: &str) -> PathBuf {
    let path = folder.join("small.toml");
    std::fs::write(&path, format!("{SMALL}{more}")).unwrap();
    path
}

fn side_by_side(folder: &Path, scenario: &Path, more: &[&str]) -> Answer {
    let out = folder.join("gates");
    let mut args = vec!["gate", "--candidate", scenario.to_str().unwrap(), "--out", out.to_str().unwrap()];
    args.extend(more);
    call(&args)
}

/// The answer of a gate, which keeps to its schema.
fn answer(directory: &Path) -> Value {
    let answer = json(&directory.join("gate.json"));
    keeps_to("schemas/gate.schema.json", &answer);
    answer
}

#[test]
fn the_same_passes_by_a_wide_limit_and_both_sides_are_runs() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let scenario = small(tmp.path(), "");
    // No one hundred times as slow, on any machine that the tests run on.
    let gate = side_by_side(tmp.path(), &scenario, &["--max-regress", "p50=10000%", "--pairs-max", "5"]);
    let said = answer(&gate.run_directory());
    // Where the generator is starved all the time no pair counts, and nothing is claimed.
    let undecided = said["metrics"][0]["n"].as_u64() < Some(5);
    assert_eq!(gate.code, Some(if undecided { 3 } else { 0 }), "{}\n{}", gate.stdout, gate.stderr);
    assert!(gate.stderr.contains("pair 1 of "), "{}", gate.stderr);
    assert_eq!(said["way"], "side_by_side");
    for side in ["candidate", "baseline"] {
        let run = gate.run_directory().join(side);
        let report = call(&["report", run.to_str().unwrap()]).done();
        assert!(report.stdout.contains("small"), "{}", report.stdout);
        let findings = json(&run.join("findings.json"));
        assert_eq!(findings["trials_sealed"], said[side]["trials"]);
    }
    assert_eq!(processes_of(tmp.path()), Vec::<String>::new());
}

#[test]
fn in_a_duet_both_sides_play_at_once_and_each_on_cpus_of_its_own() {
    let cpus = rustix::thread::sched_getaffinity(None).unwrap().count();
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let scenario = small(tmp.path(), "");
    let asked = ["--duet", "--max-regress", "p50=10000%", "--pairs-max", "5", "--duration", "1s"];
    if cpus < 2 {
        refused(&side_by_side(tmp.path(), &scenario, &asked), 64, &["--duet", "only one"]);
        return;
    }
    let gate = side_by_side(tmp.path(), &scenario, &asked);
    assert!(matches!(gate.code, Some(0 | 3)), "{}\n{}", gate.stdout, gate.stderr);
    let said = answer(&gate.run_directory());
    assert!(said["notes"].to_string().contains("at the same time"), "{said:#}");
    let trials = |side: &str| -> Vec<Value> {
        let folder = gate.run_directory().join(side).join("trials");
        let mut trials: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        trials.sort();
        trials.iter().map(|trial| json(&trial.join("trial.json"))).collect()
    };
    let (candidate, baseline) = (trials("candidate"), trials("baseline"));
    assert!(candidate.len() >= 5 && candidate.len() == baseline.len());
    for (one, other) in candidate.iter().zip(&baseline) {
        // Settle, warm-up, measure, cool-down.
        let measured = |trial: &Value| ["start_ns", "end_ns"].map(|end| trial["phases"][2][end].as_u64().unwrap());
        let ([start, end], [other_start, other_end]) = (measured(one), measured(other));
        assert!(start < other_end && other_start < end, "both measure at the same time: {one:#}\n{other:#}");
        let cpus = |trial: &Value| trial["cpus"].as_array().unwrap().clone();
        assert!(!cpus(one).is_empty() && cpus(one).iter().all(|cpu| !cpus(other).contains(cpu)));
    }
    assert_eq!(processes_of(tmp.path()), Vec::<String>::new());
}

#[test]
fn the_parts_of_a_duet_are_where_it_says() {
    if rustix::thread::sched_getaffinity(None).unwrap().count() < 2 {
        return;
    }
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let scenario = small(tmp.path(), "");
    let out = tmp.path().join("gates");
    let asked = ["--duet", "--max-regress", "p50=10000%", "--pairs-max", "5", "--duration", "1s"];
    let mut child = meshtax(&["gate", "--candidate", scenario.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .args(asked)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The load generators of both sides, by the directory that they write to, and where the kernel lets each run.
    let generators = || -> Vec<(bool, String)> {
        let field = |status: &str, name: &str| {
            status.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned())).unwrap_or_default()
        };
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let of = |path: PathBuf| {
            let line = std::fs::read(path.join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let ours = line.contains(" --record ") && line.contains(tmp.path().to_str()?);
            let status = std::fs::read_to_string(path.join("status")).ok()?;
            ours.then(|| (line.contains("/candidate/"), field(&status, "Cpus_allowed_list:")))
        };
        entries.filter_map(|entry| of(entry.path())).collect()
    };
    within(Duration::from_secs(30), || {
        let found = generators();
        let of = |candidate: bool| found.iter().find(|(side, _)| *side == candidate).map(|(_, cpus)| cpus.clone());
        match (of(true), of(false)) {
            (Some(one), Some(other)) if one != other => Ok(()),
            seen => Err(format!("no generators of both sides on CPUs of their own: {seen:?} of {found:?}")),
        }
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(processes_of(tmp.path()), Vec::<String>::new());
}

#[test]
fn parts_of_another_meshtax_are_written_down_as_its_own() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let scenario = small(tmp.path(), "");
    let other = tmp.path().join("other");
    let ours = meshtax(&[]).get_program().to_str().unwrap().to_owned();
    let script = format!("#!/bin/sh\n[ \"$1\" = --version ] && echo 'meshtax 0.0.9' && exit\nexec '{ours}' \"$@\"\n");
    write_script(&other, &script);
    let asked = ["--candidate-program", other.to_str().unwrap(), "--max-regress", "p50=10000%", "--pairs-max", "5"];
    let gate = side_by_side(tmp.path(), &scenario, &asked);
    assert!(matches!(gate.code, Some(0 | 3)), "{}\n{}", gate.stdout, gate.stderr);
    let programs = |side: &str| -> Vec<(String, String)> {
        let folder = gate.run_directory().join(side).join("trials");
        let trial = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        let parts = json(&trial.join("trial.json"))["parts"].as_array().unwrap().clone();
        let of = |part: &Value| ["role", "program"].map(|field| part[field].as_str().unwrap().to_owned()).into();
        parts.iter().map(of).collect()
    };
    let ours = format!("meshtax {}", env!("CARGO_PKG_VERSION"));
    assert!(programs("baseline").iter().all(|(_, program)| *program == ours), "{:?}", programs("baseline"));
    for (role, program) in programs("candidate") {
        let of_the_runner = ["load", "probe"].contains(&role.as_str());
        assert_eq!(program, if of_the_runner { ours.clone() } else { "meshtax 0.0.9".to_owned() }, "{role}");
    }
}

#[test]
fn the_self_test_finds_the_delay_that_it_puts_in() {
    let _alone = alone();
    let tmp = tempfile::tempdir().unwrap();
    let scenario = small(tmp.path(), "");
    let gate = side_by_side(
        tmp.path(),
        &scenario,
        // Few requests, so that also on a slow machine the delay is no overload.
        &["--self-test", "--max-regress", "p50=100%", "--pairs-max", "10", "--rate", "20"],
    );
    let said = answer(&gate.run_directory());
    assert_eq!(said["purpose"], "self_test");
    assert!(said["notes"].to_string().contains("a delay was put into the candidate"), "{said:#}");
    let found = said["metrics"][0]["verdict"] == "fail";
    assert_eq!(gate.code, Some(if found { 0 } else { 1 }), "{}\n{}", gate.stdout, gate.stderr);
    let work = |side: &str| {
        let run = json(&gate.run_directory().join(side).join("run.json"));
        run["cells"][0]["factors"]["work_us"].as_u64().unwrap()
    };
    assert!(work("candidate") > work("baseline"));
    // Five pairs that agree are enough for it; one that something else held up is not the end.
    let counted = said["metrics"][0]["n"].as_u64() == Some(10);
    assert!(found || !counted, "ten pairs with a delay of three times the limit: {said:#}");
}

#[test]
fn a_run_is_judged_against_stored_ones_of_this_machine_only() {
    let _alone = alone();
    let tmp = tempfile::tempdir().unwrap();
    let scenario = small(tmp.path(), "");
    let out = tmp.path().join("runs");
    let run = || {
        let answer =
            call(&["run", scenario.to_str().unwrap(), "--repeats", "2", "--out", out.to_str().unwrap()]).done();
        answer.run_directory()
    };
    let (stored, new) = (run(), run());
    let (stored, new) = (stored.to_str().unwrap(), new.to_str().unwrap());
    let file = tmp.path().join("gate.json");
    let gate = |baseline: &str, more: &[&str]| {
        let mut args = vec!["gate", new, "--baseline", baseline, "--json", file.to_str().unwrap()];
        args.extend(more);
        call(&args)
    };
    // One stored run tells nothing of how far two times lie apart: no limit of 5 % can be told.
    let one = gate(stored, &["--max-regress", "p99=5%"]);
    assert!(matches!(one.code, Some(1 | 3)), "{one:#?}");
    assert!(one.stdout.contains("drift") && json(&file)["way"] == "stored", "{}", one.stdout);
    keeps_to("schemas/gate.schema.json", &json(&file));
    let wide = gate(stored, &["--max-regress", "p50=100000%"]);
    assert_eq!(wide.code, Some(0), "{wide:#?}");
    assert_eq!(gate(out.to_str().unwrap(), &["--max-regress", "p50=100000%"]).code, Some(0), "a folder");

    let findings = Path::new(stored).join("findings.json");
    let elsewhere = tmp.path().join("elsewhere.json");
    let mut other = json(&findings);
    other["host"]["cpu_model"] = "Another CPU".into();
    std::fs::write(&elsewhere, other.to_string()).unwrap();
    let elsewhere = elsewhere.to_str().unwrap();
    refused(&gate(elsewhere, &[]), 64, &["another machine", "Another CPU", "--discount-host", "side by side"]);
    let discounted = gate(elsewhere, &["--discount-host", "--max-regress", "p50=100000%"]);
    assert!(discounted.code == Some(0) && discounted.stdout.contains("of another machine"), "{discounted:#?}");
    other["method"] = 999.into();
    std::fs::write(elsewhere, other.to_string()).unwrap();
    refused(&gate(elsewhere, &[]), 2, &["method 999", "try:"]);
    for more in [["--self-test"].as_slice(), &["--duet"], &["--duration", "1s"], &["--candidate-envoy", "/x"]] {
        refused(&gate(stored, more), 64, &["RUN was measured already", "--candidate SCENARIO"]);
    }
    // A bound of its own needs no baseline; two trials cannot show that it is kept.
    assert_eq!(call(&["gate", new, "--slo", "p50=10s"]).code, Some(3));
}

#[test]
fn what_cannot_be_asked_is_refused_before_anything_is_measured() {
    let tmp = tempfile::tempdir().unwrap();
    let scenario = small(tmp.path(), "");
    let out = tmp.path().join("gates");
    let gate = |more: &[&str]| side_by_side(tmp.path(), &scenario, more);
    refused(&call(&["gate"]), 64, &["nothing to judge", "--candidate A.toml"]);
    refused(&call(&["gate", "no-such-run", "--baseline", "x"]), 2, &["no-such-run"]);
    refused(&call(&["gate", "a-run", "--slo", "p99=1s", "--mtls", "strict"]), 64, &["a factor", "RUN was measured"]);
    refused(&gate(&["--max-regress", "max=5%"]), 64, &["max=5%", "use p999"]);
    refused(&gate(&["--max-regress", "p98=5%"]), 64, &["p98", "p50, p90, p99"]);
    refused(&gate(&["--max-regress", "errors=5%"]), 64, &["--slo errors=0.1%"]);
    refused(&gate(&["--max-regress", "p99=5%,p99=6%"]), 64, &["p99 is asked about twice"]);
    refused(&gate(&["--max-regress", "p99=1%", "--tolerance", "2%"]), 64, &["tolerance", "try:"]);
    refused(&gate(&["--pairs-max", "4"]), 64, &["4 pairs cannot reach", "--pairs-max 5"]);
    refused(&gate(&["--pairs-max", "5", "--alpha", "0.01"]), 64, &["--alpha 1 %", "--pairs-max 7"]);
    refused(&gate(&["--budget", "1s"]), 64, &["--budget", "a pair takes about"]);
    refused(&gate(&["--candidate-image", "x:1"]), 64, &["Kubernetes", "--candidate-program"]);
    refused(&gate(&["--candidate-program", "/bin/true"]), 64, &["/bin/true", "no meshtax"]);
    refused(&gate(&["--duet", "--neighbour", "cpu:1"]), 64, &["--duet", "noisy neighbour", "without --duet"]);
    refused(&gate(&["--duet", "--access-log", "json"]), 64, &["--duet", "access logs to one disk", "try:"]);
    refused(&gate(&["--baseline", "no-such"]), 64, &["'no-such'", "first-look"]);
    refused(&gate(&["--baseline", "depth"]), 64, &["measure for different times", "--duration"]);
    assert!(!out.exists(), "nothing is made of bad arguments");
}

#[test]
fn a_gate_that_is_stopped_keeps_its_trials_and_leaves_nothing() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let scenario = small(tmp.path(), "");
    let out = tmp.path().join("gates");
    let child = meshtax(&["gate", "--candidate", scenario.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let sealed = || {
        let gate = std::fs::read_dir(&out).ok()?.next()?.ok()?.path();
        let trials = ["candidate", "baseline"].map(|side| std::fs::read_dir(gate.join(side).join("trials")));
        let seals = trials.into_iter().flatten().flatten().flatten();
        Some((gate, seals.filter(|trial| trial.path().join("trial.json").is_file()).count()))
    };
    within(Duration::from_secs(30), || match sealed() {
        Some((_, count)) if count >= 1 => Ok(()),
        other => Err(format!("no trial is sealed yet: {other:?}")),
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let answer: Answer = child.wait_with_output().unwrap().into();
    assert_eq!(answer.code, Some(130), "{answer:#?}");
    assert!(
        answer.stderr.contains("stopped before a verdict") && answer.stderr.contains("meshtax report"),
        "{answer:#?}"
    );
    let (gate, count) = sealed().unwrap();
    assert!(answer.run_directory() == gate && count >= 1 && !gate.join("gate.json").exists(), "{answer:#?}");
    refused(&call(&["resume", gate.join("candidate").to_str().unwrap()]), 64, &["the gate was stopped"]);
    assert_eq!(processes_of(tmp.path()), Vec::<String>::new());
}
