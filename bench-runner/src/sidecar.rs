//! `meshtax sidecar`: the built-in mTLS sidecar.

use std::path::PathBuf;
use std::process::ExitCode;

use scenarios::proxy::embedded::{SidecarConfig, serve};

/// One sidecar. It says where it listens, on standard output or in the file that its configuration names; does what lines
/// on its standard input tell it (`weights v1=90,v2=10`, `renew`), and ends with that.
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
