//! What is to be run in a cluster: the scenario with what the command line says of it.

use record::{CpuQuantity, Dataplane};
use scenarios::cluster::{Mesh, Placement};
use scenarios::{Matrix, Scenario};

use crate::exit::Usage;
use crate::run::{FactorArgs, LengthArgs, named, say_flag};

/// The image, if nothing is said: one of this version.
const IMAGE: &str = concat!("meshtax:", env!("CARGO_PKG_VERSION"));

#[derive(clap::Args, Debug)]
pub(super) struct PlanArgs {
    /// A scenario file, or the name of one of the library (`meshtax scenarios`).
    #[arg(value_name = "SCENARIO", default_value = "first-look")]
    pub(super) scenario: String,
    /// The meshes: none, istio-sidecar, istio-ambient, linkerd [default: those of the scenario, or none,istio-sidecar].
    #[arg(long, value_name = "MESH,..", value_delimiter = ',', value_parser = mesh)]
    mesh: Vec<Dataplane>,
    #[command(flatten)]
    factors: FactorArgs,
    #[command(flatten)]
    length: LengthArgs,
    /// The image of this program, as the nodes get it.
    #[arg(long, value_name = "IMAGE", default_value = IMAGE, help_heading = "Cluster")]
    pub(super) image: String,
    /// Where pods stand: together on one node; load-apart, the generators on another; spread over nodes, or over what a
    /// node label tells apart (spread=topology.kubernetes.io/zone). All cells stand where those of the first trial stood.
    #[arg(long, value_name = "RULE", default_value = "together", help_heading = "Cluster")]
    pub(super) placement: Placement,
    /// The node of a part, as s1=NODE or load=NODE; may be repeated.
    #[arg(long = "node", value_name = "PART=NODE", value_parser = pin, help_heading = "Cluster")]
    pub(super) nodes: Vec<(String, String)>,
    /// Load generators, which share the load.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "Cluster")]
    pub(super) generators: u32,
    /// The CPU limit of each service, as Kubernetes writes it [default: none].
    #[arg(long, value_name = "CPU", help_heading = "Cluster")]
    pub(super) service_cpu: Option<CpuQuantity>,
}

fn mesh(text: &str) -> Result<Dataplane, String> {
    let known = || Mesh::ALL.iter().map(|mesh| mesh.folder()).collect::<Vec<_>>().join(", ");
    let dataplane = text.parse::<Dataplane>().ok().filter(|d| Mesh::of(*d).is_some());
    dataplane.ok_or_else(|| format!("'{text}' is no mesh of a cluster: {}", known()))
}

fn pin(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((part, node)) if !part.is_empty() && !node.is_empty() => Ok((part.to_owned(), node.to_owned())),
        _ => Err(format!("'{text}' is no part and node: s1=NODE, load=NODE")),
    }
}

impl PlanArgs {
    /// The scenario as it is to be run, and its cells.
    pub(super) fn settle(&self) -> anyhow::Result<(Scenario, Matrix)> {
        let mut scenario = named(&self.scenario)?;
        self.length.shorten(&mut scenario);
        self.factors.override_in(&mut scenario)?;
        self.length.put_in(&mut scenario, None);
        scenarios::cluster::put_in(&mut scenario, &self.mesh);
        scenario.check().map_err(say_flag)?;
        let matrix = scenario.matrix().map_err(say_flag)?;
        let fewest = matrix.cells.iter().map(|cell| cell.factors.connections).min().unwrap_or(0);
        if fewest < self.generators {
            let said = format!(
                "{} generators cannot share {fewest} connections\n  try: --connections with as many, or fewer --generators",
                self.generators
            );
            return Err(Usage(said).into());
        }
        Ok((scenario, matrix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meshes_and_nodes_are_read_and_others_refused_with_the_words() {
        assert_eq!(mesh("istio-ambient"), Ok(Dataplane::IstioAmbient));
        assert_eq!(
            mesh("envoy").unwrap_err(),
            "'envoy' is no mesh of a cluster: none, istio-sidecar, istio-ambient, linkerd"
        );
        assert_eq!(pin("s1=node-a"), Ok(("s1".to_owned(), "node-a".to_owned())));
        assert!(pin("s1").unwrap_err().contains("s1=NODE"));
    }
}
