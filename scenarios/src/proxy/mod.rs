//! What can stand between two services, and what each of them needs to be started and proven.

pub mod embedded;
pub mod envoy;
pub mod none;
pub(crate) mod proof;
pub(crate) mod sidecar;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use record::Mtls;

use crate::Result;
use crate::certs::IdentityFiles;
use crate::launch::{Launch, Launched};

/// A program that can stand beside a service.
pub(crate) trait Proxy {
    /// Its name and version: "envoy 1.40.0".
    fn program(&self) -> String;

    /// Writes its configuration and says how it is started. Cgroups are for the caller to add.
    fn launch(&self, place: &Place, folders: &Folders) -> Result<Launch>;

    /// Waits until it answers, and asks where it listens.
    fn listening(&self, place: &Place, part: &mut Launched, folders: &Folders, patience: Duration) -> Result<Ports>;

    /// Asks what it has counted since its start.
    fn tally(&self, part: &Launched, ports: &Ports) -> Result<Tally>;
}

/// Where a sidecar is put.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// "s1-sidecar".
    pub(crate) name: String,
    /// The service it stands beside: "s1", or "entry" for the load generator's.
    pub(crate) service: String,
    pub(crate) workers: u32,
    pub(crate) mtls: Mtls,
    /// The service itself; none beside the load generator.
    pub(crate) app: Option<SocketAddr>,
    /// Whom it calls; none beside the last service.
    pub(crate) callee: Option<Callee>,
    /// Whom it is known as; none without mTLS.
    pub(crate) identity: Option<IdentityFiles>,
}

/// The other end of a sidecar's way out.
#[derive(Clone, Debug)]
pub(crate) struct Callee {
    pub(crate) service: String,
    /// The inbound listener of its sidecar.
    pub(crate) inbound: SocketAddr,
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
    /// What nobody else may read, gone afterwards.
    pub(crate) private: PathBuf,
}

impl Folders {
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }
}

/// Where a sidecar listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) inbound: Option<SocketAddr>,
    pub(crate) outbound: Option<SocketAddr>,
    pub(crate) admin: SocketAddr,
}

/// What a sidecar says it is and has counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Its name and version: "envoy 1.40.0".
    pub(crate) program: String,
    /// Where the program was read.
    pub(crate) program_source: String,
    pub(crate) inbound: Option<Way>,
    pub(crate) outbound: Option<Way>,
}

/// What a sidecar has counted in one direction, on its side towards the other sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// Requests that came from the service (out) or from the caller's sidecar (in).
    pub(crate) requests: Counter,
    /// Handshakes in which both sides were who they had to be.
    pub(crate) handshakes: Counter,
    /// Peers turned away since they were someone else, or no one, where it tells them from those that gave up.
    pub(crate) strangers: Option<Counter>,
    /// Connections that broke off before they were secure, where it says so; something in clear is one of them.
    pub(crate) broken: Option<Counter>,
    /// Requests that were read in clear, where it says so.
    pub(crate) in_clear: Option<Counter>,
    /// The peers' SPIFFE ids, where it says them.
    pub(crate) peers: Option<Vec<String>>,
}

/// A figure and where it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counter {
    pub(crate) value: u64,
    pub(crate) source: String,
}

/// Writes a file that is kept with the trial.
pub(crate) fn keep(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(crate::error::file_error("write", path))
}
