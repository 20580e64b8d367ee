//! What a sidecar speaks TLS with: made from the files of its identity at the start, and again when they were replaced.

use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};

use super::config::SidecarConfig;
use crate::Result;
use crate::proxy::credentials::Credentials;

/// What sidecars of Istio agree on for bytes that are no HTTP.
pub(super) const ALPN_BYTES: &[u8] = b"istio";

/// What a sidecar of Istio offers for HTTP/1.1: to another sidecar, to one that only carries bytes, to any server.
const ALPN_HTTP: [&[u8]; 3] = [b"istio-http/1.1", ALPN_BYTES, b"http/1.1"];

/// The keys of one identity, in every form they are needed in.
#[derive(Default)]
pub(super) struct Keys {
    /// For callers in the mesh.
    pub(super) server: Option<Arc<ServerConfig>>,
    /// For clients at a gateway's door.
    pub(super) door: Option<Arc<ServerConfig>>,
    /// For each callee.
    pub(super) callees: Vec<Option<ToCallee>>,
    /// The serial number of the certificate that is shown, hexadecimal.
    pub(super) serial: Option<String>,
}

/// How a callee is spoken to with TLS.
#[derive(Clone)]
pub(super) struct ToCallee {
    pub(super) http: Arc<ClientConfig>,
    pub(super) bytes: Arc<ClientConfig>,
}

impl Keys {
    /// Reads the keys of a configuration that was checked.
    pub(super) fn read(config: &SidecarConfig) -> Result<Self> {
        let mut keys = Self::default();
        let callees = config.outbound.iter().flat_map(|out| &out.callees);
        let own = config.identity.as_ref().map(Credentials::read).transpose()?;
        for callee in callees {
            keys.callees.push(match (&own, &callee.peer) {
                (Some(own), Some(peer)) => Some(ToCallee {
                    http: Arc::new(own.client(peer, &ALPN_HTTP)?),
                    bytes: Arc::new(own.client(peer, &[ALPN_BYTES])?),
                }),
                _ => None,
            });
        }
        if let Some(own) = own {
            keys.server = config.inbound.is_some().then(|| own.server(&ALPN_HTTP)).transpose()?.map(Arc::new);
            keys.serial = own.serial();
        }
        if let Some(door) = config.outbound.as_ref().and_then(|out| out.door.as_ref()) {
            keys.door = Some(Arc::new(Credentials::read(&door.identity)?.door()?));
        }
        Ok(keys)
    }
}
