//! The warden: a small process that outlives the runner by a moment and takes away what it left behind.
//!
//! Children die with the runner by their parent-death signal; cgroups, network namespaces and key files do not. The
//! warden holds the read end of a pipe that only the runner can write to. When the pipe closes, however the runner
//! ended, the warden removes the runner's cgroups (ending whatever is still inside), the names of its network
//! namespaces, and its scratch directory, with whoever still has a file of it open.

mod holders;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::Context as _;

use crate::exit::Exit;

/// What the warden is told to remove.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A root of the runner's cgroup tree.
    #[arg(long)]
    cgroup: Vec<PathBuf>,
    /// What the names of the runner's network namespaces begin with.
    #[arg(long)]
    network: Option<String>,
    /// The runner's scratch directory.
    #[arg(long)]
    scratch: Option<PathBuf>,
}

/// The warden's life: waits for the pipe to close, then removes.
pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    // A session of its own: a Ctrl-C in the runner's terminal must not end it first.
    let _ = rustix::process::setsid();
    let mut told = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut told);
    let removed = scenarios::limits::remove(&args.cgroup);
    // After the cgroups: with nobody left inside, the kernel takes the namespaces at once.
    let disconnected = args.network.as_deref().map_or(Ok(()), scenarios::network::remove);
    if let Some(scratch) = &args.scratch {
        check_ours(scratch)?;
        holders::end(scratch);
        remove_scratch(scratch)?;
    }
    removed?;
    disconnected?;
    Ok(Exit::Done.into())
}

fn check_ours(scratch: &Path) -> anyhow::Result<()> {
    let ours = scratch.file_name().is_some_and(|n| n.to_string_lossy().starts_with(SCRATCH_PREFIX));
    anyhow::ensure!(ours, "{} is no scratch directory of meshtax; it was not removed", scratch.display());
    Ok(())
}

/// Removes a scratch directory of ours and nothing else.
pub(crate) fn remove_scratch(scratch: &Path) -> anyhow::Result<()> {
    check_ours(scratch)?;
    wipe(scratch);
    match std::fs::remove_dir_all(scratch) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", scratch.display()))
        }
        _ => Ok(()),
    }
}

/// Writes zeros over the files below, as far as it goes: where a directory in memory was not to be had, keys would stay on the
/// disk otherwise. A link is not followed.
fn wipe(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => wipe(&path),
            Ok(kind) if kind.is_file() => {
                let zeros = entry.metadata().map(|m| vec![0; usize::try_from(m.len()).unwrap_or(0)]);
                let file = std::fs::OpenOptions::new().write(true).open(&path);
                if let (Ok(zeros), Ok(mut file)) = (zeros, file) {
                    let _ = file.write_all(&zeros).and_then(|()| file.sync_data());
                }
            }
            _ => {}
        }
    }
}

/// What the name of every scratch directory begins with.
pub(crate) const SCRATCH_PREFIX: &str = "meshtax-scratch-";

/// The runner's side: as long as this lives, the warden waits.
pub(crate) struct Warden {
    child: Child,
}

impl Warden {
    /// Starts a warden for these cgroup roots, the networks of this prefix and this scratch directory.
    pub(crate) fn start(program: &Path, cgroups: &[PathBuf], network: &str, scratch: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.arg("warden").arg("--network").arg(network).arg("--scratch").arg(scratch);
        for cgroup in cgroups {
            command.arg("--cgroup").arg(cgroup);
        }
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child })
    }

    /// Lets the warden do its work now and waits for it.
    pub(crate) fn dismiss(mut self) {
        if let Some(mut pipe) = self.child.stdin.take() {
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_zeros_before_they_are_gone_and_what_is_linked_to_stays() {
        let tmp = tempfile::tempdir().unwrap();
        let scratch = tmp.path().join(format!("{SCRATCH_PREFIX}1-x"));
        std::fs::create_dir_all(scratch.join("deployment")).unwrap();
        let (key, mine) = (scratch.join("deployment/a.key"), tmp.path().join("mine"));
        std::fs::write(&key, "secret").unwrap();
        std::fs::write(&mine, "mine").unwrap();
        std::os::unix::fs::symlink(&mine, scratch.join("link")).unwrap();
        // The same file by another name shows what was in it last.
        let other_name = tmp.path().join("seen");
        std::fs::hard_link(&key, &other_name).unwrap();
        remove_scratch(&scratch).unwrap();
        assert!(!scratch.exists());
        assert_eq!(std::fs::read(&other_name).unwrap(), [0; 6]);
        assert_eq!(std::fs::read(&mine).unwrap(), b"mine");
        assert!(remove_scratch(tmp.path()).is_err(), "no scratch directory");
    }
}
