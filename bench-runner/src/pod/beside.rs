//! A pod of a mesh's own proxy: beside it, somebody who answers the runner, and hands on what the proxy says of itself.

use super::desk::Answer;
use super::words::Phase;
use super::{Attend, Listening};

/// Beside a proxy that somebody else starts.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) listening: Listening,
}

pub(super) struct Beside;

impl Attend for Beside {
    fn role(&self) -> &'static str {
        "beside"
    }

    fn tick(&mut self) -> anyhow::Result<Phase> {
        Ok(Phase::Ready)
    }

    fn order(&mut self, path: &str, _: &[u8]) -> anyhow::Result<Answer> {
        anyhow::bail!("who stands beside a proxy takes no order {path}")
    }
}
