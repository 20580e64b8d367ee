//! No proxy: services call one another directly, and that is proven too.

use std::net::SocketAddr;

use record::Proof;

use super::proof::claim;
use crate::Result;

/// Whom a service said it calls.
pub(crate) struct Call {
    /// The service.
    pub(crate) caller: String,
    /// Where it said its requests go.
    pub(crate) said: SocketAddr,
    /// Who listens there, as far as we know: "s2", "s1-sidecar".
    pub(crate) listens: String,
    /// Who should.
    pub(crate) callee: String,
}

/// Proves whom each service calls: without sidecars the next service itself.
///
/// # Errors
/// [`crate::Error::Unproven`] for a service that calls someone else.
pub(crate) fn prove(calls: &[Call]) -> Result<Vec<Proof>> {
    calls
        .iter()
        .map(|call| claim(&call.caller, "calls", &call.callee, &call.listens, &format!("its answer, {}", call.said)))
        .collect()
}
