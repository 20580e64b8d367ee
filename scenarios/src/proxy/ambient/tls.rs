//! The two ends of a tunnel's mTLS, from the files of a workload's identity.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::certs::IdentityFiles;
use crate::proxy::embedded::spiffe::{AnyWorkload, ExactPeer};
use crate::{Error, Result};

/// What is spoken in a tunnel's connection.
const ALPN: &[u8] = b"h2";

/// An identity that was read.
pub(super) struct Credentials {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
    server: Arc<ServerConfig>,
}

impl Credentials {
    pub(super) fn read(files: &IdentityFiles) -> Result<Self> {
        let chain = certificates(&files.chain)?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| unfit(&files.key, &e))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&files.ca)? {
            roots.add(certificate).map_err(|e| unfit(&files.ca, &e))?;
        }
        let provider = Arc::new(ring::default_provider());
        let server = Arc::new(server(&chain, &key, &roots, &provider)?);
        Ok(Self { chain, key, roots, provider, server })
    }

    /// The callee's end: a client certificate of the run is a must. No tickets are given out, so that every connection
    /// is verified and counted.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// The caller's end: it shows its certificate and wants to see that of one peer.
    pub(super) fn client(&self, peer: &str) -> Result<ClientConfig> {
        let verifier = ExactPeer {
            id: peer.to_owned(),
            roots: self.roots.clone(),
            algorithms: self.provider.signature_verification_algorithms,
        };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|e| unusable(&e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|e| unusable(&e))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(config)
    }
}

fn server(
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
    roots: &RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<ServerConfig> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), Arc::clone(provider))
        .build()
        .map_err(|e| unusable(&e))?;
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| unusable(&e))?
        .with_client_cert_verifier(Arc::new(AnyWorkload { chain: verifier }))
        .with_single_cert(chain.to_vec(), key.clone_key())
        .map_err(|e| unusable(&e))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|e| unfit(path, &e))?;
    if found.is_empty() {
        return Err(unfit(path, &"there is no certificate in it"));
    }
    Ok(found)
}

fn unfit(path: &Path, problem: &dyn std::fmt::Display) -> Error {
    Error::Certificate {
        name: path.display().to_string(),
        problem: problem.to_string(),
        remedy: "a PEM file as `meshtax run` writes it for each service".into(),
    }
}

fn unusable(problem: &dyn std::fmt::Display) -> Error {
    Error::Certificate {
        name: "a workload's identity".into(),
        problem: problem.to_string(),
        remedy: "key, certificate and authority must belong together".into(),
    }
}
