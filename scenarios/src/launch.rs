//! Starting children that begin inside their cgroup and cannot outlive us.
//!
//! A child is started by way of ourselves: `meshtax launch --parent PID --cgroup DIR -- PROGRAM ARGS` asks the
//! kernel for its own death with ours, enters its cgroups, and then becomes the program. So there is no moment in
//! which a program runs outside its cgroup, and none in which it could be orphaned. With `--netns FILE` it enters a
//! network namespace too, with `--within DIR` a directory, and with `--user N` it becomes that user and group. What may
//! be closed to that user, the way to the program among it, is opened or entered before.
//!
//! The kernel sends the death signal when the *thread* ends that started the child. Everything is therefore
//! started from a thread that lives as long as the run: the runner's main thread.

mod child;
mod drain;
mod executable;
mod user;

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::error::file_error;
use crate::{Error, Result};
pub(crate) use child::LINES_SHOWN;
pub use child::{Launched, log_tail};
use executable::Executable;
pub(crate) use user::take_credentials;
pub use user::{LOOPBACK_PROXY_USER, SERVICE_USER, Users, all_may_execute, become_user};

/// What is to be started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The part's name: "s2-sidecar".
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables added to our own environment.
    pub env: Vec<(OsString, OsString)>,
    /// The cgroup directories it begins in, one a hierarchy; none keeps it in ours.
    pub cgroups: Vec<PathBuf>,
    /// The file of the network namespace it begins in; none keeps it in ours.
    pub netns: Option<PathBuf>,
    /// The user and the group it runs as, without any other group and without rights; none keeps ours. That user must be
    /// able to read what the program is told to read, and to go there; to the program itself the way is not asked for.
    pub user: Option<u32>,
    /// The directory it begins in; none keeps ours.
    pub within: Option<PathBuf>,
    /// Where its stderr goes, and its stdout too if that goes nowhere else.
    pub log: PathBuf,
    /// A file of its own for its stdout; none where it has none, and of no meaning where it is piped.
    pub stdout: Option<PathBuf>,
    /// Whether we write to its stdin; otherwise it reads an end of file.
    pub pipe_stdin: bool,
    /// Whether we read its stdout.
    pub pipe_stdout: bool,
}

impl Launch {
    /// Starts it by way of `meshtax`, the program whose `launch` subcommand calls [`become_child`].
    ///
    /// To be called from a thread that lives as long as the child may.
    ///
    /// # Errors
    /// [`Error::Start`] when there is no such program, [`Error::File`] when the log cannot be opened. What goes
    /// wrong between the two programs stands in the log, and the child ends with a failure.
    pub fn spawn(&self, meshtax: &Path) -> Result<Launched> {
        if !self.program.is_file() {
            return Err(self.not_started(std::io::ErrorKind::NotFound.into()));
        }
        rustix::fs::access(&self.program, rustix::fs::Access::EXEC_OK).map_err(|e| self.not_started(e.into()))?;
        let open = |path: &Path| {
            File::options().create(true).append(true).open(path).map_err(file_error("open the log", path))
        };
        let log = open(&self.log)?;
        let mut command = Command::new(meshtax);
        command.arg("launch").arg("--parent").arg(std::process::id().to_string());
        for directory in &self.cgroups {
            command.arg("--cgroup").arg(directory);
        }
        if let Some(namespace) = &self.netns {
            command.arg("--netns").arg(namespace);
        }
        if let Some(user) = self.user {
            command.arg("--user").arg(user.to_string());
        }
        if let Some(directory) = &self.within {
            command.arg("--within").arg(directory);
        }
        command.arg("--").arg(&self.program).args(&self.args).envs(self.env.iter().map(|(k, v)| (k, v)));
        let stdout = match &self.stdout {
            Some(path) => open(path)?,
            None => log.try_clone().map_err(file_error("open the log", &self.log))?,
        };
        command
            .stdin(if self.pipe_stdin { Stdio::piped() } else { Stdio::null() })
            .stdout(if self.pipe_stdout { Stdio::piped() } else { stdout.into() })
            .stderr(log);
        let child = command.spawn().map_err(|source| Error::Start {
            part: self.name.clone(),
            program: meshtax.to_owned(),
            source,
        })?;
        Ok(Launched::new(self.name.clone(), child, self.log.clone()))
    }

    fn not_started(&self, source: std::io::Error) -> Error {
        Error::Start { part: self.name.clone(), program: self.program.clone(), source }
    }
}

/// What `meshtax launch` was told.
struct Told {
    parent: u32,
    cgroups: Vec<PathBuf>,
    netns: Option<PathBuf>,
    user: Option<u32>,
    within: Option<PathBuf>,
    program: OsString,
    args: Vec<OsString>,
}

impl Told {
    fn from(args: Vec<OsString>) -> std::result::Result<Self, String> {
        let (mut parent, mut cgroups, mut netns, mut user, mut within) = (None, Vec::new(), None, None, None);
        let mut args = args.into_iter();
        while let Some(word) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("no value after '{}'", word.to_string_lossy()));
            match word.to_str() {
                Some("--parent") => {
                    let text = value()?;
                    let pid = text.to_str().and_then(|t| t.parse().ok());
                    parent = Some(pid.ok_or_else(|| format!("'{}' is no process id", text.to_string_lossy()))?);
                }
                Some("--cgroup") => cgroups.push(PathBuf::from(value()?)),
                Some("--netns") => netns = Some(PathBuf::from(value()?)),
                Some("--within") => within = Some(PathBuf::from(value()?)),
                Some("--user") => {
                    let text = value()?;
                    let id = text.to_str().and_then(|t| t.parse().ok());
                    user = Some(id.ok_or_else(|| format!("'{}' is no user id", text.to_string_lossy()))?);
                }
                Some("--") => {
                    let program = args.next().ok_or("no program after '--'")?;
                    let parent = parent.ok_or("no --parent")?;
                    return Ok(Self { parent, cgroups, netns, user, within, program, args: args.collect() });
                }
                _ => return Err(format!("unknown argument '{}'", word.to_string_lossy())),
            }
        }
        Err("no '--' with a program".to_owned())
    }
}

/// The body of `meshtax launch`: becomes the program it is told, in a session of its own, inside the cgroups, to
/// be killed when the parent is. Takes the arguments after the subcommand; returns only when it failed.
pub fn become_child(args: Vec<OsString>) -> Error {
    match prepare(args) {
        Ok(mut command) => {
            let source = command.command.exec();
            Error::Start { part: "the program".to_owned(), program: command.program, source }
        }
        Err(error) => error,
    }
}

/// What is executed in our place.
struct Prepared {
    command: Command,
    /// The program as it was told.
    program: PathBuf,
}

fn prepare(args: Vec<OsString>) -> Result<Prepared> {
    let told = Told::from(args).map_err(refuse)?;
    die_with(told.parent)?;
    // Ctrl-C in the terminal is for the runner, which then ends its children in order.
    rustix::process::setsid().map_err(|e| refuse(format!("no session of its own: {e}")))?;
    for directory in &told.cgroups {
        // "0" is whoever writes it.
        std::fs::write(directory.join("cgroup.procs"), "0").map_err(|source| Error::Cgroup {
            action: "enter".to_owned(),
            path: directory.clone(),
            source,
        })?;
    }
    if let Some(namespace) = &told.netns {
        crate::network::enter(namespace)?;
    }
    if let Some(directory) = &told.within {
        std::env::set_current_dir(directory).map_err(file_error("enter", directory))?;
    }
    let program = PathBuf::from(&told.program);
    let mut way = program.clone();
    if let Some(user) = told.user {
        let executable = Executable::open(&program);
        become_user(user)?;
        way = executable.way();
    }
    let mut command = Command::new(way);
    command.arg0(&told.program).args(told.args);
    Ok(Prepared { command, program })
}

/// Asks for our death with the parent's, and makes sure that the parent is the one we were told of.
fn die_with(parent: u32) -> Result<()> {
    // First the signal, then the look at the parent: in the other order its death in between would go unseen.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| refuse(format!("the parent-death signal was refused: {e}")))?;
    let found = rustix::process::getppid().map(|p| p.as_raw_nonzero().get());
    if found.and_then(|p| u32::try_from(p).ok()) != Some(parent) {
        return Err(refuse(format!("the parent {parent} is gone")));
    }
    Ok(())
}

fn refuse(problem: String) -> Error {
    Error::Launch { problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(args: &[&str]) -> std::result::Result<Told, String> {
        Told::from(args.iter().map(OsString::from).collect())
    }

    #[test]
    fn arguments_after_the_dashes_belong_to_the_program() {
        let told =
            told(&["--parent", "7", "--cgroup", "/a", "--cgroup", "/b c", "--", "prog", "--parent", "x"]).unwrap();
        assert_eq!((told.parent, told.cgroups), (7, vec![PathBuf::from("/a"), PathBuf::from("/b c")]));
        assert_eq!((told.program, told.args), ("prog".into(), vec!["--parent".into(), "x".into()]));
        assert_eq!((told.netns, told.user, told.within), (None, None, None));
    }

    #[test]
    fn a_namespace_a_user_and_a_directory_are_read() {
        let args = ["--parent", "7", "--netns", "/run/netns/a b", "--user", "1337", "--within", "/a b", "--", "prog"];
        let told = told(&args).unwrap();
        assert_eq!((told.netns, told.user), (Some(PathBuf::from("/run/netns/a b")), Some(1337)));
        assert_eq!(told.within, Some(PathBuf::from("/a b")));
    }

    #[test]
    fn arguments_it_does_not_know_are_named() {
        for (args, says) in [
            (vec![], "no '--' with a program"),
            (vec!["--parent", "7"], "no '--' with a program"),
            (vec!["--parent"], "no value after '--parent'"),
            (vec!["--parent", "x", "--", "p"], "'x' is no process id"),
            (vec!["--parent", "7", "--user", "root", "--", "p"], "'root' is no user id"),
            (vec!["--parent", "7", "--netns"], "no value after '--netns'"),
            (vec!["--parent", "7", "--"], "no program after '--'"),
            (vec!["--", "p"], "no --parent"),
            (vec!["p"], "unknown argument 'p'"),
        ] {
            assert_eq!(told(&args).err().as_deref(), Some(says), "{args:?}");
        }
    }
}
