//! Files that are not what they were: cut, changed, in another order, gone, or another trial's.

use std::path::{Path, PathBuf};

use crate::scene::{HIT, Scene};

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Its second half is gone.
    CutShort,
    /// One byte is another: a digit where the file is text, so that it still reads well.
    ByteChanged,
    /// Its lines stand in the opposite order.
    Reordered,
    /// A line in its middle is gone, whole.
    LineLost,
    /// It is gone.
    Removed,
    /// It is that of the trial before.
    Exchanged,
}

/// What was there before.
pub(crate) struct Original {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Damage {
    /// Damages the file that a row speaks of.
    pub(crate) fn strike(self, scene: &Scene, target: &str) -> Original {
        let path = file(scene, target);
        let bytes = std::fs::read(&path).unwrap();
        let damaged = match self {
            Self::CutShort => Some(bytes[..bytes.len() / 2].to_vec()),
            Self::ByteChanged => Some(with_a_byte_changed(&path, &bytes)),
            Self::Reordered => Some(with_lines(&path, &bytes, |lines| lines.reverse())),
            Self::LineLost => Some(with_lines(&path, &bytes, |lines| {
                lines.remove(lines.len() / 2);
            })),
            Self::Removed => None,
            Self::Exchanged => Some(std::fs::read(of_the_trial_before(&path)).unwrap()),
        };
        match damaged {
            Some(damaged) => {
                assert_ne!(damaged, bytes, "nothing was done to {}", path.display());
                // In place, as a failing disk does it: whoever has the file open has the damaged one.
                std::fs::write(&path, damaged).unwrap();
            }
            None => std::fs::remove_file(&path).unwrap(),
        }
        Original { path, bytes }
    }
}

impl Original {
    /// What an error says to do: a trial is removed, to be made anew by `resume`; any other file is restored from a copy.
    pub(crate) fn way_out(self) {
        let trial = self.path.parent().unwrap();
        if trial.file_name().is_some_and(|name| name.to_string_lossy().starts_with(HIT)) {
            let _ = std::fs::remove_dir_all(trial);
        } else {
            std::fs::write(&self.path, &self.bytes).unwrap();
        }
    }
}

/// The file that a row speaks of, packed or plain.
fn file(scene: &Scene, target: &str) -> PathBuf {
    if ["run.json", "findings.json"].contains(&target) {
        return scene.run().join(target);
    }
    let (plain, packed) = (scene.hit().join(target), scene.hit().join(format!("{target}.zst")));
    if packed.is_file() { packed } else { plain }
}

fn of_the_trial_before(path: &Path) -> PathBuf {
    let trials = path.parent().unwrap().parent().unwrap();
    let mut others = std::fs::read_dir(trials).unwrap().flatten().map(|entry| entry.path());
    let before = others.find(|trial| trial.file_name().unwrap().to_string_lossy().starts_with("0001-")).unwrap();
    before.join(path.file_name().unwrap())
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zst")
}

fn with_a_byte_changed(path: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let middle = bytes.len() / 2;
    let at = if is_packed(path) {
        middle
    } else {
        // Not the first of a number: a zero there is no JSON.
        let digit = |pair: &[u8]| pair.iter().all(u8::is_ascii_digit);
        middle + bytes[middle..].windows(2).position(digit).expect("a number in the second half") + 1
    };
    changed[at] = if is_packed(path) { bytes[at] ^ 0x10 } else { b'0' + (bytes[at] - b'0' + 1) % 10 };
    changed
}

fn with_lines(path: &Path, bytes: &[u8], change: impl FnOnce(&mut Vec<&str>)) -> Vec<u8> {
    let text = if is_packed(path) { zstd::decode_all(bytes).unwrap() } else { bytes.to_vec() };
    let text = String::from_utf8(text).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() > 1, "{} has no lines to be moved", path.display());
    change(&mut lines);
    let text: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
    if is_packed(path) { zstd::encode_all(text.as_bytes(), 3).unwrap() } else { text.into_bytes() }
}
