//! `meshtax resume` of a run in a cluster: it goes on there, in the same cluster, with the same images, on the same nodes.

use std::process::ExitCode;

use anyhow::Context as _;
use record::{Run, RunCluster, RunDirectory};
use scenarios::Scenario;

use super::campaign::{self, Campaign, Open};
use super::cluster::Cluster;
use super::images::Images;
use super::lease;
use super::reach::Reach;
use super::run::machine;
use super::stage::Stage;
use crate::exit::Usage;
use crate::interrupt::Interrupt;
use crate::progress::say;
use crate::resume::{same_machine, same_method};

/// What the command line says of it.
pub(crate) struct Again<'a> {
    /// Another name for the same cluster.
    pub(crate) context: Option<&'a str>,
    /// A warning that touches the result fails the run.
    pub(crate) strict: bool,
}

/// Goes on with a run.
///
/// # Errors
/// [`Usage`] when it is another cluster, or another version of it or of this program.
pub(crate) fn resume(
    directory: RunDirectory,
    run: Run,
    kept: RunCluster,
    again: &Again<'_>,
    interrupt: &Interrupt,
) -> anyhow::Result<ExitCode> {
    same_method(&run)?;
    let lock = directory.lock()?;
    if run.trials.iter().all(|trial| directory.is_sealed(&trial.id)) {
        say("all trials are sealed already\n");
        return campaign::conclude(Ok(directory), again.strict, interrupt);
    }
    let made = go_on(directory, run, kept, lock, again, interrupt);
    campaign::conclude(made, again.strict, interrupt)
}

fn go_on(
    directory: RunDirectory,
    run: Run,
    kept: RunCluster,
    lock: record::Lock,
    again: &Again<'_>,
    interrupt: &Interrupt,
) -> anyhow::Result<RunDirectory> {
    let scenario = Scenario::parse(&run.scenario_toml, "the scenario in run.json")?;
    let shapes = campaign::shapes(&scenario, &run.cells)?;
    let cluster = Cluster::connect(again.context.or(kept.context.as_deref()), interrupt)
        .context("cannot go on in the cluster of this run")?;
    say(&format!("cluster: {}\n", cluster.url));
    same_cluster(&kept, &cluster.uid()?, &cluster.version()?)?;
    let swept = lease::sweep(&cluster, Some(&kept.run))?;
    if !swept.is_empty() {
        say(&format!("removed what this run and others had left: {}\n", swept.join(", ")));
    }
    let reach = Reach::ByApiServer(&cluster);
    let stage = Stage::of(kept, &cluster, &reach, run.timing)?;
    let (cells, order) = (run.cells.clone(), run.trials.clone());
    let images = Images::of_sealed(&directory, &run)?;
    let campaign = Campaign { cluster: &cluster, interrupt, cells: &cells, shapes: &shapes, order: &order };
    campaign.execute(stage, Some(Open { directory, run, images, _lock: lock }), &|fleet, open| {
        let open = open.context("a run that goes on has a directory")?;
        same_machine(&open.run, &machine(fleet)?)?;
        Ok(open)
    })
}

/// The trials to come must be made where those before were.
fn same_cluster(kept: &RunCluster, uid: &str, version: &str) -> anyhow::Result<()> {
    if kept.uid != uid {
        let context = kept.context.as_deref().unwrap_or("the one that its runner was in");
        let said = format!(
            "this run was begun in another cluster: its namespace kube-system has the uid {}, and here it is {uid}\n  try: --context NAME with the cluster of the context {context}, or a new run here",
            kept.uid
        );
        return Err(Usage(said).into());
    }
    if kept.kubernetes != version {
        let said = format!(
            "this run was begun with Kubernetes {}, and the cluster has {version} now: another kubelet and another network\n  try: a new run; meshtax report shows what was sealed",
            kept.kubernetes
        );
        return Err(Usage(said).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn another_cluster_and_another_version_of_it_are_refused_with_both() {
        let kept = RunCluster {
            schema: record::SCHEMA,
            run: "a".into(),
            context: Some("kind".into()),
            uid: "u1".into(),
            kubernetes: "v1.37.0".into(),
            image: "meshtax:1".into(),
            placement: "together".into(),
            generators: 1,
            service_cpu: None,
            patience_ns: 1,
            namespace_labels: BTreeMap::new(),
            nodes: BTreeMap::new(),
        };
        let said = |uid: &str, version: &str| same_cluster(&kept, uid, version).map_err(|e| e.to_string());
        assert_eq!(said("u1", "v1.37.0"), Ok(()));
        let other = said("u2", "v1.37.0").unwrap_err();
        assert!(other.contains("the uid u1, and here it is u2") && other.contains("the context kind"), "{other}");
        let newer = said("u1", "v1.38.0").unwrap_err();
        assert!(newer.contains("Kubernetes v1.37.0, and the cluster has v1.38.0") && newer.contains("try:"), "{newer}");
    }
}
