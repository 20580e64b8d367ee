//! An identity as an Envoy takes it: two files that it watches, as Istio's agent sends two secrets.
//!
//! Certificate and key stand in one file, which is replaced by rename: a proxy never sees one without the other.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::template;
use crate::Result;
use crate::certs::IdentityFiles;
use crate::error::file_error;
use crate::proxy::Place;

/// Where they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct SecretFiles {
    /// The certificate and its key.
    pub(super) certificate: PathBuf,
    /// The authority that peers' certificates must come from.
    pub(super) authority: PathBuf,
}

/// Writes both, beside the identity's own files; none for a place without an identity.
pub(super) fn write(place: &Place) -> Result<Option<SecretFiles>> {
    let Some(identity) = &place.identity else { return Ok(None) };
    let ca = read(&identity.ca)?;
    let text = template::authority(place, &ca)?;
    let authority = beside(place, identity, "authority");
    put(&authority, &text, &identity.key)?;
    Ok(Some(SecretFiles { certificate: write_certificate(place, identity)?, authority }))
}

/// Writes certificate and key again, which the identity's files have new ones of.
pub(super) fn write_certificate(place: &Place, identity: &IdentityFiles) -> Result<PathBuf> {
    let text = template::certificate(place, &read(&identity.chain)?, &read(&identity.key)?)?;
    let path = beside(place, identity, "certificate");
    put(&path, &text, &identity.key)?;
    Ok(path)
}

fn beside(place: &Place, identity: &IdentityFiles, what: &str) -> PathBuf {
    identity.key.with_file_name(format!("{}.{what}.yaml", place.name))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(file_error("read", path))
}

/// Puts a file in its place by rename: for nobody but the one whose `like` is.
fn put(path: &Path, text: &str, like: &Path) -> Result<()> {
    let next = path.with_extension("next");
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next);
    let mut file = opened.map_err(file_error("create", &next))?;
    file.write_all(text.as_bytes()).map_err(file_error("write", &next))?;
    let owner = like.metadata().map_err(file_error("read", like))?;
    std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid())).map_err(file_error("give away", &next))?;
    std::fs::rename(&next, path).map_err(file_error("replace", path))
}
