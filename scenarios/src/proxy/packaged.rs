//! Proxies that a system has as packages: finding HAProxy and nginx on this machine, and their versions.

use std::path::{Path, PathBuf};

use record::Dataplane;

use super::envoy::answer;
use crate::{Error, Result};

/// An HAProxy or nginx that was asked for its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackagedProgram {
    /// Which.
    pub dataplane: Dataplane,
    /// The program.
    pub path: PathBuf,
    /// "2.6.12-1+deb12u4", "1.22.1".
    pub version: String,
}

impl PackagedProgram {
    /// "haproxy 2.6.12-1+deb12u4", "nginx 1.22.1".
    pub fn describe(&self) -> String {
        format!("{} {}", self.dataplane, self.version)
    }
}

/// Where administrators' programs are, which is on no other user's PATH.
const ADMINISTRATORS: [&str; 2] = ["/usr/local/sbin", "/usr/sbin"];

/// Finds the program of a dataplane that is a package, `haproxy` or `nginx`: the one named, or the first on PATH or where
/// administrators' programs are.
///
/// # Errors
/// [`Error::NoPackagedProxy`] with every place that was looked at and what was found there.
pub fn find(dataplane: Dataplane, named: Option<&Path>) -> Result<PackagedProgram> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let administrators = ADMINISTRATORS.map(PathBuf::from);
    find_in(dataplane, named, &std::env::split_paths(&path).chain(administrators).collect::<Vec<_>>())
}

fn find_in(dataplane: Dataplane, named: Option<&Path>, directories: &[PathBuf]) -> Result<PackagedProgram> {
    let missing = |problem: String, tried: Vec<String>| Error::NoPackagedProxy { proxy: dataplane, problem, tried };
    if let Some(named) = named {
        return probe(dataplane, named).map_err(|reason| {
            let problem = format!("{} is not an {dataplane} that can be started", named.display());
            missing(problem, vec![format!("{}: {reason}", named.display())])
        });
    }
    let mut tried = Vec::new();
    for candidate in directories.iter().map(|d| d.join(dataplane.word())).filter(|c| c.exists()) {
        match probe(dataplane, &candidate) {
            Ok(program) => return Ok(program),
            Err(reason) => tried.push(format!("{}: {reason}", candidate.display())),
        }
    }
    if tried.is_empty() {
        tried.push(format!("PATH: no {dataplane} in any of its directories, nor in {}", ADMINISTRATORS.join(" or ")));
    }
    Err(missing(format!("no {dataplane} was found on this machine"), tried))
}

/// Asks a program for its version.
fn probe(dataplane: Dataplane, path: &Path) -> std::result::Result<PackagedProgram, String> {
    if path.is_dir() {
        return Err("it is a directory".to_owned());
    }
    let said = answer(path, &["-v"])?;
    let version = version(dataplane, &said).ok_or_else(|| {
        let begin: String = said.trim().chars().take(80).collect();
        format!("asked for its version it answered '{begin}', which no {dataplane} does")
    })?;
    let path = std::fs::canonicalize(path).map_err(|e| e.to_string())?;
    Ok(PackagedProgram { dataplane, path, version })
}

/// `HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/`, `nginx version: nginx/1.22.1`.
fn version(dataplane: Dataplane, said: &str) -> Option<String> {
    let begins = match dataplane {
        Dataplane::Haproxy => "HAProxy version ",
        Dataplane::Nginx => "nginx version: nginx/",
        Dataplane::None | Dataplane::Embedded | Dataplane::Envoy | Dataplane::Ambient => return None,
        Dataplane::IstioSidecar | Dataplane::IstioAmbient | Dataplane::Linkerd => return None,
    };
    let rest = said.lines().next()?.strip_prefix(begins)?;
    let version = rest.split_whitespace().next()?;
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_each_says() {
        let said = "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\nStatus: long-term\n";
        assert_eq!(version(Dataplane::Haproxy, said).as_deref(), Some("2.6.12-1+deb12u4"));
        assert_eq!(version(Dataplane::Nginx, "nginx version: nginx/1.22.1\n").as_deref(), Some("1.22.1"));
        assert_eq!(version(Dataplane::Nginx, "nginx version: openresty/1.21.4\n"), None);
        assert_eq!(version(Dataplane::Nginx, said), None);
        assert_eq!(version(Dataplane::Haproxy, "HAProxy version\n"), None);
    }

    #[test]
    fn what_was_named_and_is_none_is_an_error_with_the_reason_and_the_way_out() {
        for (path, reason) in [
            ("/bin/true", "asked for its version it answered '', which no haproxy does"),
            ("/nonexistent/haproxy", "it could not be started: No such file or directory (os error 2)"),
            ("/tmp", "it is a directory"),
        ] {
            let said = find(Dataplane::Haproxy, Some(Path::new(path))).unwrap_err().to_string();
            assert_eq!(
                said,
                format!(
                    "{path} is not an haproxy that can be started\n    {path}: {reason}\n  \
                     try: apt-get install haproxy, or --haproxy PATH with the path of the program"
                )
            );
        }
    }

    #[test]
    fn where_there_is_none_it_says_where_it_looked() {
        let directory = tempfile::tempdir().unwrap();
        let said = find_in(Dataplane::Nginx, None, &[directory.path().to_owned()]).unwrap_err().to_string();
        assert_eq!(
            said,
            "no nginx was found on this machine\n    \
             PATH: no nginx in any of its directories, nor in /usr/local/sbin or /usr/sbin\n  \
             try: apt-get install nginx, or --nginx PATH with the path of the program"
        );
    }
}
