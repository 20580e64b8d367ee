//! A pod with a service of the chain: started, and told where those are whom it calls.

use std::time::{Duration, Instant};

use scenarios::launch::Launched;
use scenarios::service::{Ready, Reply};

use super::desk::Answer;
use super::names::{Callee, look_up};
use super::words::Phase;
use super::{Attend, Listening};

/// How long it may take to listen: under a small CPU limit even that waits its turn.
const LISTEN_PATIENCE: Duration = Duration::from_secs(30);

/// How often a name that is not there is looked up again.
const LOOK_UP_EVERY: Duration = Duration::from_millis(250);

/// A service of the chain. What is behind -- is for `meshtax service`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) listening: Listening,
    /// Where the service listens.
    #[arg(long)]
    port: u16,
    /// A service that it calls, as NAME=URL.
    #[arg(long = "callee", value_name = "NAME=URL")]
    callees: Vec<Callee>,
    #[arg(last = true)]
    service: Vec<String>,
}

pub(super) struct Service {
    part: Launched,
    /// Those it was not told of yet.
    missing: Vec<Callee>,
    looked: Option<Instant>,
}

impl Service {
    pub(super) fn start(args: &Args) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&args.listening.record)?;
        let mut told = vec!["service".to_owned()];
        told.extend(args.service.iter().cloned());
        told.extend(["--listen".to_owned(), args.listening.at(args.port).to_string()]);
        let mut part = args.listening.start("service", told)?;
        let _: Ready = part.read_json(LISTEN_PATIENCE, "the line that says where it listens")?;
        Ok(Self { part, missing: args.callees.clone(), looked: None })
    }
}

impl Attend for Service {
    fn role(&self) -> &'static str {
        "service"
    }

    fn tick(&mut self) -> anyhow::Result<Phase> {
        self.part.expect_alive("serving")?;
        let Some(callee) = self.missing.first() else { return Ok(Phase::Ready) };
        let waits_for = format!("the name {}", callee.authority);
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_UP_EVERY) {
            return Ok(Phase::Waiting { waits_for });
        }
        self.looked = Some(Instant::now());
        let address = match look_up(&callee.authority) {
            Ok(address) => address,
            Err(waits_for) => return Ok(Phase::Waiting { waits_for }),
        };
        self.part.write_line(&format!("next {} http://{address}/", callee.name))?;
        if let Reply::Error(problem) = self.part.read_json(LISTEN_PATIENCE, "the callee it was told")? {
            anyhow::bail!("it did not take its callee {}: {problem}", callee.name);
        }
        self.missing.remove(0);
        self.looked = None;
        Ok(if self.missing.is_empty() { Phase::Ready } else { Phase::Waiting { waits_for } })
    }

    fn order(&mut self, path: &str, _: &[u8]) -> anyhow::Result<Answer> {
        anyhow::bail!("a service takes no order {path}")
    }
}
