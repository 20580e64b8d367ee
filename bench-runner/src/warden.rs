//! The warden: a small process that outlives the runner by a moment and takes away what it left behind.
//!
//! Children die with the runner by their parent-death signal; cgroups, network namespaces and key files do not. The
//! warden holds the read end of a pipe that only the runner can write to. When the pipe closes, however the runner
//! ended, the warden removes the runner's cgroups (ending whatever is still inside), the names of its network
//! namespaces, and its scratch directory, with whoever still writes into it.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::Context as _;

use crate::exit::Exit;
use crate::scratch::remove_left;

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
        remove_left(scratch)?;
    }
    removed?;
    disconnected?;
    Ok(Exit::Done.into())
}

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
