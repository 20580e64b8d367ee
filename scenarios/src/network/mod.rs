//! The network of platform `pods`: a namespace for each pod, all linked by a bridge in a namespace of our own.
//!
//! The host's own interfaces, routes and firewall are never touched. The bridge lives in a namespace of its own, the
//! hub, and each pod's `eth0` is one end of a veth pair whose other end is a port of that bridge. So what crosses
//! between pods can be seen in the hub, and what stays on a pod's loopback cannot.
//!
//! Namespaces are known by names in /run/netns, `meshtax-PID-STARTTIME-NETWORK-POD`, which say whose they are. When a
//! name is removed and no process is left inside, the kernel takes the namespace with its interfaces and rules.

mod capture;
mod counts;
mod namespace;
mod permitted;
mod rules;
mod sweep;
mod tools;
mod wiring;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub use capture::{Capture, CaptureBounds, Seen, Stream};
pub use counts::RuleCount;
pub(crate) use namespace::enter;
pub use rules::{
    EXCLUDED_INBOUND_PORTS, HBONE_PORT, INBOUND_PORT, Interception, OUTBOUND_PORT, PASSTHROUGH_SOURCE, PROXY_USER,
};
pub use sweep::{remove, sweep_stale};

use crate::owner::Owner;
use crate::{Error, Result};

/// Where `ip netns` keeps the names of namespaces.
const NAMES: &str = "/run/netns";

/// What the names of all namespaces of this process begin with: `meshtax-PID-STARTTIME`.
///
/// # Errors
/// [`Error::Network`] when /proc cannot be read.
pub fn own_prefix() -> Result<String> {
    let owner = Owner::ourselves();
    owner.map(Owner::prefix).ok_or_else(|| failed("name a network", "/proc/self/stat cannot be read"))
}

/// The pods of one trial and what links them; dropping it removes everything.
#[derive(Debug)]
pub struct Network {
    /// Of the names of its namespaces, and the whole name of the hub's.
    prefix: String,
    pods: Vec<Pod>,
}

impl Network {
    /// Tries whether a network with interception and a capture can be made here, and removes it again.
    ///
    /// # Errors
    /// [`Error::NetworkNotPermitted`] with what is in the way.
    pub fn permitted() -> Result<()> {
        permitted::check()
    }

    /// Makes one without pods: the hub with its bridge.
    ///
    /// # Errors
    /// [`Error::Network`] with what `ip` or the kernel said.
    pub fn create() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let prefix = format!("{}-{}", own_prefix()?, COUNT.fetch_add(1, Ordering::Relaxed));
        let network = Self { prefix, pods: Vec::new() };
        wiring::make_hub(&network.prefix)?;
        Ok(network)
    }

    /// Adds pods. Each has `lo`, an `eth0` with an address of 10.77.0.0/16 in the order in which they are added, and
    /// reaches all others; it has no way out.
    ///
    /// # Errors
    /// [`Error::Value`] for a name that is none or is taken, [`Error::Network`] with what `ip` or the kernel said;
    /// what was made by then goes with the network.
    pub fn add(&mut self, names: &[&str]) -> Result<()> {
        let mut pods: Vec<Pod> = Vec::new();
        for name in names {
            let taken = self.pods.iter().chain(&pods).any(|p| p.name == *name);
            wiring::check_name(name, taken)?;
            let number = self.pods.len() + pods.len() + 1;
            let namespace = namespace_path(&format!("{}-{name}", self.prefix));
            pods.push(Pod { name: (*name).to_owned(), address: wiring::address(number)?, namespace });
        }
        wiring::add_pods(&self.prefix, self.pods.len() + 1, &pods)?;
        self.pods.extend(pods);
        Ok(())
    }

    /// A pod by its name.
    pub fn pod(&self, name: &str) -> Option<&Pod> {
        self.pods.iter().find(|p| p.name == name)
    }

    /// All pods, in the order in which they were added.
    pub fn pods(&self) -> &[Pod] {
        &self.pods
    }

    /// Begins to record what crosses pods' links; it ends when the capture is finished or dropped.
    ///
    /// # Errors
    /// [`Error::Network`] when the kernel has no packet sockets or refuses one.
    pub fn capture(&self) -> Result<Capture> {
        self.capture_within(CaptureBounds::default())
    }

    /// As [`Self::capture`], with other bounds.
    ///
    /// # Errors
    /// As [`Self::capture`].
    pub fn capture_within(&self, bounds: CaptureBounds) -> Result<Capture> {
        Capture::start(&namespace_path(&self.prefix), bounds)
    }

    /// What the names of its namespaces begin with; what [`remove()`] takes.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Removes it: the names at once, and what they stood for as soon as nothing is left inside.
    ///
    /// # Errors
    /// [`Error::Network`] with the first name that could not be removed; the others are removed all the same.
    pub fn remove(self) -> Result<()> {
        remove(&self.prefix)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // What fails here, the warden and the next run's sweep try again.
        let _ = remove(&self.prefix);
    }
}

/// A network namespace of a service, its sidecar and whatever else shares their loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// The name: "s1".
    pub name: String,
    /// The address of its `eth0`.
    pub address: Ipv4Addr,
    /// The namespace's file, which [`crate::launch::Launch`] takes.
    pub namespace: PathBuf,
}

impl Pod {
    /// Installs Istio's rules for these directions, in place of whatever the nat table held.
    ///
    /// # Errors
    /// [`Error::Network`] with what `iptables-restore` said.
    pub fn intercept(&self, interception: &Interception) -> Result<()> {
        let args = ["--wait", "5", "--table", "nat"];
        tools::run(Some(&self.namespace), "iptables-restore", &args, &interception.text())
            .map(drop)
            .map_err(|said| failed(format!("install the rules of interception in pod {}", self.name), said))
    }

    /// The rules of the nat table with their counters.
    ///
    /// The kernel asks the nat table about the first packet of a connection only: a rule's packets are the
    /// connections it decided.
    ///
    /// # Errors
    /// [`Error::Network`] with what `iptables-save` said, or the line that is not understood.
    pub fn rules(&self) -> Result<Vec<RuleCount>> {
        let said = tools::run(Some(&self.namespace), "iptables-save", &["-c", "-t", "nat"], "");
        said.and_then(|text| counts::parse(&text))
            .map_err(|e| failed(format!("read the rules of pod {}", self.name), e))
    }

    /// Runs something on a thread inside the namespace, so that the sockets it makes are the pod's.
    ///
    /// A process started by it is inside too, but lives no longer than the thread if it asked to die with its parent:
    /// programs are started by [`crate::launch::Launch`], which takes the namespace.
    ///
    /// # Errors
    /// [`Error::Network`] when the namespace cannot be entered, [`Error::Thread`] when there is no thread to be had.
    pub fn within<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T> {
        namespace::within(&self.namespace, f)
    }
}

/// The file of a namespace.
fn namespace_path(name: &str) -> PathBuf {
    Path::new(NAMES).join(name)
}

fn failed(action: impl Into<String>, said: impl std::fmt::Display) -> Error {
    Error::Network { action: action.into(), said: said.to_string() }
}
