//! Who an agent or a runner is: a key pair of its own in a directory that nobody else may enter.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// SHA-256 of a certificate: what is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

impl Fingerprint {
    /// Of a certificate.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate.as_ref());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }

    /// Reads what its `Display` writes.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let digits = text.trim().as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A key and its certificate.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// Where state is kept if nothing else is said.
///
/// # Errors
/// Without a home directory.
pub(crate) fn state_directory(said: Option<&Path>, who: &str) -> anyhow::Result<PathBuf> {
    if let Some(said) = said {
        return Ok(said.to_owned());
    }
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    let base = base.context("there is no home directory to keep keys in\n  try: --state DIR")?;
    Ok(base.join("meshtax").join(who))
}

/// Makes a directory that is ours alone, or takes one that is.
///
/// # Errors
/// When others may enter it, or it cannot be made.
pub(crate) fn private_directory(path: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot create {}\n  try: --state DIR", path.display()))?;
    let mode = path.metadata().with_context(|| format!("cannot read {}", path.display()))?.permissions().mode();
    anyhow::ensure!(
        mode & 0o077 == 0,
        "keys would lie in {}, which others may enter\n  try: chmod 700 {}, or --state DIR",
        path.display(),
        path.display()
    );
    Ok(())
}

impl Identity {
    /// The one of this directory, made where there is none yet.
    ///
    /// # Errors
    /// When the directory is not private, or its files are broken.
    pub(crate) fn of(directory: &Path) -> anyhow::Result<Self> {
        private_directory(directory)?;
        let (certificate, key) = (directory.join("certificate.pem"), directory.join("key.pem"));
        if !certificate.exists() {
            make(&certificate, &key)?;
        }
        let broken =
            |path: &Path| format!("{} is broken\n  try: remove it and key.pem, and pair again", path.display());
        Ok(Self {
            certificate: CertificateDer::from_pem_file(&certificate).with_context(|| broken(&certificate))?,
            key: PrivateKeyDer::from_pem_file(&key).with_context(|| broken(&key))?,
        })
    }

    /// What others pin.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }
}

/// The key first: a certificate without its key would be taken for an identity.
fn make(certificate: &Path, key: &Path) -> anyhow::Result<()> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).context("cannot make a key")?;
    let mut params = rcgen::CertificateParams::default();
    // It says nothing of who it is: its fingerprint does.
    params.distinguished_name = rcgen::DistinguishedName::new();
    let made = params.self_signed(&pair).context("cannot make a certificate")?;
    put(key, pair.serialize_pem().as_bytes())?;
    put(certificate, made.pem().as_bytes())
}

/// Writes a private file by way of a temporary one.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    let written = || -> std::io::Result<()> {
        let mut options = std::fs::File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("state/agent");
        let first = Identity::of(&at).unwrap().fingerprint();
        assert_eq!(Identity::of(&at).unwrap().fingerprint(), first);
        assert_eq!(Fingerprint::read(&first.to_string()), Some(first));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&at), mode(&at.join("key.pem"))), (0o700, 0o600));
        std::fs::set_permissions(&at, std::fs::Permissions::from_mode(0o755)).unwrap();
        let said = Identity::of(&at).unwrap_err().to_string();
        assert!(said.contains("others may enter") && said.contains("try: chmod 700"), "{said}");
    }

    #[test]
    fn what_is_no_fingerprint_is_none() {
        for text in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"é".repeat(32)] {
            assert_eq!(Fingerprint::read(text), None, "{text}");
        }
    }
}
