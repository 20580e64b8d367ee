//! `meshtax`: the one program; every part of a run is a subcommand of it and a process of its own.

// Printing is what the program is for; the libraries below it return values.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod agent;
mod baseline;
mod beginning;
mod campaign;
mod clean;
mod cli;
mod compare;
mod disk;
mod doctor;
mod duration;
mod exit;
mod gate;
mod give_way;
mod history;
mod hosts;
mod interrupt;
mod k8s;
mod lab;
mod library;
mod listener;
mod load;
mod meeting;
mod neighbour;
mod node_proxy;
mod one_clock;
mod packaging;
mod plan;
mod planning;
mod pod;
mod probe;
mod programs;
mod progress;
mod report;
mod resume;
mod run;
mod scratch;
mod serve;
mod service;
mod sidecar;
mod source;
mod trial;
mod verify;
mod warden;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::cli::{Cli, Command, LaunchArgs};
use crate::exit::Exit;

fn main() -> ExitCode {
    no_cores();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; everything else is a bad argument, for which scripts expect 64.
            let asked = !error.use_stderr();
            let _ = error.print();
            return if asked { Exit::Done.into() } else { Exit::Usage.into() };
        }
    };
    let result = match cli.command {
        Command::Run(args) => run::execute(args),
        Command::Resume(args) => resume::execute(args),
        Command::Verify(args) => verify::execute(args),
        Command::Gate(args) => gate::execute(*args),
        Command::Report(args) => report::execute(args),
        Command::Compare(args) => compare::execute(args),
        Command::Plan(args) => planning::execute(*args),
        Command::History(args) => history::execute(args),
        Command::Baseline(args) => baseline::execute(args),
        Command::Serve(args) => serve::execute(args),
        Command::Scenarios(args) => library::execute(args),
        Command::Doctor(args) => doctor::execute(args),
        Command::Clean => clean::execute(),
        Command::Completions(args) => packaging::completions(&args),
        Command::Man(args) => packaging::man(&args),
        Command::K8s(args) => k8s::execute(args),
        Command::Pod(args) => pod::execute(args),
        Command::Launch(LaunchArgs { args }) => Err(scenarios::launch::become_child(args).into()),
        Command::Warden(args) => warden::execute(args),
        Command::Load(args) => load::execute(args),
        Command::Probe(args) => probe::execute(args),
        Command::Disk(args) => disk::execute(args),
        Command::Service(args) => service::execute(args),
        Command::Sidecar(args) => sidecar::execute(args),
        Command::Neighbour(args) => neighbour::execute(args),
        Command::NodeProxy(args) => node_proxy::execute(args),
        Command::Agent(args) => agent::execute(args),
        Command::Hand(args) => agent::hand::execute(args),
        Command::Hosts(args) => hosts::execute(args),
    };
    result.unwrap_or_else(|error| {
        // Not eprintln: stderr may be a log on the very disk that is full, and a panic would hide the error.
        let _ = writeln!(std::io::stderr(), "error: {}", exit::say(&error));
        exit::of(&error).into()
    })
}

/// A core dump of any part would hold its keys, on a disk and for long; what we start has the same limit.
fn no_cores() {
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}
