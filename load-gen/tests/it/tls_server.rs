//! Certificates for tests, and a server that speaks TLS in blocking threads.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use load_gen::Trust;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::raw::{Listening, Requests, say};
use crate::server::ok;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// An authority, with the directory in which all that it issues lies.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    dir: tempfile::TempDir,
    issued: AtomicU64,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

/// How long a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Now,
    UntilYesterday,
}

fn params(holds: Holds) -> CertificateParams {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.not_before = (now - 9 * DAY).into();
    params.not_after = if holds == Holds::Now { now + DAY } else { now - DAY }.into();
    params
}

pub(crate) fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

pub(crate) fn uri(id: &str) -> SanType {
    SanType::URI(id.try_into().unwrap())
}

pub(crate) fn loopback() -> SanType {
    SanType::IpAddress([127, 0, 0, 1].into())
}

impl Authority {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("authority {}", NUMBER.fetch_add(1, Ordering::SeqCst));
        let key = KeyPair::generate().unwrap();
        let mut params = params(Holds::Now);
        // Two of one name would be told apart by a signature only.
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        let certificate = certificate.der().clone();
        Self { issuer: Issuer::new(params, key), certificate, dir, issued: AtomicU64::new(0) }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Trust in this authority.
    pub(crate) fn trusted(&self) -> Trust {
        Trust { roots: Some(self.dir.path().join("ca.pem")), ..Trust::default() }
    }

    pub(crate) fn issue(&self, names: &[SanType], holds: Holds) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = params(holds);
        params.subject_alt_names = names.to_vec();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let number = self.issued.fetch_add(1, Ordering::SeqCst);
        let identity = Identity {
            chain: self.dir.path().join(format!("{number}.chain.pem")),
            key: self.dir.path().join(format!("{number}.key.pem")),
        };
        std::fs::write(&identity.chain, certificate.pem()).unwrap();
        std::fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }

    /// The set-up of a server of that identity; with `asks`, clients must show one of this authority's.
    pub(crate) fn config(&self, identity: &Identity, asks: bool, alpn: &[&str]) -> ServerConfig {
        self.config_for(identity, asks, alpn, rustls::ALL_VERSIONS)
    }

    pub(crate) fn config_for(
        &self,
        identity: &Identity,
        asks: bool,
        alpn: &[&str],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
        let builder = if asks {
            let mut roots = RootCertStore::empty();
            roots.add(self.certificate.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_file(&identity.chain).unwrap()];
        let mut config = builder.with_single_cert(chain, PrivateKeyDer::from_pem_file(&identity.key).unwrap()).unwrap();
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        config
    }
}

/// What to do with a request, once it is answered or instead.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn {
    Answer,
    /// Answer, and close the socket without a word of TLS.
    AnswerAndCut,
    /// Answer, and say goodbye as TLS does.
    AnswerAndClose,
    /// Send TLS's fatal alert.
    Alert,
    /// Send half an answer, and say goodbye as TLS does.
    Half,
}

/// The name that was asked for, and the protocol agreed on.
type Hello = (Option<String>, Option<String>);

/// A server of HTTP/1.1 over TLS.
pub(crate) struct TlsServer {
    pub(crate) listening: Listening,
    pub(crate) hellos: Arc<Mutex<Vec<Hello>>>,
    pub(crate) requests: Arc<AtomicU64>,
}

impl TlsServer {
    pub(crate) fn start(config: ServerConfig, script: impl Fn(u64) -> Turn + Send + Sync + 'static) -> Self {
        let (hellos, requests) = (Arc::new(Mutex::default()), Arc::new(AtomicU64::new(0)));
        let config = Arc::new(config);
        let listening = Listening::start({
            let (hellos, requests) = (Arc::clone(&hellos), Arc::clone(&requests));
            move |stream| serve(stream, &config, &hellos, &requests, &script)
        });
        Self { listening, hellos, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}/", self.listening.address())
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
    hellos: &Mutex<Vec<Hello>>,
    requests: &AtomicU64,
    script: &impl Fn(u64) -> Turn,
) {
    let mut connection = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = stream;
    while connection.is_handshaking() {
        if connection.complete_io(&mut stream).is_err() {
            // The alert, as far as it was not written.
            let _ = connection.write_tls(&mut stream);
            return;
        }
    }
    let agreed = connection.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned());
    hellos.lock().unwrap().push((connection.server_name().map(str::to_owned), agreed));
    let mut asked = Requests::of(StreamOwned::new(connection, stream));
    while asked.next().is_some() {
        let turn = script(requests.fetch_add(1, Ordering::SeqCst));
        let tls = &mut asked.stream;
        match turn {
            Turn::Answer | Turn::AnswerAndCut | Turn::AnswerAndClose => {
                say(tls, &ok());
            }
            Turn::Half => {
                say(tls, &ok()[..30]);
            }
            Turn::Alert => {
                // What no peer can have sent: TLS itself ends the connection, and says so.
                let mut nonsense = &[&[0x17, 3, 3, 0, 32][..], &[7; 32]].concat()[..];
                tls.conn.read_tls(&mut nonsense).unwrap();
                assert!(tls.conn.process_new_packets().is_err());
                let _ = tls.conn.write_tls(&mut tls.sock);
                return;
            }
        }
        match turn {
            Turn::AnswerAndClose | Turn::Half => {
                tls.conn.send_close_notify();
                let _ = tls.flush();
                return;
            }
            Turn::AnswerAndCut => return,
            _ => {}
        }
    }
}
