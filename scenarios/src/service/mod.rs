//! The answering or forwarding program of a shape: it burns CPU, calls those it is to call, one after another or at
//! once, and stamps what it did when.

mod answer;
mod call;
mod connection;
mod converse;
mod draw;
mod grpc;
mod next;
mod plan;
mod run;
mod script;
mod timer;
mod work;

use std::future::{Future as _, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};

use self::answer::{Order, Server, Settings};
use self::converse::converse;
pub use self::next::NextHop;
use self::plan::Plan;
pub use self::script::{Script, ScriptCall, ScriptStep};
use crate::complaints::Complaints;
use crate::lifeline::Lifeline;
use crate::workers::Workers;
use crate::{Error, Result, ports, workers};

/// The largest body of a response or a call: it is kept in memory whole.
const MAX_BODY_BYTES: u64 = 1 << 30;

/// The response header that names the subset which answered: of several on the way back, the first met.
pub const SUBSET_HEADER: &str = "x-meshtax-subset";

/// What a service is.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceConfig {
    /// Its name in stamps and messages.
    pub name: String,
    /// Where it listens, in one place or several; port 0 lets the kernel choose.
    pub listen: Vec<SocketAddr>,
    /// CPU it burns for each request, before it calls the next service.
    pub work_us: u64,
    /// Body bytes of its responses.
    pub response_bytes: u64,
    /// The service it calls for each request, as one of a chain does.
    pub next: Option<NextHop>,
    /// A next service will be named later; until then requests are answered with 503.
    pub expect_next: bool,
    /// What it does for each request instead; empty for a service of a chain. Its callees are named later, and until
    /// all are, requests are answered with 503.
    pub script: Script,
    /// The share of requests that it answers with an error of its own, 500, after its work and without a call: 0 to 1.
    pub error_rate: f64,
    /// What its errors and the calls it does not always make are drawn from.
    pub seed: u64,
    /// The subset it is of, such as v2, which its answers name in [`SUBSET_HEADER`].
    pub subset: Option<String>,
    /// Worker threads. A connection stays on one of them for its life.
    pub threads: usize,
}

/// The line a service says once it listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// Where.
    pub ready: Listening,
}

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listening {
    /// The address the kernel chose.
    pub listen: SocketAddr,
    /// The others, if it listens in several places, in the order they were given in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<SocketAddr>,
    /// What its errors and the calls it does not always make are drawn from; absent if nothing is left to chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// What a service says to a line on its input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Every request from now on goes there.
    Next(NextHop),
    /// The line was not understood, and nothing has changed.
    Error(String),
}

/// Serves until standard input ends or SIGTERM comes.
///
/// # Errors
/// A configuration out of range; a port that cannot be listened on.
pub fn serve(config: ServiceConfig) -> Result<()> {
    serve_on(config, Lifeline::standard())
}

/// Serves until the lifeline's input ends.
///
/// # Errors
/// As [`serve`].
pub fn serve_on(config: ServiceConfig, lifeline: Lifeline) -> Result<()> {
    let settings = Arc::new(settings(&config)?);
    let runtime = workers::runtime().map_err(|source| Error::Thread {
        part: config.name.clone(),
        what: "cannot make a runtime".into(),
        source,
    })?;
    ports::raise_open_files();
    let next = config.next;
    let make = (0..config.threads as u64)
        .map(|worker| {
            let settings = Arc::clone(&settings);
            move || Server::new(settings, worker, next)
        })
        .collect();
    let workers = Workers::start(&config.name, "svc", make)?;
    runtime.block_on(async {
        let mut held = lifeline.hold(&config.name)?;
        let (listeners, addresses) = listen(&config)?;
        held.say(&Ready { ready: ready(&config, &addresses)? });
        let deal = |stream: TcpStream| match stream.into_std() {
            Ok(stream) => workers.deal(Order::Serve(stream)),
            Err(_) => true,
        };
        let mut accepting: Vec<_> =
            listeners.into_iter().map(|l| Box::pin(ports::accept(l, &settings.complaints, deal))).collect();
        // Woken for connections only, and the listeners are few: each is looked at.
        let any_ends = poll_fn(|cx| match accepting.iter_mut().any(|accept| accept.as_mut().poll(cx).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        tokio::select! {
            () = any_ends => {}
            () = converse(&mut held, &settings, &workers) => {}
        }
        Ok::<(), Error>(())
    })?;
    workers.end()
}

fn listen(config: &ServiceConfig) -> Result<(Vec<TcpListener>, Vec<SocketAddr>)> {
    let all = config.listen.iter().map(|address| ports::listen(&config.name, *address));
    Ok(all.collect::<Result<Vec<_>>>()?.into_iter().unzip())
}

fn ready(config: &ServiceConfig, addresses: &[SocketAddr]) -> Result<Listening> {
    let Some((listen, also)) = addresses.split_first() else {
        return Err(refused(config, "listen", "it listens nowhere".into(), "127.0.0.1:0"));
    };
    let by_chance = config.error_rate > 0.0 || config.script.draws();
    Ok(Listening { listen: *listen, also: also.to_vec(), seed: by_chance.then_some(config.seed) })
}

fn refused(config: &ServiceConfig, what: &str, problem: String, remedy: &str) -> Error {
    Error::Value { what: format!("service {}: {what}", config.name), problem, remedy: remedy.into() }
}

fn settings(config: &ServiceConfig) -> Result<Settings> {
    let refuse = |what: &str, problem: String, remedy: &str| Err(refused(config, what, problem, remedy));
    // The stamps' header is divided by these.
    let divides = |c: char| !c.is_ascii_graphic() || [',', ';', '(', ')'].contains(&c);
    if config.name.is_empty() || config.name.contains(divides) {
        return refuse("name", "it cannot stand in a header of stamps".into(), "a name such as s1");
    }
    if config.threads == 0 {
        return refuse("threads", "it needs at least one to answer with".into(), "1");
    }
    if config.response_bytes > MAX_BODY_BYTES {
        return refuse("response_bytes", format!("{} is too large", config.response_bytes), "at most 1 GiB");
    }
    if !(0.0..=1.0).contains(&config.error_rate) {
        return refuse("error_rate", format!("{} is no share", config.error_rate), "a number from 0 to 1, such as 0.1");
    }
    if !config.script.0.is_empty() && (config.next.is_some() || config.expect_next) {
        let remedy = "the script alone; its callees are named on standard input";
        return refuse("script", "it has a next service as well".into(), remedy);
    }
    config.script.check(MAX_BODY_BYTES)?;
    let subset = match config.subset.as_deref() {
        None => None,
        Some(subset) if subset.is_empty() || !subset.bytes().all(|b| b.is_ascii_graphic()) => {
            return refuse("subset", format!("'{subset}' is no label"), "a label such as v2");
        }
        Some(subset) => HeaderValue::from_str(subset).ok(),
    };
    let (plan, callees) = Plan::new(&config.script, config.expect_next);
    Ok(Settings {
        name: config.name.clone(),
        work: Duration::from_micros(config.work_us),
        body: Bytes::from(vec![b'x'; config.response_bytes as usize]),
        plan,
        callees,
        error_rate: config.error_rate,
        seed: config.seed,
        subset,
        complaints: Complaints::new(&config.name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ServiceConfig {
        ServiceConfig {
            name: "s1".into(),
            listen: vec![([127, 0, 0, 1], 0).into()],
            work_us: 0,
            response_bytes: 0,
            next: None,
            expect_next: false,
            script: Script::default(),
            error_rate: 0.0,
            seed: 1,
            subset: None,
            threads: 1,
        }
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_its_name() {
        let script: Script = r#"[{"calls":[{"service":"s2"}]}]"#.parse().unwrap();
        for (bad, want) in [
            (ServiceConfig { name: "a;b".into(), ..config() }, "service a;b: name: "),
            (ServiceConfig { threads: 0, ..config() }, "service s1: threads: "),
            (ServiceConfig { name: "a(b".into(), ..config() }, "service a(b: name: "),
            (ServiceConfig { response_bytes: 2 << 30, ..config() }, "service s1: response_bytes: "),
            (ServiceConfig { error_rate: 20.0, ..config() }, "service s1: error_rate: "),
            (ServiceConfig { error_rate: f64::NAN, ..config() }, "service s1: error_rate: "),
            (ServiceConfig { subset: Some("v 2".into()), ..config() }, "service s1: subset: "),
            (ServiceConfig { listen: vec![], ..config() }, "service s1: listen: "),
            (ServiceConfig { script: script.clone(), expect_next: true, ..config() }, "service s1: script: "),
        ] {
            let said = serve_on(bad, Lifeline::new(std::io::empty(), std::io::sink())).unwrap_err().to_string();
            assert!(said.starts_with(want) && said.contains("\n  try: "), "{said}");
        }
    }

    #[test]
    fn replies_are_lines_that_a_parent_can_read() {
        let next: NextHop = "http://127.0.0.1:80/".parse().unwrap();
        assert_eq!(serde_json::to_string(&Reply::Next(next)).unwrap(), r#"{"next":"http://127.0.0.1:80/"}"#);
        assert_eq!(serde_json::to_string(&Reply::Error("x".into())).unwrap(), r#"{"error":"x"}"#);
        let ready = |also, seed| {
            let listen = ([127, 0, 0, 1], 9).into();
            serde_json::to_string(&Ready { ready: Listening { listen, also, seed } }).unwrap()
        };
        assert_eq!(ready(vec![], None), r#"{"ready":{"listen":"127.0.0.1:9"}}"#);
        let also = vec![([127, 0, 0, 1], 8).into()];
        assert_eq!(ready(also, Some(1)), r#"{"ready":{"listen":"127.0.0.1:9","also":["127.0.0.1:8"],"seed":1}}"#);
    }
}
