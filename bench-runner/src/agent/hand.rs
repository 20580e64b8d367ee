//! `meshtax hand`: what an agent starts for a runner, a process that does one side of each trial with the code that does
//! it on one host. Orders come on stdin, a line each, and answers go to stdout; when stdin closes it ends, and with it all
//! that it started.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::Context as _;
use node_probe::Effort;
use record::Cell;

use super::side::{Side, TooLate};
use super::words::{Done, Order};
use crate::exit::{self, Exit};
use crate::lab::Lab;
use crate::programs::ProgramArgs;

/// How often it is looked at what runs.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The run's folder on this host.
    #[arg(long)]
    folder: PathBuf,
    /// "services", "load" or "probe".
    #[arg(long)]
    side: String,
    #[command(flatten)]
    programs: ProgramArgs,
}

/// Its life.
pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let orders = orders();
    let mut hand = Hand { args, lab: None, side: None };
    loop {
        let answer = match orders.recv_timeout(LOOK_EVERY) {
            Ok(line) => match serde_json::from_str::<Order>(&line) {
                Ok(order) => hand.obey(order),
                Err(error) => Some(Done::Failed { what: format!("not an order: {error}"), usage: false }),
            },
            Err(RecvTimeoutError::Timeout) => {
                if hand.finish_untold() {
                    break;
                }
                hand.look()
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if let Some(answer) = answer {
            tell(&answer)?;
        }
    }
    Ok(Exit::Done.into())
}

fn tell(answer: &Done) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).context("the agent is gone")
}

/// The lines of stdin: read in a thread of their own, so that what runs can be looked at meanwhile.
fn orders() -> Receiver<String> {
    let (said, heard) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if said.send(line).is_err() {
                break;
            }
        }
    });
    heard
}

struct Hand {
    args: Args,
    // Before the lab, in which it stands.
    side: Option<Side>,
    lab: Option<Lab>,
}

impl Hand {
    /// Does what it is told; no answer yet where that takes its time.
    fn obey(&mut self, order: Order) -> Option<Done> {
        let done = match order {
            Order::Go { start_ns } => self.side().and_then(|side| side.go(start_ns)).map(|()| None),
            Order::Abandon => {
                self.side = None;
                Ok(Some(Done::Well))
            }
            order => self.at_once(order).map(Some),
        };
        done.unwrap_or_else(|error| self.fail(&error))
    }

    fn at_once(&mut self, order: Order) -> anyhow::Result<Done> {
        match order {
            Order::Open { cells, quick, versions } => self.open(&cells, quick, versions.as_ref()),
            Order::Chain { attempt, cell, scenario_toml, entry_at } => {
                let Self { args, lab, side } = self;
                let lab = lab.as_ref().context("no lab is open")?;
                let side = side.insert(Side::begin(lab, &args.folder, &attempt, &args.side)?);
                let (url, tls) = side.chain(lab, &cell, &scenario_toml, entry_at)?;
                Ok(Done::Standing { url, tls })
            }
            Order::Slice(order) => {
                let Self { args, lab, side } = self;
                let lab = lab.as_ref().context("no lab is open")?;
                let side = side.insert(Side::begin(lab, &args.folder, &order.attempt, &args.side)?);
                side.slice(lab, *order)?;
                Ok(Done::Well)
            }
            Order::Stand { services, elsewhere } => {
                let lab = self.lab.as_ref().context("no lab is open")?;
                let side = self.side.as_mut().context("no trial is under way here")?;
                Ok(Done::Reached(side.stand(lab, &services, &elsewhere)?))
            }
            Order::Complete => {
                let lab = self.lab.as_ref().context("no lab is open")?;
                let (url, tls) = self.side.as_mut().context("no trial is under way here")?.complete(lab)?;
                Ok(Done::Standing { url, tls })
            }
            Order::Load(order) => {
                let Self { args, lab, side } = self;
                let lab = lab.as_ref().context("no lab is open")?;
                let side = side.insert(Side::begin(lab, &args.folder, &order.attempt, &args.side)?);
                Ok(Done::Held { pid: side.hold(lab, &order)? })
            }
            Order::Watch { attempt, also } => {
                let Self { args, lab, side } = self;
                let lab = lab.as_ref().context("no lab is open")?;
                let side = match side {
                    Some(side) => side,
                    None => side.insert(Side::begin(lab, &args.folder, &attempt, &args.side)?),
                };
                side.watch(lab, &also)?;
                Ok(Done::Watching)
            }
            Order::Tend { measure_from_ns, ends_ns, cool_down_ns } => {
                self.side()?.tend(measure_from_ns, ends_ns, cool_down_ns).map(|()| Done::Well)
            }
            Order::Count { cool_down_ns } => {
                self.side()?.count(cool_down_ns)?;
                Ok(Done::Well)
            }
            Order::ProveRefusals => {
                self.side()?.prove_refusals()?;
                Ok(Done::Well)
            }
            Order::Finish { cool_down_ns } => {
                let side = self.side.take().context("there is nothing to finish")?;
                Ok(Done::Sealed(Box::new(side.finish(cool_down_ns)?)))
            }
            Order::Look => {
                self.side.as_ref().map_or(Ok(()), Side::healthy)?;
                Ok(Done::Well)
            }
            Order::Go { .. } | Order::Abandon => anyhow::bail!("that is not answered at once"),
        }
    }

    fn open(
        &mut self,
        cells: &[Cell],
        quick: bool,
        versions: Option<&std::collections::BTreeMap<String, String>>,
    ) -> anyhow::Result<Done> {
        std::fs::create_dir_all(&self.args.folder)
            .with_context(|| format!("cannot create {}", self.args.folder.display()))?;
        let programs = match self.args.side.as_str() {
            "services" => self.args.programs.find(cells)?,
            _ => crate::programs::Programs::default(),
        };
        if let Some(versions) = versions.filter(|_| self.args.side == "services") {
            programs.expect(versions)?;
        }
        let mut host = node_probe::host(std::path::Path::new("/"), &self.args.folder);
        node_probe::measure_speed(&mut host, if quick { Effort::Quick } else { Effort::Full });
        let versions = programs.versions();
        // Limits are for proxies, which only the services have.
        let limited = if self.args.side == "services" { cells } else { &[] };
        let lab = self.lab.insert(Lab::open(limited, programs)?);
        Ok(Done::Opened { host: Box::new(host), versions, warnings: lab.warnings().to_vec() })
    }

    /// Seals what was measured where the runner is gone, so that it can be fetched; whether it did, which is all there is
    /// to do then.
    fn finish_untold(&mut self) -> bool {
        let Some(cool_down_ns) = self.side.as_ref().and_then(Side::is_overdue) else { return false };
        if let Some(side) = self.side.take()
            && let Err(error) = side.finish_untold(cool_down_ns)
        {
            crate::progress::say(&format!("{}\n", exit::say(&error)));
        }
        true
    }

    /// What has come of what runs.
    fn look(&mut self) -> Option<Done> {
        let side = self.side.as_mut()?;
        match side.look() {
            Ok(true) => Some(Done::Loaded),
            Ok(false) => None,
            // Said when the next order comes, or now where an answer is awaited.
            Err(error) if side.awaited() => self.fail(&error),
            Err(error) => {
                side.failed(exit::say(&error));
                None
            }
        }
    }

    fn side(&mut self) -> anyhow::Result<&mut Side> {
        let side = self.side.as_mut().context("no trial is under way here")?;
        side.healthy()?;
        Ok(side)
    }

    fn fail(&mut self, error: &anyhow::Error) -> Option<Done> {
        self.side = None;
        let what = exit::say(error);
        Some(match error.downcast_ref::<TooLate>() {
            Some(late) => Done::Late { what, late_ns: late.late_ns },
            None => Done::Failed { what, usage: exit::of(error) == Exit::Usage },
        })
    }
}
