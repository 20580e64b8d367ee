//! A side of one trial on this host: the services, a generator, or a probe alone; started, tended, sealed.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use record::{
    Cell, ClockAnchor, EdgeReadings, Edges, METHOD, Part, Phase, Proof, Role, TrialDirectory, Warning, monotonic_ns,
};
use scenarios::launch::Launched;
use scenarios::{Deployment, DeploymentSpec, Proven, Reached, Scenario, Tended, prove_passages};

use super::identity::put;
use super::slice::SliceHere;
use super::words::{LoadOrder, SideSeal, SliceOrder};
use crate::lab::Lab;
use crate::trial::steadiness::{self, Steadiness};
use crate::trial::{self, LOAD_GRACE};

/// Where its seal is.
pub(crate) const SEAL: &str = "side.json";

/// How long after the end of the load the order to finish is waited for: longer than a runner takes for its drain, and for
/// a host that is slow.
const UNTOLD: Duration = Duration::from_secs(8);

/// The same once it was told to count and others may still do so: a runner that is there needs no more for it.
const UNTOLD_COUNTED: Duration = Duration::from_secs(30);

/// Hosts of one chain that finish untold do so at one moment by their own clocks; after so long all of them have read what
/// requests of ours would bend, and after as long again all have had their answers to these.
const ALL_HAVE_DONE_SO: Duration = Duration::from_secs(3);

/// A generator that came too late for the moment at which all begin.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct TooLate {
    what: String,
    /// By how much.
    pub(crate) late_ns: u64,
}

/// What was read back when a side had cooled down.
struct Counted {
    cooling_ns: u64,
    cooled_ns: u64,
    events: Vec<record::Event>,
    edges: Option<Edges>,
    proven: Proven,
    /// Those of requests of ours, once these were made.
    refusals: Option<Vec<Proof>>,
    doubts: Vec<Warning>,
}

/// A side under way. Dropping it ends what it started; its files stay.
pub(crate) struct Side {
    side: String,
    directory: TrialDirectory,
    anchor: ClockAnchor,
    steadiness: Steadiness,
    parts: Vec<Part>,
    deployment: Option<Deployment>,
    /// Which part of a chain it is, where it is one.
    slice: Option<SliceHere>,
    counted: Option<Counted>,
    load: Option<Launched>,
    probe: Option<Launched>,
    before: Option<EdgeReadings>,
    watched: Vec<(String, u32)>,
    /// Those of proxies, as they were before the load.
    workers: Vec<(String, u32)>,
    settled_ns: u64,
    measured_for: Duration,
    /// Until when the load must have ended, while an answer to its start is awaited.
    ends_by: Option<Instant>,
    /// When it finishes by itself, and after which cool-down, where nobody tells it to.
    overdue: Option<(Instant, u64)>,
    cool_down_ns: u64,
    tended: bool,
    broken: Option<String>,
}

impl Side {
    /// An empty one, in a folder of its own; what an earlier one of the same try left is removed.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(crate) fn begin(_: &Lab, folder: &Path, attempt: &str, side: &str) -> anyhow::Result<Self> {
        let path = folder.join(attempt).join(side);
        let cannot = || format!("cannot create {}", path.display());
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(cannot)?;
        }
        std::fs::create_dir_all(path.join("logs")).with_context(cannot)?;
        let anchor = ClockAnchor::now();
        Ok(Self {
            side: side.to_owned(),
            directory: TrialDirectory::at(&path),
            anchor,
            steadiness: Steadiness::begin(anchor),
            parts: Vec::new(),
            deployment: None,
            slice: None,
            counted: None,
            load: None,
            probe: None,
            before: None,
            watched: Vec::new(),
            workers: Vec::new(),
            settled_ns: 0,
            measured_for: Duration::ZERO,
            ends_by: None,
            overdue: None,
            cool_down_ns: 0,
            tended: false,
            broken: None,
        })
    }

    /// Starts the chain of a cell; says where it takes the load and what is to be trusted there.
    ///
    /// # Errors
    /// Those of [`scenarios::deploy`].
    pub(crate) fn chain(
        &mut self,
        lab: &Lab,
        cell: &Cell,
        scenario_toml: &str,
        entry_at: IpAddr,
    ) -> anyhow::Result<(String, Option<(String, String)>)> {
        let scenario = Scenario::parse(scenario_toml, "the scenario of the run")?;
        let shape = scenario.shape(&cell.factors)?;
        let deployment =
            scenarios::deploy(&DeploymentSpec { entry_at, ..lab.chain(&cell.factors, &shape, self.directory.path()) })?;
        self.parts = deployment.parts();
        let way_in = way_in(&deployment)?;
        self.deployment = Some(deployment);
        Ok(way_in)
    }

    /// Starts the services of a part of a chain.
    ///
    /// # Errors
    /// Those of [`scenarios::begin`].
    pub(crate) fn slice(&mut self, lab: &Lab, order: SliceOrder) -> anyhow::Result<()> {
        let slice = SliceHere::of(order)?;
        self.deployment = Some(scenarios::begin(&slice.spec(lab, self.directory.path()))?);
        self.slice = Some(slice);
        Ok(())
    }

    /// Starts the proxies of services of that part; where those services are reached now.
    ///
    /// # Errors
    /// Those of [`Deployment::stand`].
    pub(crate) fn stand(
        &mut self,
        lab: &Lab,
        services: &[String],
        elsewhere: &[Reached],
    ) -> anyhow::Result<Vec<Reached>> {
        let (slice, deployment) = (self.slice.as_ref(), self.deployment.as_mut());
        let (slice, deployment) = slice.zip(deployment).context("no part of a chain is under way here")?;
        Ok(deployment.stand(&slice.spec(lab, self.directory.path()), services, elsewhere)?)
    }

    /// Ends the building of a part of a chain; where it takes the load, if it does.
    ///
    /// # Errors
    /// Those of [`Deployment::complete`].
    pub(crate) fn complete(&mut self, lab: &Lab) -> anyhow::Result<(String, Option<(String, String)>)> {
        let (slice, deployment) = (self.slice.as_ref(), self.deployment.as_mut());
        let (slice, deployment) = slice.zip(deployment).context("no part of a chain is under way here")?;
        deployment.complete(&slice.spec(lab, self.directory.path()))?;
        self.parts = deployment.parts();
        way_in(deployment)
    }

    /// Starts a generator that waits for its start; its process id.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn hold(&mut self, lab: &Lab, order: &LoadOrder) -> anyhow::Result<u32> {
        let tls = match &order.tls {
            Some((pem, name)) => {
                let path = self.directory.path().join("authority.pem");
                std::fs::write(&path, pem).with_context(|| format!("cannot write {}", path.display()))?;
                Some((path, name.as_str()))
            }
            None => None,
        };
        let factors = record::Factors { connections: order.connections, ..order.cell.factors.clone() };
        let tls = tls.as_ref().map(|(path, name)| (path.as_path(), *name));
        let mut args = trial::load_args(&order.url, tls, &factors, &order.timing, order.seed, &self.directory);
        args.extend(["--portion".to_owned(), order.portion.clone()]);
        let load = trial::start_part(lab, "load", Role::Load, args, None, &self.directory, &mut self.parts)?;
        let pid = load.pid();
        self.load = Some(load);
        self.measured_for = Duration::from_nanos(order.timing.warm_up_ns + order.timing.measure_ns);
        self.cool_down_ns = order.timing.cool_down_ns;
        Ok(pid)
    }

    /// Starts the probe, on what this side has started and on these as well.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) fn watch(&mut self, lab: &Lab, also: &[(String, u32)]) -> anyhow::Result<()> {
        let mut watched: Vec<(String, u32)> = self.parts.iter().map(|p| (p.name.clone(), p.pid)).collect();
        self.workers = self.deployment.iter().flat_map(Deployment::children).collect();
        watched.extend(self.workers.iter().cloned());
        watched.extend(also.iter().cloned());
        let cgroups = self.deployment.as_ref().map(Deployment::cgroups).unwrap_or_default();
        let place = self.directory.path().to_owned();
        let probe = trial::watch(lab, &place, &self.directory, &watched, &cgroups, &mut self.parts)?;
        self.before = Some(node_probe::edges(Path::new("/"), &watched, Some(&place)));
        self.watched = watched;
        self.probe = Some(probe);
        self.settled_ns = monotonic_ns();
        Ok(())
    }

    /// Begins what is done to the chain under load.
    ///
    /// # Errors
    /// When a part has ended.
    pub(crate) fn tend(&mut self, measure_from_ns: u64, ends_ns: u64, cool_down_ns: u64) -> anyhow::Result<()> {
        let until_then = Duration::from_nanos(ends_ns.saturating_sub(monotonic_ns()));
        self.overdue = Some((Instant::now() + until_then + UNTOLD, cool_down_ns));
        if let Some(deployment) = &mut self.deployment {
            deployment.begin_load(measure_from_ns)?;
            self.tended = true;
            self.steadiness = Steadiness::begin(self.anchor);
        }
        Ok(())
    }

    /// Lets the load go at a moment to come.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) fn go(&mut self, start_ns: u64) -> anyhow::Result<()> {
        let load = self.load.as_mut().context("no load is held here")?;
        load.write_line(&format!("go {start_ns}")).context("cannot start the load")?;
        let until_then = Duration::from_nanos(start_ns.saturating_sub(monotonic_ns()));
        self.ends_by = Some(Instant::now() + until_then + self.measured_for + LOAD_GRACE);
        Ok(())
    }

    /// Does what has fallen due and sees that all is well; whether a load that was let go has just ended.
    ///
    /// # Errors
    /// When a part has ended that should not have, or the load did in another way than it should.
    pub(crate) fn look(&mut self) -> anyhow::Result<bool> {
        if self.broken.is_some() {
            return Ok(false);
        }
        if let Some(probe) = &self.probe {
            probe.expect_alive("sampling")?;
        }
        if let Some(deployment) = &mut self.deployment {
            deployment.check_alive()?;
            if self.tended {
                deployment.tend()?;
                self.steadiness.look();
            }
        }
        let Some(load) = &mut self.load else { return Ok(false) };
        let Some(ends_by) = self.ends_by else {
            load.expect_alive("waiting for its start")?;
            return Ok(false);
        };
        if let Some(status) = load.try_wait()? {
            if !status.success() {
                return Err(without_a_load(status, &load.log_tail(8)));
            }
            self.load = None;
            self.ends_by = None;
            self.overdue = Some((Instant::now() + UNTOLD, self.cool_down_ns));
            return Ok(true);
        }
        anyhow::ensure!(
            Instant::now() < ends_by,
            "the load generator did not end within {:.0} s of its planned end\n{}",
            LOAD_GRACE.as_secs_f64(),
            trial::indented(&load.log_tail(8))
        );
        Ok(false)
    }

    /// Whether nobody has told it to finish though its time is over; after which cool-down it would have been.
    pub(crate) fn is_overdue(&self) -> Option<u64> {
        self.overdue
            .filter(|(at, _)| Instant::now() > *at && self.broken.is_none())
            .map(|(_, cool_down_ns)| cool_down_ns)
    }

    /// Whether somebody waits for the end of the load.
    pub(crate) fn awaited(&self) -> bool {
        self.ends_by.is_some()
    }

    /// Keeps why it is of no use any more.
    pub(crate) fn failed(&mut self, why: String) {
        self.broken.get_or_insert(why);
    }

    /// Nothing has failed so far.
    ///
    /// # Errors
    /// What failed.
    pub(crate) fn healthy(&self) -> anyhow::Result<()> {
        self.broken.as_ref().map_or(Ok(()), |why| Err(anyhow::anyhow!("{why}")))
    }

    /// Cools down and reads back what can be read without a request of our own.
    ///
    /// # Errors
    /// When something failed before or does now.
    pub(crate) fn count(&mut self, cool_down_ns: u64) -> anyhow::Result<()> {
        self.healthy()?;
        let mut tended = Tended::default();
        if let Some(deployment) = &mut self.deployment {
            tended = deployment.end_load()?;
            deployment.end_neighbour()?;
        }
        let cooling_ns = monotonic_ns();
        let until = Instant::now() + Duration::from_nanos(cool_down_ns);
        while Instant::now() < until {
            self.look()?;
            std::thread::sleep(until.saturating_duration_since(Instant::now()).min(Duration::from_millis(20)));
        }
        let cooled_ns = monotonic_ns();
        let edges = self.before.take().map(|before| {
            let after = node_probe::edges(Path::new("/"), &self.watched, Some(self.directory.path()));
            Edges { before, after }
        });
        let Tended { events, unmade } = tended;
        let mut doubts = self.steadiness.doubts("the agent's hand", ClockAnchor::now());
        doubts.extend(steadiness::unmade("the agent's hand", &unmade));
        if let Some(deployment) = &self.deployment {
            doubts.extend(steadiness::lost_workers(&self.workers, &deployment.children()));
        }
        drop(self.load.take());
        if let Some(probe) = self.probe.take() {
            trial::stop_probe(probe)?;
        }
        let proven = match &self.deployment {
            Some(deployment) => deployment.read_back()?,
            None => Proven { proofs: Vec::new(), passages: Vec::new() },
        };
        self.counted = Some(Counted { cooling_ns, cooled_ns, events, edges, proven, refusals: None, doubts });
        self.overdue = Some((Instant::now() + UNTOLD_COUNTED, 0));
        Ok(())
    }

    /// Speaks to each way in in clear, once all was read back. What is answered may need what stands on other hosts.
    ///
    /// # Errors
    /// When something failed before, or was answered otherwise than the mode makes of it.
    pub(crate) fn prove_refusals(&mut self) -> anyhow::Result<()> {
        self.healthy()?;
        let counted = self.counted.as_mut().context("nothing was read back")?;
        let refusals = self.deployment.as_ref().map(Deployment::prove_refusals).transpose()?;
        counted.refusals = Some(refusals.unwrap_or_default());
        self.overdue = Some((Instant::now() + UNTOLD_COUNTED, 0));
        Ok(())
    }

    /// Finishes as nobody told it to, at a time at which other hosts of its chain may do so as well.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn finish_untold(mut self, cool_down_ns: u64) -> anyhow::Result<SideSeal> {
        if self.slice.is_some() {
            if self.counted.is_none() {
                self.count(cool_down_ns)?;
                std::thread::sleep(ALL_HAVE_DONE_SO);
            }
            if self.counted.as_ref().is_some_and(|counted| counted.refusals.is_none()) {
                self.prove_refusals()?;
                std::thread::sleep(ALL_HAVE_DONE_SO);
            }
        }
        self.finish(cool_down_ns)
    }

    /// Does what was not done of reading back and of the other proofs, stops all and seals.
    ///
    /// # Errors
    /// When something failed before or does now; what there is stays, without a seal.
    pub(crate) fn finish(mut self, cool_down_ns: u64) -> anyhow::Result<SideSeal> {
        self.healthy()?;
        if self.counted.is_none() {
            self.count(cool_down_ns)?;
        }
        if self.counted.as_ref().is_some_and(|counted| counted.refusals.is_none()) {
            self.prove_refusals()?;
        }
        let counted = self.counted.take().context("nothing was read back")?;
        let Counted { cooling_ns, cooled_ns, events, edges, proven, refusals, doubts } = counted;
        let Proven { mut proofs, mut passages } = proven;
        let mut lacks = Vec::new();
        if self.slice.is_none() {
            proofs.extend(prove_passages(&passages)?);
            passages.clear();
        }
        proofs.extend(refusals.unwrap_or_default());
        if let Some(deployment) = self.deployment.take() {
            lacks = deployment.lacks();
            deployment.stop()?;
        }
        let seal = SideSeal {
            side: self.side.clone(),
            method: METHOD,
            anchor: self.anchor,
            parts: std::mem::take(&mut self.parts),
            proofs,
            passages,
            lacks,
            warnings: doubts,
            events,
            edges,
            phases: vec![(Phase::Settle, self.settled_ns, cooling_ns), (Phase::CoolDown, cooling_ns, cooled_ns)],
        };
        put(&self.seal_path(), &serde_json::to_vec_pretty(&seal)?)?;
        Ok(seal)
    }

    fn seal_path(&self) -> PathBuf {
        self.directory.path().join(SEAL)
    }
}

/// Why there is no load of a generator that has ended.
fn without_a_load(status: ExitStatus, log: &[String]) -> anyhow::Error {
    let what = format!("the load generator ended with {status}\n{}", trial::indented(log));
    match late_by(log) {
        Some(late_ns) => TooLate { what, late_ns }.into(),
        None => anyhow::anyhow!("{what}"),
    }
}

/// By how much a generator came too late, where that is what it ended for. It says so in its log: it is this program, and its
/// words are taken from the error itself, so that the two cannot come apart.
fn late_by(log: &[String]) -> Option<u64> {
    let error = load_gen::Error::LateStart { late_ns: 0 }.to_string();
    let (before, after) = error.lines().next()?.split_once("0.000")?;
    let late_ms = |line: &String| line.split_once(before)?.1.split_once(after)?.0.parse::<f64>().ok();
    log.iter().find_map(late_ms).map(|ms| (ms * 1e6).round() as u64)
}

/// Where a chain takes the load, and the authority and name that are to be trusted there.
fn way_in(deployment: &Deployment) -> anyhow::Result<(String, Option<(String, String)>)> {
    let tls = match deployment.entry_tls() {
        Some((authority, name)) => {
            let pem =
                std::fs::read_to_string(authority).with_context(|| format!("cannot read {}", authority.display()))?;
            Some((pem, name.to_owned()))
        }
        None => None,
    };
    Ok((deployment.entry_url(), tls))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    /// The log of a generator that ended with this error, as the program says it.
    fn log(error: load_gen::Error) -> Vec<String> {
        let said = format!("a line before\nerror: {}", crate::exit::say(&error.into()));
        said.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_generator_that_came_too_late_is_told_from_one_that_failed() {
        let status = ExitStatus::from_raw(2 << 8);
        let late = without_a_load(status, &log(load_gen::Error::LateStart { late_ns: 1_012_345_678 }));
        assert_eq!(late.downcast_ref::<TooLate>().map(|late| late.late_ns), Some(1_012_346_000));
        let said = crate::exit::say(&late);
        assert!(said.starts_with("the load generator ended with exit status: 2\n    | a line before\n"), "{said}");
        assert!(said.contains("begin 1012.346 ms before it could"), "{said}");
        for log in [log(load_gen::Error::Thread("load")), Vec::new()] {
            let failed = without_a_load(status, &log);
            assert!(!failed.is::<TooLate>(), "{failed}");
            assert!(failed.to_string().starts_with("the load generator ended with exit status: 2\n"), "{failed}");
        }
    }
}
