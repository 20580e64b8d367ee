//! Bytes passed on as they come, in both directions, until both sides have ended.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio_rustls::TlsConnector;

use crate::upstream::{Failure, Meter, dial, secure};

/// Where they go.
pub(super) struct Onward {
    pub(super) address: SocketAddr,
    /// The address from which the connection is made; none leaves it to the kernel.
    pub(super) from: Option<IpAddr>,
    /// With what TLS is spoken there; none is in clear.
    pub(super) tls: Option<TlsConnector>,
    pub(super) meter: Arc<Meter>,
}

/// Passes them on.
///
/// # Errors
/// That there was nobody to pass them to. How either side ends is for the other to see.
pub(super) async fn pass<T>(mut stream: T, onward: Onward) -> Result<(), Failure>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let Onward { address, from, tls, meter } = onward;
    let mut callee = dial(address, from, &meter).await?;
    match tls {
        None => drop(copy_bidirectional(&mut stream, &mut callee).await),
        Some(connector) => {
            let mut callee = secure(&connector, address, callee, &meter).await?;
            drop(copy_bidirectional(&mut stream, &mut callee).await);
        }
    }
    Ok(())
}
