//! The files of an export: named by trial and by cell, inside one folder and nowhere else.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{Error, Result};

/// A form of many files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// HdrHistogram interval logs.
    Hlog,
    /// Fortio's results.
    Fortio,
    /// Files of the Service Mesh Performance specification, with our extension.
    Smp,
}

/// The folder that files are written to.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    written: Vec<PathBuf>,
}

impl Files {
    pub(super) fn into(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|source| Error::Export { path: folder.to_owned(), source })?;
        Ok(Self { folder: folder.to_owned(), written: Vec::new() })
    }

    /// A new file by the id of what it is of. An id comes from a file that anybody may have written, so that one which
    /// would lead elsewhere is refused.
    pub(super) fn create(&mut self, id: &str, ending: &str) -> Result<BufWriter<File>> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
        if id.is_empty() || id.starts_with('.') || !id.chars().all(plain) {
            return Err(Error::NoFileName { id: id.to_owned() });
        }
        let path = self.folder.join(format!("{id}.{ending}"));
        let file = File::create(&path).map_err(|source| Error::Export { path: path.clone(), source })?;
        self.written.push(path);
        Ok(BufWriter::new(file))
    }

    /// The whole of a new file.
    pub(super) fn put(&mut self, id: &str, ending: &str, text: &str) -> Result<()> {
        let file = self.create(id, ending)?;
        self.end(file, text)
    }

    /// A value as JSON in a new file.
    pub(super) fn put_json(&mut self, id: &str, ending: &str, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value)? + "\n";
        self.put(id, ending, &text)
    }

    /// Writes the last of the newest file and brings it to the kernel.
    pub(super) fn end(&self, mut file: BufWriter<File>, text: &str) -> Result<()> {
        let path = || self.written.last().cloned().unwrap_or_default();
        file.write_all(text.as_bytes())
            .and_then(|()| file.flush())
            .map_err(|source| Error::Export { path: path(), source })
    }

    pub(super) fn written(self) -> Vec<PathBuf> {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_leads_elsewhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::into(&folder.path().join("new")).unwrap();
        files.put("0007-chain3-envoy-500m-r2", "json", "{}\n").unwrap();
        for bad in ["", "../x", "/etc/passwd", "a/b", ".hidden", "a\0b", "a b"] {
            let said = files.put(bad, "json", "{}").unwrap_err().to_string();
            assert!(said.contains(&format!("'{bad}'")) && said.contains("try:"), "{said}");
        }
        assert_eq!(files.written(), [folder.path().join("new/0007-chain3-envoy-500m-r2.json")]);
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let said = Files::into(&file).unwrap_err().to_string();
        assert!(said.contains(&file.display().to_string()) && said.contains("try:"), "{said}");
    }
}
