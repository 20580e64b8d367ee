//! What TLS is to prove: the server by trusted roots and its name or SPIFFE identity, ourselves by a certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::target::Target;
use crate::transport::Secure;
use crate::{Error, Result};

/// What TLS is to prove, and how. Without anything here the server is verified against the roots of the system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Trusted roots in PEM, instead of those of the system.
    pub roots: Option<PathBuf>,
    /// Our certificate chain in PEM, and its key.
    pub own: Option<(PathBuf, PathBuf)>,
    /// The name to ask for and to verify, instead of the URL's host.
    pub name: Option<String>,
    /// The SPIFFE identity to verify instead of a name: `spiffe://domain/path`.
    pub spiffe: Option<String>,
    /// Verify nothing.
    pub insecure: bool,
}

impl Trust {
    /// The set-up for the endpoint of a target, speaking one of these protocols above TLS.
    pub(crate) fn secure(&self, target: &Target, alpn: &[&[u8]]) -> Result<Secure> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::Tls(e.to_string()))?;
        let verifier = self.verifier(provider)?;
        let wants_own = versions.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &self.own {
            Some((chain, key)) => {
                let certificates = certificates(chain)?;
                let read_key = PrivateKeyDer::from_pem_file(key).map_err(|e| unfit(key, &e, KEY))?;
                wants_own.with_client_auth_cert(certificates, read_key).map_err(|e| unfit(key, &e, KEY))?
            }
            None => wants_own.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        let name = self.name.as_deref().unwrap_or(&target.host).to_owned();
        let name = ServerName::try_from(name.clone()).map_err(|_| Error::Plan {
            what: "the name for TLS",
            found: format!("{name:?}"),
            remedy: "it must be a host name or an address, as in --sni example.com",
        })?;
        Ok(Secure { config: Arc::new(config), name })
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
        if self.insecure {
            return Ok(Arc::new(Nothing(provider)));
        }
        let mut roots = RootCertStore::empty();
        match &self.roots {
            Some(path) => {
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|e| unfit(path, &e, ROOTS))?;
                }
            }
            None => {
                // Some of a system's roots may be of a form nobody reads; those that can be are enough.
                let found = rustls_native_certs::load_native_certs().certs;
                roots.add_parsable_certificates(found);
            }
        }
        if roots.is_empty() {
            let none =
                "this system has no trusted roots; give some with --cacert FILE, or --insecure to verify nothing";
            return Err(Error::Tls(none.to_owned()));
        }
        let roots = Arc::new(roots);
        match &self.spiffe {
            Some(identity) if !identity.starts_with("spiffe://") => Err(Error::Plan {
                what: "the SPIFFE identity",
                found: format!("{identity:?}"),
                remedy: "it must be one such as spiffe://cluster.local/ns/default/sa/web",
            }),
            Some(identity) => {
                let algorithms = provider.signature_verification_algorithms;
                Ok(Arc::new(Identity { wanted: identity.clone(), roots, algorithms }))
            }
            None => {
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
                Ok(verifier.map_err(|e| Error::Tls(e.to_string()))?)
            }
        }
    }
}

const KEY: &str = "a PEM file with the key that belongs to the certificate";
const ROOTS: &str = "a PEM file with certificates, as in --cacert ca.pem";

fn unfit(path: &Path, problem: &dyn std::fmt::Display, remedy: &'static str) -> Error {
    Error::Credential { path: path.to_owned(), problem: problem.to_string(), remedy }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let found = read.map_err(|e| unfit(path, &e, ROOTS))?;
    if found.is_empty() {
        return Err(unfit(path, &"there is no certificate in it", ROOTS));
    }
    Ok(found)
}

/// Takes every server for the right one.
#[derive(Debug)]
struct Nothing(Arc<CryptoProvider>);

/// Verifies the chain as usual, and an identity in the certificate's URI names instead of its host name.
#[derive(Debug)]
struct Identity {
    wanted: String,
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Identity {
    fn another(&self, found: &str) -> rustls::Error {
        rustls::Error::General(format!("the server is {found}, and should be {}", self.wanted))
    }
}

impl ServerCertVerifier for Nothing {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Identity {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, between, now, self.algorithms.all)?;
        let parsed = webpki::EndEntityCert::try_from(certificate)
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        // An identity document holds one and no more (X509-SVID, section 2).
        let found: Vec<&str> = parsed.valid_uri_names().collect();
        match found[..] {
            [only] if only == self.wanted => Ok(ServerCertVerified::assertion()),
            [] => Err(self.another("without an identity")),
            _ => Err(self.another(&found.join(", "))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
