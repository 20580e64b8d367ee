//! The configuration file of a sidecar.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use record::{AccessLog, Mtls, Protocol};
use serde::{Deserialize, Serialize};

use crate::certs::{IdentityFiles, SPIFFE_PREFIX};
use crate::error::file_error;
use crate::{Error, Result};

/// What a sidecar is; the content of its configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SidecarConfig {
    /// Its name in messages: "s1-sidecar".
    pub name: String,
    /// Worker threads.
    pub workers: u32,
    /// What it knows of connections beforehand: that they carry HTTP/1.1, or nothing.
    pub protocol: Protocol,
    /// Tries that it adds when a connection cannot be made, or ends before a request was written to it.
    pub retries: u32,
    /// Requests after which it closes a connection that it made; 0 is no bound.
    pub requests_per_connection: u32,
    /// The way of callers to its service.
    pub inbound: Option<InboundConfig>,
    /// The way of its service to the services it calls.
    pub outbound: Option<OutboundConfig>,
    /// Whom it is known as to other sidecars; needed wherever mTLS is spoken.
    pub identity: Option<IdentityFiles>,
    /// Its access log; none writes nothing.
    pub access_log: Option<LogConfig>,
    /// Where its counters are asked for.
    pub admin: SocketAddr,
    /// The file in which it says where it listens, once it does; none says it on standard output.
    pub ready: Option<PathBuf>,
}

/// The way of callers to a service. With its own service a sidecar always speaks in clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InboundConfig {
    /// Where callers come in; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// Whether connections were meant for another address (SO_ORIGINAL_DST), which then tells the port of the service.
    /// Otherwise all are for the first.
    pub redirected: bool,
    /// The service's ports; of them the first is its own.
    pub ports: Vec<PortConfig>,
    /// How callers of ports that are not named are let in.
    pub mtls: Mtls,
    /// The address from which connections to the service are made; none leaves it to the kernel.
    pub from: Option<IpAddr>,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortConfig {
    /// Where the service takes requests; redirected connections to it were meant for this address.
    pub app: SocketAddr,
    /// How its callers are let in.
    pub mtls: Mtls,
}

/// The way of a service to those it calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboundConfig {
    /// Where redirected connections come in, whose callee is told by the address they were meant for; those meant for
    /// nobody who is known are passed through. None where each callee has a listener of its own.
    pub capture: Option<SocketAddr>,
    /// Where clients outside of the mesh come in, as at an ingress gateway; all their requests go to the only callee.
    pub door: Option<DoorConfig>,
    /// Who is called.
    pub callees: Vec<CalleeConfig>,
}

/// A service that is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalleeConfig {
    /// Its name: "s2".
    pub service: String,
    /// Where the service calls it; port 0 lets the kernel choose. None where its connections are captured.
    pub listen: Option<SocketAddr>,
    /// The address by which callers know it.
    pub address: SocketAddr,
    /// The SPIFFE id that must be found there, with mTLS; none speaks in clear.
    pub peer: Option<String>,
    /// Among which of its subsets requests are drawn; never empty.
    pub subsets: Vec<SubsetConfig>,
}

/// A subset of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubsetConfig {
    /// "v1"; empty where there is only one.
    pub name: String,
    /// Its share is its weight over the sum of all.
    pub weight: u32,
    /// Where connections to it go.
    pub address: SocketAddr,
}

/// The door of an ingress gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoorConfig {
    /// Where clients come in, with TLS; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// What is shown to them. Nothing is asked of them.
    pub identity: IdentityFiles,
}

/// An access log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Its form; off is no form of a log.
    pub form: AccessLog,
    /// The file that lines are added to; none is standard output.
    pub file: Option<PathBuf>,
    /// How often what was buffered is written out.
    pub flush_ns: u64,
    /// How much a worker buffers before it is written out, in units of 1024 bytes.
    pub flush_kb: u32,
}

impl SidecarConfig {
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
        if self.workers == 0 {
            return self.refuse("workers", "it needs at least one", "1");
        }
        if self.inbound.is_none() && self.outbound.is_none() {
            return self.refuse("inbound and outbound", "both are null", "at least one of them");
        }
        if let Some(inbound) = &self.inbound {
            self.check_inbound(inbound)?;
        }
        if let Some(outbound) = &self.outbound {
            self.check_outbound(outbound)?;
        }
        match &self.access_log {
            Some(log) if log.form == AccessLog::Off => {
                self.refuse("access_log.form", "off is no form", "text or json, or an access_log of null")
            }
            Some(log) if log.flush_ns == 0 => {
                self.refuse("access_log.flush_ns", "0 would never rest", "1000000000, which is Istio's second")
            }
            _ => Ok(()),
        }
    }

    fn check_inbound(&self, inbound: &InboundConfig) -> Result<()> {
        if inbound.ports.is_empty() {
            return self.refuse("inbound.ports", "there is none", "the address of the service");
        }
        let secured = inbound.mtls != Mtls::Disable || inbound.ports.iter().any(|port| port.mtls != Mtls::Disable);
        if secured && self.identity.is_none() {
            return self.refuse("identity", "it is null, and callers come with mTLS", "the files of an identity");
        }
        Ok(())
    }

    fn check_outbound(&self, outbound: &OutboundConfig) -> Result<()> {
        if outbound.callees.is_empty() {
            return self.refuse("outbound.callees", "there is none", "whom the service calls, or an outbound of null");
        }
        if outbound.door.is_some() && (self.inbound.is_some() || outbound.callees.len() > 1) {
            let problem = "a gateway has no service beside it and one behind it";
            return self.refuse("outbound.door", problem, "an inbound of null and one callee");
        }
        for callee in &outbound.callees {
            let field = |name: &str| format!("outbound.callees.{}.{name}", callee.service);
            if callee.listen.is_none() && outbound.capture.is_none() && outbound.door.is_none() {
                return self.refuse(&field("listen"), "nobody could call it", "127.0.0.1:0");
            }
            if callee.subsets.iter().try_fold(0, |sum: u32, s| sum.checked_add(s.weight)).is_none_or(|sum| sum == 0) {
                return self.refuse(&field("subsets"), "their weights add up to nothing", "one with a weight of 1");
            }
            match &callee.peer {
                Some(peer) if !peer.starts_with(SPIFFE_PREFIX) => {
                    let problem = format!("'{peer}' is no id of a run");
                    return self.refuse(&field("peer"), &problem, &format!("{SPIFFE_PREFIX}sa/s2"));
                }
                Some(_) if self.identity.is_none() => {
                    let problem = format!("it is null, and {} is called with mTLS", callee.service);
                    return self.refuse("identity", &problem, "the files of an identity, or a peer of null");
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn refuse(&self, field: &str, problem: &str, remedy: &str) -> Result<()> {
        Err(Error::Value {
            what: format!("sidecar {}: {field}", self.name),
            problem: problem.into(),
            remedy: remedy.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"name":"s1-sidecar","workers":2,"protocol":"http","retries":2,"requests_per_connection":0,
        "inbound":{"listen":"127.0.0.1:0","redirected":false,"mtls":"disable","from":null,
            "ports":[{"app":"127.0.0.1:80","mtls":"disable"}]},
        "outbound":null,"identity":null,"access_log":null,"admin":"127.0.0.1:0","ready":null}"#;

    fn read(text: &str) -> Result<SidecarConfig> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        SidecarConfig::read(file.path())
    }

    #[test]
    fn a_file_and_its_type_are_one() {
        let config = read(TEXT).unwrap();
        assert_eq!(config.workers, 2);
        assert_eq!(read(&serde_json::to_string(&config).unwrap()).unwrap(), config);
        config.check().unwrap();
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place() {
        let said = read(&TEXT.replace("\"workers\"", "\"threads\"")).unwrap_err().to_string();
        assert!(said.contains("unknown field `threads`") && said.contains("line 1 column"), "{said}");
    }

    fn outbound(peer: Option<&str>, weight: u32) -> OutboundConfig {
        let any = ([127, 0, 0, 1], 80).into();
        let callee = CalleeConfig {
            service: "s2".into(),
            listen: Some(any),
            address: any,
            peer: peer.map(str::to_owned),
            subsets: vec![SubsetConfig { name: String::new(), weight, address: any }],
        };
        OutboundConfig { capture: None, door: None, callees: vec![callee] }
    }

    #[test]
    fn what_does_not_hold_together_is_refused_by_its_field() {
        let good = read(TEXT).unwrap();
        let files = IdentityFiles { chain: "a".into(), key: "b".into(), ca: "c".into() };
        let with = |outbound| SidecarConfig { outbound: Some(outbound), ..good.clone() };
        let known = |outbound| SidecarConfig { identity: Some(files.clone()), ..with(outbound) };
        let inbound = |change: fn(&mut InboundConfig)| {
            let mut inbound = good.inbound.clone().unwrap();
            change(&mut inbound);
            SidecarConfig { inbound: Some(inbound), ..good.clone() }
        };
        let log = LogConfig { form: AccessLog::Text, file: None, flush_ns: 1, flush_kb: 64 };
        let door = DoorConfig { listen: ([127, 0, 0, 1], 0).into(), identity: files.clone() };
        let id = format!("{SPIFFE_PREFIX}sa/s2");
        known(outbound(Some(&id), 1)).check().unwrap();
        let mut unheard = outbound(None, 1);
        unheard.callees[0].listen = None;
        for (bad, field) in [
            (SidecarConfig { workers: 0, ..good.clone() }, "workers"),
            (SidecarConfig { inbound: None, ..good.clone() }, "inbound and outbound"),
            (inbound(|i| i.ports.clear()), "inbound.ports"),
            (inbound(|i| i.mtls = Mtls::Permissive), "identity"),
            (inbound(|i| i.ports[0].mtls = Mtls::Strict), "identity"),
            (with(OutboundConfig { callees: vec![], ..outbound(None, 1) }), "outbound.callees"),
            (with(OutboundConfig { door: Some(door), ..outbound(None, 1) }), "outbound.door"),
            (with(unheard), "outbound.callees.s2.listen"),
            (with(outbound(None, 0)), "outbound.callees.s2.subsets"),
            (with(outbound(Some(&id), 1)), "identity"),
            (known(outbound(Some("spiffe://elsewhere/x"), 1)), "outbound.callees.s2.peer"),
            (
                SidecarConfig { access_log: Some(LogConfig { form: AccessLog::Off, ..log.clone() }), ..good.clone() },
                "access_log.form",
            ),
            (
                SidecarConfig { access_log: Some(LogConfig { flush_ns: 0, ..log }), ..good.clone() },
                "access_log.flush_ns",
            ),
        ] {
            let said = bad.check().unwrap_err().to_string();
            assert!(said.starts_with(&format!("sidecar s1-sidecar: {field}: ")), "{said}");
        }
    }
}
