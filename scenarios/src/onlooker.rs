//! Looking at the certificate that a proxy shows to its callers, as one of them.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::certs::Identity;

/// The serial number of a certificate, hexadecimal in lower case; none for what is no certificate.
pub(crate) fn serial_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    // DER puts a zero before a number whose first bit is set, which is no part of it (X.690, section 8.3).
    let digits = certificate.serial().iter().skip_while(|byte| **byte == 0);
    Some(digits.map(|byte| format!("{byte:02x}")).collect())
}

/// Does a handshake and says the serial number of the certificate that was shown.
///
/// # Errors
/// What the kernel says of the connection, and TLS of the handshake.
pub(crate) fn serial_shown(address: SocketAddr, as_whom: &Identity, patience: Duration) -> std::io::Result<String> {
    let unfit = |problem: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, problem.to_owned());
    let (certificate, key, authority) = as_whom.der().ok_or_else(|| unfit("our own identity cannot be read"))?;
    let mut roots = RootCertStore::empty();
    roots.add(authority).map_err(std::io::Error::other)?;
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OfTheRun { roots, provider }))
        .with_client_auth_cert(vec![certificate], key)
        .map_err(std::io::Error::other)?;
    // What is spoken between sidecars, and in tunnels.
    config.alpn_protocols = vec![b"istio-http/1.1".to_vec(), b"h2".to_vec()];
    config.enable_sni = false;
    let mut session =
        ClientConnection::new(Arc::new(config), ServerName::from(address.ip())).map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    let shown = session.peer_certificates().and_then(|chain| chain.first()).and_then(serial_of);
    session.send_close_notify();
    // It has been seen; whether the farewell arrives is of no interest.
    let _ = session.complete_io(&mut stream);
    shown.ok_or_else(|| unfit("no certificate was shown"))
}

/// Accepts every server with a certificate of the run's authority: a workload has no host name to verify.
#[derive(Debug)]
struct OfTheRun {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OfTheRun {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
