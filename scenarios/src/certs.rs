//! The certificates of a run: an authority that lives as long as the run, and an identity for each service.

mod handed;

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use crate::anew::write_anew;
use crate::error::file_error;
use crate::{Error, Result};
pub use handed::AuthorityKey;

/// What every SPIFFE id of a run begins with: the trust domain and namespace in which its services live.
pub const SPIFFE_PREFIX: &str = "spiffe://cluster.local/ns/meshtax/";

/// How long certificates hold: as long as Istio's, and longer than any run.
const VALID_FOR: Duration = Duration::from_secs(24 * 3600);

/// How much earlier than now they begin to hold, for a clock that is set back in mid-run.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// The name that an ingress gateway's certificate is for.
pub const GATEWAY_NAME: &str = "meshtax.test";

/// The SPIFFE id of a service, of the form that Istio gives to workloads.
pub fn spiffe_id(name: &str) -> String {
    format!("{SPIFFE_PREFIX}sa/{name}")
}

/// The DNS name of a service, of the form that Kubernetes gives to services.
pub(crate) fn dns_name(service: &str) -> String {
    format!("{service}.meshtax.svc.cluster.local")
}

/// The serial number of the certificate in a PEM file, hexadecimal.
///
/// # Errors
/// A file that cannot be read or holds no certificate.
pub(crate) fn serial_in(path: &Path) -> Result<String> {
    let der = CertificateDer::from_pem_file(path).ok();
    der.and_then(|der| crate::onlooker::serial_of(&der)).ok_or_else(|| Error::Certificate {
        name: path.display().to_string(),
        problem: "its serial number cannot be read".into(),
        remedy: "report this: it was made by meshtax".into(),
    })
}

/// A certificate authority of one run; its key is written nowhere.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    /// Whether services get a DNS name beside their SPIFFE id.
    names: bool,
}

impl Authority {
    /// Makes a new one, with a new key.
    ///
    /// # Errors
    /// When the system has no randomness to make a key from.
    pub fn new() -> Result<Self> {
        let fail = |e: rcgen::Error| certificate_error("the run's authority", &e);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(fail)?;
        let params = params();
        let certificate_pem = params.self_signed(&key).map_err(fail)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate_pem, names: false })
    }

    /// The same, giving every service a DNS name beside its SPIFFE id: for proxies that can verify nothing else.
    #[must_use]
    pub(crate) fn with_names(self) -> Self {
        Self { names: true, ..self }
    }

    /// The authority's own certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Makes the key and certificate of a service, good for both sides of a connection.
    ///
    /// # Errors
    /// A name that is no segment of a SPIFFE path.
    pub fn issue(&self, name: &str) -> Result<Identity> {
        // https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md#22-path
        let segment = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if name.is_empty() || name == "." || name == ".." || !name.bytes().all(segment) {
            return Err(Error::Certificate {
                name: format!("'{name}'"),
                problem: "the name cannot stand in a SPIFFE id".into(),
                remedy: "letters, digits, '.', '-' and '_'".into(),
            });
        }
        if !self.names {
            return self.sign(name, &spiffe_id(name));
        }
        let invalid = |e: rcgen::Error| certificate_error(name, &e);
        let uri = SanType::URI(spiffe_id(name).try_into().map_err(invalid)?);
        self.sign_for(name, vec![uri, SanType::DnsName(dns_name(name).try_into().map_err(invalid)?)])
    }

    /// Makes the key and certificate of a server for clients outside of the mesh, who know it by a DNS name.
    ///
    /// # Errors
    /// A name that is none.
    pub fn issue_server(&self, name: &str) -> Result<Identity> {
        let dns = |e: rcgen::Error| certificate_error(name, &e);
        self.sign_for(name, vec![SanType::DnsName(name.try_into().map_err(dns)?)])
    }

    /// Signs any id at all: what a run never does, and what a test of refusal needs.
    pub(crate) fn sign(&self, name: &str, spiffe_id: &str) -> Result<Identity> {
        let id = |e: rcgen::Error| certificate_error(name, &e);
        self.sign_for(name, vec![SanType::URI(spiffe_id.try_into().map_err(id)?)])
    }

    fn sign_for(&self, name: &str, who: Vec<SanType>) -> Result<Identity> {
        let fail = |e: rcgen::Error| certificate_error(name, &e);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(fail)?;
        let mut params = validity();
        params.subject_alt_names = who;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(fail)?;
        Ok(Identity {
            name: name.to_owned(),
            chain_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            ca_pem: self.certificate_pem.clone(),
        })
    }
}

/// What an authority is, but for its key.
fn params() -> CertificateParams {
    let mut params = validity();
    params.distinguished_name.push(DnType::CommonName, "meshtax run authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn validity() -> CertificateParams {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + VALID_FOR).into();
    params.distinguished_name = DistinguishedName::new();
    params
}

fn certificate_error(name: &str, error: &rcgen::Error) -> Error {
    Error::Certificate {
        name: name.to_owned(),
        problem: format!("it could not be made: {error}"),
        remedy: "report this: it needs nothing but randomness".into(),
    }
}

/// A service's key, its certificate, and the authority it trusts; all PEM.
pub struct Identity {
    name: String,
    chain_pem: String,
    key_pem: String,
    ca_pem: String,
}

/// Where an identity was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityFiles {
    /// Its certificate.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority that its peers' certificates must come from.
    pub ca: PathBuf,
}

impl Identity {
    /// The same under another name for its files: subsets of a service share its id, not its key.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The serial number of its certificate, hexadecimal.
    ///
    /// # Errors
    /// A certificate that is none, which would be our own mistake.
    pub fn serial(&self) -> Result<String> {
        let der = CertificateDer::from_pem_slice(self.chain_pem.as_bytes());
        let serial = der.ok().and_then(|der| crate::onlooker::serial_of(&der));
        serial.ok_or_else(|| Error::Certificate {
            name: self.name.clone(),
            problem: "its serial number cannot be read".into(),
            remedy: "report this: it was made by meshtax".into(),
        })
    }

    /// The certificate, its key and its authority, PEM.
    pub(crate) fn pems(&self) -> (&str, &str, &str) {
        (&self.chain_pem, &self.key_pem, &self.ca_pem)
    }

    /// The certificate and its key, DER.
    pub(crate) fn der(&self) -> Option<(CertificateDer<'static>, PrivateKeyDer<'static>, CertificateDer<'static>)> {
        let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).ok();
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).ok()?;
        Some((certificate(&self.chain_pem)?, key, certificate(&self.ca_pem)?))
    }

    /// Puts it in the place of one that was written with the same name, each file by rename, the key first and the
    /// certificate last; `prepare` is called for each file before that.
    ///
    /// # Errors
    /// What the kernel says of the disk, and those of `prepare`.
    pub fn replace(&self, directory: &Path, prepare: impl Fn(&Path) -> Result<()>) -> Result<()> {
        for (suffix, mode, text) in
            [("key", 0o600, &self.key_pem), ("ca", 0o644, &self.ca_pem), ("chain", 0o644, &self.chain_pem)]
        {
            let path = directory.join(format!("{}.{suffix}.pem", self.name));
            let next = directory.join(format!("{}.{suffix}.pem.next", self.name));
            write_anew(&next, mode, text.as_bytes())?;
            prepare(&next)?;
            std::fs::rename(&next, &path).map_err(file_error("replace", &path))?;
        }
        Ok(())
    }

    /// Writes `NAME.chain.pem`, `NAME.key.pem` and `NAME.ca.pem`. The key is unreadable for others from its first
    /// byte on, and so is the directory, which is made when it isn't there.
    ///
    /// # Errors
    /// A directory that others may enter; files that are there already; what the kernel says of the disk.
    pub fn write(&self, directory: &Path) -> Result<IdentityFiles> {
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(file_error("create", directory)(e));
            }
            _ => {}
        }
        let mode = directory.metadata().map_err(file_error("read", directory))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::Certificate {
                name: self.name.clone(),
                problem: format!("keys would lie in {}, which others may enter", directory.display()),
                remedy: format!("chmod 700 {}, or a directory of its own", directory.display()),
            });
        }
        let write = |suffix: &str, mode: u32, text: &str| -> Result<PathBuf> {
            let path = directory.join(format!("{}.{suffix}.pem", self.name));
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&path)
                .map_err(file_error("create", &path))?;
            file.write_all(text.as_bytes()).map_err(file_error("write", &path))?;
            Ok(path)
        };
        Ok(IdentityFiles {
            chain: write("chain", 0o644, &self.chain_pem)?,
            key: write("key", 0o600, &self.key_pem)?,
            ca: write("ca", 0o644, &self.ca_pem)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_the_form_istio_gives() {
        assert_eq!(spiffe_id("s1"), "spiffe://cluster.local/ns/meshtax/sa/s1");
    }

    #[test]
    fn a_name_that_would_change_the_id_is_refused() {
        let authority = Authority::new().unwrap();
        for name in ["", ".", "..", "a/b", "s1/../s2", "s 1", "s1?", "sé"] {
            let said = authority.issue(name).map(|_| ()).unwrap_err().to_string();
            assert!(said.contains(&format!("'{name}'")) && said.contains("try: "), "{said}");
        }
    }
}
