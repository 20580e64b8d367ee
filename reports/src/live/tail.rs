//! A growing file of lines, of which each look reads what is new.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

/// Read at one look at most; what is more comes at the next one.
const LOOK_BYTES: u64 = 16 << 20;

/// A line that has not ended by then never will: the file is none of ours.
const LONGEST_LINE: usize = 4 << 20;

/// The end of a file that somebody appends to.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    file: Option<File>,
    /// What came after the last line end.
    rest: Vec<u8>,
    broken: bool,
}

impl Tail {
    /// Of a file that need not be there yet.
    pub(super) fn of(path: PathBuf) -> Self {
        Self { path, file: None, rest: Vec::new(), broken: false }
    }

    /// Hands on each line that has ended since the last look. A file that cannot be read, or that is no text of
    /// lines, says nothing: whoever seals it will say so.
    pub(super) fn lines(&mut self, mut each: impl FnMut(&[u8])) {
        if self.broken {
            return;
        }
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return };
        if file.take(LOOK_BYTES).read_to_end(&mut self.rest).is_err() {
            self.broken = true;
            return;
        }
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            self.broken = self.rest.len() > LONGEST_LINE;
            return;
        };
        for line in self.rest[..end].split(|byte| *byte == b'\n') {
            each(line);
        }
        self.rest.drain(..=end);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn each_line_is_handed_on_once_and_when_it_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let mut tail = Tail::of(path.clone());
        let look = |tail: &mut Tail| {
            let mut lines = Vec::new();
            tail.lines(|line| lines.push(String::from_utf8(line.to_vec()).unwrap()));
            lines
        };
        assert_eq!(look(&mut tail), Vec::<String>::new(), "there is no file yet");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(look(&mut tail), ["one", "two"]);
        assert_eq!(look(&mut tail), Vec::<String>::new());
        file.write_all(b"ee\n").unwrap();
        assert_eq!(look(&mut tail), ["three"]);
        // Sealed: the file is gone, and what was written last is still there for who has it open.
        file.write_all(b"four\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(look(&mut tail), ["four"]);
    }

    #[test]
    fn what_never_ends_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endless");
        std::fs::write(&path, vec![b'x'; LONGEST_LINE + 1]).unwrap();
        let mut tail = Tail::of(path.clone());
        tail.lines(|_| panic!("no line has ended"));
        std::fs::write(&path, b"\nx\n").unwrap();
        tail.lines(|_| panic!("it was given up"));
    }
}
