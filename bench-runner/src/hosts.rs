//! `meshtax hosts`: the agents that this runner is paired with; and runs that are made on them.

mod assemble;
pub(crate) mod book;
mod ensemble;
mod fetch;
pub(crate) mod file;
mod join;
pub(crate) mod link;
mod placement;
pub(crate) mod run;
mod spread;
mod trial;
pub(crate) mod watch;

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use crate::agent::channel::{Channel, ChannelError};
use crate::agent::identity::Fingerprint;
use crate::agent::pairing::{self, Code, Meeting, Proof, Side};
use crate::agent::trust;
use crate::exit::{Exit, Usage};
use crate::report::print;
use book::{Book, Entry};

/// How long an agent may take to answer while pairing.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// Where this runner's key and its pairings are kept; $XDG_STATE_HOME/meshtax/runner if nothing is said.
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Pair with an agent, by the code that it shows.
    Pair {
        /// What it is called from now on.
        name: String,
        /// Where it listens.
        address: SocketAddr,
        /// The code.
        code: String,
    },
    /// List the agents.
    List,
    /// Forget an agent.
    Forget {
        /// Its name.
        name: String,
    },
    /// Fetch what hosts measured that a run lost, and seal the trials that turn out to be whole.
    Fetch {
        /// The run directory.
        run: PathBuf,
    },
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let book = Book::open(args.state.as_deref())?;
    match args.command {
        Command::Pair { name, address, code } => {
            let entry = pair(&book, address, &code)?;
            book.keep(&name, &entry)?;
            print(&format!("paired with {name} at {address}, whose certificate is {}", entry.fingerprint))?;
        }
        Command::List => {
            let entries = book.all()?;
            if entries.is_empty() {
                print("no agent is paired; `meshtax agent` on another host shows a code for it")?;
            }
            for (name, entry) in entries {
                print(&format!("{name}  {}  {}", entry.address, entry.fingerprint))?;
            }
        }
        Command::Forget { name } => {
            book.forget(&name)?;
            print(&format!(
                "forgot {name}; its agent forgets this runner when its state directory's paired/ is emptied"
            ))?;
        }
        Command::Fetch { run } => return fetch::execute(&book, &run),
    }
    Ok(Exit::Done.into())
}

/// Proves to an agent that we know its code, has it prove the same, and tells whose certificate it is.
pub(crate) fn pair(book: &Book, address: SocketAddr, code: &str) -> anyhow::Result<Entry> {
    let code =
        Code::read(code).map_err(|why| Usage(format!("the code is none: {why}\n  try: it as the agent shows it")))?;
    let config = trust::client(book.identity(), std::sync::Arc::new(|_| true))?;
    let socket = TcpStream::connect_timeout(&address, PATIENCE).with_context(|| {
        format!("cannot reach an agent at {address}\n  try: meshtax agent --listen {address} there")
    })?;
    let refused = || {
        format!(
            "the agent at {address} did not pair: the code is wrong, was used, or is older than {} minutes\n  try: meshtax agent --pair there, and its new code",
            pairing::HOLDS.as_secs() / 60
        )
    };
    let mut channel = Channel::connect(config, socket, pairing::LONGEST, PATIENCE).with_context(refused)?;
    let meeting =
        Meeting { exporter: channel.exporter(), runner: book.identity().fingerprint(), agent: channel.peer() };
    channel.say(&code.proof(Side::Runner, &meeting), PATIENCE).with_context(refused)?;
    let answer: Result<Proof, ChannelError> = channel.hear(PATIENCE);
    let answer = answer.with_context(refused)?;
    anyhow::ensure!(
        code.proves(Side::Agent, &meeting, &answer),
        "whoever answers at {address} does not know the code: it is not the agent that showed it\n  try: look at what is between the two hosts"
    );
    Ok(Entry { address, fingerprint: Fingerprint::to_string(&channel.peer()) })
}
