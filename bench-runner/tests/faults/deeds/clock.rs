//! Another time of day, for some processes and nobody else: the host's clock is never touched.
//!
//! A small library that is loaded before the C library answers for CLOCK_REALTIME, and adds the seconds that stand in a
//! file. CLOCK_MONOTONIC goes on, as it does when a real clock is set.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A clock of one's own.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// The seconds that are added.
    file: PathBuf,
}

impl Clock {
    /// One that is right at first, with its file in this folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let file = folder.join("clock");
        std::fs::write(&file, "0").unwrap();
        Self { file }
    }

    /// Has a command, and all that it starts, ask this clock.
    pub(crate) fn told_to(&self, command: &mut Command) {
        command.env("LD_PRELOAD", library()).env("STEPPED_CLOCK", &self.file);
    }

    pub(crate) fn set(&self, seconds: i64) {
        // By rename: who reads it finds the one or the other.
        let next = self.file.with_extension("next");
        std::fs::write(&next, seconds.to_string()).unwrap();
        std::fs::rename(next, &self.file).unwrap();
    }
}

/// The library, built by the first who asks.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME"));
        std::fs::create_dir_all(&folder).unwrap();
        let (source, library) = (folder.join("stepped_clock.rs"), folder.join("libstepped_clock.so"));
        std::fs::write(&source, include_str!("stepped_clock.rs")).unwrap();
        let built = Command::new("rustc")
            .args(["--edition", "2021", "--crate-type", "cdylib", "-C", "opt-level=1", "-C", "panic=abort", "-o"])
            .args([&library, &source])
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        library
    })
}
