//! Combinations of factors that cannot be, each with the reason: they get no cell, and the run says so.

use record::{Dataplane, Entry, Factors, Mtls, Platform, Sidecars};

use crate::proxy;

/// Why a cell cannot be; none if it can.
pub(super) fn why_not(f: &Factors) -> Option<String> {
    if !f.meshed() {
        return None;
    }
    let own_port = f.own_port_mtls();
    let first = |condition: bool, reason: &str| condition.then(|| reason.to_owned());
    first(
        f.port_mtls.is_some() && f.platform == Platform::Processes,
        "a port's own mode needs services with several ports: --platform pods",
    )
    .or_else(|| {
        let plain = f.entry == Entry::Plain && own_port == Mtls::Strict;
        first(plain, "strict refuses a client outside of the mesh")
    })
    .or_else(|| {
        let plain = f.sidecars == Sidecars::Server && own_port == Mtls::Strict;
        first(plain, "strict refuses callers without a sidecar")
    })
    .or_else(|| {
        let clear = f.rotate_ns > 0 && own_port == Mtls::Disable;
        first(clear, "without mTLS there are no certificates to rotate")
    })
    .or_else(|| canary(f))
    .or_else(|| crate::cluster::elsewhere(f))
    .or_else(|| proxy::cannot(f))
}

/// A split is made by the proxy of whoever calls the service.
fn canary(f: &Factors) -> Option<String> {
    let canary = f.canary.as_ref()?;
    if f.sidecars == Sidecars::Server {
        return Some("callers without a sidecar cannot split requests".to_owned());
    }
    let at_entry = canary.service == "s1" && f.entry == Entry::Plain && f.dataplane != Dataplane::None;
    at_entry.then(|| "a client outside of the mesh cannot split requests to the first service".to_owned())
}
