//! The noisy neighbour: started when the chain answers, so that it holds up nobody's start.

use std::time::Duration;

use record::Role;

use super::builder::Builder;
use crate::Result;
use crate::deployment::{Deployment, DeploymentSpec, Noise};
use crate::launch::Launch;
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
        args.extend(["--dir".into(), directory.into()]);
        args.extend(["--at-most".into(), format!("{}s", at_most.as_secs()).into()]);
        let launch = Launch {
            name: NAME.to_owned(),
            program: self.spec.program.to_owned(),
            args,
            env: Vec::new(),
            cgroups: Vec::new(),
            netns: None,
            user: None,
            log: deployment.folders.log(NAME),
            stdout: None,
            pipe_stdin: true,
            pipe_stdout: true,
        };
        let program = format!("meshtax {}", env!("CARGO_PKG_VERSION"));
        let mut node = self.begin(Role::Neighbour, launch, program)?;
        let before: Worked = node.part.read_json(self.spec.ready_timeout, "the line that says all its threads work")?;
        deployment.noise = Some(Noise::of(node, before));
        Ok(())
    }
}
