//! Sums over run.json and the files of a sealed trial, so that what was changed or damaged after the seal is told and not read as figures.
//!
//! CRC-32 finds every burst of wrong bits up to 32 long and all but one in 4 billion of the others. It is against disks and
//! hands that slip, and not against whoever wants to deceive: who can write the file can write its sum.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The sums of a trial's files; hexadecimal CRC-32 (ISO-HDLC, that of gzip and PNG).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sums {
    /// Of each file that was packed or kept with the trial, by its name.
    pub files: BTreeMap<String, String>,
    /// Of `trial.json` itself, taken with eight zeros in this place.
    pub own: String,
}

/// What stands in the place of a file's own sum while it is taken.
pub(crate) const NONE_YET: &str = "00000000";

/// How the place of a file's own sum is found in its text: of a seal, and of run.json.
pub(crate) const OF_SEAL: &str = "\"own\": \"";
pub(crate) const OF_RUN: &str = "\"sum\": \"";

impl Sums {
    /// Those of these files, still without its own.
    pub(crate) fn of(files: BTreeMap<String, String>) -> Self {
        Self { files, own: NONE_YET.to_owned() }
    }
}

/// The sum of a file's bytes.
pub(crate) fn of(bytes: &[u8]) -> String {
    written(crc32fast::hash(bytes))
}

/// The sum of a file, which may be hundreds of MiB.
pub(crate) fn of_file(path: &Path) -> std::io::Result<String> {
    let mut summed = Summed::new(std::io::sink());
    std::io::copy(&mut File::open(path)?, &mut summed)?;
    Ok(summed.sum())
}

/// A writer that knows the sum of what has passed.
#[derive(Debug)]
pub(crate) struct Summed<W> {
    to: W,
    hasher: crc32fast::Hasher,
}

impl<W: Write> Summed<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, hasher: crc32fast::Hasher::new() }
    }

    /// Of all that was written.
    pub(crate) fn sum(self) -> String {
        written(self.hasher.finalize())
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = self.to.write(bytes)?;
        // A part may be taken, and the rest is offered again.
        self.hasher.update(bytes.get(..taken).unwrap_or(bytes));
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

fn written(sum: u32) -> String {
    format!("{sum:08x}")
}

/// Puts a text's own sum in its place; a text without such a place stays as it is.
pub(crate) fn sign(text: &mut [u8], before: &str) {
    let sum = of(text);
    if let Some(place) = place(text, before) {
        place.copy_from_slice(sum.as_bytes());
    }
}

/// The sum that a text with this one in it should have.
pub(crate) fn own(text: &[u8], before: &str) -> String {
    let mut unsigned = text.to_vec();
    if let Some(place) = place(&mut unsigned, before) {
        place.copy_from_slice(NONE_YET.as_bytes());
    }
    of(&unsigned)
}

/// The eight bytes after the last of these words: own sums stand at the end.
fn place<'a>(text: &'a mut [u8], before: &str) -> Option<&'a mut [u8]> {
    let at = text.windows(before.len()).rposition(|window| window == before.as_bytes())? + before.len();
    text.get_mut(at..at + NONE_YET.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_that_of_gzip() {
        assert_eq!(of(b"123456789"), "cbf43926");
    }

    #[test]
    fn what_passes_in_pieces_has_the_sum_of_the_whole() {
        let mut passed = Vec::new();
        let mut summed = Summed::new(&mut passed);
        for piece in [&b"1234"[..], b"", b"56789"] {
            summed.write_all(piece).unwrap();
        }
        assert_eq!(summed.sum(), "cbf43926");
        assert_eq!(passed, b"123456789");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"123456789").unwrap();
        assert_eq!(of_file(file.path()).unwrap(), "cbf43926");
    }

    #[test]
    fn a_text_that_was_signed_is_found_changed_in_any_byte() {
        let mut text = b"{\n  \"due\": 160,\n  \"own\": \"00000000\"\n}\n".to_vec();
        sign(&mut text, OF_SEAL);
        let said = |text: &[u8]| String::from_utf8_lossy(text).split('"').nth(5).map(str::to_owned);
        assert_eq!(said(&text), Some(own(&text, OF_SEAL)));
        for at in 0..text.len() {
            let mut other = text.clone();
            if let Some(byte) = other.get_mut(at) {
                *byte ^= 1;
            }
            assert_ne!(said(&other), Some(own(&other, OF_SEAL)), "byte {at}");
        }
        let mut bare = b"{}".to_vec();
        sign(&mut bare, OF_RUN);
        assert_eq!(bare, b"{}");
    }
}
