//! `meshtax run --hosts`: one run on several hosts, or the same run on each of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use record::{
    Cell, Dataplane, Entry as Way, HostRole, LeftOut, Loss, Phase, Platform, Run, RunDirectory, RunHosts, SCHEMA,
    Source, Until,
};
use scenarios::Scenario;

use super::book::Book;
use super::ensemble::{Ensemble, For};
use super::fetch;
use super::file::{self, HostLine};
use super::link::{HostLost, LateStart};
use super::placement;
use super::trial::{self, Stage};
use crate::beginning::Beginning;
use crate::campaign::what_is_left;
use crate::exit::{self, Exit, Usage};
use crate::interrupt::{Interrupt, Stopped};
use crate::progress::{Progress, say};
use crate::report;
use crate::run::until::Watch;
use crate::run::{announce, name_of_now};

/// How long a lost host is waited for before the run ends; it can be resumed then.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tries of one trial.
const TRIES: u32 = 3;

/// How each host with services gets its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Each {
    /// A trial on one, then the same on the next.
    InTurn,
    /// All at the same time: for hosts that make their own load.
    Together,
}

/// The flags.
#[derive(clap::Args, Debug)]
pub(crate) struct HostsArgs {
    /// Make the run on the hosts that this file names, by their agents (`meshtax hosts pair`).
    #[arg(long, value_name = "FILE", help_heading = "Hosts")]
    pub(crate) hosts: Option<PathBuf>,
    /// The same run on each host that has services, to compare them: a run directory for each.
    #[arg(long, value_enum, value_name = "HOW", requires = "hosts", help_heading = "Hosts")]
    each: Option<Each>,
    /// Where this runner's key and its pairings are kept, as with `meshtax hosts --state`.
    #[arg(long, value_name = "DIR", help_heading = "Hosts")]
    hosts_state: Option<PathBuf>,
}

/// What is to be run.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) scenario: Scenario,
    pub(crate) cells: Vec<Cell>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) until: Option<Until>,
    pub(crate) source: Option<Source>,
    pub(crate) istio: Option<record::IstioReading>,
    pub(crate) out: PathBuf,
    pub(crate) quick: bool,
    pub(crate) strict: bool,
}

/// One run and the hosts it is made on.
struct Campaign {
    book: Arc<Book>,
    lines: Vec<HostLine>,
    directory: RunDirectory,
    run: Run,
    hosts: RunHosts,
    /// None while a host is lost.
    ensemble: Option<Ensemble>,
    quick: bool,
    strict: bool,
    // Held for its end: no other meshtax writes there meanwhile.
    _lock: record::Lock,
}

/// Makes the runs.
///
/// # Errors
/// Before the first trial, for what cannot be on hosts or on these; after it, for what ended a run.
pub(crate) fn execute(args: &HostsArgs, asked: &Asked, interrupt: &Interrupt) -> anyhow::Result<ExitCode> {
    let path = args.hosts.as_ref().context("no file of hosts is named")?;
    let file = file::read(path)?;
    let groups = groups(&file.host, args.each)?;
    asked.cells.iter().try_for_each(possible)?;
    let placed;
    let (groups, asked) = match placement::of(path, &file.host, &asked.scenario, &asked.cells)? {
        None => (groups, asked),
        Some(placement) => {
            placed = Asked { cells: placement.cells, ..asked.clone() };
            (vec![placement.lines], &placed)
        }
    };
    let book = Arc::new(Book::open(args.hosts_state.as_deref())?);
    let mut campaigns = Vec::new();
    for lines in groups {
        campaigns.push(Campaign::begin(&book, lines, asked, interrupt)?);
    }
    if args.each == Some(Each::Together) { together(campaigns, interrupt) } else { in_turn(campaigns, interrupt) }
}

/// Goes on with a run of hosts.
///
/// # Errors
/// As [`execute`].
pub(crate) fn resume(
    directory: RunDirectory,
    run: Run,
    hosts: RunHosts,
    ending: (Option<&std::path::Path>, bool),
    interrupt: &Interrupt,
) -> anyhow::Result<ExitCode> {
    let (state, strict) = ending;
    let book = Arc::new(Book::open(state)?);
    let lock = directory.lock()?;
    let line = |h: &record::RunHost| HostLine {
        name: h.name.clone(),
        roles: h.roles.clone(),
        services: (!h.services.is_empty()).then(|| h.services.clone()),
        serve_at: h.serve_at,
        price: h.price.clone(),
    };
    let lines = hosts.hosts.iter().map(line).collect();
    let campaign = Campaign { book, lines, directory, run, hosts, ensemble: None, quick: true, strict, _lock: lock };
    campaign.salvage(interrupt)?;
    in_turn(vec![campaign], interrupt)
}

/// What cannot be on several hosts yet.
fn possible(cell: &Cell) -> anyhow::Result<()> {
    let f = &cell.factors;
    let refuse = |what: &str, instead: &str| {
        let said = format!("{}: {what} with --hosts\n  try: {instead}", cell.label);
        Err(Usage(said).into())
    };
    if f.platform == Platform::Pods {
        return refuse("pods are reached from their own host only, and cannot be loaded", "--platform processes");
    }
    if f.dataplane == Dataplane::Ambient {
        return refuse("the node proxy takes the load on its own host only, and cannot be loaded", "another dataplane");
    }
    if f.entry == Way::Plain && f.meshed() {
        return refuse("--entry plain is taken on the services' host only, and cannot be loaded", "--entry sidecar");
    }
    Ok(())
}

/// The hosts of each run: all of one, or each host that has services with those that load it.
fn groups(lines: &[HostLine], each: Option<Each>) -> anyhow::Result<Vec<Vec<HostLine>>> {
    let serving: Vec<&HostLine> = lines.iter().filter(|h| h.has(HostRole::Services)).collect();
    let parted = serving.iter().find(|h| h.services.is_some());
    let Some(each) = each else {
        if serving.len() > 1 && parted.is_none() {
            let names: Vec<&str> = serving.iter().map(|h| h.name.as_str()).collect();
            let said = format!(
                "{} have the role services, and nothing says which of them\n  try: services = [\"s1\", ...] for each, for one chain over all of them; --each in-turn or --each together, for a run on each",
                names.join(", ")
            );
            return Err(Usage(said).into());
        }
        return Ok(vec![lines.to_vec()]);
    };
    if let Some(host) = parted {
        let said = format!(
            "{} carries a part of a chain, and --each makes the same run on each host\n  try: no services = [...] in hosts.toml, or no --each",
            host.name
        );
        return Err(Usage(said).into());
    }
    let mut groups = Vec::new();
    for host in serving {
        let mut group = vec![host.clone()];
        if !host.has(HostRole::Load) {
            if each == Each::Together {
                let said = format!(
                    "{} makes no load of its own: a host that loads several at once would bend what it measures of each\n  try: roles = [\"load\", \"services\"] for it, or --each in-turn",
                    host.name
                );
                return Err(Usage(said).into());
            }
            group.extend(lines.iter().filter(|h| !h.has(HostRole::Services) && h.has(HostRole::Load)).cloned());
            if !group.iter().any(|h| h.has(HostRole::Load)) {
                let said =
                    format!("nobody loads {}\n  try: the role load for it, or for a host without services", host.name);
                return Err(Usage(said).into());
            }
        }
        groups.push(group);
    }
    Ok(groups)
}

impl Campaign {
    fn begin(book: &Arc<Book>, lines: Vec<HostLine>, asked: &Asked, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let (id, started) = name_of_now();
        let what = For { run: &id, cells: &asked.cells, quick: asked.quick, versions: None };
        let ensemble = Ensemble::gather(book, &lines, &what, interrupt)?;
        ensemble.entry_at()?;
        let scenario = &asked.scenario;
        let run = Beginning {
            id: id.clone(),
            started,
            scenario,
            cells: asked.cells.clone(),
            left_out: asked.left_out.clone(),
            host: ensemble.services_host()?.clone(),
            versions: ensemble.opened.versions.clone(),
            source: asked.source.clone(),
            until: asked.until,
            warnings: ensemble.opened.warnings.clone(),
        }
        .run();
        crate::run::until::check(&run)?;
        let directory = RunDirectory::create(&asked.out.join(&id), &run)?;
        let hosts = RunHosts { schema: SCHEMA, hosts: ensemble.hosts()? };
        directory.write_hosts(&hosts)?;
        if let Some(istio) = &asked.istio {
            directory.write_istio(istio)?;
        }
        let lock = directory.lock()?;
        announce(&run);
        say(&placed(&hosts));
        let campaign = Self {
            book: Arc::clone(book),
            lines,
            directory,
            run,
            hosts,
            ensemble: Some(ensemble),
            quick: asked.quick,
            strict: asked.strict,
            _lock: lock,
        };
        campaign.watch_clocks()?;
        Ok(campaign)
    }

    fn watch_clocks(&self) -> anyhow::Result<()> {
        let stations = self.ensemble.iter().flat_map(|e| &e.stations);
        for station in stations {
            station.watch.write_to(self.directory.clocks_path())?;
        }
        Ok(())
    }

    /// Makes a planned trial, unless it is sealed. It is made again where a generator came too late, and where a host was lost,
    /// which is waited for.
    fn step(&mut self, at: usize, progress: &mut Progress, interrupt: &Interrupt) -> anyhow::Result<()> {
        let planned = self.run.trials.get(at).context("there is no such trial")?.clone();
        let cell = self.run.cell(&planned.cell).cloned();
        let cell =
            cell.with_context(|| format!("run.json plans a trial of cell '{}', which it does not have", planned.cell))?;
        let before = self.directory.losses()?.into_iter().filter(|l| l.trial == planned.id);
        let mut attempt = before.map(|l| l.attempt).max().unwrap_or(0);
        let mut late: Vec<LateStart> = Vec::new();
        for tried in 1..=TRIES {
            if interrupt.asked() {
                return Err(Stopped.into());
            }
            self.regather(interrupt)?;
            let Some(mut ensemble) = self.ensemble.take() else { continue };
            attempt += 1;
            let mut phase = Phase::Settle;
            progress.begin(at + 1, &cell.label);
            let (directory, run, hosts) = (&self.directory, &self.run, &self.hosts);
            let stage = Stage { directory, run, hosts, interrupt, late: &late };
            let made = trial::make(&stage, &mut ensemble, &planned, &cell, attempt, progress, &mut phase);
            let Err(error) = made else {
                progress.end();
                self.ensemble = Some(ensemble);
                return Ok(());
            };
            if let Some(came) = error.downcast_ref::<LateStart>().filter(|_| tried < TRIES) {
                say(&format!("late: {}; try {tried} of {TRIES}\n", came.brief()));
                late.push(came.clone());
                self.begin_anew(ensemble, &trial::attempt_name(&planned.id, attempt), interrupt)?;
                continue;
            }
            let Some(lost) = error.downcast_ref::<HostLost>() else {
                // A part that failed here would fail again, and one that is late each time is too slow: the user has to know.
                ensemble.abandon();
                return Err(error);
            };
            self.note(lost, &planned.id, attempt, phase, tried)?;
            drop(ensemble);
            self.salvage(interrupt)?;
            if self.directory.is_sealed(&planned.id) {
                progress.end();
                return Ok(());
            }
        }
        let losses = self.directory.losses()?;
        let last = losses.last().map_or_else(String::new, |l| format!(": {} ({})", l.host, l.what));
        anyhow::bail!("{} was lost {} times{last}", planned.id, TRIES as usize - late.len())
    }

    /// Notes a lost host before anything else is done, and says so.
    fn note(&self, lost: &HostLost, trial: &str, attempt: u32, phase: Phase, tried: u32) -> anyhow::Result<()> {
        let loss = Loss {
            trial: trial.to_owned(),
            attempt,
            host: lost.host.clone(),
            phase,
            when: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            what: lost.what.lines().next().unwrap_or_default().to_owned(),
        };
        self.directory.write_loss(&loss)?;
        say(&format!(
            "lost: {} in the phase {} of {trial} ({}); try {tried} of {TRIES}\n",
            loss.host,
            phase.word(),
            loss.what
        ));
        Ok(())
    }

    /// Gets the hosts together again after a generator came too late. What they have of that try is no trial: it is thrown
    /// away.
    fn begin_anew(&mut self, mut ensemble: Ensemble, attempt: &str, interrupt: &Interrupt) -> anyhow::Result<()> {
        ensemble.abandon();
        // Another generator may be at work, and hears of it late: the new hand of its side relieves it.
        drop(ensemble);
        self.regather(interrupt)?;
        if let Some(ensemble) = &mut self.ensemble {
            trial::forget(ensemble, &self.run.id, attempt);
        }
        Ok(())
    }

    /// Waits for the lost host, and fetches what it measured: a trial of which every side was sealed is one.
    fn salvage(&self, interrupt: &Interrupt) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let fetched = fetch::lost(&self.book, &self.directory, &self.run, &self.hosts)?;
            if !fetched.missing || Instant::now() > until {
                fetched.said.iter().for_each(|line| say(&format!("{line}\n")));
                return Ok(());
            }
            interrupt.sleep(Duration::from_secs(1), || Ok(()))?;
        }
    }

    /// Gets the hosts together again after one was lost, and waits for it.
    fn regather(&mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        if self.ensemble.is_some() {
            return Ok(());
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let versions: &BTreeMap<String, String> = &self.run.versions;
            let what = For { run: &self.run.id, cells: &self.run.cells, quick: self.quick, versions: Some(versions) };
            match Ensemble::gather(&self.book, &self.lines, &what, interrupt) {
                Ok(ensemble) => {
                    crate::resume::same_conditions(&self.run, ensemble.services_host()?)?;
                    self.ensemble = Some(ensemble);
                    return self.watch_clocks();
                }
                Err(error) if error.is::<HostLost>() && Instant::now() < until => {
                    interrupt.sleep(Duration::from_millis(500), || Ok(()))?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Says what has come of it, and reports.
    fn end(mut self, made: anyhow::Result<()>, interrupt: &Interrupt) -> anyhow::Result<Exit> {
        if made.is_err()
            && let Some(ensemble) = &mut self.ensemble
        {
            ensemble.abandon();
        }
        drop(self.ensemble.take());
        let sealed = self.run.trials.iter().filter(|t| self.directory.is_sealed(&t.id)).count();
        let left = what_is_left(&self.directory, &self.run, sealed);
        let reported = || -> anyhow::Result<reports::Findings> {
            let explained = reports::explain(&self.directory)?;
            report::write_all(&explained, &self.directory)?;
            Ok(explained.findings)
        };
        let ended = match made {
            Ok(()) => reported().and_then(|findings| {
                report::print(&report::text(&findings))?;
                say(&format!("report: {}\n", self.directory.path().join("report.html").display()));
                Ok(report::judge(&findings, self.strict))
            }),
            Err(error) => {
                if sealed > 0
                    && let Err(error) = reported()
                {
                    say(&format!("the report could not be written: {}\n", exit::say(&error)));
                }
                if interrupt.asked() {
                    say(&format!("stopped: {left}\n"));
                    Ok(Exit::Cut)
                } else {
                    Err(anyhow::anyhow!("{}\n  {left}", exit::say(&error)))
                }
            }
        };
        report::print(&self.directory.path().display().to_string())?;
        ended
    }

    fn planned(&self) -> Duration {
        Duration::from_nanos(self.run.timing.trial_ns())
    }

    /// All of its trials, one after another.
    fn all(&mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        let mut progress = Progress::new(self.run.trials.len(), self.planned());
        let (directory, run, planned) = (self.directory.clone(), self.run.clone(), self.planned());
        let watch = Watch::begin(&directory, &run, planned);
        for (at, trial) in run.trials.iter().enumerate() {
            if directory.is_sealed(&trial.id) {
                continue;
            }
            if let Some(end) = watch.end(trial)? {
                directory.write_end(&end)?;
                say(&format!("ended: {}\n", end.evidence));
                break;
            }
            self.step(at, &mut progress, interrupt)?;
        }
        Ok(())
    }
}

/// Where everything stands, for a person.
fn placed(hosts: &RunHosts) -> String {
    let names = |role: HostRole| {
        let with = hosts.hosts.iter().filter(|h| h.roles.contains(&role));
        let named = |h: &record::RunHost| match h.services.as_slice() {
            services if role == HostRole::Services && !services.is_empty() => {
                format!("{} ({})", h.name, services.join(", "))
            }
            _ => h.name.clone(),
        };
        with.map(named).collect::<Vec<_>>().join(" + ")
    };
    format!("hosts: the load on {}, the services on {}\n", names(HostRole::Load), names(HostRole::Services))
}

/// A trial of each, then the next of each, so that what changes with time changes for all.
fn in_turn(mut campaigns: Vec<Campaign>, interrupt: &Interrupt) -> anyhow::Result<ExitCode> {
    if let [_] = campaigns.as_slice()
        && let Some(mut campaign) = campaigns.pop()
    {
        let made = campaign.all(interrupt);
        return Ok(campaign.end(made, interrupt)?.into());
    }
    let trials = campaigns.iter().map(|c| c.run.trials.len()).max().unwrap_or(0);
    let mut progress: Vec<Progress> =
        campaigns.iter().map(|c| Progress::new(c.run.trials.len(), c.planned() * campaigns.len() as u32)).collect();
    let mut made: Vec<anyhow::Result<()>> = campaigns.iter().map(|_| Ok(())).collect();
    for at in 0..trials {
        for ((campaign, progress), made) in campaigns.iter_mut().zip(&mut progress).zip(&mut made) {
            // What ended one does not end the others.
            if made.is_ok() {
                *made = campaign.step(at, progress, interrupt);
            }
        }
    }
    end_all(campaigns.into_iter().zip(made), interrupt)
}

/// Each with a thread of its own.
fn together(campaigns: Vec<Campaign>, interrupt: &Interrupt) -> anyhow::Result<ExitCode> {
    let made: Vec<(Campaign, anyhow::Result<()>)> = std::thread::scope(|scope| {
        let run = |mut campaign: Campaign| {
            scope.spawn(move || {
                let made = campaign.all(interrupt);
                (campaign, made)
            })
        };
        let threads: Vec<_> = campaigns.into_iter().map(run).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    end_all(made.into_iter(), interrupt)
}

/// Reports each, and ends as the worst of them did.
fn end_all(
    made: impl Iterator<Item = (Campaign, anyhow::Result<()>)>,
    interrupt: &Interrupt,
) -> anyhow::Result<ExitCode> {
    let (mut exit, mut failed) = (Exit::Done, None);
    let mut directories = Vec::new();
    for (campaign, made) in made {
        directories.push(campaign.directory.path().display().to_string());
        match campaign.end(made, interrupt) {
            Ok(Exit::Done) => {}
            Ok(other) => exit = other,
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
    }
    say(&format!("compare them: meshtax compare {}\n", directories.join(" ")));
    failed.map_or(Ok(exit.into()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, roles: &[HostRole]) -> HostLine {
        HostLine { name: name.into(), roles: roles.to_vec(), services: None, serve_at: None, price: None }
    }

    fn names(lines: &[HostLine], each: Option<Each>) -> Result<Vec<Vec<String>>, String> {
        let groups = groups(lines, each).map_err(|e| e.to_string())?;
        Ok(groups.iter().map(|g| g.iter().map(|h| h.name.clone()).collect()).collect())
    }

    #[test]
    fn hosts_are_grouped_by_the_chain_that_they_serve() {
        use HostRole::{Load, Services};
        let apart = [line("driver", &[Load]), line("a", &[Services])];
        assert_eq!(names(&apart, None).unwrap(), [["driver", "a"]]);
        let two = [line("driver", &[Load]), line("a", &[Services]), line("b", &[Load, Services])];
        assert_eq!(names(&two, Some(Each::InTurn)).unwrap(), [vec!["a", "driver"], vec!["b"]]);
        let parted = |name: &str, services: &[&str]| HostLine {
            services: Some(services.iter().map(|s| (*s).to_owned()).collect()),
            ..line(name, &[Services, Load])
        };
        let one = [parted("a", &["s1"]), parted("b", &["s2", "s3"])];
        assert_eq!(names(&one, None).unwrap(), [["a", "b"]]);
        for (lines, each, says) in [
            (&one[..], Some(Each::Together), "a carries a part of a chain, and --each"),
            (&two[..], None, "a, b have the role services, and nothing says which of them"),
            (&two[..], Some(Each::Together), "a makes no load of its own"),
            (&two[1..], Some(Each::InTurn), "nobody loads a"),
        ] {
            let said = names(lines, each).unwrap_err();
            assert!(said.contains(says) && said.contains("\n  try: "), "{said}");
        }
    }
}
