//! Another time of day, for one run and nobody else: the host's clock is never touched.
//!
//! A small library that is loaded before the C library answers for CLOCK_REALTIME, and adds the seconds that stand in a
//! file. CLOCK_MONOTONIC goes on, as it does when a real clock is set.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::scene::Scene;

/// The clock of a row.
pub(crate) struct Clock {
    /// The seconds that are added.
    file: PathBuf,
}

impl Clock {
    /// Has the command, and all that it starts, ask this clock; it is right at first.
    pub(crate) fn of(scene: &Scene, command: &mut Command) -> Self {
        let file = scene.aside().join("clock");
        std::fs::write(&file, "0").unwrap();
        command.env("LD_PRELOAD", library()).env("STEPPED_CLOCK", &file);
        Self { file }
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
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
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
