//! What is done to a chain while it is under load: weights shifted, certificates rotated, counters scraped.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use record::{Event, Shift, monotonic_ns};

use super::{Deployment, GATEWAY, ProxyNode};
use crate::certs::Authority;
use crate::event_log::EventLog;
use crate::onlooker::serial_shown;
use crate::scraper::{Scraper, Target};
use crate::{Error, Result};

/// How long a handshake that looks at a certificate may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The name under which the runner looks at certificates.
pub(crate) const ONLOOKER: &str = "onlooker";

/// What is to be done, and what was.
#[derive(Debug)]
pub(super) struct Tending {
    /// To come, the next one last.
    shifts: Vec<(u64, Shift)>,
    /// When certificates are rotated next; none is never.
    rotate_at_ns: Option<u64>,
    scraper: Option<Scraper>,
    events: EventLog,
}

/// What was done to a chain while it was under load, and what was not.
#[derive(Debug, Default)]
pub struct Tended {
    /// In the order of time.
    pub events: Vec<Event>,
    /// Shifts of what stands here that were due and did not come before the end, the first one first.
    pub unmade: Vec<Shift>,
}

impl Tending {
    /// Nothing yet; what is done is kept in this folder while it goes on.
    pub(super) fn new(folder: &Path) -> Self {
        let events = EventLog::new(folder, "events.part");
        Self { shifts: Vec::new(), rotate_at_ns: None, scraper: None, events }
    }
}

impl Deployment {
    /// Begins what its factors ask to be done under load; `measured_from_ns` is when the measured phase begins,
    /// CLOCK_MONOTONIC, which shifts are counted from.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn begin_load(&mut self, measured_from_ns: u64) -> Result<()> {
        let factors = &self.factors;
        // Of a chain on several hosts each shifts what it has, and one that has nothing of it shifts nothing.
        let called_here = |service: &str| self.proxies.iter().any(|node| node.place.callee(service).is_some());
        let canary = factors.canary.iter().filter(|canary| called_here(&canary.service));
        let shifts = canary.flat_map(|canary| canary.shifts.iter().rev());
        self.tending.shifts = shifts.map(|shift| (measured_from_ns + shift.at_ns, shift.clone())).collect();
        self.tending.rotate_at_ns = (factors.rotate_ns > 0).then(|| monotonic_ns() + factors.rotate_ns);
        if let (true, Some(proxy)) = (factors.stats_scrape_ns > 0, &self.proxy) {
            let target = |node: &ProxyNode| Target {
                part: node.node.part.name().to_owned(),
                stand: node.place.stand.clone(),
                admin: node.ports.admin,
                path: proxy.scrape_path().to_owned(),
            };
            let interval = Duration::from_nanos(factors.stats_scrape_ns);
            self.tending.scraper =
                Some(Scraper::start(self.proxies.iter().map(target).collect(), interval, &self.folders.kept)?);
        }
        if let (true, Some(shared)) = (factors.stats_scrape_ns > 0, &self.node_proxy) {
            let interval = Duration::from_nanos(factors.stats_scrape_ns);
            self.tending.scraper = Some(Scraper::start(vec![shared.target()], interval, &self.folders.kept)?);
        }
        Ok(())
    }

    /// Does what has fallen due; to be called a few times a tenth of a second.
    ///
    /// # Errors
    /// A proxy that does not take what it is told, or shows a certificate that is not the new one.
    pub fn tend(&mut self) -> Result<()> {
        let now = monotonic_ns();
        while let Some((_, shift)) = self.tending.shifts.pop_if(|(at, _)| *at <= now) {
            self.shift(&shift)?;
        }
        if self.tending.rotate_at_ns.is_some_and(|at| at <= now) {
            // From now on, and not from when it should have been: a rotation that takes long must not follow on itself.
            self.tending.rotate_at_ns = Some(now + self.factors.rotate_ns);
            self.rotate()?;
        }
        Ok(())
    }

    /// Ends what is done under load.
    ///
    /// # Errors
    /// When what was done could not be kept.
    pub fn end_load(&mut self) -> Result<Tended> {
        let tending = std::mem::replace(&mut self.tending, Tending::new(&self.folders.kept));
        let mut events = tending.events.taken()?;
        if let Some(scraper) = tending.scraper {
            events.extend(scraper.finish()?);
        }
        events.sort_by_key(Event::at_ns);
        let unmade = tending.shifts.into_iter().rev().map(|(_, shift)| shift).collect();
        Ok(Tended { events, unmade })
    }

    fn shift(&mut self, shift: &Shift) -> Result<()> {
        let (Some(proxy), Some(canary)) = (&self.proxy, &self.factors.canary) else { return Ok(()) };
        let at_ns = monotonic_ns();
        for node in self.proxies.iter_mut().filter(|node| node.place.callee(&canary.service).is_some()) {
            proxy.shift(&node.place, &mut node.node.part, &self.folders, &shift.weights)?;
        }
        self.tending.events.push(Event::WeightsShifted { at_ns, weights: shift.weights.clone() });
        Ok(())
    }

    /// Gives every proxy a new certificate, and looks at those that are shown to callers.
    fn rotate(&mut self) -> Result<()> {
        if self.node_proxy.is_some() {
            self.rotate_node_proxy()?.into_iter().for_each(|event| self.tending.events.push(event));
            return Ok(());
        }
        let (Some(proxy), Some(authority)) = (&self.proxy, &self.authority) else { return Ok(()) };
        let mut expected = Vec::new();
        for node in &mut self.proxies {
            let identity = authority.issue(&node.place.service)?.named(node.place.beside());
            let serial = identity.serial()?;
            self.folders.replace_identity(&identity)?;
            let at_ns = monotonic_ns();
            proxy.renew(&node.place, &mut node.node.part, &node.ports)?;
            let part = node.node.part.name().to_owned();
            if let (Some(inbound), None) = (node.ports.inbound, &node.place.door) {
                expected.push((part.clone(), inbound, serial.clone()));
            }
            self.tending.events.push(Event::CertificateRotated { at_ns, part, serial });
        }
        let mut seen = Vec::new();
        for (part, inbound, serial) in expected {
            let shown = self.shown(authority, inbound)?;
            if shown != serial {
                return Err(Error::Unproven {
                    part,
                    claim: "serial number of the certificate it shows".to_owned(),
                    expected: serial,
                    found: shown,
                    read_from: format!("a handshake with {inbound}"),
                });
            }
            seen.push(Event::CertificateSeen { at_ns: monotonic_ns(), part, serial });
        }
        seen.into_iter().for_each(|event| self.tending.events.push(event));
        Ok(())
    }

    /// The serial number of the certificate that is shown to callers at an address.
    pub(super) fn shown(&self, authority: &Authority, inbound: SocketAddr) -> Result<String> {
        let onlooker = authority.issue(ONLOOKER)?;
        self.within(GATEWAY, || serial_shown(inbound, &onlooker, PATIENCE)).map_err(|e| Error::Unproven {
            part: inbound.to_string(),
            claim: "a handshake that looks at its certificate".to_owned(),
            expected: "done".to_owned(),
            found: e.to_string(),
            read_from: format!("a connection to {inbound}"),
        })
    }
}
