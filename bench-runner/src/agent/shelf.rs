//! What tries of trials left on an agent's disk: `runs/RUN/TRIAL~ATTEMPT/SIDE/...`, kept until the runner has it.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;

use super::words::{CHUNK, Filed, Tell};

/// The folder of runs.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    root: PathBuf,
}

/// Names that a peer gives become parts of paths: they may be nothing else.
fn part(name: &str) -> anyhow::Result<&str> {
    let fits = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b'+' | b',' | b'=' | b'@' | b':' | b'%')
    };
    let fine = !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && name.bytes().all(fits);
    anyhow::ensure!(fine, "'{name}' cannot be the name of a file here");
    Ok(name)
}

impl Shelf {
    /// Below the state directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn at(state: &Path) -> anyhow::Result<Self> {
        let root = state.join("runs");
        std::fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
        Ok(Self { root })
    }

    /// The folder of a run.
    ///
    /// # Errors
    /// For a name that is none.
    pub(crate) fn run(&self, run: &str) -> anyhow::Result<PathBuf> {
        Ok(self.root.join(part(run)?))
    }

    /// Every file of a try, or of all tries of a run, but those that are still being written.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(crate) fn list(&self, run: &str, attempt: Option<&str>) -> anyhow::Result<Vec<Filed>> {
        let folder = self.run(run)?;
        let attempts = match attempt {
            Some(one) => vec![part(one)?.to_owned()],
            None => names(&folder)?,
        };
        let mut files = Vec::new();
        for attempt in attempts {
            let top = folder.join(&attempt);
            let mut left = vec![PathBuf::new()];
            while let Some(below) = left.pop() {
                for name in names(&top.join(&below))? {
                    let (path, there) = (below.join(&name), top.join(&below).join(&name));
                    // A link would lead out of here.
                    let kind = there.symlink_metadata().with_context(|| format!("cannot read {}", there.display()))?;
                    if kind.is_dir() {
                        left.push(path);
                    } else if kind.is_file() {
                        let sha256 = sha256(&there)?;
                        let path = path.to_string_lossy().into_owned();
                        files.push(Filed { attempt: attempt.clone(), path, length: kind.len(), sha256 });
                    }
                }
            }
        }
        files.sort_by(|a, b| (&a.attempt, &a.path).cmp(&(&b.attempt, &b.path)));
        Ok(files)
    }

    /// A part of a file.
    ///
    /// # Errors
    /// When there is no such file.
    pub(crate) fn read(&self, run: &str, attempt: &str, path: &str, offset: u64) -> anyhow::Result<Tell> {
        let mut at = self.run(run)?.join(part(attempt)?);
        for name in path.split('/') {
            at.push(part(name)?);
            anyhow::ensure!(!at.is_symlink(), "{path} is a link");
        }
        let cannot = || format!("cannot read {}", at.display());
        let mut file = File::open(&at).with_context(cannot)?;
        let length = file.metadata().with_context(cannot)?.len();
        file.seek(SeekFrom::Start(offset)).with_context(cannot)?;
        let mut bytes = Vec::new();
        file.take(CHUNK as u64).read_to_end(&mut bytes).with_context(cannot)?;
        Ok(Tell::Chunk { base64: base64::engine::general_purpose::STANDARD.encode(bytes), length })
    }

    /// Throws a try away, or a run; what is not there is gone.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn forget(&self, run: &str, attempt: Option<&str>) -> anyhow::Result<()> {
        let folder = self.run(run)?;
        let gone = match attempt {
            Some(attempt) => folder.join(part(attempt)?),
            None => folder.clone(),
        };
        match std::fs::remove_dir_all(&gone) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(e).with_context(|| format!("cannot remove {}", gone.display()));
            }
            _ => {}
        }
        if attempt.is_some() {
            // Only where nothing else is left in it.
            let _ = std::fs::remove_dir(&folder);
        }
        Ok(())
    }
}

fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot read {}", folder.display()))?,
    };
    Ok(entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
}

/// SHA-256 of a file, hexadecimal.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn sha256(path: &Path) -> anyhow::Result<String> {
    let cannot = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(cannot)?;
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut piece = vec![0; CHUNK];
    loop {
        let read = file.read(&mut piece).with_context(cannot)?;
        if read == 0 {
            break;
        }
        context.update(piece.get(..read).unwrap_or_default());
    }
    Ok(context.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_read_in_parts_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(folder.path()).unwrap();
        let side = folder.path().join("runs/r1/0001-a~1/load");
        std::fs::create_dir_all(side.join("logs")).unwrap();
        let bytes: Vec<u8> = (0..CHUNK + 10).map(|i| (i % 251) as u8).collect();
        std::fs::write(side.join("intervals.jsonl"), &bytes).unwrap();
        std::fs::write(side.join("logs/load.log"), "said").unwrap();
        let files = shelf.list("r1", None).unwrap();
        let seen: Vec<_> = files.iter().map(|f| (f.attempt.as_str(), f.path.as_str(), f.length)).collect();
        let long = bytes.len() as u64;
        assert_eq!(seen, [("0001-a~1", "load/intervals.jsonl", long), ("0001-a~1", "load/logs/load.log", 4)]);
        let mut got = Vec::new();
        while (got.len() as u64) < long {
            let read = shelf.read("r1", "0001-a~1", "load/intervals.jsonl", got.len() as u64).unwrap();
            let Tell::Chunk { base64, length } = read else { panic!("{read:?}") };
            assert_eq!(length, long);
            got.extend(base64::engine::general_purpose::STANDARD.decode(base64).unwrap());
        }
        assert_eq!(got, bytes);
        shelf.forget("r1", Some("0001-a~1")).unwrap();
        shelf.forget("r1", Some("0001-a~1")).unwrap();
        assert!(shelf.list("r1", None).unwrap().is_empty());
    }

    #[test]
    fn no_name_leads_out_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(folder.path()).unwrap();
        std::fs::write(folder.path().join("key.pem"), "secret").unwrap();
        std::fs::create_dir_all(folder.path().join("runs/r1/a/side")).unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("runs/r1/a/side/out")).unwrap();
        for (run, attempt, path) in [
            ("..", "r1", "a"),
            ("r1", "..", "key.pem"),
            ("r1", "a", "../../../key.pem"),
            ("r1", "a", "side/out/key.pem"),
            ("r1", "a", "/etc/passwd"),
            ("r1", "", "x"),
            ("r/1", "a", "x"),
        ] {
            assert!(shelf.read(run, attempt, path, 0).is_err(), "{run} {attempt} {path}");
        }
        assert!(shelf.list("r1", None).unwrap().is_empty(), "a link is no file");
        assert!(shelf.forget("..", None).is_err() && shelf.list("r1", Some("../..")).is_err());
        assert!(folder.path().join("key.pem").exists());
    }
}
