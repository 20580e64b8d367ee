//! A row, played: the run is brought to the stage, the fault strikes, and what comes of it is held against the row.

use std::process::Command;

use rustix::process::Signal;

use crate::aftermath::{can_be_finished, done, nothing_is_left, sealed_is_as_it_was, whole};
use crate::deed::{Deed, Fault};
use crate::deeds::parts;
use crate::live::{Ended, Live, Missed, Urgent, signal};
use crate::outcome::{self, Outcome};
use crate::program::{alive, meshtax};
use crate::scene::{Kind, Scene};
use crate::stage::{Reader, Stage};
use crate::table::Row;

/// Plays a row; a panic is its failure.
pub(crate) fn row(row: &Row) {
    if row.run.missing() || row.fault.missing() {
        return;
    }
    match row.stage {
        Stage::Read(reader) => later(row, reader),
        _ => live(row),
    }
}

/// How often a stage may be missed on a busy machine.
const MISSES: u32 = 2;

/// A fault in the middle of a run.
fn live(row: &Row) {
    let mut misses = 0;
    while let Err(Missed(what)) = once(row) {
        eprintln!("{}: the stage was missed: {what}", row.id);
        misses += 1;
        assert!(misses <= MISSES, "the stage was missed {misses} times: {what}");
    }
}

/// Plays it once, unless its stage is missed.
fn once(row: &Row) -> Result<(), Missed> {
    let small_disk = row.fault == Fault::DiskFull;
    let scene = match row.stage {
        Stage::Plan => Scene::empty(row.run, small_disk),
        _ => Scene::copied(row.run, small_disk, false),
    };
    let before = scene.sealed();
    let (mut deed, command) = Deed::prepare(row, &scene, command(row, &scene));
    let mut running = Live::start(command, &scene.aside(), row.stage.phase());
    if !row.fault.is_there_before(row.stage) {
        let _urgent = Urgent::begin();
        if let Err(missed) = reach(row, &scene, &mut running) {
            let traces = running.traces.clone();
            drop(running);
            nothing_is_left(&traces);
            return Err(missed);
        }
        deed.strike(row, &scene, &mut running);
    }
    let ended = running.end();
    outcome::check(row, &scene, &ended);
    sealed_is_as_it_was(&before, &scene);
    // With the warden dead too there is nobody left to tidy up: that is for the next runner.
    let warded = row.target != "the runner and the warden";
    if warded {
        nothing_is_left(&ended.traces);
    }
    deed.undo();
    match row.outcome {
        Outcome::GoesOn | Outcome::Marked => whole(&scene),
        Outcome::Stops if scene.begun().is_some() => can_be_finished(&scene),
        Outcome::Stops => {}
    }
    nothing_is_left(&ended.traces);
    Ok(())
}

/// The run before it is planned, or the run whose first trial is sealed already.
fn command(row: &Row, scene: &Scene) -> Command {
    match row.stage {
        Stage::Plan => {
            let (scenario, out) = (scene.scenario(), scene.disk().join("runs"));
            meshtax(&["run", scenario.to_str().unwrap(), "--out", out.to_str().unwrap()])
        }
        _ => meshtax(&["resume", scene.run().to_str().unwrap()]),
    }
}

/// Brings the run to the stage of the row, where its runner stands still.
fn reach(row: &Row, scene: &Scene, running: &mut Live) -> Result<(), Missed> {
    match row.stage {
        Stage::Plan => {
            let out = scene.disk().join("runs");
            running.hold_when("it looks at the machine", |_| out.is_dir())?;
            not(scene.begun().is_some(), "there is a run directory")?;
        }
        Stage::Deploy => deployed(row, running)?,
        Stage::Settle | Stage::CoolDown => running.wait_for_phase()?,
        Stage::Measure => {
            running.wait_for_phase()?;
            // The runner goes by the clock; on a busy machine its generator may not have begun.
            let intervals = scene.hit().join("intervals.jsonl");
            running.wait_for("its load", |_| intervals.metadata().is_ok_and(|file| file.len() > 0))?;
            let counted = std::fs::read_to_string(&intervals).unwrap().matches(r#""phase":"measure""#).count();
            not(counted > MEASURED, "a third of the load was counted")?;
        }
        Stage::Seal => sealing(row, scene, running)?,
        Stage::Report => {
            let seal = scene.run().join("trials");
            running.hold_when("the last trial is sealed", |_| seal.is_dir() && scene.sealed_trials() == 2)?;
            not(scene.run().join("report.html").exists(), "the report is written")?;
        }
        Stage::Read(_) => panic!("nothing runs at this stage"),
    }
    Ok(())
}

/// So many intervals of 100 ms of the 15 that are measured may be over when it strikes.
const MEASURED: usize = 5;

/// What must not be so yet.
fn not(so: bool, what: &'static str) -> Result<(), Missed> {
    if so { Err(Missed(what)) } else { Ok(()) }
}

/// Parts are being started: who is to be hit is there, or the first service.
fn deployed(row: &Row, running: &mut Live) -> Result<(), Missed> {
    if row.run == Kind::Haproxy {
        // It waits at its door, and the runner for it.
        running.wait_for("a HAProxy at its door", |live| parts::find(live, "a proxy").is_some())?;
        return Ok(());
    }
    let whom = match row.target.as_str() {
        "a proxy" | "the generator" | "the probe" => row.target.as_str(),
        _ => "a service",
    };
    running.hold_when("parts are started", |live| parts::find(live, whom).is_some())?;
    not(running.said().contains(", settle,"), "all parts stand")
}

/// The parts have ended, and the seal is not written. A runner that is to be killed there waits for that: what it packs into
/// is a pipe that nobody reads. Otherwise it waits for a proxy that stands still, whom it asks for its counters before it seals.
fn sealing(row: &Row, scene: &Scene, running: &mut Live) -> Result<(), Missed> {
    if row.fault == Fault::Kill {
        running.wait_for_phase()?;
        let pipe = scene.hit().join("samples.jsonl.zst.tmp");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        running.go_on();
        let packed = scene.hit().join("intervals.jsonl.zst");
        running.hold_when("the intervals are packed", |_| packed.is_file())?;
    } else {
        running.wait_for_phase()?;
        let (probe, proxy) = (parts::of(running, "the probe"), parts::of(running, "a proxy"));
        signal(proxy, Signal::STOP);
        running.go_on();
        running.hold_when("the probe has ended", |_| !alive(probe))?;
        signal(proxy, Signal::CONT);
        not(scene.hit().join("intervals.jsonl.zst").exists(), "it packs already")?;
    }
    not(scene.sealed_trials() > 1, "the trial is sealed")
}

/// A file that is damaged after the run, and read by a command.
fn later(row: &Row, reader: Reader) {
    let Fault::File(damage) = row.fault else { panic!("only files are damaged later") };
    let scene = Scene::copied(row.run, false, true);
    let original = damage.strike(&scene, &row.target);
    let before = scene.sealed();
    let ended = read(&scene, reader);
    outcome::check(row, &scene, &ended);
    sealed_is_as_it_was(&before, &scene);
    nothing_is_left(&ended.traces);
    if row.outcome == Outcome::Stops {
        original.way_out();
        done(scene.command(&["resume", scene.run().to_str().unwrap()]), "resume");
        whole(&scene);
        let again = read(&scene, reader);
        assert!(again.how != "2" && again.how != "64", "the way out leads nowhere:\n{}", again.answer.stderr);
    }
}

fn read(scene: &Scene, reader: Reader) -> Ended {
    let (run, other) = (scene.run(), scene.another());
    let (at, other) = (run.to_str().unwrap(), other.to_str().unwrap());
    let aside = scene.aside().join("export");
    let aside = aside.to_str().unwrap();
    let runs = scene.disk().join("runs");
    match reader {
        Reader::Report => scene.command(&["report", at]),
        Reader::Resume => scene.command(&["resume", at]),
        Reader::Gate => scene.command(&["gate", at, "--baseline", other, "--max-regress", "p99=1000%"]),
        Reader::Compare => scene.command(&["compare", &format!("a={at}"), &format!("b={other}")]),
        Reader::Export => scene.command(&["report", at, "--format", "fortio", "--output", aside]),
        Reader::Baseline => scene.command(&["baseline", "add", at, "--dir", aside]),
        Reader::History => scene.command(&["history", runs.to_str().unwrap(), "--metric", "p99"]),
    }
}
