//! The configuration file of a sidecar.

use std::net::SocketAddr;
use std::path::Path;

use record::Mtls;
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
    /// How it speaks with other sidecars; with its own service it always speaks in clear.
    pub mtls: Mtls,
    /// The way of callers to its service.
    pub inbound: Option<InboundConfig>,
    /// The way of its service to the service it calls.
    pub outbound: Option<OutboundConfig>,
    /// Whom it is known as to other sidecars; needed under strict.
    pub identity: Option<IdentityFiles>,
    /// Where its counters are asked for.
    pub admin: SocketAddr,
}

/// The way of callers to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InboundConfig {
    /// Where callers' sidecars come in; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// The service.
    pub app: SocketAddr,
}

/// The way of a service to the one it calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboundConfig {
    /// Where the service calls; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// The inbound listener of the callee's sidecar.
    pub upstream: SocketAddr,
    /// The SPIFFE id that must be found there.
    pub peer: String,
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
        let refuse = |field: &str, problem: &str, remedy: &str| {
            Err(Error::Value {
                what: format!("sidecar {}: {field}", self.name),
                problem: problem.into(),
                remedy: remedy.into(),
            })
        };
        if self.workers == 0 {
            return refuse("workers", "it needs at least one", "1");
        }
        if self.inbound.is_none() && self.outbound.is_none() {
            return refuse("inbound and outbound", "both are null", "at least one of them");
        }
        if self.mtls == Mtls::Strict && self.identity.is_none() {
            return refuse("identity", "it is null, and mtls is strict", "the files of an identity, or mtls disable");
        }
        match &self.outbound {
            Some(out) if self.mtls == Mtls::Strict && !out.peer.starts_with(SPIFFE_PREFIX) => {
                refuse("outbound.peer", &format!("'{}' is no id of a run", out.peer), &format!("{SPIFFE_PREFIX}sa/s2"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"name":"s1-sidecar","workers":2,"mtls":"disable",
        "inbound":{"listen":"127.0.0.1:0","app":"127.0.0.1:80"},"outbound":null,"identity":null,"admin":"127.0.0.1:0"}"#;

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

    #[test]
    fn what_does_not_hold_together_is_refused_by_its_field() {
        let good = read(TEXT).unwrap();
        let outbound = |peer: &str| {
            let any = ([127, 0, 0, 1], 80).into();
            Some(OutboundConfig { listen: any, upstream: any, peer: peer.into() })
        };
        let files = IdentityFiles { chain: "a".into(), key: "b".into(), ca: "c".into() };
        for (bad, field) in [
            (SidecarConfig { workers: 0, ..good.clone() }, "workers"),
            (SidecarConfig { inbound: None, ..good.clone() }, "inbound and outbound"),
            (SidecarConfig { mtls: Mtls::Strict, ..good.clone() }, "identity"),
            (
                SidecarConfig {
                    mtls: Mtls::Strict,
                    identity: Some(files),
                    outbound: outbound("spiffe://elsewhere/x"),
                    ..good.clone()
                },
                "outbound.peer",
            ),
        ] {
            let said = bad.check().unwrap_err().to_string();
            assert!(said.starts_with(&format!("sidecar s1-sidecar: {field}: ")), "{said}");
        }
    }
}
