//! `meshtax node-proxy`: the built-in proxy that all services of a node share.

use std::path::PathBuf;
use std::process::ExitCode;

use scenarios::proxy::ambient::{NodeProxyConfig, serve};

/// One node proxy. It says on standard output where it listens, and ends with its standard input; on the line `renew`
/// it reads its identities anew.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its configuration, JSON; `meshtax run` writes one into each trial's directory.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    serve(NodeProxyConfig::read(&args.config)?)?;
    Ok(ExitCode::SUCCESS)
}
