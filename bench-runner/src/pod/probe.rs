//! A pod with the probe of a node: it finds containers by their ids, watches them, and reads what limits them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use node_probe::Effort;
use scenarios::launch::Launched;
use scenarios::{Scraper, Target};

use super::desk::Answer;
use super::words::{self, Found, Phase, ScrapeTarget, Scrapes, Watched};
use super::{Attend, Listening, containers, with_log};

/// Time from one sample to the next, as beside a trial on one machine.
const PROBE_EVERY: &str = "50ms";

/// How long its first sample may take on a busy node.
const READY_PATIENCE: Duration = Duration::from_secs(20);

/// The probe of a node.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) listening: Listening,
    /// Where the node's cgroups are.
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/cgroup")]
    cgroups: PathBuf,
}

pub(super) struct Probe {
    listening: Listening,
    cgroups: PathBuf,
    part: Option<Launched>,
    scraper: Option<Scraper>,
}

impl Probe {
    pub(super) fn new(args: &Args) -> Self {
        let Listening { address, attend, record } = &args.listening;
        let listening = Listening { address: *address, attend: *attend, record: record.clone() };
        Self { listening, cgroups: args.cgroups.clone(), part: None, scraper: None }
    }

    fn samples(&self) -> PathBuf {
        self.listening.record.join("samples.jsonl")
    }

    fn find(&self, watched: &Watched, all_alive: bool) -> anyhow::Result<Found> {
        containers::find(&self.cgroups, Path::new("/proc"), watched, all_alive)
    }

    /// Begins to watch; what was recorded before is of a trial that was fetched.
    fn watch(&mut self, watched: &Watched) -> anyhow::Result<Found> {
        self.end()?;
        let found = self.find(watched, true)?;
        let _ = std::fs::remove_file(self.samples());
        let mut args: Vec<String> = ["probe", "--sensor", "--every", PROBE_EVERY].map(str::to_owned).to_vec();
        for (name, part) in &found.parts {
            for pid in &part.pids {
                args.extend(["--pid".to_owned(), format!("{name}={pid}")]);
            }
            for directory in &part.cgroups {
                args.extend(["--cgroup".to_owned(), format!("{name}={directory}")]);
            }
        }
        args.extend(["--disk-path".to_owned(), self.listening.record.to_string_lossy().into_owned()]);
        args.extend(["--output".to_owned(), self.samples().to_string_lossy().into_owned()]);
        let mut part = self.listening.start("probe", args)?;
        part.read_line(READY_PATIENCE, "its first sample")?;
        self.part = Some(part);
        Ok(found)
    }

    /// Ends watching; the last line is whole then.
    fn end(&mut self) -> anyhow::Result<()> {
        let Some(mut part) = self.part.take() else { return Ok(()) };
        let status = part.terminate(Duration::from_secs(3))?;
        if !status.success() {
            return Err(with_log(format!("the probe ended with {status}"), &self.listening.record));
        }
        Ok(())
    }

    /// Asks proxies of this node for their counters until it is told to end.
    fn scrape(&mut self, scrapes: Scrapes) -> anyhow::Result<Answer> {
        let target = |t: ScrapeTarget| Target::new(t.part, t.address, t.path);
        let targets = scrapes.targets.into_iter().map(target).collect();
        self.scraper = Some(Scraper::start(targets, Duration::from_nanos(scrapes.every_ns), &self.listening.record)?);
        Ok(Answer::done())
    }

    fn edges(&self, watched: &Watched) -> anyhow::Result<record::EdgeReadings> {
        let found = self.find(watched, false)?;
        let processes: Vec<(String, u32)> = found
            .parts
            .into_iter()
            .flat_map(|(name, part)| part.pids.into_iter().map(move |pid| (name.clone(), pid)))
            .collect();
        Ok(node_probe::edges(Path::new("/"), &processes, Some(&self.listening.record)))
    }

    fn host(&self) -> record::Host {
        let mut host = node_probe::host(Path::new("/"), &self.listening.record);
        node_probe::measure_speed(&mut host, Effort::Quick);
        host
    }
}

impl Attend for Probe {
    fn role(&self) -> &'static str {
        "probe"
    }

    fn tick(&mut self) -> anyhow::Result<Phase> {
        let Some(part) = &self.part else { return Ok(Phase::Ready) };
        part.expect_alive("sampling")?;
        Ok(Phase::Running)
    }

    fn order(&mut self, path: &str, body: &[u8]) -> anyhow::Result<Answer> {
        let watched = || serde_json::from_slice::<Watched>(body);
        match path {
            words::HOST => Answer::json(&self.host()),
            words::WATCH => Answer::json(&self.watch(&watched()?)?),
            words::READ => Answer::json(&self.find(&watched()?, false)?),
            words::EDGES => Answer::json(&self.edges(&watched()?)?),
            words::SCRAPE => self.scrape(serde_json::from_slice(body)?),
            words::SCRAPED => Answer::json(&self.scraper.take().map(Scraper::finish).transpose()?.unwrap_or_default()),
            words::END => self.end().map(|()| Answer::done()),
            _ => anyhow::bail!("a probe takes no order {path}"),
        }
    }
}
