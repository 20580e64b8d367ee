//! The network namespaces of the probe and of watched processes, each read once.
//!
//! /proc/net is the namespace of the reader; that of a proxy in a pod is under its /proc/PID/net.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use record::{NetworkSample, ProcessSample, Reading, TcpCounters};

use crate::Result;
use crate::feed::Feed;
use crate::proc::{interfaces, tcp};
use crate::processes::has_exited;
use crate::source::Page;
use crate::tiers::Due;

/// The namespace that the probe itself is in.
const OWN: &str = "host";

/// All namespaces that are watched.
#[derive(Debug)]
pub(crate) struct Networks(Vec<Network>);

#[derive(Debug)]
struct Network {
    name: String,
    identity: Option<PathBuf>,
    /// The watched processes in it, by name; it is let go when all have ended, since a kept descriptor keeps it alive.
    members: Vec<String>,
    interfaces: Feed,
    snmp: Feed,
    netstat: Feed,
}

impl Networks {
    /// Opens the probe's own namespace, and those of processes that are in others.
    ///
    /// # Errors
    /// When descriptors are used up.
    pub(crate) fn open(root: &Path, processes: &[(String, u32)]) -> Result<Self> {
        let own = root.join("proc/self");
        let mut all = vec![Network::open(OWN, identity(&own), &own)?];
        for (name, pid) in processes {
            let directory = root.join(format!("proc/{pid}"));
            // Where it is not permitted to look, whether it is another namespace is not known.
            let Some(identity) = identity(&directory) else { continue };
            match all.iter_mut().find(|network| network.identity.as_ref() == Some(&identity)) {
                Some(known) => known.members.push(name.clone()),
                None => {
                    let mut network = Network::open(name, Some(identity), &directory)?;
                    network.members.push(name.clone());
                    all.push(network);
                }
            }
        }
        Ok(Self(all))
    }

    /// The counters that are due now. Namespaces whose processes have all ended are let go.
    pub(crate) fn sample(
        &mut self,
        due: Due,
        processes: &BTreeMap<String, ProcessSample>,
        page: &mut Page,
    ) -> BTreeMap<String, NetworkSample> {
        if !due.medium {
            return BTreeMap::new();
        }
        let alive = |name: &String| processes.get(name).is_some_and(|sample| !has_exited(sample));
        self.0.retain(|network| network.name == OWN || network.members.iter().any(alive));
        self.0.iter().map(|network| (network.name.clone(), network.sample(due.slow, page))).collect()
    }
}

impl Network {
    fn open(name: &str, identity: Option<PathBuf>, process: &Path) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            identity,
            members: Vec::new(),
            interfaces: Feed::open(process.join("net/dev"))?,
            snmp: Feed::open(process.join("net/snmp"))?,
            netstat: Feed::open(process.join("net/netstat"))?,
        })
    }

    fn sample(&self, slow: bool, page: &mut Page) -> NetworkSample {
        let read_ns = record::monotonic_ns();
        let (interfaces, _) = self.interfaces.read(read_ns, page, interfaces::parse);
        let tcp = if slow { self.tcp(read_ns, page) } else { Reading::default() };
        NetworkSample { read_ns, took_ns: record::monotonic_ns().saturating_sub(read_ns), interfaces, tcp }
    }

    fn tcp(&self, read_ns: u64, page: &mut Page) -> Reading<TcpCounters> {
        let (snmp, _) = self.snmp.read(read_ns, page, |text| Ok(text.to_owned()));
        match snmp {
            Reading::Absent { absent } => Reading::absent(absent),
            Reading::Seen(snmp) => self.netstat.read(read_ns, page, |netstat| tcp::parse(&snmp, netstat)).0,
        }
    }
}

/// What tells one namespace from another: `net:[4026531840]`.
fn identity(process: &Path) -> Option<PathBuf> {
    fs::read_link(process.join("ns/net")).ok()
}
