//! The configuration file of a node proxy.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::certs::{IdentityFiles, SPIFFE_PREFIX};
use crate::error::file_error;
use crate::{Error, Result};

/// What a node proxy is; the content of its configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeProxyConfig {
    /// Its name in messages: "node-proxy".
    pub name: String,
    /// Worker threads.
    pub workers: u32,
    /// Where its counters are asked for.
    pub admin: SocketAddr,
    /// The user and group that it becomes before it does anything else, keeping the right to enter namespaces; none
    /// keeps ours.
    pub user: Option<u32>,
    /// All programs of the node that are in the mesh.
    pub workloads: Vec<WorkloadConfig>,
}

/// A program that is in the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadConfig {
    /// Its name: "s1".
    pub name: String,
    /// Its SPIFFE id.
    pub id: String,
    /// The files that prove it.
    pub identity: IdentityFiles,
    /// The file of its pod's network namespace, in which all its sockets are made; none is that of the node proxy.
    pub namespace: Option<PathBuf>,
    /// The way of callers to it; none for who is called by nobody.
    pub inbound: Option<InboundConfig>,
    /// Where its connections come in when they are redirected, whomever they are for.
    pub captured: Option<SocketAddr>,
    /// Whom it calls.
    pub outbound: Vec<OutboundConfig>,
}

/// The way of callers to a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InboundConfig {
    /// The program; what tunnels to it are asked for.
    pub app: SocketAddr,
    /// All ports of its address that can be asked for.
    pub ports: Vec<u16>,
    /// Where tunnels to it come in.
    pub tunnel: SocketAddr,
    /// Where callers come in that are not in the mesh.
    pub clear: SocketAddr,
    /// The ports to which they are let in.
    pub clear_ports: Vec<u16>,
}

/// The way of a workload to another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboundConfig {
    /// The name of the other one.
    pub callee: String,
    /// Where it dials it, if that is not redirected.
    pub listen: Option<SocketAddr>,
}

impl NodeProxyConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// A file that cannot be read, or is not the JSON of this type: with line and column.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(file_error("read", path))?;
        serde_json::from_str(&text).map_err(|error| Error::Value {
            what: path.display().to_string(),
            problem: error.to_string(),
            remedy: "the form that `meshtax run` writes into a trial's directory".into(),
        })
    }

    /// Whether it holds together.
    ///
    /// # Errors
    /// What does not, by the name of the field.
    pub fn check(&self) -> Result<()> {
        let refuse = |field: String, problem: &str, remedy: &str| {
            Err(Error::Value {
                what: format!("node proxy {}: {field}", self.name),
                problem: problem.into(),
                remedy: remedy.into(),
            })
        };
        if self.workers == 0 {
            return refuse("workers".into(), "it needs at least one", "1");
        }
        for workload in &self.workloads {
            let field = |name: &str| format!("{}.{name}", workload.name);
            if self.workloads.iter().filter(|other| other.name == workload.name).count() > 1 {
                return refuse(field("name"), "there are several of that name", "a name for each");
            }
            if !workload.id.starts_with(SPIFFE_PREFIX) {
                let id = &workload.id;
                return refuse(field("id"), &format!("'{id}' is no id of a run"), &format!("{SPIFFE_PREFIX}sa/s2"));
            }
            for OutboundConfig { callee, listen } in &workload.outbound {
                let found = self.workloads.iter().find(|other| other.name == *callee);
                if found.is_none_or(|callee| callee.inbound.is_none()) {
                    let problem = format!("'{callee}' is no workload that can be called");
                    return refuse(field("outbound"), &problem, "the name of a workload that has an inbound");
                }
                if listen.is_none() && workload.captured.is_none() {
                    let problem = format!("no connection to '{callee}' could come in");
                    return refuse(field("outbound"), &problem, "an address to listen at, here or in captured");
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::spiffe_id;

    fn workload(name: &str) -> WorkloadConfig {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let app = SocketAddr::from(([127, 0, 0, 1], 80));
        WorkloadConfig {
            name: name.into(),
            id: spiffe_id(name),
            identity: IdentityFiles { chain: "a".into(), key: "b".into(), ca: "c".into() },
            namespace: None,
            inbound: Some(InboundConfig { app, ports: vec![80], tunnel: any, clear: any, clear_ports: vec![] }),
            captured: None,
            outbound: vec![],
        }
    }

    fn calls(callee: &str, listen: bool) -> WorkloadConfig {
        let listen = listen.then(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let call = OutboundConfig { callee: callee.into(), listen };
        WorkloadConfig { outbound: vec![call], inbound: None, ..workload("entry") }
    }

    fn node(workloads: Vec<WorkloadConfig>) -> NodeProxyConfig {
        let admin = SocketAddr::from(([127, 0, 0, 1], 0));
        NodeProxyConfig { name: "node-proxy".into(), workers: 2, admin, user: None, workloads }
    }

    #[test]
    fn a_file_and_its_type_are_one() {
        let config = node(vec![calls("s1", true), workload("s1")]);
        config.check().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(NodeProxyConfig::read(file.path()).unwrap(), config);
        std::fs::write(file.path(), "{\n\"threads\":1}").unwrap();
        let said = NodeProxyConfig::read(file.path()).unwrap_err().to_string();
        assert!(said.contains("unknown field `threads`") && said.contains("line 2 column"), "{said}");
    }

    #[test]
    fn what_does_not_hold_together_is_refused_by_its_field() {
        for (bad, says) in [
            (NodeProxyConfig { workers: 0, ..node(vec![]) }, "workers: "),
            (node(vec![workload("s1"), workload("s1")]), "s1.name: "),
            (node(vec![WorkloadConfig { id: "spiffe://x/s1".into(), ..workload("s1") }]), "s1.id: 'spiffe://x/s1'"),
            (node(vec![calls("s2", true), workload("s1")]), "entry.outbound: 's2' is no workload"),
            (node(vec![calls("entry", true)]), "entry.outbound: 'entry' is no workload that can be called"),
            (node(vec![calls("s1", false), workload("s1")]), "entry.outbound: no connection to 's1'"),
        ] {
            let said = bad.check().unwrap_err().to_string();
            assert!(said.starts_with(&format!("node proxy node-proxy: {says}")), "{said}");
        }
    }
}
