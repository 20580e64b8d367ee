//! Programs that a test puts somewhere and then starts.
//!
//! Another process writes them: whoever is forked off the test in another thread meanwhile would hold them open for writing for a
//! moment longer, and what is open for writing cannot be executed (ETXTBSY). Tests of other crates take this file by its path.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a script that anybody may execute.
pub(crate) fn write_script(path: &Path, text: &str) {
    let mut install = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("install, of coreutils");
    install.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let status = install.wait().expect("it ends");
    assert!(status.success(), "install {}: {status}", path.display());
}

/// Copies a program with its mode.
pub(crate) fn copy_program(from: impl AsRef<OsStr>, to: &Path) {
    let status = Command::new("cp").arg(from.as_ref()).arg(to).status().expect("cp, of coreutils");
    assert!(status.success(), "cp to {}: {status}", to.display());
}
