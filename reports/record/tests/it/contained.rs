//! A run directory of somebody else's: nothing is read by a name that leads out of it, and no link in it is written through.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use record::*;

use crate::example;

const SECOND: &str = "0002-chain3-envoy-500m-r1";

/// A run, and beside it a directory of mine with a file in it.
fn beside(folder: &Path) -> (RunDirectory, PathBuf) {
    let mine = folder.join("mine");
    fs::create_dir(&mine).unwrap();
    fs::write(mine.join("file"), "mine").unwrap();
    (example::written(folder), mine)
}

fn untouched(mine: &Path) {
    let names: Vec<_> = fs::read_dir(mine).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["file"]);
    assert_eq!(fs::read_to_string(mine.join("file")).unwrap(), "mine");
}

#[test]
fn a_name_that_is_a_path_is_refused_with_the_file_that_has_it() {
    let tmp = tempfile::tempdir().unwrap();
    let (directory, mine) = beside(tmp.path());
    let run = example::run();
    let hostile = ["../../mine", "/etc", "", "..", "a/b", ".ssh"].map(|name| ("trial", name));
    for (what, hostile) in hostile.into_iter().chain([("cell", "../x"), ("run", "a/../b")]) {
        let mut changed = run.clone();
        match what {
            "trial" => changed.trials[1].id = hostile.to_owned(),
            "cell" => changed.cells[0].id = hostile.to_owned(),
            _ => changed.id = hostile.to_owned(),
        }
        fs::write(directory.path().join("run.json"), serde_json::to_string(&changed).unwrap()).unwrap();
        let said = directory.run().unwrap_err().to_string();
        assert!(said.contains(&format!("names a {what} '{hostile}'")) && said.contains("run.json"), "{said}");
        assert!(said.contains("try: "), "{said}");
        assert!(directory.begin_trial(hostile).is_err(), "{hostile}");
    }
    untouched(&mine);
}

#[test]
fn a_link_in_the_place_of_its_directories_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let (directory, mine) = beside(tmp.path());
    symlink(&mine, directory.trial_path(SECOND)).unwrap();
    let said = directory.begin_trial(SECOND).unwrap_err().to_string();
    assert!(said.contains(SECOND) && said.contains("is a link") && said.contains("try: "), "{said}");
    assert!(directory.run().unwrap_err().to_string().contains("is a link"));
    untouched(&mine);

    let trials = directory.path().join("trials");
    fs::remove_dir_all(&trials).unwrap();
    symlink(&mine, &trials).unwrap();
    let said = RunDirectory::open(directory.path()).unwrap_err().to_string();
    assert!(said.contains("trials is a link"), "{said}");
    untouched(&mine);
}

#[test]
fn files_are_replaced_and_not_written_through_links() {
    let tmp = tempfile::tempdir().unwrap();
    let (directory, mine) = beside(tmp.path());
    let file = mine.join("file");
    for name in ["report.html", "report.html.tmp"] {
        symlink(&file, directory.path().join(name)).unwrap();
    }
    directory.write_derived("report.html", "derived").unwrap();
    assert_eq!(fs::read_to_string(directory.path().join("report.html")).unwrap(), "derived");
    untouched(&mine);
    assert!(directory.write_derived("../mine/file", "derived").is_err());
    untouched(&mine);

    // What is appended to is not replaced: such a link is refused.
    let losses = directory.path().join("losses.jsonl");
    symlink(&file, &losses).unwrap();
    let said = LineWriter::<Sample>::open(&losses).unwrap_err().to_string();
    assert!(said.contains("losses.jsonl is a link"), "{said}");
    untouched(&mine);
}

#[test]
fn a_run_directory_may_itself_be_found_by_a_link() {
    let tmp = tempfile::tempdir().unwrap();
    example::written(tmp.path());
    let latest = tmp.path().join("latest");
    symlink(tmp.path().join("r"), &latest).unwrap();
    let read = RunDirectory::open(&latest).unwrap().run().unwrap();
    assert_eq!(record::Run { sum: None, ..read }, example::run());
}
