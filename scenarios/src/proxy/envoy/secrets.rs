//! An identity as an Envoy takes it: files that it reads once, or one that it watches for the next certificate.
//!
//! The one that is watched has certificate and key in it, as Istio's agent sends them, and is replaced by rename: a
//! proxy never sees one without the other. It is only watched where it will be replaced: each watch takes one of a
//! number of things (inotify instances) of which a user has few, 128 by default.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::template;
use crate::Result;
use crate::anew::write_anew;
use crate::certs::IdentityFiles;
use crate::error::file_error;
use crate::proxy::Place;

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Secrets {
    chain: PathBuf,
    key: PathBuf,
    /// The authority that peers' certificates must come from.
    ca: PathBuf,
    /// Certificate and key, where they will be replaced.
    watched: Option<PathBuf>,
}

/// Writes what is to be watched; none for a place without an identity.
pub(super) fn write(place: &Place) -> Result<Option<Secrets>> {
    let Some(identity) = &place.identity else { return Ok(None) };
    let IdentityFiles { chain, key, ca } = identity.clone();
    let watched = (place.factors.rotate_ns > 0).then(|| write_certificate(place, identity)).transpose()?;
    Ok(Some(Secrets { chain, key, ca, watched }))
}

/// Writes certificate and key again, which the identity's files have new ones of.
pub(super) fn write_certificate(place: &Place, identity: &IdentityFiles) -> Result<PathBuf> {
    let read = |path: &Path| std::fs::read_to_string(path).map_err(file_error("read", path));
    let text = template::certificate(place, &read(&identity.chain)?, &read(&identity.key)?)?;
    let path = identity.key.with_file_name(format!("{}.certificate.yaml", place.name));
    put(&path, &text, &identity.key)?;
    Ok(path)
}

/// Puts a file in its place by rename: for nobody but the one whose `like` is.
fn put(path: &Path, text: &str, like: &Path) -> Result<()> {
    let next = path.with_extension("next");
    let file = write_anew(&next, 0o600, text.as_bytes())?;
    let owner = like.metadata().map_err(file_error("read", like))?;
    std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid())).map_err(file_error("give away", &next))?;
    std::fs::rename(&next, path).map_err(file_error("replace", path))
}
