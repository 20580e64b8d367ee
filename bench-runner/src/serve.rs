//! `meshtax serve`: the runs of a folder on a local page, with their reports, and those being made as they go.

mod answer;
mod compare;
mod desk;
mod maker;
mod route;
mod visitor;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::{Exit, Usage};
use crate::listener;
use crate::progress::say;
use desk::Desk;
use maker::Maker;
use visitor::Names;

/// The longest that a connection lasts: a report of a long run is made in it.
const CONNECTION_TIME: Duration = Duration::from_secs(120);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder of run directories.
    #[arg(default_value = "runs")]
    runs: PathBuf,
    /// Where to listen: PORT on 127.0.0.1, 0 for a free one, or IP:PORT. Whoever can reach it can read all runs.
    #[arg(long, value_name = "ADDR", default_value = "8321", value_parser = listener::address)]
    listen: SocketAddr,
    /// A name by which browsers may ask for it, besides localhost and its own address.
    #[arg(long = "name", value_name = "HOST")]
    names: Vec<String>,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    if args.runs.join("run.json").is_file() {
        let at = args.runs.display();
        let parent = args.runs.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.map_or_else(|| ".".to_owned(), |parent| parent.display().to_string());
        return Err(Usage(format!(
            "{at} is a run, and what is served is a folder of runs\n  try: meshtax serve {folder}"
        ))
        .into());
    }
    // A folder that cannot be read is found out before anybody asks.
    let maker = Arc::new(Maker::of(Desk::of(&args.runs)?));
    let names = Arc::new(Names::new(args.names)?);
    let listener = listener::bind(args.listen, "--listen")?;
    let address = listener.local_addr()?;
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start serving")?;
    say(&format!("{} is at http://{address}/\n", args.runs.display()));
    runtime.block_on(async {
        let answer = move |request, here| answer::to(request, here, Arc::clone(&maker), Arc::clone(&names));
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut ended = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = ended.recv() => {}
            () = listener::answer_all(listener, CONNECTION_TIME, "visitor", answer) => {}
        }
        anyhow::Ok(())
    })?;
    // A page that is being made for nobody is let go.
    runtime.shutdown_background();
    Ok(Exit::Done.into())
}
