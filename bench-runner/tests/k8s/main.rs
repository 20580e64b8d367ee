//! `meshtax k8s`: manifests held against schemas, and whole runs against an API server that behaves and misbehaves.

// In a test a panic is the report; the lint knows only of functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod api;
#[path = "../faults/deeds/clock.rs"]
mod clock;
mod cluster;
mod envoy;
mod errors;
mod gateway;
mod kubelet;
mod manifests;
mod mesh;
mod resume;
mod run;
mod steady;
mod store;

use std::process::{Command, Stdio};

/// What a call answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn meshtax(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshtax"));
    command.args(args).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

pub(crate) fn answer(command: &mut Command) -> Answer {
    let o = command.output().expect("the program starts");
    let text = |b: Vec<u8>| String::from_utf8_lossy(&b).into_owned();
    Answer { code: o.status.code(), stdout: text(o.stdout), stderr: text(o.stderr) }
}
