//! What can stand between two services, and what each of them needs to be started and proven.

pub mod ambient;
mod credentials;
pub mod embedded;
pub mod envoy;
pub(crate) mod haproxy;
mod held;
mod line_log;
mod listens;
pub(crate) mod nginx;
pub(crate) mod node_proxy;
pub mod none;
pub mod packaged;
mod place;
pub(crate) mod proof;
pub(crate) mod sidecar;
mod spiffe;
#[cfg(test)]
mod stage;
mod tally;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use record::{Dataplane, Factors, Lack, Proof, Weights};

use crate::Result;
use crate::anew::write_anew;
use crate::certs::{Identity, IdentityFiles};
use crate::error::file_error;
use crate::launch::{Launch, Launched};
pub(crate) use place::{ADMIN_PORT, App, Callee, DOOR_PORT, Door, Place, Stand, Subset};
pub(crate) use tally::{Counter, Tally, Way};

/// A program that can stand beside a service.
pub(crate) trait Proxy {
    /// Its name and version: "envoy 1.40.0".
    fn program(&self) -> String;

    /// Writes its configuration and says how it is started. Cgroups, the namespace and the user are for the caller to
    /// add.
    fn launch(&self, place: &Place, folders: &Folders) -> Result<Launch>;

    /// Waits until it answers, and asks where it listens.
    fn listening(&self, place: &Place, part: &mut Launched, folders: &Folders, patience: Duration) -> Result<Ports>;

    /// Asks what it has counted since its start.
    fn tally(&self, place: &Place, part: &Launched, ports: &Ports) -> Result<Tally>;

    /// Reads back from the running thing what its factors made of its configuration: one proof for each that can be
    /// read and is not read elsewhere (worker threads, limits, counters of the ways).
    fn prove(&self, place: &Place, part: &Launched, ports: &Ports) -> Result<Vec<Proof>>;

    /// Gives a running one new weights for the subsets of one of its callees; returns when it has been told.
    fn shift(&self, place: &Place, part: &mut Launched, folders: &Folders, weights: &Weights) -> Result<()>;

    /// Has a running one take up the files of its identity, which have been replaced by rename.
    fn renew(&self, place: &Place, part: &mut Launched, ports: &Ports) -> Result<()>;

    /// Its worker threads, or the processes that it has in their place, as the kernel shows them.
    fn workers(&self, part: &Launched, expected: u32) -> Result<Proof> {
        proof::workers(part.name(), part.pid(), expected)
    }

    /// The processes beside the one that was started, which do its work.
    fn children(&self, _: &Launched) -> Vec<u32> {
        Vec::new()
    }

    /// The path at its admin address under which it tells its counters as Prometheus reads them.
    fn scrape_path(&self) -> &'static str;

    /// What it does not do of what Istio's own proxy does with these factors.
    fn lacks(&self, factors: &Factors) -> Vec<Lack>;
}

/// Why a dataplane cannot be what these factors ask for; none if it can.
pub(crate) fn cannot(factors: &Factors) -> Option<String> {
    match factors.dataplane {
        Dataplane::None => None,
        Dataplane::Embedded => sidecar::cannot(factors),
        Dataplane::Envoy => envoy::cannot(factors),
        Dataplane::Haproxy => haproxy::cannot(factors),
        Dataplane::Nginx => nginx::cannot(factors),
        Dataplane::Ambient => node_proxy::cannot(factors),
        Dataplane::IstioSidecar | Dataplane::IstioAmbient | Dataplane::Linkerd => crate::cluster::cannot(factors),
    }
}

/// Where the files of a deployment go.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    /// meshtax itself.
    pub(crate) meshtax: PathBuf,
    /// Configurations, kept.
    pub(crate) kept: PathBuf,
    /// Logs, kept.
    pub(crate) logs: PathBuf,
    /// What nobody else may read, gone afterwards. Proxies read what they need from here: the trial's directory may lie
    /// where their user cannot go.
    pub(crate) private: PathBuf,
    /// The user that proxies run as; none where that is ours.
    pub(crate) owner: Option<u32>,
}

impl Folders {
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// Writes a configuration: one copy is kept with the trial, and the path of the other, which the proxy may read, is
    /// returned.
    pub(crate) fn config(&self, name: &str, text: &str) -> Result<PathBuf> {
        let kept = self.kept.join(name);
        std::fs::write(&kept, text).map_err(file_error("write", &kept))?;
        let path = self.private.join(name);
        self.put(&path, text)?;
        Ok(path)
    }

    /// Replaces a configuration while its reader runs: by rename, so that it is never read in part.
    pub(crate) fn replace(&self, name: &str, text: &str) -> Result<()> {
        let (next, path) = (self.private.join(format!("{name}.next")), self.private.join(name));
        self.put(&next, text)?;
        std::fs::rename(&next, &path).map_err(file_error("replace", &path))
    }

    /// Writes an identity where its proxy may read it.
    pub(crate) fn identity(&self, identity: &Identity) -> Result<IdentityFiles> {
        let files = identity.write(&self.private)?;
        let IdentityFiles { chain, key, ca } = &files;
        [chain, key, ca].into_iter().try_for_each(|path| self.give(path))?;
        Ok(files)
    }

    /// Replaces an identity while its proxy runs, each file by rename.
    pub(crate) fn replace_identity(&self, identity: &Identity) -> Result<()> {
        identity.replace(&self.private, |path| self.give(path))
    }

    /// Writes a file that only its reader may read.
    fn put(&self, path: &Path, text: &str) -> Result<()> {
        write_anew(path, 0o600, text.as_bytes())?;
        self.give(path)
    }

    /// Gives a file to the user that proxies run as; what a link leads to is never given.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        let Some(owner) = self.owner else { return Ok(()) };
        std::os::unix::fs::lchown(path, Some(owner), Some(owner)).map_err(file_error("give away", path))
    }
}

/// Where a sidecar listens.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    /// Where callers come in.
    pub(crate) inbound: Option<SocketAddr>,
    /// Where its service dials each callee.
    pub(crate) outbound: Vec<(String, SocketAddr)>,
    pub(crate) admin: SocketAddr,
}

impl Ports {
    /// Where its service dials a callee.
    pub(crate) fn to(&self, callee: &str) -> Option<SocketAddr> {
        self.outbound.iter().find(|(service, _)| service == callee).map(|(_, at)| *at)
    }
}
