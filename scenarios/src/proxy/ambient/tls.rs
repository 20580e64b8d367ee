//! The two ends of a tunnel's mTLS, from the files of a workload's identity.

use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};

use crate::Result;
use crate::certs::IdentityFiles;
use crate::proxy::credentials::Credentials;

/// What is spoken in a tunnel's connection.
const ALPN: [&[u8]; 1] = [b"h2"];

/// An identity that was read.
pub(super) struct TunnelEnds {
    own: Credentials,
    server: Arc<ServerConfig>,
}

impl TunnelEnds {
    pub(super) fn read(files: &IdentityFiles) -> Result<Self> {
        let own = Credentials::read(files)?;
        let server = Arc::new(own.server(&ALPN)?);
        Ok(Self { own, server })
    }

    /// The callee's end.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// The caller's end, towards one peer.
    pub(super) fn client(&self, peer: &str) -> Result<ClientConfig> {
        self.own.client(peer, &ALPN)
    }
}
