//! Lays a tree of another machine's text into a directory of its own.
//!
//! What is one line in /sys, and all symbolic links, stand in the tree's `sys.txt`: `PATH = LINE` and
//! `PATH -> TARGET`. A checkout that writes links as files would break a tree that had them in it.
//!
//! `micro-vm` is the text of a machine that ran; the others are written in the form that their kernels print, with
//! numbers that are easy to check.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A laid tree; gone when dropped.
pub(crate) struct Laid(TempDir);

impl Laid {
    /// The tree of this name below `tests/fixtures`.
    pub(crate) fn tree(name: &str) -> Self {
        let laid = Self(tempfile::tempdir().unwrap());
        // Its fuzzing is a crate inside of this one.
        let around = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let fixture = around.map(|crate_| crate_.join("tests/fixtures").join(name)).find(|f| f.is_dir()).unwrap();
        copy(&fixture, laid.path());
        laid.lay(&fs::read_to_string(fixture.join("sys.txt")).unwrap_or_default());
        laid
    }

    /// Where it is; the root of that machine.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path().to_owned()
    }

    /// Adds the lines and links of this text.
    pub(crate) fn lay(&self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some((path, target)) = line.split_once(" -> ") {
                let path = self.place(path);
                symlink(target, &path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            } else {
                let (path, value) = line.split_once(" = ").unwrap_or_else(|| panic!("'{line}' is neither"));
                fs::write(self.place(path), format!("{value}\n")).unwrap();
            }
        }
    }

    fn place(&self, path: &str) -> PathBuf {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display())) {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
