//! Append, seal, read; and what is said of files that were cut off, changed or come from the future.

use std::fs;
use std::io::Write as _;

use record::*;

use crate::example;

const FIRST: &str = "0001-chain3-none-r1";
const SECOND: &str = "0002-chain3-envoy-500m-r1";

#[test]
fn what_was_written_is_read_again() {
    let tmp = tempfile::tempdir().unwrap();
    example::written(tmp.path());
    let dir = RunDirectory::open(&tmp.path().join("r")).unwrap();
    let run = dir.run().unwrap();
    assert_eq!(Run { sum: None, ..run.clone() }, example::run());
    let unsummed = |trial: Trial| Trial { sums: None, ..trial };
    let trials: Vec<Trial> = dir.trials(&run).unwrap().into_iter().map(unsummed).collect();
    assert_eq!(trials, vec![example::trial(FIRST, "chain3-none")]);
    let intervals: Vec<Interval> = dir.intervals(FIRST).unwrap().collect::<Result<_>>().unwrap();
    assert_eq!(intervals, vec![example::interval(1000), example::interval(1000 + INTERVAL_NS)]);
    let samples: Vec<Sample> = dir.samples(FIRST).unwrap().collect::<Result<_>>().unwrap();
    assert_eq!(samples, vec![example::sample(0), example::sample(1)]);
    assert_eq!(dir.slow(FIRST).unwrap().next().unwrap().unwrap(), example::slow());
    assert_eq!(TrialDirectory::at(&dir.trial_path(FIRST)).load().unwrap(), example::summary());
    assert!(dir.trial_path(FIRST).join("intervals.jsonl.zst").is_file());
    assert!(!dir.trial_path(FIRST).join("intervals.jsonl").exists());
}

#[test]
fn a_trial_without_its_seal_is_none_and_is_made_again() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = example::written(tmp.path());
    let cut_off = dir.begin_trial(SECOND).unwrap();
    example::write_lines(&cut_off);
    assert!(!dir.is_sealed(SECOND));
    assert_eq!(dir.trials(&dir.run().unwrap()).unwrap().len(), 1);
    let again = dir.begin_trial(SECOND).unwrap();
    assert!(!again.intervals_path().exists(), "the leftover is gone");
    let refused = dir.begin_trial(FIRST).unwrap_err().to_string();
    assert!(refused.contains("sealed trial") && refused.contains(FIRST), "{refused}");
}

#[test]
fn a_broken_line_keeps_a_trial_from_being_sealed_and_is_named() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = example::written(tmp.path());
    let at = dir.begin_trial(SECOND).unwrap();
    example::write_lines(&at);
    let mut file = fs::File::options().append(true).open(at.intervals_path()).unwrap();
    file.write_all(br#"{"phase":"measure","start_ns":1"#).unwrap();
    let said = at.clone().seal(&example::trial(SECOND, "chain3-envoy-500m")).unwrap_err().to_string();
    assert!(said.contains("intervals.jsonl line 3 is cut off"), "{said}");
    assert!(said.contains("2 lines before it are whole") && said.contains("meshtax resume"), "{said}");
    file.write_all(b"}\n").unwrap();
    let said = at.seal(&example::trial(SECOND, "chain3-envoy-500m")).unwrap_err().to_string();
    assert!(said.contains("line 3 is not what it should be: missing field"), "{said}");
    assert!(!dir.is_sealed(SECOND));
}

#[test]
fn a_packed_file_that_was_cut_is_an_error_and_not_a_shorter_trial() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = example::written(tmp.path());
    let path = dir.trial_path(FIRST).join("intervals.jsonl.zst");
    let bytes = fs::read(&path).unwrap();
    for keep in [0, 5, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..keep]).unwrap();
        let read: Result<Vec<Interval>> = dir.intervals(FIRST).and_then(Iterator::collect);
        match read {
            Err(e) => assert!(e.to_string().contains("intervals.jsonl.zst"), "{e}"),
            Ok(lines) => panic!("{keep} of {} bytes read as {} whole lines", bytes.len(), lines.len()),
        }
    }
}

#[test]
fn a_trial_is_read_only_as_it_was_sealed() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = example::written(tmp.path());
    let at = dir.trial_path(FIRST);
    let said = |name: &str, bytes: Option<&[u8]>| {
        let path = at.join(name);
        let whole = fs::read(&path).unwrap();
        match bytes {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let said = dir.trial(FIRST).map_err(|e| e.to_string());
        fs::write(&path, whole).unwrap();
        assert!(dir.trial(FIRST).is_ok(), "{name} is as it was again");
        said
    };
    for name in ["intervals.jsonl.zst", "samples.jsonl.zst", "slow.jsonl"] {
        let refused = said(name, Some(b"other")).unwrap_err();
        assert!(refused.contains(&format!("{name} is not as it was written: its CRC-32 was")), "{refused}");
        assert!(refused.contains("restore it") && refused.contains("meshtax resume"), "{refused}");
    }
    let refused = said("samples.jsonl.zst", None).unwrap_err();
    assert!(refused.contains("samples.jsonl.zst is not as it was written: it is not there"), "{refused}");
    assert!(said("slow.jsonl", None).is_ok(), "kept requests may be thrown away");
    let seal = fs::read_to_string(at.join("trial.json")).unwrap();
    let refused = said("trial.json", Some(seal.replace("\"due\": 100", "\"due\": 101").as_bytes())).unwrap_err();
    assert!(refused.contains("trial.json is not as it was written: its CRC-32"), "{refused}");
    let refused = said("trial.json", Some(seal.replace(FIRST, SECOND).as_bytes())).unwrap_err();
    assert!(refused.contains(&format!("it is the seal of the trial {SECOND}")), "{refused}");
}

#[test]
fn the_hosts_of_a_trial_are_sealed_with_it() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = example::written(tmp.path());
    let at = dir.begin_trial(SECOND).unwrap();
    example::write_lines(&at);
    let host = TrialHost { name: "a".into(), roles: vec![], services: vec![], ahead_ns: 41, error_ns: 1 };
    at.write_hosts(&TrialHosts { schema: SCHEMA, attempt: 1, hosts: vec![host] }).unwrap();
    at.seal(&example::trial(SECOND, "chain3-envoy-500m")).unwrap();
    assert!(dir.trial(SECOND).is_ok());
    let path = dir.trial_path(SECOND).join("hosts.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"ahead_ns\": 41", "\"ahead_ns\": 42")).unwrap();
    let refused = dir.trial(SECOND).unwrap_err().to_string();
    assert!(refused.contains("hosts.json is not as it was written: its CRC-32 was"), "{refused}");
}

#[test]
fn a_seal_of_before_there_were_sums_is_read() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = example::written(tmp.path());
    let seal = dir.trial_path(FIRST).join("trial.json");
    fs::write(&seal, serde_json::to_vec(&example::trial(FIRST, "chain3-none")).unwrap()).unwrap();
    assert_eq!(dir.trial(FIRST).unwrap().sums, None);
}

#[test]
fn lines_that_were_lost_or_moved_keep_a_trial_from_being_sealed() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = example::written(tmp.path());
    let said = |file: fn(&TrialDirectory) -> std::path::PathBuf, change: fn(&mut Vec<String>)| {
        let at = dir.begin_trial(SECOND).unwrap();
        example::write_lines(&at);
        let mut lines: Vec<String> =
            fs::read_to_string(file(&at)).unwrap().lines().map(|line| format!("{line}\n")).collect();
        change(&mut lines);
        fs::write(file(&at), lines.concat()).unwrap();
        at.seal(&example::trial(SECOND, "chain3-envoy-500m")).unwrap_err().to_string()
    };
    let lost = said(TrialDirectory::intervals_path, |lines| drop(lines.pop()));
    assert!(lost.contains("it has 50 requests due and 50 that ended, and the load counted 100 and 100"), "{lost}");
    assert!(lost.contains("intervals.jsonl does not hold together") && lost.contains("meshtax resume"), "{lost}");
    let moved = said(TrialDirectory::intervals_path, |lines| lines.reverse());
    assert!(moved.contains("line 2 begins 100000000 ns before the one above it"), "{moved}");
    assert!(!dir.is_sealed(SECOND));
}

#[test]
fn a_run_of_the_future_is_refused_before_its_fields_are_looked_at() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = example::written(tmp.path());
    fs::write(dir.path().join("run.json"), r#"{"schema": 99, "what": "nobody knows"}"#).unwrap();
    let said = dir.run().unwrap_err().to_string();
    assert!(said.contains("schema 99") && said.contains("reads up to 1") && said.contains("run.json"), "{said}");
}

#[test]
fn changed_json_is_named_by_line_and_column() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = example::written(tmp.path());
    let path = dir.path().join("run.json");
    let text = fs::read_to_string(&path).unwrap().replace("\"repeats\": 1", "\"repeats\": \"one\"");
    fs::write(&path, &text).unwrap();
    let said = dir.run().unwrap_err().to_string();
    let line = text.lines().position(|l| l.contains("\"one\"")).unwrap() + 1;
    assert!(said.contains(&format!("run.json line {line}, column")) && said.contains("expected u32"), "{said}");
}

#[test]
fn what_is_no_run_says_what_one_is() {
    let tmp = tempfile::tempdir().unwrap();
    let said = RunDirectory::open(tmp.path()).unwrap_err().to_string();
    assert!(said.contains("is not a run directory") && said.contains("try:"), "{said}");
}

#[test]
fn two_writers_are_not_let_in() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = example::written(tmp.path());
    let held = dir.lock().unwrap();
    let said = dir.lock().unwrap_err().to_string();
    assert!(said.contains("another meshtax"), "{said}");
    drop(held);
    dir.lock().unwrap();
}

#[test]
fn each_unmeshed_twin_and_each_meshed_cell_finds_its_baseline() {
    let mut run = example::run();
    let mut twin = run.cells[0].clone();
    twin.id = "chain3-none-again".into();
    twin.factors.twin = 1;
    run.cells.push(twin);
    let baseline = |i: usize| run.baseline_of(&run.cells[i]).map(|c| c.id.as_str());
    assert_eq!([baseline(0), baseline(1), baseline(2)], [None, Some("chain3-none"), Some("chain3-none")]);
    run.cells[1].factors.rate_per_second = 700.0;
    assert!(run.baseline_of(&run.cells[1]).is_none(), "another rate is another load");
}

#[test]
fn a_figure_is_read_to_the_last_digit() {
    // One that a quick reader takes for its neighbour.
    let written = LoadSummary { cpu_seconds: 0.093_476_230_000_000_28, ..example::summary() };
    let read: LoadSummary = serde_json::from_str(&serde_json::to_string(&written).unwrap()).unwrap();
    assert_eq!(read, written);
}

#[test]
fn how_istio_was_read_is_kept_and_none_is_none() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = example::written(tmp.path());
    assert_eq!(dir.istio().unwrap(), None);
    dir.write_istio(&example::istio()).unwrap();
    assert_eq!(dir.istio().unwrap(), Some(example::istio()));
}

#[test]
fn disk_tests_are_kept_beside_the_trials_and_none_is_none() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = example::written(tmp.path());
    assert_eq!((dir.disk_before().unwrap(), dir.disk_after().unwrap()), (None, None));
    let before = example::disk_test();
    let after = DiskTest { seed: 7, ..example::disk_test() };
    dir.write_disk_before(&before).unwrap();
    dir.write_disk_after(&after).unwrap();
    assert_eq!((dir.disk_before().unwrap(), dir.disk_after().unwrap()), (Some(before), Some(after)));
    fs::write(dir.path().join("disk-after.json"), "{\"schema\": 99}").unwrap();
    let said = dir.disk_after().unwrap_err().to_string();
    assert!(said.contains("schema 99") && said.contains("disk-after.json"), "{said}");
}

#[test]
fn why_a_run_ended_early_is_kept_and_what_was_planned_stays() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = example::written(tmp.path());
    assert_eq!(dir.end().unwrap(), None);
    dir.write_end(&example::end()).unwrap();
    assert_eq!(dir.end().unwrap(), Some(example::end()));
    assert_eq!(Run { sum: None, ..dir.run().unwrap() }, example::run());
    assert!(EndReason::Tight.is_of_figures() && !EndReason::Budget.is_of_figures());
}

#[test]
fn a_run_in_a_cluster_keeps_which_one_and_where_its_parts_stand() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = example::written(tmp.path());
    assert_eq!(dir.cluster().unwrap(), None);
    dir.write_cluster(&example::cluster()).unwrap();
    assert_eq!(dir.cluster().unwrap(), Some(example::cluster()));
    // It grows by the nodes of parts that none had before.
    let mut more = example::cluster();
    more.nodes.insert("s2".into(), "node-b".into());
    dir.write_cluster(&more).unwrap();
    assert_eq!(dir.cluster().unwrap(), Some(more));
}

#[test]
fn what_is_kept_of_hosts_is_read_again_and_a_line_that_was_cut_off_costs_no_other() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = example::written(tmp.path());
    assert_eq!((dir.hosts().unwrap(), dir.clocks().unwrap(), dir.losses().unwrap()), (None, vec![], vec![]));
    assert_eq!(dir.trial_hosts(FIRST).unwrap(), None);
    dir.write_hosts(&example::hosts()).unwrap();
    TrialDirectory::at(&dir.trial_path(FIRST)).write_hosts(&example::trial_hosts()).unwrap();
    dir.write_loss(&example::loss()).unwrap();
    let exchange = |heard_ns| ClockExchange { heard_ns, ..example::exchange() };
    LineWriter::open(&dir.clocks_path()).unwrap().append(&exchange(4)).unwrap();
    let mut file = fs::File::options().append(true).open(dir.clocks_path()).unwrap();
    file.write_all(br#"{"host":"dri"#).unwrap();
    let mut again = LineWriter::open(&dir.clocks_path()).unwrap();
    (5..8).for_each(|heard_ns| again.append(&exchange(heard_ns)).unwrap());
    let heard: Vec<u64> = dir.clocks().unwrap().iter().map(|e| e.heard_ns).collect();
    assert_eq!(heard, [4, 6, 7]);
    assert_eq!(dir.losses().unwrap(), [example::loss()]);
    assert_eq!(
        (dir.hosts().unwrap(), dir.trial_hosts(FIRST).unwrap()),
        (Some(example::hosts()), Some(example::trial_hosts()))
    );
    assert!(dir.hosts().unwrap().unwrap().apart() && dir.hosts().unwrap().unwrap().loads().count() == 1);
}
