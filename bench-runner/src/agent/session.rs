//! A connection with a runner that is paired: what it asks, and the hand that does its orders.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use record::{METHOD, SCHEMA, realtime_ns};

use super::Agent;
use super::channel::{Channel, ChannelError};
use super::grip::Grip;
use super::words::{Ask, Done, Order, Tell};
use crate::exit;
use crate::run::PROGRAM;

/// How often it is looked whether there is still somebody.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A connection without a hand on which nothing is asked for so long is closed.
const IDLE: Duration = Duration::from_secs(60);

/// How long an answer may take on its way.
const SAY: Duration = Duration::from_secs(20);

/// A hand and for whom it works.
struct Hand {
    grip: Grip,
    session: String,
    /// Set by whoever takes its place.
    relieved: Arc<AtomicBool>,
}

/// Serves until the runner goes; a hand is kept for as long as the runner may come back.
pub(crate) fn serve(agent: &Agent, mut channel: Channel) {
    let mut hand: Option<Hand> = None;
    let mut last = Instant::now();
    while !agent.ending() {
        match channel.poll::<Ask>(LOOK_EVERY) {
            Ok(Some(ask)) => {
                let received_ns = agent.clock();
                last = Instant::now();
                if answer(agent, &mut channel, &mut hand, ask, received_ns).is_err() {
                    break;
                }
            }
            Ok(None) if hand.as_ref().is_some_and(|h| agent.abandoned(&h.session) || h.is_relieved()) => break,
            Ok(None) if hand.is_none() && last.elapsed() > IDLE => break,
            Ok(None) => {}
            Err(_) => break,
        }
    }
    drop(channel);
    if let Some(mut hand) = hand {
        linger(agent, &mut hand);
        agent.say(&format!("ended what was started for the session {}", hand.session));
    }
}

/// Without its runner a hand goes on with what it does, until the runner was gone for too long or has come back.
fn linger(agent: &Agent, hand: &mut Hand) {
    while !agent.ending() && !agent.abandoned(&hand.session) && !hand.is_relieved() {
        // What it answers, nobody hears; its files stay.
        if hand.grip.answer(LOOK_EVERY).is_err() {
            break;
        }
    }
}

impl Hand {
    fn is_relieved(&self) -> bool {
        self.relieved.load(Ordering::Acquire)
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.relieved.store(true, Ordering::Release);
    }
}

fn answer(
    agent: &Agent,
    channel: &mut Channel,
    hand: &mut Option<Hand>,
    ask: Ask,
    received_ns: u64,
) -> Result<(), ChannelError> {
    let refused = |error: &anyhow::Error| Tell::Refused { what: exit::say(error), lost: false };
    let tell = match ask {
        Ask::Hello => Tell::Hello {
            program: PROGRAM.to_owned(),
            method: METHOD,
            schema: SCHEMA,
            boot: agent.boot.clone(),
            orphan_after_ns: u64::try_from(agent.orphan_after.as_nanos()).unwrap_or(u64::MAX),
        },
        Ask::Clock { session } => {
            if let Some(session) = session {
                agent.heard_of(&session);
            }
            let (realtime_ns, answered_ns) = (realtime_ns(), agent.clock());
            Tell::Clock { received_ns, answered_ns, realtime_ns }
        }
        Ask::Begin { session, run, side } => match begin(agent, channel, session, &run, &side) {
            Ok(new) => {
                *hand = Some(new);
                Tell::Begun
            }
            Err(error) => refused(&error),
        },
        Ask::Order(order) => match hand {
            Some(hand) => obey(agent, hand, &order),
            None => Tell::Refused { what: "there is no hand for this order".to_owned(), lost: true },
        },
        Ask::List { run, attempt: None } if agent.is_at_work(&run) => Tell::AtWork,
        Ask::List { run, attempt } => {
            agent.shelf.list(&run, attempt.as_deref()).map_or_else(|e| refused(&e), Tell::Files)
        }
        Ask::Read { run, attempt, path, offset } => {
            agent.shelf.read(&run, &attempt, &path, offset).unwrap_or_else(|e| refused(&e))
        }
        Ask::Forget { run, attempt } => {
            agent.shelf.forget(&run, attempt.as_deref()).map_or_else(|e| refused(&e), |()| Tell::Forgotten)
        }
    };
    channel.say(&tell, SAY)
}

/// A new hand; one that did the same before, for a runner that lost its connection, ends first.
fn begin(agent: &Agent, channel: &Channel, session: String, run: &str, side: &str) -> anyhow::Result<Hand> {
    anyhow::ensure!(matches!(side, "services" | "load" | "probe"), "there is no side '{side}'");
    let token = session.len() == 16 && session.bytes().all(|b| b.is_ascii_hexdigit());
    anyhow::ensure!(token, "a session is named by 16 hexadecimal digits");
    let folder = agent.shelf.run(run)?;
    let relieved = agent.relieve(channel.peer(), run, side)?;
    agent.heard_of(&session);
    let log = agent.log_of(run, side)?;
    let grip = Grip::start(&agent.program, &folder, side, &agent.programs, log)?;
    Ok(Hand { grip, session, relieved })
}

/// Has the hand do it, and waits for its answer as long as the runner is there.
fn obey(agent: &Agent, hand: &mut Hand, order: &Order) -> Tell {
    let lost = |error: &anyhow::Error| Tell::Refused { what: exit::say(error), lost: true };
    if let Err(error) = hand.grip.order(order) {
        return lost(&error);
    }
    loop {
        match hand.grip.answer(LOOK_EVERY) {
            Ok(Some(done)) => return Tell::Done(Box::new(done)),
            Ok(None) if agent.ending() || agent.abandoned(&hand.session) || hand.is_relieved() => {
                let what = "nobody waits for the answer any more".to_owned();
                return Tell::Done(Box::new(Done::Failed { what, usage: false }));
            }
            Ok(None) => {}
            Err(error) => return lost(&error),
        }
    }
}
