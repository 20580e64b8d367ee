//! The command line: one definition for parsing and help.

use clap::{Parser, Subcommand};

use crate::{
    agent, baseline, compare, disk, doctor, gate, history, hosts, k8s, library, load, neighbour, node_proxy, packaging,
    planning, pod, probe, report, resume, run, serve, service, sidecar, verify, warden,
};

/// What a service mesh costs on this host, and why.
#[derive(Parser)]
#[command(name = "meshtax", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Measure a chain of services without and with a mesh, and report what the mesh costs.
    Run(run::Args),
    /// Go on with a run that was cut off.
    Resume(resume::Args),
    /// Put the mTLS mode of each mesh of a scenario to the proof: what it takes, and what crosses its links in clear.
    Verify(verify::Args),
    /// Judge whether something became worse: pass (exit code 0), fail (1) or inconclusive (3), with stated error rates.
    Gate(Box<gate::Args>),
    /// Make a report from a run directory.
    Report(report::Args),
    /// Set runs side by side: hosts, limits, versions, dataplanes; what differs, and how much of it is host, mesh or chance.
    Compare(compare::Args),
    /// Plan hosts and proxy limits: what holds an SLO at the least cost, from runs on each kind of host and their prices.
    Plan(Box<planning::Args>),
    /// Follow a figure over many runs, and find where its level changed.
    History(history::Args),
    /// Keep runs to compare with.
    Baseline(baseline::Args),
    /// Show the runs of a folder on a local page, with their reports, and those being made as they go.
    Serve(serve::Args),
    /// Drive an HTTP target at a set rate and print its latency.
    Load(load::Args),
    /// Watch this machine: CPU, steal, throttling, run-queue delay, pressure, disk.
    Probe(probe::Args),
    /// Test the disk under a directory, gross and net of waiting for a CPU.
    Disk(disk::Args),
    /// List the scenarios that ship in the program, or print one to start from.
    Scenarios(library::Args),
    /// Say what this machine permits, and what bends figures here.
    Doctor(doctor::Args),
    /// Lend this host to runners that are paired with it.
    Agent(agent::Args),
    /// Pair with agents on other hosts, list them, and fetch what a lost one measured.
    Hosts(hosts::Args),
    /// Remove what a killed run left behind: cgroups, keys.
    Clean,
    /// Print what a shell needs to complete commands and flags.
    Completions(packaging::CompletionArgs),
    /// Print the man page, or write those of all commands.
    Man(packaging::ManArgs),
    /// Measure in a cluster of Kubernetes, or print what that takes.
    K8s(k8s::Args),
    /// The part of a run that is inside of a pod.
    #[command(hide = true)]
    Pod(pod::Args),
    /// The answering or forwarding program of a chain.
    #[command(hide = true)]
    Service(service::Args),
    /// The built-in mTLS sidecar.
    #[command(hide = true)]
    Sidecar(sidecar::Args),
    /// The noisy neighbour of a trial.
    #[command(hide = true)]
    Neighbour(neighbour::Args),
    /// The built-in proxy that all services of a node share.
    #[command(hide = true)]
    NodeProxy(node_proxy::Args),
    /// An agent's hand: does one side of each trial.
    #[command(hide = true)]
    Hand(agent::hand::Args),
    /// Start a part so that it cannot outlive us, inside its cgroup.
    #[command(hide = true)]
    Launch(LaunchArgs),
    /// Take away what a killed runner left behind.
    #[command(hide = true)]
    Warden(warden::Args),
}

/// What `launch` is given; its own parser reads it.
#[derive(clap::Args)]
pub(crate) struct LaunchArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<std::ffi::OsString>,
}
