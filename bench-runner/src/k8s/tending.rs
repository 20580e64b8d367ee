//! What is done to a chain in a cluster while it is under load: weights shifted, counters asked for, certificates watched.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use record::{Dataplane, Event, Factors, Proof, Shift, Warning};
use scenarios::cluster::Mesh;

use super::clocks::Clocks;
use super::fleet::Fleet;
use super::pods::Seat;
use super::proofs;
use super::renewals::Renewals;
use crate::pod::words::{self, ScrapeTarget, Scrapes};
use crate::trial::steadiness::{self, Steadiness};

/// Tells a mesh other weights, from outside.
pub(super) type TellWeights<'a> = &'a dyn Fn(&record::Weights) -> anyhow::Result<()>;

/// What was done.
pub(super) struct Tended {
    /// In the order of time.
    pub(super) events: Vec<Event>,
    pub(super) proofs: Vec<Proof>,
    /// That it was done late, or not.
    pub(super) late: Vec<Warning>,
}

/// What is to be done, and what was.
pub(super) struct Tending<'a> {
    fleet: &'a Fleet<'a>,
    clocks: &'a Clocks,
    tell: TellWeights<'a>,
    proxies: Vec<(String, &'a Seat)>,
    /// To come, the next one last.
    shifts: Vec<Shift>,
    renewals: Option<Renewals>,
    /// The parts that are asked for their counters, with where.
    scraped: Vec<(String, String)>,
    events: Vec<Event>,
    /// Whether something falls due that the runner does itself.
    at_work: bool,
    steadiness: Steadiness,
}

impl<'a> Tending<'a> {
    /// Looks at what is to change, before the load.
    pub(super) fn prepare(
        fleet: &'a Fleet<'a>,
        clocks: &'a Clocks,
        factors: &Factors,
        tell: TellWeights<'a>,
    ) -> anyhow::Result<Self> {
        let proxies = fleet.proxies();
        let mut shifts: Vec<Shift> = factors.canary.iter().flat_map(|canary| canary.shifts.clone()).collect();
        shifts.reverse();
        let renewals = (factors.rotate_ns > 0 && factors.dataplane == Dataplane::IstioSidecar)
            .then(|| Renewals::begin(fleet.reach, &proxies, Duration::from_nanos(factors.rotate_ns)))
            .transpose()?;
        let at_work = !shifts.is_empty() || renewals.is_some();
        let (scraped, events, steadiness) = (Vec::new(), Vec::new(), Steadiness::begin(clocks.anchor));
        Ok(Self { fleet, clocks, tell, proxies, shifts, renewals, scraped, events, at_work, steadiness })
    }

    /// Has the probe of each node ask the proxies there for their counters, from when the load begins.
    pub(super) fn begin(&mut self, factors: &Factors) -> anyhow::Result<()> {
        self.steadiness = Steadiness::begin(self.clocks.anchor);
        let at = Mesh::of(factors.dataplane).and_then(Mesh::scraped_at);
        let Some((port, path)) = at.filter(|_| factors.stats_scrape_ns > 0) else { return Ok(()) };
        for (node, probe) in &self.fleet.probes {
            let mut targets = Vec::new();
            for (part, seat) in self.proxies.iter().filter(|(_, seat)| seat.node == *node) {
                let address: IpAddr = seat.address.parse().map_err(|_| {
                    anyhow::anyhow!("{} has no address ('{}')\n  try: the run again", seat.named(), seat.address)
                })?;
                let address = SocketAddr::new(address, port);
                self.scraped.push((part.clone(), format!("{address}{path}")));
                targets.push(ScrapeTarget { part: part.clone(), address, path: path.to_owned() });
            }
            let scrapes = Scrapes { every_ns: factors.stats_scrape_ns, targets };
            self.fleet.reach.order::<serde_json::Value>(probe, words::SCRAPE, &scrapes)?;
        }
        Ok(())
    }

    /// Does what has fallen due, `measured_ns` after the measured phase began; negative before.
    pub(super) fn tend(&mut self, measured_ns: i128) -> anyhow::Result<()> {
        self.steadiness.look();
        while let Some(next) = self.shifts.pop_if(|next| measured_ns >= i128::from(next.at_ns)) {
            let at_ns = self.clocks.now();
            (self.tell)(&next.weights)?;
            self.events.push(Event::WeightsShifted { at_ns, weights: next.weights });
        }
        if let Some(renewals) = &mut self.renewals {
            let clocks = self.clocks;
            self.events.extend(renewals.look(self.fleet.reach, &self.proxies, &|| clocks.now())?);
        }
        Ok(())
    }

    /// Ends it; what was done, and what it proves.
    pub(super) fn end(mut self) -> anyhow::Result<Tended> {
        let mut proofs = Vec::new();
        if !self.scraped.is_empty() {
            for (node, probe) in &self.fleet.probes {
                let offset = self.clocks.of(node);
                let mut events: Vec<Event> = self.fleet.reach.order(probe, words::SCRAPED, &())?;
                events.iter_mut().for_each(|event| event.move_by(offset.add_ns));
                self.events.extend(events);
            }
            for (part, source) in &self.scraped {
                let of_it = |e: &&Event| matches!(e, Event::StatsScraped { part: asked, .. } if asked == part);
                let found = self.events.iter().filter(of_it).count();
                proofs.push(proofs::scraped(part, found, source)?);
            }
        }
        if let Some(renewals) = &self.renewals {
            proofs.extend(renewals.prove()?);
        }
        self.events.sort_by_key(Event::at_ns);
        let late = self.steadiness.left_alone("the runner").filter(|_| self.at_work);
        self.shifts.reverse();
        let late = late.into_iter().chain(steadiness::unmade("the runner", &self.shifts)).collect();
        Ok(Tended { events: self.events, proofs, late })
    }
}
