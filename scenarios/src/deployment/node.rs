//! The processes of a deployment, each with its cgroup, and the directory for their keys.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use record::{Part, Proof, Reading, Role};

use crate::Result;
use crate::launch::Launched;
use crate::limits::{Leaf, Limits};
use crate::proxy::{Place, Ports, proof};

/// A process of the deployment, and its cgroup.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) role: Role,
    // First, so that it is dead before its cgroup is removed.
    pub(crate) part: Launched,
    pub(crate) program: String,
    pub(crate) leaf: Option<Leaf>,
    /// Whom it was made; none where that is who we are, or where it becomes another by itself.
    pub(crate) user: Option<u32>,
}

impl Node {
    pub(super) fn describe(&self) -> Part {
        let directory = self.leaf.as_ref().and_then(|leaf| leaf.directories().first());
        Part {
            name: self.part.name().to_owned(),
            role: self.role,
            pid: self.part.pid(),
            program: self.program.clone(),
            cgroup: match directory {
                Some(directory) => Reading::Seen(directory.display().to_string()),
                None => Reading::absent("no cgroup of its own is permitted here"),
            },
        }
    }

    /// Whether it is where it was put and whom it was made, held to what it should be.
    pub(super) fn prove_place(&self, limits: &Limits) -> Result<Vec<Proof>> {
        let name = self.part.name();
        let user = self.user.map(|user| proof::user(name, self.part.pid(), user)).transpose()?;
        let mut proofs: Vec<Proof> = user.into_iter().collect();
        let Some(leaf) = &self.leaf else { return Ok(proofs) };
        let first = leaf.directories().first().map(|d| d.display().to_string()).unwrap_or_default();
        let found = leaf.missing(self.part.pid()).map_or_else(|| first.clone(), |d| format!("not in {}", d.display()));
        proofs.push(proof::claim(name, "cgroup", &first, &found, &format!("{first}/cgroup.procs"))?);
        proofs.extend(leaf.prove(limits)?);
        Ok(proofs)
    }
}

/// A process of a service.
#[derive(Debug)]
pub(crate) struct ServiceNode {
    pub(crate) node: Node,
    /// "s3", which is also the process's name but for the other subsets of a canary.
    pub(crate) service: String,
    /// The subset it answers as; none without a canary.
    pub(crate) subset: Option<String>,
    /// The address by which its callers know it.
    pub(crate) listen: SocketAddr,
    /// All its ports, that one first.
    pub(crate) ports: Vec<u16>,
    /// Where it said its requests to each callee go.
    pub(crate) calls: Vec<(String, SocketAddr)>,
}

/// A proxy that runs.
#[derive(Debug)]
pub(crate) struct ProxyNode {
    pub(crate) node: Node,
    pub(crate) place: Place,
    pub(crate) ports: Ports,
}

impl ProxyNode {
    /// Whether it is the sidecar of a process: "s3-v2-sidecar" of "s3-v2".
    pub(crate) fn is_beside(&self, process: &str) -> bool {
        self.place.name.strip_suffix("-sidecar") == Some(process)
    }
}

/// A directory for keys, gone with its owner.
#[derive(Debug)]
pub(crate) struct Private {
    path: PathBuf,
}

impl Private {
    /// Makes one in the run's scratch directory, for a user if it is not ours.
    pub(crate) fn create(scratch: &Path, owner: Option<u32>) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = scratch.join(format!("deployment-{}", record::monotonic_ns()));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(crate::error::file_error("create", &path))?;
        let private = Self { path };
        if let Some(owner) = owner {
            use std::os::unix::fs::PermissionsExt as _;
            // That user must get through, and no one sees what is in it.
            let through = std::fs::Permissions::from_mode(0o711);
            std::fs::set_permissions(scratch, through)
                .map_err(crate::error::file_error("open the way through", scratch))?;
            std::os::unix::fs::lchown(&private.path, Some(owner), Some(owner))
                .map_err(crate::error::file_error("give away", &private.path))?;
        }
        Ok(private)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
