//! `meshtax neighbour`: the noisy neighbour of a trial.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use record::Neighbour;
use scenarios::neighbour::{NeighbourConfig, serve};

/// A noisy neighbour. It says on standard output what its threads have done once all have done something, and again
/// for each line "tally" on standard input, and ends with it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Threads that spin.
    #[arg(long, default_value_t = 0)]
    cpu: u32,
    /// Threads that write past the page cache, each over and over a file of 32 MiB that has no name.
    #[arg(long, default_value_t = 0)]
    disk: u32,
    /// Threads that read and write back twice as much memory as the last cache holds.
    #[arg(long, default_value_t = 0)]
    memory: u32,
    /// Where the files of its disk threads are.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// After how long it ends though nobody asked it to.
    #[arg(long, value_parser = crate::duration::parse, default_value = "60s")]
    at_most: Duration,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let Args { cpu, disk, memory, dir, at_most } = args;
    serve(&NeighbourConfig { neighbour: Neighbour { cpu, disk, memory }, directory: dir, at_most })?;
    Ok(ExitCode::SUCCESS)
}
