//! The programs that set up a network: found, fed by their stdin, and heard.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::namespace;

/// Where they are besides PATH, which in some environments of root leaves these out.
const PLACES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// Where a program is.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(PLACES.iter().map(PathBuf::from));
    places.map(|place| place.join(name)).find(|file| file.is_file())
}

/// Runs a program in a namespace or in ours, with a text as its stdin; gives its stdout, or what it said instead.
pub(super) fn run(inside: Option<&Path>, name: &str, args: &[&str], input: &str) -> Result<String, String> {
    let run = || fed(name, args, input);
    match inside {
        Some(path) => namespace::within(path, run).map_err(|e| first_line(&e.to_string()))?,
        None => run(),
    }
}

/// As [`run`], in the namespace of the calling thread.
pub(super) fn fed(name: &str, args: &[&str], input: &str) -> Result<String, String> {
    let program =
        find(name).ok_or_else(|| format!("there is no program {name} on PATH or in {}", PLACES.join(", ")))?;
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("{name}: {e}"))?;
    let mut stdin = child.stdin.take();
    // All of it fits the pipe or is read at once: each of these programs reads its input before it says much.
    let fed = stdin.as_mut().map_or(Ok(()), |pipe| pipe.write_all(input.as_bytes()));
    drop(stdin);
    let output = child.wait_with_output().map_err(|e| format!("{name}: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<&str> = said.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        return Err(format!("{name} ended with {}: {}", output.status, said.join("; ")));
    }
    fed.map_err(|e| format!("{name} did not read what it was told: {e}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_fed_and_heard_and_its_failure_shows_what_it_said() {
        assert_eq!(fed("cat", &[], "one\ntwo\n"), Ok("one\ntwo\n".to_owned()));
        let said = fed("sh", &["-c", "cat >/dev/null; echo no such link >&2; exit 3"], "x").unwrap_err();
        assert_eq!(said, "sh ended with exit status: 3: no such link");
        let said = fed("no-such-program-here", &[], "").unwrap_err();
        assert!(said.starts_with("there is no program no-such-program-here on PATH or in /usr/sbin"), "{said}");
    }
}
