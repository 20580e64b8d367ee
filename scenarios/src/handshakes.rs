//! TLS handshakes counted, by who was found on the other side.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, OtherError};

/// The SPIFFE id of a certificate: its URI SAN, if it has exactly one.
pub(crate) fn spiffe_id_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let mut uris = certificate.valid_uri_names();
    uris.next().filter(|_| uris.next().is_none()).map(str::to_owned)
}

/// Why a handshake failed. Our own reasons are an error within an error within an error, of which the outer ones
/// print what a debugger would.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(ours)))) => ours.to_string(),
        _ => error.to_string(),
    }
}

/// Handshakes of one worker in one direction.
#[derive(Default)]
pub(crate) struct Handshakes {
    failed: AtomicU64,
    /// Touched once in a connection's life, so a lock is cheap enough.
    peers: Mutex<BTreeMap<String, u64>>,
}

impl Handshakes {
    /// Counts one that succeeded, by the certificate that the peer showed.
    pub(crate) fn succeeded(&self, chain: Option<&[CertificateDer<'_>]>) {
        let id = chain.and_then(<[_]>::first).and_then(spiffe_id_of).unwrap_or_else(|| "unknown".to_owned());
        *self.peers.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default() += 1;
    }

    /// Counts one that failed.
    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    /// How many failed.
    pub(crate) fn failures(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Adds those that succeeded to the sum of others.
    pub(crate) fn add_to(&self, peers: &mut BTreeMap<String, u64>) {
        for (id, n) in self.peers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *peers.entry(id.clone()).or_default() += n;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::{Authority, spiffe_id};

    #[test]
    fn handshakes_are_counted_by_the_id_in_the_certificate() {
        use rustls::pki_types::pem::PemObject as _;
        let directory = tempfile::tempdir().unwrap();
        let files = Authority::new().unwrap().issue("s2").unwrap().write(&directory.path().join("keys")).unwrap();
        let certificate = CertificateDer::from_pem_file(files.chain).unwrap();
        let handshakes = Handshakes::default();
        handshakes.succeeded(Some(std::slice::from_ref(&certificate)));
        handshakes.succeeded(Some(&[certificate]));
        handshakes.succeeded(None);
        let mut peers = BTreeMap::from([(spiffe_id("s2"), 5)]);
        handshakes.add_to(&mut peers);
        assert_eq!(peers, BTreeMap::from([(spiffe_id("s2"), 7), ("unknown".to_owned(), 1)]));
    }
}
