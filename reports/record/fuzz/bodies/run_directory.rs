//! Files of a run directory with any bytes: each reads as what it should hold or is an error that names the file, and a file
//! that unpacks to more than it is takes no more memory than a line may.
//!
//! The first byte says which file it is, the rest is in it.

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use record::{Interval, LineWriter, Lines, RunDirectory, Sample, SlowRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;

const TRIAL: &str = "0001-a-r1";

/// Files that hold one value.
const WHOLE: [&str; 6] =
    ["run.json", "end.json", "hosts.json", "istio.json", "disk-before.json", "trials/0001-a-r1/trial.json"];
/// Files of lines, plain or packed.
const LINES: [&str; 5] = ["intervals.jsonl", "samples.jsonl", "slow.jsonl", "intervals.jsonl.zst", "samples.jsonl.zst"];

pub(crate) fn check(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else { return };
    let folder = tempfile::tempdir().expect("a directory");
    let trial = folder.path().join("trials").join(TRIAL);
    fs::create_dir_all(&trial).expect("a directory");
    let which = usize::from(*which) % (WHOLE.len() + LINES.len());
    let name = WHOLE.get(which).copied().unwrap_or_else(|| LINES[which - WHOLE.len()]);
    let path = if which < WHOLE.len() { folder.path().join(name) } else { trial.join(name) };
    if name != "run.json" {
        fs::write(folder.path().join("run.json"), "{}").expect("a file");
    }
    fs::write(&path, bytes).expect("a file");
    let directory = RunDirectory::open(folder.path()).expect("it has a run.json");
    match name {
        "run.json" => whole(&path, directory.run()),
        "end.json" => whole(&path, directory.end()),
        "hosts.json" => whole(&path, directory.hosts()),
        "istio.json" => whole(&path, directory.istio()),
        "disk-before.json" => whole(&path, directory.disk_before()),
        "trials/0001-a-r1/trial.json" => whole(&path, directory.trial(TRIAL)),
        "intervals.jsonl" | "intervals.jsonl.zst" => {
            let read: Vec<Interval> = lines(&path, directory.intervals(TRIAL));
            if let Some((first, rest)) = read.split_first() {
                let mut sum = first.clone();
                rest.iter().for_each(|other| sum.add(other).expect("what was read fits together"));
                assert!(sum.response.count() >= first.response.count() && sum.due >= first.due);
            }
        }
        "samples.jsonl" | "samples.jsonl.zst" => drop(lines::<Sample>(&path, directory.samples(TRIAL))),
        _ => {
            for slow in lines::<SlowRequest>(&path, directory.slow(TRIAL)) {
                for hop in 0..slow.hops.len() {
                    let (own, calls) = (slow.self_ns(hop), slow.calls(hop));
                    assert!(own.is_some() && calls.len() <= slow.hops[hop].calls.len().max(1));
                }
                assert!(slow.response_ns() <= slow.done_ns);
            }
        }
    }
}

/// One value: an error names its file.
fn whole<T: Serialize + Debug>(path: &Path, read: record::Result<T>) {
    match read {
        Ok(value) => drop(serde_json::to_vec(&value).expect("what was read can be written")),
        Err(error) => named(path, &error),
    }
}

/// The lines up to the first that is broken, which is named and ends them; each is written as it was read.
fn lines<T: Serialize + DeserializeOwned + PartialEq + Debug>(path: &Path, all: record::Result<Lines<T>>) -> Vec<T> {
    let mut read = Vec::new();
    let all = match all {
        Ok(all) => all,
        Err(error) => {
            named(path, &error);
            return read;
        }
    };
    let mut broken = false;
    for line in all {
        assert!(!broken, "a line after one that is broken");
        match line {
            Ok(line) => read.push(line),
            Err(error) => {
                broken = true;
                named(path, &error);
                assert!(error.to_string().contains(&format!("line {} is", read.len() + 1)), "{error}");
            }
        }
    }
    let again = path.with_file_name("again.jsonl");
    let mut writer = LineWriter::open(&again).expect("a file");
    read.iter().for_each(|line| writer.append(line).expect("what was read can be written"));
    let back: Vec<T> = Lines::open(&again).expect("a file").map(|line| line.expect("what was written")).collect();
    assert_eq!(back, read);
    read
}

fn named(path: &Path, error: &record::Error) {
    let said = error.to_string();
    assert!(said.contains(&path.display().to_string()), "{said}");
}
