//! The noisy neighbour: started when the chain answers, so that it holds up nobody's start.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use record::Role;

use super::builder::Builder;
use crate::Result;
use crate::deployment::{Deployment, DeploymentSpec, Noise};
use crate::error::file_error;
use crate::launch::{Launch, all_may_execute};
use crate::neighbour::{NAME, NeighbourConfig, Worked};

/// A trial has four phases of an hour at most: whatever becomes of us, it is in the way no longer.
const AT_MOST: Duration = Duration::from_secs(4 * 3600);

/// What it is to do; none where there is none.
pub(super) fn asked(spec: &DeploymentSpec<'_>) -> Option<NeighbourConfig> {
    let neighbour = spec.factors.neighbour;
    // Its files are on the disk of the run, for which the proxies' logs compete.
    let config = NeighbourConfig { neighbour, directory: spec.directory.to_owned(), at_most: AT_MOST };
    (!neighbour.is_none()).then_some(config)
}

impl Builder<'_> {
    /// Starts it in a cgroup beside those of the chain, and waits until all its threads have worked.
    pub(super) fn neighbour(&self, deployment: &mut Deployment) -> Result<()> {
        let Some(NeighbourConfig { neighbour, directory, at_most }) = asked(self.spec) else { return Ok(()) };
        let record::Neighbour { cpu, disk, memory } = neighbour;
        let mut args: Vec<std::ffi::OsString> = vec!["neighbour".into()];
        for (flag, threads) in [("--cpu", cpu), ("--disk", disk), ("--memory", memory)] {
            args.extend([flag.into(), threads.to_string().into()]);
        }
        let user = self.spec.users.service.filter(|_| all_may_execute(self.spec.program));
        // It writes where its user may, on the same disk, and is put there: the way may be closed to it.
        let own = user.map(|user| own_directory(&directory, user)).transpose()?;
        args.extend(["--dir".into(), own.as_ref().map_or(directory.into(), |_| ".".into())]);
        args.extend(["--at-most".into(), format!("{}s", at_most.as_secs()).into()]);
        let launch = Launch {
            name: NAME.to_owned(),
            program: self.spec.program.to_owned(),
            args,
            env: Vec::new(),
            cgroups: Vec::new(),
            netns: None,
            user,
            within: own.clone(),
            log: deployment.folders.log(NAME),
            stdout: None,
            pipe_stdin: true,
            pipe_stdout: true,
        };
        let program = format!("meshtax {}", env!("CARGO_PKG_VERSION"));
        let mut node = self.begin(Role::Neighbour, launch, program)?;
        let before: Worked = node.part.read_json(self.spec.ready_timeout, "the line that says all its threads work")?;
        if let Some(own) = own {
            // Its files have no names any more, and so nothing is in it.
            std::fs::remove_dir(&own).map_err(file_error("remove", &own))?;
        }
        deployment.noise = Some(Noise::of(node, before));
        Ok(())
    }
}

/// Makes a directory for a user in that of the trial.
fn own_directory(trial: &Path, user: u32) -> Result<PathBuf> {
    let own = trial.join(NAME);
    std::fs::DirBuilder::new().mode(0o700).create(&own).map_err(file_error("create", &own))?;
    std::os::unix::fs::lchown(&own, Some(user), Some(user)).map_err(file_error("give away", &own))?;
    Ok(own)
}
