//! A run directory may be somebody else's: no name in it and no link leads out of it.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::{Error, Result, Run};

/// The longest name of a file on Linux (NAME_MAX).
const LONGEST_NAME: usize = 255;

/// Whether a name is that of one file or directory, and no path and no hidden thing.
pub fn is_file_name(name: &str) -> bool {
    let splits = |b: u8| b == b'/' || b == b'\\' || b.is_ascii_control();
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.starts_with('.') && !name.bytes().any(splits)
}

/// An error where there is a link: what it leads to is none of the run.
pub(crate) fn no_link(path: &Path) -> Result<()> {
    if path.is_symlink() { Err(Error::Link { path: path.to_owned() }) } else { Ok(()) }
}

/// An error unless every name that a run gives to something of its own is that of a file.
pub(crate) fn names(run: &Run, file: &Path) -> Result<()> {
    let trials = run.trials.iter().map(|trial| ("trial", &trial.id));
    let cells = run.cells.iter().map(|cell| ("cell", &cell.id));
    for (what, name) in trials.chain(cells).chain([("run", &run.id)]) {
        if !is_file_name(name) {
            return Err(Error::Name { path: file.to_owned(), what, name: name.clone() });
        }
    }
    Ok(())
}

/// Makes a file of this mode that is not there yet, in the place of a link or of what an earlier try left.
///
/// # Errors
/// When what is there cannot be removed, or the file not be made.
pub fn made_anew(path: &Path, mode: u32) -> std::io::Result<File> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    // Made and not found: with O_EXCL a link is not followed (open(2)).
    File::options().write(true).create_new(true).mode(mode).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_path_or_hidden_is_no_name_of_a_file() {
        let long = "x".repeat(LONGEST_NAME + 1);
        for name in ["", ".", "..", "../x", "a/b", "/etc", "a\\b", ".hidden", "a\0", "a\nb", &long] {
            assert!(!is_file_name(name), "{name:?}");
        }
        for name in ["0001-chain3-envoy-500m-r1", "a~1", "2026-11-23T0510-a1b2", "é", "a..b"] {
            assert!(is_file_name(name), "{name:?}");
        }
    }
}
