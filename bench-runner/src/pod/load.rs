//! A pod with a load generator: held until it is told to go, and kept until what it recorded was fetched.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use record::HopStamps;
use scenarios::certs::GATEWAY_NAME;
use scenarios::cluster::{Share, share};
use scenarios::http::Tls;
use scenarios::launch::Launched;

use super::desk::Answer;
use super::names::{entry, look_up};
use super::words::{self, Held, Phase, Tried};
use super::{Attend, Listening, with_log};

/// How long one request into the chain may take before the load.
const TRY_PATIENCE: Duration = Duration::from_secs(5);

/// The index that a Job with several generators gives to each.
const INDEX: &str = "JOB_COMPLETION_INDEX";

/// A load generator. What is behind -- is for `meshtax load`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) listening: Listening,
    /// The entry of the chain.
    #[arg(long)]
    url: String,
    /// Requests per second of all generators together.
    #[arg(long)]
    rate: f64,
    /// Connections of all of them together.
    #[arg(long)]
    connections: u32,
    /// How many they are.
    #[arg(long, default_value_t = 1)]
    generators: u32,
    /// The authority of the certificate of the gateway that is the entry, PEM; the URL is one of https then.
    #[arg(long, value_name = "FILE")]
    gateway_ca: Option<PathBuf>,
    #[arg(last = true)]
    load: Vec<String>,
}

pub(super) struct Load {
    /// What it is told, but for where it listens.
    start: Start,
    part: Option<Launched>,
    state: Phase,
}

struct Start {
    listening: Listening,
    authority: String,
    url: String,
    whole: Share,
    index: u32,
    generators: u32,
    gateway_ca: Option<PathBuf>,
    load: Vec<String>,
}

impl Load {
    pub(super) fn new(args: &Args) -> anyhow::Result<Self> {
        let index = std::env::var(INDEX).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let whole = Share { rate_per_second: args.rate, connections: args.connections, seed: 0 };
        // A share that cannot be is known before anything is asked.
        share(whole, index, args.generators)?;
        let Listening { address, attend, record } = &args.listening;
        let start = Start {
            listening: Listening { address: *address, attend: *attend, record: record.clone() },
            authority: entry(&args.url, args.gateway_ca.is_some())?,
            url: args.url.clone(),
            whole,
            index,
            generators: args.generators,
            gateway_ca: args.gateway_ca.clone(),
            load: args.load.clone(),
        };
        Ok(Self { start, part: None, state: Phase::Starting })
    }

    fn hold(&mut self, held: Held) -> anyhow::Result<Answer> {
        anyhow::ensure!(
            self.part.is_none() || self.state == Phase::Done,
            "its load was begun already and has not ended"
        );
        let start = &self.start;
        for name in ["intervals.jsonl", "slow.jsonl", "load.json"] {
            let _ = std::fs::remove_file(start.listening.record.join(name));
        }
        let share = share(Share { seed: held.seed, ..start.whole }, start.index, start.generators)?;
        let mut args = vec!["load".to_owned(), start.url.clone(), "--hold".to_owned(), "--i-am-allowed".to_owned()];
        for (flag, value) in [
            ("--rate", share.rate_per_second.to_string()),
            ("--connections", share.connections.to_string()),
            ("--seed", share.seed.to_string()),
            ("--record", start.listening.record.to_string_lossy().into_owned()),
            ("--noise-floor", "0".to_owned()),
            ("--format", "json".to_owned()),
        ] {
            args.extend([flag.to_owned(), value]);
        }
        if let Some(authority) = &start.gateway_ca {
            let authority = authority.to_string_lossy().into_owned();
            args.extend(["--cacert".to_owned(), authority, "--sni".to_owned(), GATEWAY_NAME.to_owned()]);
        }
        args.extend(start.load.iter().cloned());
        let part = start.listening.start("load", args)?;
        self.part = Some(part);
        self.state = Phase::Starting;
        Ok(Answer::done())
    }

    fn go(&mut self) -> anyhow::Result<Answer> {
        let part = self.part.as_mut().ok_or_else(|| anyhow::anyhow!("there is no load that is held"))?;
        part.expect_alive("being held")?;
        part.write_line("go")?;
        self.state = Phase::Running;
        Ok(Answer::done())
    }

    /// One request, the way every request goes.
    fn attempt(&self) -> Tried {
        let failed = |address: String, said: String| Tried { status: 0, hops: Vec::new(), address, said };
        let address: SocketAddr = match look_up(&self.start.authority) {
            Ok(address) => address,
            Err(problem) => return failed(String::new(), problem),
        };
        let asked = match &self.start.gateway_ca {
            None => scenarios::http::get(address, "/", TRY_PATIENCE),
            Some(authority) => {
                let tls = Tls { name: GATEWAY_NAME, authority };
                scenarios::http::ask_tls(address, tls, "/", &[], TRY_PATIENCE)
            }
        };
        match asked {
            Ok(answer) => Tried {
                status: answer.status,
                hops: answer.header(HopStamps::HEADER).map(services).unwrap_or_default(),
                address: address.to_string(),
                said: if answer.status == 200 { String::new() } else { answer.text() },
            },
            Err(error) => failed(address.to_string(), error.to_string()),
        }
    }
}

/// The services that stamped an answer.
fn services(header: &str) -> Vec<String> {
    HopStamps::from_header(header).into_iter().map(|hop| hop.service).collect()
}

impl Attend for Load {
    fn role(&self) -> &'static str {
        "load"
    }

    fn tick(&mut self) -> anyhow::Result<Phase> {
        let Some(part) = self.part.as_mut() else {
            return Ok(match look_up(&self.start.authority) {
                Ok(_) => Phase::Ready,
                Err(waits_for) => Phase::Waiting { waits_for },
            });
        };
        if self.state == Phase::Running
            && let Some(status) = part.try_wait()?
        {
            if !status.success() {
                return Err(with_log(format!("the load generator ended with {status}"), &self.start.listening.record));
            }
            self.state = Phase::Done;
        }
        Ok(match self.state {
            Phase::Starting => Phase::Ready,
            ref state => state.clone(),
        })
    }

    fn order(&mut self, path: &str, body: &[u8]) -> anyhow::Result<Answer> {
        match path {
            words::TRY => Answer::json(&self.attempt()),
            words::HOLD => self.hold(serde_json::from_slice(body)?),
            words::GO => self.go(),
            _ => anyhow::bail!("a load generator takes no order {path}"),
        }
    }
}
