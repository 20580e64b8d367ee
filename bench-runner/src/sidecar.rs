//! `meshtax sidecar`: the built-in mTLS sidecar.

use std::path::PathBuf;
use std::process::ExitCode;

use scenarios::proxy::embedded::{SidecarConfig, serve};

/// One sidecar. It says on standard output where it listens, and ends with its standard input.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its configuration, JSON; `meshtax run` writes one into each trial's directory.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    serve(SidecarConfig::read(&args.config)?)?;
    Ok(ExitCode::SUCCESS)
}
