//! Writing a file into a directory that is another user's.
//!
//! Who owns a directory may put a link in the place of any file in it, and root would follow that link to wherever it
//! leads. So a file is always a new one, which a link is not, and given away by what is open.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use crate::Result;
use crate::error::file_error;

/// Writes a file of this mode in the place of whatever has its name; the open file.
///
/// # Errors
/// [`crate::Error::File`] when what is there cannot be removed, or the file not be made or written.
pub(crate) fn write_anew(path: &Path, mode: u32, bytes: &[u8]) -> Result<File> {
    let mut file = record::made_anew(path, mode).map_err(file_error("create", path))?;
    file.write_all(bytes).map_err(file_error("write", path))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_link_in_its_place_is_replaced_and_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (mine, path) = (directory.path().join("mine"), directory.path().join("key"));
        std::fs::write(&mine, "mine").unwrap();
        for target in [mine.clone(), directory.path().join("not there")] {
            std::os::unix::fs::symlink(target, &path).unwrap();
            write_anew(&path, 0o600, b"key").unwrap();
            let found = path.symlink_metadata().unwrap();
            assert!(found.is_file(), "it is a file and no link");
            assert_eq!(found.permissions().mode() & 0o777, 0o600);
            assert_eq!(std::fs::read(&path).unwrap(), b"key");
            assert_eq!(std::fs::read(&mine).unwrap(), b"mine");
            std::fs::remove_file(&path).unwrap();
        }
        assert!(!directory.path().join("not there").exists());
    }

    #[test]
    fn what_was_longer_or_open_to_all_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, "a longer text").unwrap();
        write_anew(&path, 0o600, b"key").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"key");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_with_the_path() {
        let said = write_anew(Path::new("/no/such/key"), 0o600, b"").unwrap_err().to_string();
        assert!(said.contains("/no/such/key"), "{said}");
    }
}
