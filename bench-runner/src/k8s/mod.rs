//! `meshtax k8s`: the chain as pods of a cluster; Kubernetes places, restarts and limits, and we measure.

mod campaign;
mod clean;
mod clocks;
mod cluster;
mod envoy;
mod fleet;
mod generators;
mod images;
mod lease;
mod manifests;
mod objects;
mod plan;
mod played;
mod pods;
mod proofs;
mod reach;
mod renewals;
mod resume;
mod run;
mod stage;
mod tending;
mod trial;
mod trouble;

use std::process::ExitCode;

pub(crate) use resume::{Again, resume};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    deed: Deed,
}

#[derive(clap::Subcommand)]
enum Deed {
    /// Measure a chain of services in a cluster, without and with its meshes.
    Run(Box<run::Args>),
    /// Print what a run applies, for `kubectl apply --server-side -f -`, GitOps or `podman kube play`.
    Manifests(Box<manifests::Args>),
    /// Remove what a run left in a cluster.
    Clean(clean::Args),
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    match args.deed {
        Deed::Run(args) => run::execute(*args),
        Deed::Manifests(args) => manifests::execute(*args),
        Deed::Clean(args) => clean::execute(&args),
    }
}
