//! Who is on the other side: certificates of the run's authority, told apart by the SPIFFE id in their URI SAN.
//!
//! rustls verifies host names, and a workload's certificate has none; so the chain is verified by webpki as always,
//! and the name by the rules of <https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md>.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};

use crate::certs::SPIFFE_PREFIX;
use crate::handshakes::spiffe_id_of;

/// A certificate of the right authority and for the wrong peer.
#[derive(Debug, thiserror::Error)]
#[error("the peer is {}, and must be {expected}", found.as_deref().unwrap_or("without a SPIFFE id"))]
struct WrongPeer {
    found: Option<String>,
    expected: String,
}

fn wrong_peer(found: Option<String>, expected: String) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(WrongPeer { found, expected }))))
}

/// Accepts one peer only.
#[derive(Debug)]
pub(in crate::proxy) struct ExactPeer {
    pub(in crate::proxy) id: String,
    pub(in crate::proxy) roots: RootCertStore,
    pub(in crate::proxy) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ExactPeer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, self.algorithms.all)?;
        match spiffe_id_of(end_entity) {
            Some(id) if id == self.id => Ok(ServerCertVerified::assertion()),
            found => Err(wrong_peer(found, self.id.clone())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Accepts every workload of the run, and nobody without a certificate.
#[derive(Debug)]
pub(in crate::proxy) struct AnyWorkload {
    pub(in crate::proxy) chain: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for AnyWorkload {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        match spiffe_id_of(end_entity) {
            Some(id) if id.starts_with(SPIFFE_PREFIX) => Ok(verified),
            found => Err(wrong_peer(found, format!("{SPIFFE_PREFIX}..."))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustls::crypto::ring;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::server::WebPkiClientVerifier;

    use super::*;
    use crate::certs::{Authority, spiffe_id};

    /// A certificate of a run's authority for any id at all, and that authority.
    fn signed(authority: &Authority, id: &str, directory: &Path) -> (CertificateDer<'static>, RootCertStore) {
        let files = authority.sign("x", id).unwrap().write(&directory.join("keys")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(files.ca).unwrap()).unwrap();
        (CertificateDer::from_pem_file(files.chain).unwrap(), roots)
    }

    fn accepted_from_a_caller(id: &str) -> Result<(), String> {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, roots) = signed(&Authority::new().unwrap(), id, directory.path());
        let provider = Arc::new(ring::default_provider());
        let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let verified = AnyWorkload { chain }.verify_client_cert(&certificate, &[], UnixTime::now());
        verified.map(|_| ()).map_err(|e| format!("{e:?}"))
    }

    fn accepted_as(expected: &str, id: &str) -> bool {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, roots) = signed(&Authority::new().unwrap(), id, directory.path());
        let algorithms = ring::default_provider().signature_verification_algorithms;
        let name = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
        ExactPeer { id: expected.to_owned(), roots, algorithms }
            .verify_server_cert(&certificate, &[], &name, &[], UnixTime::now())
            .is_ok()
    }

    #[test]
    fn a_caller_must_be_a_workload_of_a_run() {
        assert_eq!(accepted_from_a_caller(&spiffe_id("s1")), Ok(()));
        for id in ["spiffe://cluster.local/ns/other/sa/s1", "spiffe://elsewhere/ns/meshtax/sa/s1", "https://s1/"] {
            let said = accepted_from_a_caller(id).unwrap_err();
            assert!(said.contains(id) && said.contains(SPIFFE_PREFIX), "{said}");
        }
    }

    #[test]
    fn a_callee_must_be_the_one_and_no_prefix_or_suffix_of_it() {
        let s2 = spiffe_id("s2");
        assert!(accepted_as(&s2, &s2));
        for id in ["s", "s22", "S2"] {
            assert!(!accepted_as(&s2, &spiffe_id(id)), "{id}");
        }
    }

    #[test]
    fn a_certificate_that_has_expired_is_not_accepted() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, roots) = signed(&Authority::new().unwrap(), &spiffe_id("s2"), directory.path());
        let algorithms = ring::default_provider().signature_verification_algorithms;
        let tomorrow = UnixTime::since_unix_epoch(std::time::Duration::from_secs(UnixTime::now().as_secs() + 90_000));
        let name = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
        let verified = ExactPeer { id: spiffe_id("s2"), roots, algorithms }
            .verify_server_cert(&certificate, &[], &name, &[], tomorrow)
            .unwrap_err();
        assert!(matches!(
            verified,
            Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })
        ));
    }
}
