//! What a runner and an agent say to one another once they are paired.

use record::{Cell, Edges, Event, Host, Lack, Part, Phase, Proof, Timing, Warning};
use scenarios::certs::AuthorityKey;
use scenarios::{Passage, Reached};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The longest message of either side, in bytes.
pub(crate) const LONGEST: usize = 4 << 20;

/// So much of a file goes into one message.
pub(crate) const CHUNK: usize = 256 << 10;

/// What a runner asks of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Ask {
    /// Who it is.
    Hello,
    /// What its clock shows; and that the runner of this session is there.
    Clock { session: Option<String> },
    /// A hand, for what follows on this connection: a process that does a side of each trial.
    Begin { session: String, run: String, side: String },
    /// An order to that hand.
    Order(Box<Order>),
    /// The files of a try of a trial that are on its disk; of all tries where none is named.
    List { run: String, attempt: Option<String> },
    /// A part of one of them.
    Read { run: String, attempt: String, path: String, offset: u64 },
    /// To throw a try away, or a run.
    Forget { run: String, attempt: Option<String> },
}

/// What an agent answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Tell {
    /// Who it is.
    Hello { program: String, method: u32, schema: u32, boot: String, orphan_after_ns: u64 },
    /// What its clocks show.
    Clock { received_ns: u64, answered_ns: u64, realtime_ns: u64 },
    /// The hand is there.
    Begun,
    /// What the hand answered.
    Done(Box<Done>),
    /// The files.
    Files(Vec<Filed>),
    /// A hand is at work on that run: its files are not all written.
    AtWork,
    /// A part of a file, in base64, and how long the whole is.
    Chunk { base64: String, length: u64 },
    /// It is gone.
    Forgotten,
    /// It could not be done, and why. `lost` tells of a hand that ended.
    Refused { what: String, lost: bool },
}

/// A file on an agent's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filed {
    /// The try it is of.
    pub(crate) attempt: String,
    /// Where it is below that, "load/intervals.jsonl".
    pub(crate) path: String,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// SHA-256, hexadecimal.
    pub(crate) sha256: String,
}

/// What a hand is told. One does the services of a trial, the load, or the probe alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Order {
    /// What cells there will be; asked once.
    Open { cells: Vec<Cell>, quick: bool, versions: Option<BTreeMap<String, String>> },
    /// To start the chain of a cell, with its way in at this address.
    Chain { attempt: String, cell: Box<Cell>, scenario_toml: String, entry_at: IpAddr },
    /// To start the services of a part of a cell's chain, whose other parts stand on other hosts.
    Slice(Box<SliceOrder>),
    /// To start the proxies of services of that part, all of whose callees stand: here, or where it is said.
    Stand { services: Vec<String>, elsewhere: Vec<Reached> },
    /// That all of the chain stands: where the load enters it, to see that it answers.
    Complete,
    /// To start a generator, held.
    Load(Box<LoadOrder>),
    /// To start the probe on what this hand has started, and on these processes of other hands of this host.
    Watch { attempt: String, also: Vec<(String, u32)> },
    /// That the load begins, when it is measured and when it ends, by this host's clock. Where the order to finish does
    /// not come in time after that, the hand finishes by itself.
    Tend { measure_from_ns: u64, ends_ns: u64, cool_down_ns: u64 },
    /// To say whether all is well.
    Look,
    /// To let the load go at this moment of this host's clock; answered when it has ended.
    Go { start_ns: u64 },
    /// To cool down and read back what can be read without a request, before other hosts make any.
    Count { cool_down_ns: u64 },
    /// To take the proofs that need requests, which go on to other hosts, before any of them stops.
    ProveRefusals,
    /// To do of these what was not done, stop and seal.
    Finish { cool_down_ns: u64 },
    /// To stop at once, and leave what there is.
    Abandon,
}

/// A part of a chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SliceOrder {
    pub(crate) attempt: String,
    pub(crate) cell: Cell,
    pub(crate) scenario_toml: String,
    /// The services of it that stand on this host.
    pub(crate) services: Vec<String>,
    /// Where other hosts reach them.
    pub(crate) reached_at: IpAddr,
    /// Where the load comes in, if it does so here.
    pub(crate) entry_at: IpAddr,
    /// Who issues identities in all of the chain, for this try alone; none without mTLS. It is kept in memory.
    pub(crate) authority: Option<AuthorityKey>,
}

/// A load, or a portion of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoadOrder {
    pub(crate) attempt: String,
    pub(crate) cell: Cell,
    pub(crate) timing: Timing,
    pub(crate) seed: u64,
    pub(crate) url: String,
    /// The authority to trust, in PEM, and the server's name.
    pub(crate) tls: Option<(String, String)>,
    /// "2/4".
    pub(crate) portion: String,
    pub(crate) connections: u32,
}

/// What a hand answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Done {
    /// The machine, the versions of proxies, and doubts that touch every trial.
    Opened { host: Box<Host>, versions: BTreeMap<String, String>, warnings: Vec<Warning> },
    /// Where the chain takes the load, and what to trust there: the authority in PEM and the server's name.
    Standing { url: String, tls: Option<(String, String)> },
    /// The generator is held.
    Held { pid: u32 },
    /// These services stand, and are reached there.
    Reached(Vec<Reached>),
    /// The probe has read its first sample.
    Watching,
    /// It is done, or all is well.
    Well,
    /// The load has ended.
    Loaded,
    /// All is stopped and sealed.
    Sealed(Box<SideSeal>),
    /// It could not be done: the same text that a run on one host ends with.
    Failed { what: String, usage: bool },
    /// The generator came so much too late for the moment at which all begin, told as a failure is. Nothing else is wrong: with
    /// more time before that moment it may be there.
    Late { what: String, late_ns: u64 },
}

/// What a side of a trial says of itself; `side.json`, which seals it on the agent's disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SideSeal {
    /// "services", "load" or "probe".
    pub(crate) side: String,
    pub(crate) method: u32,
    pub(crate) anchor: record::ClockAnchor,
    pub(crate) parts: Vec<Part>,
    pub(crate) proofs: Vec<Proof>,
    /// Of a part of a chain: the ways between proxies, whose other ends may be on other hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) passages: Vec<Passage>,
    pub(crate) lacks: Vec<Lack>,
    /// What is doubted of it: that its ground was steady.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<Warning>,
    pub(crate) events: Vec<Event>,
    pub(crate) edges: Option<Edges>,
    /// When the phases were of which this side was told, by this host's clock.
    pub(crate) phases: Vec<(Phase, u64, u64)>,
}
