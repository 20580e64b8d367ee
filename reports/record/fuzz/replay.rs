//! A fuzz target's corpus on any toolchain: each case as it is kept, then so many changes of them, drawn by a seed.
//!
//! The tests of each crate that is fuzzed take this file by its path. What it finds beyond the corpus is found again by
//! every run of it: the draws are the same until a case is added.

use std::path::{Path, PathBuf};

/// Words that a number, a name or a place is replaced by.
const WORDS: [&[u8]; 16] = [
    b"18446744073709551615",
    b"9223372036854775808",
    b"4294967295",
    b"-1",
    b"0",
    b"1e308",
    b"nan",
    b"inf",
    b"null",
    b"\"\"",
    b"[[[[[[[[",
    b"{}",
    b"\xff\xfe",
    "\u{1f980}".as_bytes(),
    b"\n\n",
    b"0-4294967295",
];

/// Calls `check` with every case in the corpus of a target of the crate whose tests these are, and with so many changes of
/// them as a seed draws: a number and not a time, so that a slow machine tests no less.
///
/// A case that panics is named before the panic goes on.
///
/// # Panics
/// When `check` does, or when the folder holds no case.
pub(crate) fn replay(target: &str, changes: usize, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&corpus).expect("the corpus is there").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let cases: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).expect("a case")).collect();
    assert!(!cases.is_empty(), "{} holds no case", corpus.display());
    for (path, case) in paths.iter().zip(&cases) {
        tried(&format!("{}", path.display()), case, check);
    }
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for at in 0..changes {
        let mut bytes = cases[at % cases.len()].clone();
        for _ in 0..=chance.below(3) {
            change(&mut bytes, &cases, &mut chance);
        }
        tried(&format!("change {at} of {}", paths[at % paths.len()].display()), &bytes, check);
    }
}

fn tried(what: &str, bytes: &[u8], check: fn(&[u8])) {
    if let Err(panic) = std::panic::catch_unwind(|| check(bytes)) {
        eprintln!("{what}: {}", String::from_utf8_lossy(bytes).escape_debug());
        std::panic::resume_unwind(panic);
    }
}

fn change(bytes: &mut Vec<u8>, cases: &[Vec<u8>], chance: &mut Chance) {
    let at = chance.below(bytes.len());
    let to = (at + chance.below(16)).min(bytes.len());
    match chance.below(8) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..to)),
        2 => {
            let again = bytes[at..to].to_vec();
            bytes.splice(at..at, again);
        }
        3 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
        4 if at < bytes.len() => bytes[at] = chance.next() as u8,
        5 => {
            let other = &cases[chance.below(cases.len())];
            let from = chance.below(other.len());
            let upto = (from + chance.below(64)).min(other.len());
            bytes.splice(at..at, other[from..upto].iter().copied());
        }
        6 => drop(bytes.splice(at..to, WORDS[chance.below(WORDS.len())].iter().copied())),
        // The number that stands there, whole.
        _ => {
            let digit = |b: &u8| b.is_ascii_digit();
            let Some(first) = bytes[at..].iter().position(digit).map(|n| at + n) else { return };
            let last = bytes[first..].iter().position(|b| !digit(b)).map_or(bytes.len(), |n| first + n);
            bytes.splice(first..last, WORDS[chance.below(WORDS.len())].iter().copied());
        }
    }
}

/// xorshift64 (Marsaglia 2003).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below this one; 0 below 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}
