//! The agents that a runner is paired with: a file for each, beside its own key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::file::names_a_host;
use crate::agent::identity::{Identity, private_directory, put, state_directory};
use crate::exit::Usage;

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// SHA-256 of its certificate.
    pub(crate) fingerprint: String,
}

/// All of them.
pub(crate) struct Book {
    identity: Identity,
    folder: PathBuf,
}

impl Book {
    /// That of a state directory, made where there is none yet.
    ///
    /// # Errors
    /// When it is not private or cannot be made.
    pub(crate) fn open(state: Option<&Path>) -> anyhow::Result<Self> {
        let state = state_directory(state, "runner")?;
        let identity = Identity::of(&state)?;
        let folder = state.join("agents");
        private_directory(&folder)?;
        Ok(Self { identity, folder })
    }

    /// Who we are.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Keeps an agent under a name.
    ///
    /// # Errors
    /// For a name that cannot be one of a file.
    pub(crate) fn keep(&self, name: &str, entry: &Entry) -> anyhow::Result<()> {
        put(&self.path(name)?, &serde_json::to_vec_pretty(entry)?)
    }

    /// An agent by its name.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn entry(&self, name: &str) -> anyhow::Result<Entry> {
        let path = self.path(name)?;
        let Ok(bytes) = std::fs::read(&path) else {
            let known: Vec<String> = self.all()?.into_keys().collect();
            let known = if known.is_empty() { "none is".to_owned() } else { known.join(", ") };
            let said = format!(
                "no agent is paired under the name '{name}' (paired: {known})\n  try: meshtax agent there, then meshtax hosts pair {name} ADDR CODE"
            );
            return Err(Usage(said).into());
        };
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is broken\n  try: pair with {name} again", path.display()))
    }

    /// All by their names.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn all(&self) -> anyhow::Result<BTreeMap<String, Entry>> {
        let cannot = || format!("cannot read {}", self.folder.display());
        let mut all = BTreeMap::new();
        for file in std::fs::read_dir(&self.folder).with_context(cannot)?.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if let Some(name) = name.strip_suffix(".json") {
                all.insert(name.to_owned(), self.entry(name)?);
            }
        }
        Ok(all)
    }

    /// Forgets an agent.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn forget(&self, name: &str) -> anyhow::Result<()> {
        self.entry(name)?;
        let path = self.path(name)?;
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
    }

    fn path(&self, name: &str) -> anyhow::Result<PathBuf> {
        names_a_host(name).map_err(Usage)?;
        Ok(self.folder.join(format!("{name}.json")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_kept_by_name_and_unknown_ones_say_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::open(Some(&folder.path().join("runner"))).unwrap();
        let said = book.entry("cx22").unwrap_err().to_string();
        assert!(said.contains("'cx22' (paired: none is)") && said.contains("try: meshtax agent"), "{said}");
        let entry = Entry { address: "10.0.0.2:7464".parse().unwrap(), fingerprint: "ab".into() };
        book.keep("cx22", &entry).unwrap();
        assert_eq!(book.entry("cx22").unwrap(), entry);
        assert!(book.entry("x").unwrap_err().to_string().contains("(paired: cx22)"));
        for name in ["", ".x", "a/b", "..", "a b"] {
            assert!(book.keep(name, &entry).unwrap_err().to_string().contains("cannot name a host"), "{name}");
        }
        book.forget("cx22").unwrap();
        assert!(book.all().unwrap().is_empty() && book.forget("cx22").is_err());
    }
}
