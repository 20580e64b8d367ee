//! What must hold after a fault: nothing is left behind, what was sealed is as it was, and the run can be brought to its end.

use std::path::PathBuf;
use std::time::Duration;

use crate::live::{Ended, TOKEN};
use crate::program::{alive, cgroups, json, namespaces, scratch_directories, within};
use crate::scene::Scene;

/// How long the warden may take after the runner's end.
const WARDEN: Duration = Duration::from_secs(20);

/// By which what a command leaves is told from what others have.
#[derive(Clone, Debug)]
pub(crate) struct Traces {
    /// Of the command: cgroups, namespaces and scratch directories carry it in their names.
    pub(crate) pid: u32,
    /// What stands in the environment of all its processes.
    pub(crate) token: String,
    /// Where its temporary files go.
    pub(crate) temporary: PathBuf,
}

/// No process, no cgroup, no namespace, no temporary file.
pub(crate) fn nothing_is_left(traces: &Traces) {
    within(WARDEN, || {
        let processes = processes(&traces.token);
        let own = format!("-{}-", traces.pid);
        let named = |path: &PathBuf| path.to_string_lossy().contains(&own);
        let mut left: Vec<PathBuf> =
            cgroups().into_iter().chain(scratch_directories()).chain(namespaces()).filter(named).collect();
        left.extend(std::fs::read_dir(&traces.temporary).into_iter().flatten().flatten().map(|entry| entry.path()));
        if processes.is_empty() && left.is_empty() {
            return Ok(());
        }
        Err(format!("there are still the processes {processes:?} and {left:?}"))
    });
}

/// The processes of a row that are alive.
fn processes(token: &str) -> Vec<String> {
    let needle = format!("{TOKEN}={token}\0");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
        if environment.windows(needle.len()).any(|window| window == needle.as_bytes()) && alive(pid) {
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push(format!("{pid} {}", String::from_utf8_lossy(&command).replace('\0', " ")));
        }
    }
    found
}

/// What was sealed is what it was, to the last byte.
pub(crate) fn sealed_is_as_it_was(before: &[(PathBuf, Vec<u8>)], scene: &Scene) {
    let now = scene.sealed();
    for (path, bytes) in before {
        let found = now.iter().find(|(other, _)| other == path);
        let same = found.is_some_and(|(_, found)| found == bytes);
        assert!(same, "{} was sealed and is not what it was", path.display());
    }
}

/// All trials of the plan are sealed and in the report.
pub(crate) fn whole(scene: &Scene) {
    let run = json(&scene.run().join("run.json"));
    let planned: Vec<&str> = run["trials"].as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap()).collect();
    for id in &planned {
        assert!(scene.run().join("trials").join(id).join("trial.json").is_file(), "{id} is not sealed");
    }
    let findings = json(&scene.run().join("findings.json"));
    assert_eq!(findings["trials_sealed"], planned.len(), "the report is not of all trials");
    assert!(scene.run().join("report.html").is_file(), "there is no page");
}

/// What is there can be read, and `resume` makes what is missing.
pub(crate) fn can_be_finished(scene: &Scene) {
    let at = scene.run();
    let at = at.to_str().unwrap();
    let before = scene.sealed();
    if !before.is_empty() {
        done(scene.command(&["report", at, "--format", "json"]), "report");
    }
    let ended = done(scene.command(&["resume", at]), "resume");
    sealed_is_as_it_was(&before, scene);
    whole(scene);
    nothing_is_left(&ended.traces);
}

pub(crate) fn done(ended: Ended, what: &str) -> Ended {
    assert_eq!(ended.how, "0", "`meshtax {what}` afterwards said:\n{}", ended.answer.stderr);
    ended
}
