//! Why a request got no response.

use std::fmt;
use std::net::SocketAddr;

use crate::handshakes::reason;

/// Why there is no response.
#[derive(Debug)]
pub(crate) enum Failure {
    Connect { address: SocketAddr, source: std::io::Error },
    Handshake { address: SocketAddr, source: std::io::Error },
    Exchange { address: SocketAddr, source: hyper::Error },
}

impl Failure {
    /// Whether the side we called is at fault, and not the body of the side that called us.
    pub(crate) fn is_upstreams(&self) -> bool {
        !matches!(self, Self::Exchange { source, .. } if source.is_user())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { address, source } => write!(f, "cannot connect to {address}: {source}"),
            Self::Handshake { address, source } => write!(f, "no TLS with {address}: {}", reason(source)),
            Self::Exchange { address, source } => {
                write!(f, "no response from {address}: {source}")?;
                let mut cause = std::error::Error::source(source);
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
        }
    }
}
