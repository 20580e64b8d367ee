//! A pod with a noisy neighbour.

use std::time::Duration;

use scenarios::launch::Launched;

use super::desk::Answer;
use super::words::Phase;
use super::{Attend, Listening};

/// How long all of its threads may take to have done something.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// A noisy neighbour. What is behind -- is for `meshtax neighbour`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) listening: Listening,
    #[arg(last = true)]
    neighbour: Vec<String>,
}

pub(super) struct Neighbour {
    part: Launched,
}

impl Neighbour {
    pub(super) fn start(args: &Args) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&args.listening.record)?;
        let mut told = vec!["neighbour".to_owned()];
        told.extend(args.neighbour.iter().cloned());
        let mut part = args.listening.start("neighbour", told)?;
        part.read_line(START_PATIENCE, "its first tally")?;
        Ok(Self { part })
    }
}

impl Attend for Neighbour {
    fn role(&self) -> &'static str {
        "neighbour"
    }

    fn tick(&mut self) -> anyhow::Result<Phase> {
        self.part.expect_alive("being in the way")?;
        Ok(Phase::Ready)
    }

    fn order(&mut self, path: &str, _: &[u8]) -> anyhow::Result<Answer> {
        anyhow::bail!("a neighbour takes no order {path}")
    }
}
