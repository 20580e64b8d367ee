//! The two sides of mTLS between our proxies, and the one of a gateway, from the files of an identity.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::spiffe::{AnyWorkload, ExactPeer};
use crate::certs::IdentityFiles;
use crate::onlooker::serial_of;
use crate::{Error, Result};

/// An identity that was read.
pub(in crate::proxy) struct Credentials {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl Credentials {
    pub(in crate::proxy) fn read(files: &IdentityFiles) -> Result<Self> {
        let chain = certificates(&files.chain)?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| unfit(&files.key, &e))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&files.ca)? {
            roots.add(certificate).map_err(|e| unfit(&files.ca, &e))?;
        }
        Ok(Self { chain, key, roots, provider: Arc::new(ring::default_provider()) })
    }

    /// The serial number of the certificate, hexadecimal.
    pub(in crate::proxy) fn serial(&self) -> Option<String> {
        self.chain.first().and_then(serial_of)
    }

    /// The inbound side, for these protocols: a client certificate of the run is a must. No tickets are given out, so that
    /// every connection is verified and counted.
    pub(in crate::proxy) fn server(&self, alpn: &[&[u8]]) -> Result<ServerConfig> {
        let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots.clone()), self.provider.clone())
            .build()
            .map_err(|e| unusable(&e))?;
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(|e| unusable(&e))?
            .with_client_cert_verifier(Arc::new(AnyWorkload { chain }))
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|e| unusable(&e))?;
        config.alpn_protocols = protocols(alpn);
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// The side of a gateway towards clients outside of the mesh: nothing is asked of them.
    pub(in crate::proxy) fn door(&self) -> Result<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|e| unusable(&e))?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|e| unusable(&e))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// The outbound side, offering these protocols: it shows its certificate and wants to see that of one peer.
    pub(in crate::proxy) fn client(&self, peer: &str, alpn: &[&[u8]]) -> Result<ClientConfig> {
        let verifier = ExactPeer {
            id: peer.to_owned(),
            roots: self.roots.clone(),
            algorithms: self.provider.signature_verification_algorithms,
        };
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(|e| unusable(&e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|e| unusable(&e))?;
        config.alpn_protocols = protocols(alpn);
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(config)
    }
}

fn protocols(alpn: &[&[u8]]) -> Vec<Vec<u8>> {
    alpn.iter().map(|protocol| protocol.to_vec()).collect()
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
