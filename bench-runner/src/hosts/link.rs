//! A connection with an agent, on which it is asked one thing after another.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::agent::channel::Channel;
use crate::agent::identity::Fingerprint;
use crate::agent::trust;
use crate::agent::words::{Ask, Done, LONGEST, Order, Tell};
use crate::exit::Usage;

use super::book::{Book, Entry};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a question may take on its way.
const SAY: Duration = Duration::from_secs(10);

/// A host that does not answer any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host {host} was lost: {what}")]
pub(crate) struct HostLost {
    /// Its name.
    pub(crate) host: String,
    /// What was seen.
    pub(crate) what: String,
}

/// A generator that came too late for the moment at which all begin. Nothing is broken: the trial can be made again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("on {host}: {what}")]
pub(crate) struct LateStart {
    /// Its host's name.
    pub(crate) host: String,
    /// What it ended with.
    pub(crate) what: String,
    /// By how much.
    pub(crate) late: Duration,
}

impl LateStart {
    /// What happened, in a line.
    pub(crate) fn brief(&self) -> String {
        let ms = self.late.as_secs_f64() * 1e3;
        format!("the load on {} was to begin {ms:.1} ms before it could", self.host)
    }
}

/// The connection.
pub(crate) struct Link {
    host: String,
    channel: Channel,
    /// Asked and not answered yet, and since when.
    asked: Option<Instant>,
}

impl Link {
    /// Connects to an agent by its pairing.
    ///
    /// # Errors
    /// [`HostLost`] where it is not reached, or does not admit us.
    pub(crate) fn connect(book: &Book, host: &str, entry: &Entry) -> anyhow::Result<Self> {
        let pinned = Fingerprint::read(&entry.fingerprint);
        let config = trust::client(book.identity(), Arc::new(move |who| Some(who) == pinned))?;
        let lost = |what: String| HostLost { host: host.to_owned(), what };
        let socket = TcpStream::connect_timeout(&entry.address, CONNECT).map_err(|e| {
            lost(format!(
                "no connection to {}: {e}\n  try: meshtax agent --listen {} there",
                entry.address, entry.address
            ))
        })?;
        let channel = Channel::connect(config, socket, LONGEST, CONNECT).map_err(|e| {
            lost(format!("{e} (at {})\n  try: pair with it again, if it was set up anew", entry.address))
        })?;
        Ok(Self { host: host.to_owned(), channel, asked: None })
    }

    /// The host's name.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    fn lost(&self, error: &dyn std::fmt::Display) -> HostLost {
        HostLost { host: self.host.clone(), what: error.to_string() }
    }

    /// Asks, and does not wait.
    ///
    /// # Errors
    /// [`HostLost`].
    pub(crate) fn ask(&mut self, ask: &Ask) -> Result<(), HostLost> {
        self.channel.say(ask, SAY).map_err(|e| self.lost(&e))?;
        self.asked = Some(Instant::now());
        Ok(())
    }

    /// The answer, if it comes within a time.
    ///
    /// # Errors
    /// [`HostLost`].
    pub(crate) fn poll(&mut self, wait: Duration) -> Result<Option<Tell>, HostLost> {
        let told = self.channel.poll(wait).map_err(|e| self.lost(&e))?;
        if told.is_some() {
            self.asked = None;
        }
        Ok(told)
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// [`HostLost`]; and what the agent refuses.
    pub(crate) fn call(&mut self, ask: &Ask, patience: Duration) -> anyhow::Result<Tell> {
        self.ask(ask)?;
        let Some(told) = self.poll(patience)? else {
            return Err(self.lost(&format!("no answer within {:.0} s", patience.as_secs_f64())).into());
        };
        self.judge(told)
    }

    /// An answer that is none of a refusal.
    ///
    /// # Errors
    /// What was refused, as an error of that host.
    pub(crate) fn judge(&self, told: Tell) -> anyhow::Result<Tell> {
        match told {
            Tell::Refused { what, lost: true } => Err(HostLost { host: self.host.clone(), what }.into()),
            Tell::Refused { what, lost: false } => Err(anyhow::anyhow!("{}: {what}", self.host)),
            Tell::Done(done) => match *done {
                Done::Failed { what, usage: true } => Err(Usage(format!("on {}: {what}", self.host)).into()),
                Done::Failed { what, usage: false } => Err(anyhow::anyhow!("on {}: {what}", self.host)),
                Done::Late { what, late_ns } => {
                    let (host, late) = (self.host.clone(), Duration::from_nanos(late_ns));
                    Err(LateStart { host, what, late }.into())
                }
                done => Ok(Tell::Done(Box::new(done))),
            },
            told => Ok(told),
        }
    }

    /// Gives an order to the hand of this connection, without waiting.
    ///
    /// # Errors
    /// [`HostLost`].
    pub(crate) fn order(&mut self, order: Order) -> Result<(), HostLost> {
        self.ask(&Ask::Order(Box::new(order)))
    }

    /// What the hand did, if it is told within a time.
    ///
    /// # Errors
    /// [`HostLost`], and what the hand could not do.
    pub(crate) fn done(&mut self, wait: Duration) -> anyhow::Result<Option<Done>> {
        let Some(told) = self.poll(wait)? else { return Ok(None) };
        match self.judge(told)? {
            Tell::Done(done) => Ok(Some(*done)),
            other => Err(anyhow::anyhow!("{} answered an order with {other:?}", self.host)),
        }
    }

    /// For how long an answer has been awaited.
    pub(crate) fn awaited(&self) -> Option<Duration> {
        self.asked.map(|at| at.elapsed())
    }
}
