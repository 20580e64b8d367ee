//! A folder of runs as a shelf: what each says, how it stands, and the pages made of it.

use std::path::Path;
use std::sync::Arc;

use record::{LineWriter, RunDirectory};
use reports::live::RunFollower;
use reports::shelf::{self, Order, Row, RunName, Shelf, State, Wanted};

use crate::made::{MadeRun, first_look};

fn small() -> MadeRun {
    MadeRun { repeats: 5, tenths: 10, ..first_look() }
}

/// A made run under a name of its own, with its findings.
fn explained(folder: &Path, name: &str, run: &MadeRun, change: impl FnOnce(&mut reports::Findings)) -> RunDirectory {
    let dir = unexplained(folder, name, run);
    let mut findings = reports::findings(&dir).unwrap();
    change(&mut findings);
    std::fs::write(dir.path().join("findings.json"), reports::json::render(&findings).unwrap()).unwrap();
    dir
}

fn unexplained(folder: &Path, name: &str, run: &MadeRun) -> RunDirectory {
    let parent = tempfile::tempdir().unwrap();
    let made = run.write(parent.path());
    let at = folder.join(name);
    std::fs::rename(made.path(), &at).unwrap();
    RunDirectory::open(&at).unwrap()
}

fn names(rows: &[Arc<Row>]) -> Vec<&str> {
    rows.iter().map(|row| row.name.as_str()).collect()
}

#[test]
fn every_run_is_told_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let run = small();
    let dir = explained(folder.path(), "first", &run, |f| {
        f.answer = vec!["Envoy adds 1.2 ms. Do not rely on envoy: it was late.".into()];
        f.source = Some(record::Source { commit: Some("0123456789abcdef".into()), ..Default::default() });
    });
    unexplained(folder.path(), "second", &run);
    std::fs::create_dir(folder.path().join("no run")).unwrap();
    std::fs::create_dir(folder.path().join("broken")).unwrap();
    std::fs::write(folder.path().join("broken/run.json"), "{").unwrap();
    std::fs::create_dir(folder.path().join(".hidden")).unwrap();
    std::fs::write(folder.path().join(".hidden/run.json"), "{").unwrap();
    std::os::unix::fs::symlink(dir.path(), folder.path().join("link")).unwrap();

    let mut shelf = Shelf::of(folder.path());
    let rows = shelf.look().unwrap();
    assert_eq!(names(&rows), ["second", "first", "broken"], "the last begun first, then by name");
    let row = rows.iter().find(|row| row.name.as_str() == "first").unwrap();
    assert_eq!((row.state.clone(), row.answer.as_deref()), (State::Ended, Some("Envoy adds 1.2 ms.")));
    assert!(row.unreliable && row.explained);
    assert_eq!((row.scenario.as_str(), row.source.as_str()), ("first-look", "012345678"));
    assert!(row.host.contains("4 × AMD EPYC 7B13"), "{}", row.host);
    let labels: Vec<&str> = row.taxes.iter().map(|tax| tax.label.as_str()).collect();
    assert_eq!(labels, ["Envoy sidecars", "embedded sidecars"], "the largest first, and no A/A pair");
    assert!(row.taxes[0].figure.starts_with('+') && row.taxes[0].figure.ends_with(" ms"), "{:?}", row.taxes);
    let row = &rows[0];
    assert_eq!((row.state.clone(), row.explained, row.sealed, row.planned), (State::Ended, false, 20, 20));
    assert!(matches!(&rows[2].state, State::Broken(reason) if reason.contains("run.json")), "{:?}", rows[2].state);

    // Only what has changed is read again.
    let again = shelf.look().unwrap();
    assert!(Arc::ptr_eq(&rows[1], &again[1]));
    let findings = dir.path().join("findings.json");
    let text = std::fs::read_to_string(&findings).unwrap().replace("\"first-look\"", "\"another\"");
    std::fs::write(&findings, text).unwrap();
    std::fs::remove_dir_all(folder.path().join("second")).unwrap();
    let later = shelf.look().unwrap();
    assert_eq!((names(&later), later[0].scenario.as_str()), (vec!["first", "broken"], "another"));
    let name = |name: &str| RunName::of(name).unwrap();
    assert_eq!(shelf.directory(&name("first")), Some(folder.path().join("first")));
    for elsewhere in ["link", "no run", "nothing"] {
        assert_eq!(shelf.directory(&name(elsewhere)), None, "{elsewhere}");
    }
    let said = Shelf::of(&folder.path().join("none")).look().unwrap_err().to_string();
    assert!(said.contains("try:"), "{said}");
}

#[test]
fn a_run_that_somebody_is_making_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let missing = vec![("chain3-envoy".to_owned(), 5), ("chain3-embedded".to_owned(), 5)];
    let run = MadeRun { missing, ..small() };
    let dir = unexplained(folder.path(), "now", &run);
    let shelf = Shelf::of(folder.path());
    let name = RunName::of("now").unwrap();
    assert_eq!(shelf.row(&name).unwrap().state, State::CutOff);
    let lock = dir.lock().unwrap();
    let row = shelf.row(&name).unwrap();
    assert_eq!((row.state.clone(), row.sealed, row.planned), (State::BeingMade, 18, 20));

    let mut follower = RunFollower::of(dir.path()).unwrap();
    let now = follower.look();
    assert_eq!((now.being_made, now.sealed, now.trial), (true, 18, None), "between two trials");
    let planned =
        dir.run().unwrap().trials.iter().find(|t| t.cell == "chain3-embedded" && t.block == 5).unwrap().clone();
    let trial = dir.begin_trial(&planned.id).unwrap();
    let mut intervals = LineWriter::open(&trial.intervals_path()).unwrap();
    let of_another = dir.intervals(&dir.run().unwrap().trials[0].id).unwrap();
    of_another.map(Result::unwrap).for_each(|interval| intervals.append(&interval).unwrap());
    let now = follower.look();
    let at = now.trial.clone().unwrap();
    assert_eq!((at.id.as_str(), at.label.as_str(), at.block), (planned.id.as_str(), "embedded sidecars", 5));
    assert_eq!(now.now.so_far.as_ref().unwrap().due_per_second, 500.0);
    assert_eq!(now.course.len(), 20);
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/live.schema.json");
    let schema: serde_json::Value = serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let json = serde_json::to_value(&now).unwrap();
    let faults: Vec<String> = schema.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path)).collect();
    assert_eq!(faults, Vec::<String>::new());
    let page = shelf::live_page(folder.path(), &row, &now).unwrap();
    assert!(page.contains(&format!("Trial {} of 20: embedded sidecars, measure", at.number)), "{page}");
    assert!(page.contains("18 of 20 trials") && page.contains("data-field=\"answered\">500<"), "{page}");

    drop(lock);
    let now = follower.look();
    assert_eq!((now.being_made, now.trial), (false, None), "nobody makes it any more");
}

#[test]
fn a_run_whose_report_is_being_written_is_still_being_made() {
    let folder = tempfile::tempdir().unwrap();
    let dir = unexplained(folder.path(), "whole", &small());
    let mut shelf = Shelf::of(folder.path());
    let state = |shelf: &mut Shelf| shelf.look().unwrap()[0].state.clone();
    assert_eq!(state(&mut shelf), State::Ended, "its report was removed");
    let lock = dir.lock().unwrap();
    assert_eq!(state(&mut shelf), State::BeingMade);
    let row = shelf.look().unwrap().remove(0);
    let now = RunFollower::of(dir.path()).unwrap().look();
    let page = shelf::live_page(folder.path(), &row, &now).unwrap();
    assert!(page.contains("their report is being written"), "{page}");
    let findings = reports::findings(&dir).unwrap();
    std::fs::write(dir.path().join("findings.json"), reports::json::render(&findings).unwrap()).unwrap();
    assert_eq!(state(&mut shelf), State::Ended, "it is written");
    drop(lock);
}

#[test]
fn a_lock_can_be_had_while_others_ask_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDirectory::create(&folder.path().join("run"), &small().run()).unwrap();
    assert!(!dir.is_locked());
    let asking = dir.clone();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                asking.is_locked();
            }
        });
        for _ in 0..200 {
            drop(dir.lock().unwrap());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let _lock = dir.lock().unwrap();
    assert!(dir.is_locked());
    assert!(dir.lock().is_err(), "one at a time");
}

#[test]
fn the_list_is_ordered_and_filtered_and_takes_words_as_words() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = "<script>alert(1)</script>\" onload=\"x";
    for (name, scenario, label) in [("a", "first-look", "plan B"), ("b", hostile, "plan A"), ("c", "sweep", "plan C")] {
        explained(folder.path(), name, &small(), |f| {
            f.started = format!("2026-11-2{}T05:10:00Z", name.len() + usize::from(name.as_bytes()[0] - b'a'));
            f.scenario = scenario.to_owned();
            f.source = Some(record::Source { label: Some(label.to_owned()), ..Default::default() });
        });
    }
    let rows = Shelf::of(folder.path()).look().unwrap();
    let listed = |wanted: &Wanted| -> Vec<String> {
        let page = shelf::list_page(folder.path(), &rows, wanted).unwrap();
        assert!(!page.contains("<script>alert") && !page.contains("\" onload=\""), "{page}");
        page.split("name=\"run\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&Wanted::default()), ["c", "b", "a"]);
    assert_eq!(listed(&Wanted { rising: true, ..Wanted::default() }), ["a", "b", "c"]);
    assert_eq!(listed(&Wanted { order: Order::Source, rising: true, ..Wanted::default() }), ["b", "a", "c"]);
    assert_eq!(listed(&Wanted { words: "PLAN first-LOOK".into(), ..Wanted::default() }), ["a"]);
    assert_eq!(listed(&Wanted { words: "alert".into(), ..Wanted::default() }), ["b"]);
    assert_eq!(listed(&Wanted { words: "\"><b>nothing".into(), ..Wanted::default() }), Vec::<String>::new());
    let page = shelf::message_page(folder.path(), "<b>", "<i>\n  try: <u>").unwrap();
    assert!(!page.contains("<b>") && !page.contains("<i>") && !page.contains("<u>"), "{page}");
    let empty = shelf::list_page(folder.path(), &[], &Wanted::default()).unwrap();
    assert!(empty.contains("meshtax run"), "{empty}");
}
