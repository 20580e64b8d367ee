//! The images that a run's pods are made of: another one under the same name is another program, or another mesh.

use std::collections::BTreeMap;

use record::{Dataplane, Run, RunDirectory, Trial};

use super::pods::Seat;
use super::proofs;
use super::trouble::Trouble;

/// Whose image: the dataplane, the container, and the node, since an image is another one for another kind of CPU.
type Whose = (Dataplane, String, String);

/// Images as they were first found.
#[derive(Debug, Default)]
pub(super) struct Images {
    known: BTreeMap<Whose, String>,
}

impl Images {
    /// Those that sealed trials have proven.
    pub(super) fn of_sealed(directory: &RunDirectory, run: &Run) -> anyhow::Result<Self> {
        let mut images = Self::default();
        for trial in directory.trials(run)? {
            if let Some(cell) = run.cell(&trial.cell) {
                images.take(cell.factors.dataplane, &trial);
            }
        }
        Ok(images)
    }

    fn take(&mut self, dataplane: Dataplane, trial: &Trial) {
        let of_nodes = trial.proofs.iter().filter(|proof| proof.claim == proofs::NODE);
        let nodes: BTreeMap<&str, &str> = of_nodes.map(|p| (p.part.as_str(), p.found.as_str())).collect();
        for proof in &trial.proofs {
            let (Some(container), Some(node)) =
                (proof.claim.strip_prefix(proofs::IMAGE_OF), nodes.get(proof.part.as_str()))
            else {
                continue;
            };
            let whose = (dataplane, container.to_owned(), (*node).to_owned());
            self.known.entry(whose).or_insert_with(|| proof.found.clone());
        }
    }

    /// Looks whether pods are made of the images that those before them were made of.
    ///
    /// # Errors
    /// [`Trouble::OtherImage`].
    pub(super) fn expect<'s>(
        &mut self,
        dataplane: Dataplane,
        seats: impl Iterator<Item = &'s Seat>,
    ) -> anyhow::Result<()> {
        for seat in seats {
            for container in seat.containers.iter().filter(|container| !container.image.is_empty()) {
                let whose = (dataplane, container.name.clone(), seat.node.clone());
                let was = self.known.entry(whose).or_insert_with(|| container.image.clone());
                if *was != container.image {
                    let (container, is) = (container.name.clone(), container.image.clone());
                    return Err(Trouble::OtherImage { pod: seat.named(), container, was: was.clone(), is }.into());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::pods::Container;
    use super::*;

    fn seat(node: &str, image: &str) -> Seat {
        let container =
            Container { name: "istio-proxy".into(), id: "a".into(), image: image.into(), native_sidecar: true };
        Seat {
            part: "s1".into(),
            pod: "s1-x".into(),
            namespace: "n".into(),
            node: node.into(),
            qos: String::new(),
            address: String::new(),
            containers: vec![container],
        }
    }

    #[test]
    fn an_image_that_became_another_is_told_and_one_of_another_node_or_mesh_is_not() {
        let mut images = Images::default();
        let mut expect = |dataplane, node: &str, image: &str| {
            images.expect(dataplane, std::iter::once(&seat(node, image))).map_err(|e| e.to_string())
        };
        let (sidecar, ambient) = (Dataplane::IstioSidecar, Dataplane::IstioAmbient);
        assert_eq!(expect(sidecar, "a", "proxyv2@sha256:1"), Ok(()));
        assert_eq!(expect(sidecar, "a", "proxyv2@sha256:1"), Ok(()));
        assert_eq!(expect(sidecar, "b", "proxyv2@sha256:2"), Ok(()));
        assert_eq!(expect(ambient, "a", "ztunnel@sha256:3"), Ok(()));
        // What the runtime does not say cannot be another one.
        assert_eq!(expect(sidecar, "a", ""), Ok(()));
        let said = expect(sidecar, "a", "proxyv2@sha256:2").unwrap_err();
        assert!(said.contains("the container istio-proxy of the pod s1-x of n is of proxyv2@sha256:2"), "{said}");
        assert!(said.contains("before it were of proxyv2@sha256:1") && said.contains("\n  try: "), "{said}");
    }
}
