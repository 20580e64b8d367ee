//! `meshtax agent`: lends this host to runners that are paired with it.

pub(crate) mod channel;
pub(crate) mod frame;
mod grip;
pub(crate) mod hand;
pub(crate) mod identity;
pub(crate) mod pairing;
mod session;
mod shelf;
pub(crate) mod side;
mod slice;
pub(crate) mod trust;
pub(crate) mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::exit::{Exit, Usage};
use crate::interrupt::Interrupt;
use crate::programs::ProgramArgs;
use crate::progress::say;
use channel::Channel;
use identity::{Fingerprint, Identity};
use pairing::{Meeting, Offer, Proof};
use shelf::Shelf;
pub(crate) use shelf::sha256;

/// Where an agent listens if nothing else is said: this host alone can reach it.
const LISTEN: &str = "127.0.0.1:7464";

/// Connections at a time; a runner has two or three.
const CONNECTIONS: usize = 32;

/// How long a peer may take for its handshake, and for its proof.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Sessions that are remembered; those least lately heard of are forgotten first.
const SESSIONS: usize = 64;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to listen for runners. Another address than one of 127.0.0.0/8 lets other hosts in that are paired.
    #[arg(long, value_name = "ADDR", default_value = LISTEN)]
    listen: SocketAddr,
    /// Show a code for pairing with another runner, though there is one already.
    #[arg(long)]
    pair: bool,
    /// Where keys, pairings and what was measured are kept (mode 0700); $XDG_STATE_HOME/meshtax/agent if nothing is said.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// End what was started for a runner that was not heard of for so long.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = crate::duration::parse)]
    orphan_after: Duration,
    #[command(flatten)]
    programs: ProgramArgs,
}

/// An agent at work.
pub(crate) struct Agent {
    identity: Identity,
    state: PathBuf,
    shelf: Shelf,
    program: PathBuf,
    programs: ProgramArgs,
    orphan_after: Duration,
    boot: String,
    /// CLOCK_MONOTONIC, but for tests.
    clock: Box<dyn Fn() -> u64 + Send + Sync>,
    paired: Mutex<BTreeSet<Fingerprint>>,
    offer: Mutex<Option<Offer>>,
    heard: Mutex<BTreeMap<String, Instant>>,
    /// The hand of each peer, run and side: set to have it end.
    hands: Mutex<BTreeMap<(Fingerprint, String, String), Arc<AtomicBool>>>,
    connections: AtomicUsize,
    ending: AtomicBool,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    if args.orphan_after < Duration::from_secs(5) {
        let said = "--orphan-after must be 5s at least: a runner is taken for lost after that, and not before";
        return Err(Usage(said.to_owned()).into());
    }
    let agent = Arc::new(Agent::new(&args)?);
    let listener = TcpListener::bind(args.listen)
        .with_context(|| format!("cannot listen at {}\n  try: --listen with an address of this host", args.listen))?;
    listener.set_nonblocking(true).context("cannot wait for runners")?;
    let at = listener.local_addr().context("cannot tell where it listens")?;
    say(&format!("listening at {at}\n"));
    if args.pair || agent.lock(&agent.paired).is_empty() {
        agent.open_pairing(at);
    }
    agent.serve(&listener, || interrupt.asked());
    Ok(Exit::Done.into())
}

impl Agent {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let state = identity::state_directory(args.state.as_deref(), "agent")?;
        let identity = Identity::of(&state)?;
        let shelf = Shelf::at(&state)?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        Ok(Self {
            identity,
            paired: Mutex::new(paired(&state.join("paired"))?),
            state,
            shelf,
            program: std::env::current_exe().context("cannot find the path of this program")?,
            programs: args.programs.clone(),
            orphan_after: args.orphan_after,
            boot,
            clock: Box::new(record::monotonic_ns),
            offer: Mutex::new(None),
            heard: Mutex::default(),
            hands: Mutex::default(),
            connections: AtomicUsize::new(0),
            ending: AtomicBool::new(false),
        })
    }

    // A thread that panicked left a set or a map that is whole.
    fn lock<'a, T>(&self, of: &'a Mutex<T>) -> MutexGuard<'a, T> {
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a code, and lets a runner that knows it in.
    fn open_pairing(&self, at: SocketAddr) {
        let offer = Offer::new();
        let minutes = pairing::HOLDS.as_secs() / 60;
        say(&format!(
            "to pair, on the runner's host within {minutes} minutes:\n  meshtax hosts pair NAME {at} {}\n",
            offer.code()
        ));
        *self.lock(&self.offer) = Some(offer);
    }

    /// Takes connections until it is to end; then waits for its hands.
    fn serve(self: &Arc<Self>, listener: &TcpListener, end: impl Fn() -> bool) {
        let agent = Arc::clone(self);
        let admits: trust::Admits = Arc::new(move |who| agent.knows(who) || agent.pairing());
        let config = match trust::server(&self.identity, admits) {
            Ok(config) => config,
            Err(error) => return self.say(&crate::exit::say(&error)),
        };
        while !end() {
            match listener.accept() {
                Ok((socket, _)) if self.connections.load(Ordering::Acquire) < CONNECTIONS => {
                    self.connections.fetch_add(1, Ordering::AcqRel);
                    let (agent, config) = (Arc::clone(self), Arc::clone(&config));
                    std::thread::spawn(move || {
                        agent.connection(config, socket);
                        agent.connections.fetch_sub(1, Ordering::AcqRel);
                    });
                }
                Ok((socket, _)) => drop(socket),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        self.ending.store(true, Ordering::Release);
        let until = Instant::now() + Duration::from_secs(15);
        while self.connections.load(Ordering::Acquire) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// One connection: nothing is said to whoever is not paired.
    fn connection(&self, config: Arc<rustls::ServerConfig>, socket: TcpStream) {
        if socket.set_nonblocking(false).is_err() {
            return;
        }
        // What an unpaired peer may say is a proof and no more; the limit rises with the trust.
        let Ok(probe) = socket.try_clone() else { return };
        let Ok(mut channel) = Channel::accept(config, socket, pairing::LONGEST, HANDSHAKE) else { return };
        if self.knows(channel.peer()) {
            channel.trust(words::LONGEST);
            session::serve(self, channel);
        } else if !self.pair(&mut channel) {
            let _ = probe.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Pairs with a peer that proves that it knows the code; whether it did.
    fn pair(&self, channel: &mut Channel) -> bool {
        let Ok(proof) = channel.hear::<Proof>(HANDSHAKE) else { return false };
        let meeting =
            Meeting { exporter: channel.exporter(), runner: channel.peer(), agent: self.identity.fingerprint() };
        let answer = self.lock(&self.offer).as_mut().and_then(|o| o.judge(Instant::now(), &meeting, &proof));
        let Some(answer) = answer else {
            self.say("a pairing failed: the code was not the one shown, or no longer good");
            return false;
        };
        *self.lock(&self.offer) = None;
        let kept = self.state.join("paired").join(channel.peer().to_string());
        if let Err(error) = identity::put(&kept, b"") {
            self.say(&format!("a pairing failed: {}", crate::exit::say(&error)));
            return false;
        }
        self.lock(&self.paired).insert(channel.peer());
        self.say(&format!("paired with the runner {}", channel.peer()));
        channel.say(&answer, HANDSHAKE).is_ok()
    }

    fn knows(&self, who: Fingerprint) -> bool {
        self.lock(&self.paired).contains(&who)
    }

    fn pairing(&self) -> bool {
        self.lock(&self.offer).as_ref().is_some_and(|offer| offer.holds(Instant::now()))
    }

    fn clock(&self) -> u64 {
        (self.clock)()
    }

    fn ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// The runner of a session is there.
    fn heard_of(&self, session: &str) {
        let mut heard = self.lock(&self.heard);
        if session.len() > 16 {
            return;
        }
        heard.insert(session.to_owned(), Instant::now());
        while heard.len() > SESSIONS {
            let oldest = heard.iter().min_by_key(|(_, at)| **at).map(|(name, _)| name.clone());
            oldest.map(|name| heard.remove(&name));
        }
    }

    /// Whether the runner of a session was not heard of for too long.
    fn abandoned(&self, session: &str) -> bool {
        self.lock(&self.heard).get(session).is_none_or(|at| at.elapsed() > self.orphan_after)
    }

    /// Ends the hand that did this side of this run so far, and notes who does it now.
    fn relieve(&self, peer: Fingerprint, run: &str, side: &str) -> anyhow::Result<Arc<AtomicBool>> {
        let key = (peer, run.to_owned(), side.to_owned());
        let own = Arc::new(AtomicBool::new(false));
        let mut hands = self.lock(&self.hands);
        // Those that ended by themselves have no other holder.
        hands.retain(|_, flag| Arc::strong_count(flag) > 1);
        let before = hands.insert(key, Arc::clone(&own));
        drop(hands);
        if let Some(before) = before {
            before.store(true, Ordering::Release);
            let until = Instant::now() + Duration::from_secs(15);
            while Arc::strong_count(&before) > 1 {
                anyhow::ensure!(Instant::now() < until, "the hand that did this before does not end");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(own)
    }

    /// Whether a hand is at work on a run.
    fn is_at_work(&self, run: &str) -> bool {
        let hands = self.lock(&self.hands);
        hands.iter().any(|((_, of, _), flag)| of == run && Arc::strong_count(flag) > 1)
    }

    fn log_of(&self, run: &str, side: &str) -> anyhow::Result<PathBuf> {
        let logs = self.state.join("logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        Ok(logs.join(format!("{run}-{side}.log")))
    }

    fn say(&self, what: &str) {
        say(&format!("{what}\n"));
    }
}

/// The runners that were paired with before: files named by the fingerprints.
fn paired(folder: &Path) -> anyhow::Result<BTreeSet<Fingerprint>> {
    identity::private_directory(folder)?;
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    Ok(entries.flatten().filter_map(|e| Fingerprint::read(&e.file_name().to_string_lossy())).collect())
}

#[cfg(test)]
#[path = "agent/agent_tests.rs"]
mod tests;
