//! The agents of one run, each with its hands: asked together, waited for together, lost together.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use record::{Cell, Host, HostRole, METHOD, RunHost, SCHEMA, Warning};

use super::book::{Book, Entry};
use super::file::HostLine;
use super::link::{HostLost, Link};
use super::watch::Watch;
use crate::agent::words::{Ask, Done, Order, Tell};
use crate::exit::Usage;
use crate::interrupt::{Interrupt, Stopped};
use crate::run::PROGRAM;

/// How long an order may take that starts or ends processes, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How often each hand is polled.
const POLL: Duration = Duration::from_millis(10);

/// A host of the run.
pub(crate) struct Station {
    pub(crate) line: HostLine,
    pub(crate) entry: Entry,
    pub(crate) watch: Watch,
    program: String,
    host: Option<Host>,
}

impl Station {
    /// The address at which other hosts reach what stands on it.
    ///
    /// # Errors
    /// [`Usage`] where it would be one that they cannot reach.
    pub(crate) fn reached_at(&self) -> anyhow::Result<IpAddr> {
        let at = self.line.serve_at.unwrap_or(self.entry.address.ip());
        if at.is_loopback() || at.is_unspecified() {
            let said = format!(
                "the chain on {} would listen at {at}, where other hosts do not reach it\n  try: serve_at = \"ADDR\" for that host in hosts.toml, with its address in a network of all hosts",
                self.line.name
            );
            return Err(Usage(said).into());
        }
        Ok(at)
    }
}

/// A hand on a host.
pub(crate) struct HandLink {
    /// Which station.
    pub(crate) station: usize,
    pub(crate) side: &'static str,
    pub(crate) link: Link,
}

/// What is known of the services' host once all hands are there.
pub(crate) struct Opened {
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) warnings: Vec<Warning>,
}

/// All of them. The hand with the services is the first; of several that with the service that the load enters.
pub(crate) struct Ensemble {
    pub(crate) stations: Vec<Station>,
    pub(crate) hands: Vec<HandLink>,
    pub(crate) opened: Opened,
}

/// What they are to be opened for.
pub(crate) struct For<'a> {
    pub(crate) run: &'a str,
    pub(crate) cells: &'a [Cell],
    pub(crate) quick: bool,
    /// The versions of proxies that the run was begun with, where it was.
    pub(crate) versions: Option<&'a BTreeMap<String, String>>,
}

impl Ensemble {
    /// Connects to all, refuses versions that differ, and has each hand get ready.
    ///
    /// # Errors
    /// [`HostLost`] for one that is not there, [`Usage`] for another version, and what a hand cannot do.
    pub(crate) fn gather(
        book: &Arc<Book>,
        lines: &[HostLine],
        what: &For<'_>,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        let session = format!("{:016x}", rand::random::<u64>());
        let mut stations = Vec::new();
        for line in lines {
            let entry = book.entry(&line.name)?;
            let program = greet(book, &line.name, &entry)?;
            let watch = Watch::begin(book, &line.name, &entry, &session)?;
            stations.push(Station { line: line.clone(), entry, watch, program, host: None });
        }
        let mut hands = Vec::new();
        for (station, side) in sides(&stations) {
            let Station { line, entry, .. } =
                stations.get(station).context("a host that is not there has something to do")?;
            let mut link = Link::connect(book, &line.name, entry)?;
            let begin = Ask::Begin { session: session.clone(), run: what.run.to_owned(), side: side.to_owned() };
            match link.call(&begin, PATIENCE)? {
                Tell::Begun => hands.push(HandLink { station, side, link }),
                other => anyhow::bail!("{} answered {other:?} instead of beginning", line.name),
            }
        }
        let opened = Opened { versions: BTreeMap::new(), warnings: Vec::new() };
        let mut ensemble = Self { stations, hands, opened };
        ensemble.open(what, interrupt)?;
        Ok(ensemble)
    }

    fn open(&mut self, what: &For<'_>, interrupt: &Interrupt) -> anyhow::Result<()> {
        let mut met = Vec::new();
        for hand in &mut self.hands {
            // A host is measured once, by its first hand.
            let quick = what.quick || met.contains(&hand.station);
            met.push(hand.station);
            let (cells, versions) = (what.cells.to_vec(), what.versions.cloned());
            hand.link.order(Order::Open { cells, quick, versions })?;
        }
        let all: Vec<usize> = (0..self.hands.len()).collect();
        for (at, done) in self.gathered(&all, PATIENCE, interrupt)? {
            let Done::Opened { host, versions, warnings } = done else { anyhow::bail!("a hand opened with {done:?}") };
            let Some(hand) = self.hands.get(at) else { continue };
            if hand.side == "services" && at == 0 {
                self.opened = Opened { versions, warnings };
            } else if hand.side == "services" {
                same_versions(hand.link.host(), &versions, self.hands.first(), &self.opened.versions)?;
                let new: Vec<Warning> = warnings.into_iter().filter(|w| !self.opened.warnings.contains(w)).collect();
                self.opened.warnings.extend(new);
            }
            if let Some(station) = self.stations.get_mut(hand.station) {
                station.host.get_or_insert(*host);
            }
        }
        Ok(())
    }

    /// The hosts as a run keeps them.
    ///
    /// # Errors
    /// When one was never opened.
    pub(crate) fn hosts(&self) -> anyhow::Result<Vec<RunHost>> {
        let of = |station: &Station| {
            Ok(RunHost {
                name: station.line.name.clone(),
                address: station.entry.address.to_string(),
                roles: station.line.roles.clone(),
                services: station.line.services.clone().unwrap_or_default(),
                serve_at: station.line.serve_at,
                price: station.line.price.clone(),
                boot: station.watch.boot(),
                program: station.program.clone(),
                host: station.host.clone().with_context(|| format!("{} was not looked at", station.line.name))?,
            })
        };
        self.stations.iter().map(of).collect()
    }

    /// The machine with the services; of several the one that the load enters.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn services_host(&self) -> anyhow::Result<&Host> {
        let station = self.stations.iter().find(|s| s.line.has(HostRole::Services));
        station.and_then(|s| s.host.as_ref()).context("no host has the services")
    }

    /// The address at which the chain takes the load.
    ///
    /// # Errors
    /// When it would be one that the load's hosts cannot reach.
    pub(crate) fn entry_at(&self) -> anyhow::Result<IpAddr> {
        let services =
            self.stations.iter().find(|s| s.line.has(HostRole::Services)).context("no host has the services")?;
        let apart = self.stations.iter().any(|s| s.line.has(HostRole::Load) && s.line.name != services.line.name);
        if apart {
            return services.reached_at();
        }
        Ok(services.line.serve_at.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)))
    }

    /// Every host is there.
    ///
    /// # Errors
    /// [`HostLost`].
    pub(crate) fn expect(&self) -> Result<(), HostLost> {
        self.stations.iter().try_for_each(|s| s.watch.expect())
    }

    /// The places of the hands of a side.
    pub(crate) fn of_side(&self, side: &str) -> Vec<usize> {
        (0..self.hands.len()).filter(|at| self.hands.get(*at).is_some_and(|h| h.side == side)).collect()
    }

    /// Gives a hand an order, without waiting.
    ///
    /// # Errors
    /// [`HostLost`].
    pub(crate) fn order(&mut self, at: usize, order: Order) -> anyhow::Result<()> {
        let hand = self.hands.get_mut(at).context("there is no such hand")?;
        Ok(hand.link.order(order)?)
    }

    /// Gives a hand an order and waits for what it does.
    ///
    /// # Errors
    /// [`HostLost`] for any of the hosts, and what the hand cannot do.
    pub(crate) fn call(&mut self, at: usize, order: Order, interrupt: &Interrupt) -> anyhow::Result<Done> {
        self.order(at, order)?;
        let mut done = self.gathered(&[at], PATIENCE, interrupt)?;
        done.pop().map(|(_, done)| done).context("a hand answered nothing")
    }

    /// What these hands have done, when all of them have.
    ///
    /// # Errors
    /// As [`Self::call`]; the first that fails.
    pub(crate) fn gathered(
        &mut self,
        of: &[usize],
        patience: Duration,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Vec<(usize, Done)>> {
        let mut done = Vec::new();
        let mut open: Vec<usize> = of.to_vec();
        while !open.is_empty() {
            if interrupt.asked() {
                return Err(Stopped.into());
            }
            self.expect()?;
            let mut still = Vec::new();
            for at in open {
                let hand = self.hands.get_mut(at).context("there is no such hand")?;
                match hand.link.done(POLL)? {
                    Some(answer) => done.push((at, answer)),
                    None if hand.link.awaited().is_some_and(|since| since > patience) => {
                        let what = format!("an order was not done within {:.0} s", patience.as_secs_f64());
                        return Err(HostLost { host: hand.link.host().to_owned(), what }.into());
                    }
                    None => still.push(at),
                }
            }
            open = still;
        }
        done.sort_by_key(|(at, _)| *at);
        Ok(done)
    }

    /// Has every hand stop what it does; one that does not answer is left to its agent.
    pub(crate) fn abandon(&mut self) {
        for hand in &mut self.hands {
            let _ = hand.link.order(Order::Abandon);
        }
        for hand in &mut self.hands {
            // What was asked before may be answered first.
            for _ in 0..3 {
                if matches!(hand.link.done(Duration::from_secs(5)), Ok(Some(Done::Well)) | Err(_)) {
                    break;
                }
            }
        }
    }
}

/// Who an agent is, which must be what we are.
fn greet(book: &Book, name: &str, entry: &Entry) -> anyhow::Result<String> {
    let mut link = Link::connect(book, name, entry)?;
    let told = link.call(&Ask::Hello, Duration::from_secs(10))?;
    let Tell::Hello { program, method, schema, .. } = told else {
        anyhow::bail!("{name} answered a greeting with {told:?}");
    };
    fits(name, &program, method, schema)?;
    Ok(program)
}

/// Figures of two versions do not belong in one run, and messages of two may not mean the same.
fn fits(name: &str, program: &str, method: u32, schema: u32) -> anyhow::Result<()> {
    if (program, method, schema) == (PROGRAM, METHOD, SCHEMA) {
        return Ok(());
    }
    let said = format!(
        "the agent on {name} is {program} (method {method}, files {schema}), and this is {PROGRAM} (method {METHOD}, files {SCHEMA})\n  try: the same version on all hosts; nothing was started"
    );
    Err(Usage(said).into())
}

/// Proxies of two versions do not belong in one chain.
fn same_versions(
    host: &str,
    there: &BTreeMap<String, String>,
    first: Option<&HandLink>,
    here: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    if there == here {
        return Ok(());
    }
    let first = first.map_or_else(String::new, |hand| hand.link.host().to_owned());
    let said = |all: &BTreeMap<String, String>| {
        let all: Vec<String> = all.iter().map(|(what, version)| format!("{what} {version}")).collect();
        if all.is_empty() { "no proxy".to_owned() } else { all.join(", ") }
    };
    let said = format!(
        "{first} has {}, and {host} has {}\n  try: the same on all hosts of one chain; nothing was started",
        said(here),
        said(there)
    );
    Err(Usage(said).into())
}

/// Which hands there are: the services first, then the generators in the order of their portions, then probes alone.
fn sides(stations: &[Station]) -> Vec<(usize, &'static str)> {
    let with = |role: HostRole| {
        let has = move |(at, s): (usize, &Station)| s.line.has(role).then_some(at);
        stations.iter().enumerate().filter_map(has)
    };
    let services = with(HostRole::Services).map(|at| (at, "services"));
    let loads = with(HostRole::Load).map(|at| (at, "load"));
    let alone = with(HostRole::Probe)
        .filter(|at| stations.get(*at).is_some_and(|s| !s.line.has(HostRole::Services) && !s.line.has(HostRole::Load)))
        .map(|at| (at, "probe"));
    services.chain(loads).chain(alone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_of_another_version_on_one_of_the_hosts_are_refused() {
        let of = |version: &str| BTreeMap::from([("envoy".to_owned(), version.to_owned())]);
        same_versions("b", &of("1.40.0"), None, &of("1.40.0")).unwrap();
        let error = same_versions("b", &of("1.36.0"), None, &of("1.40.0")).unwrap_err();
        assert!(error.is::<Usage>());
        let said = error.to_string();
        assert!(said.contains("has envoy 1.40.0, and b has envoy 1.36.0\n  try: "), "{said}");
    }

    #[test]
    fn another_version_or_method_is_refused_before_anything_starts() {
        fits("a", PROGRAM, METHOD, SCHEMA).unwrap();
        for (program, method, schema) in
            [("meshtax 9.9.9", METHOD, SCHEMA), (PROGRAM, METHOD + 1, SCHEMA), (PROGRAM, METHOD, SCHEMA + 1)]
        {
            let error = fits("a", program, method, schema).unwrap_err();
            assert!(error.is::<Usage>());
            let said = error.to_string();
            assert!(
                said.contains("the agent on a is") && said.contains("try: the same version on all hosts"),
                "{said}"
            );
        }
    }
}
