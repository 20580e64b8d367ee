//! The answering or forwarding program of a chain: it burns CPU, calls the next service if it has one, and stamps
//! what it did when.

mod answer;
mod connection;
mod grpc;
mod next;
mod work;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use self::answer::{Order, Server, Settings};
pub use self::next::NextHop;
use crate::complaints::Complaints;
use crate::lifeline::{Held, Lifeline};
use crate::workers::Workers;
use crate::{Error, Result, ports, workers};

/// The response header by which a service says which of its subsets it is.
pub const SUBSET_HEADER: &str = "x-meshtax-subset";

/// The largest response body: it is kept in memory whole.
const MAX_RESPONSE_BYTES: u64 = 1 << 30;

/// What a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Its name in stamps and messages.
    pub name: String,
    /// Where it listens; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// CPU it burns for each request, before it calls the next service.
    pub work_us: u64,
    /// Body bytes of its responses.
    pub response_bytes: u64,
    /// The service it calls for each request.
    pub next: Option<NextHop>,
    /// A next service will be named later; until then requests are answered with 503.
    pub expect_next: bool,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listening {
    /// The address the kernel chose.
    pub listen: SocketAddr,
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
    let make = (0..config.threads)
        .map(|_| {
            let settings = Arc::clone(&settings);
            move || Server::new(settings, next)
        })
        .collect();
    let workers = Workers::start(&config.name, "svc", make)?;
    runtime.block_on(async {
        let mut held = lifeline.hold(&config.name)?;
        let (listener, listen) = ports::listen(&config.name, config.listen)?;
        held.say(&Ready { ready: Listening { listen } });
        tokio::select! {
            () = ports::accept(listener, &settings.complaints, |stream| match stream.into_std() {
                Ok(stream) => workers.deal(Order::Serve(stream)),
                Err(_) => true,
            }) => {}
            () = converse(&mut held, &workers) => {}
        }
        Ok::<(), Error>(())
    })?;
    workers.end()
}

fn settings(config: &ServiceConfig) -> Result<Settings> {
    let refuse = |what: &str, problem: String, remedy: &str| {
        Err(Error::Value { what: format!("service {}: {what}", config.name), problem, remedy: remedy.into() })
    };
    // The stamps' header is divided by these.
    if config.name.is_empty() || config.name.contains([',', ';']) || !config.name.bytes().all(|b| b.is_ascii_graphic())
    {
        return refuse("name", "it cannot stand in a header of stamps".into(), "a name such as s1");
    }
    if config.threads == 0 {
        return refuse("threads", "it needs at least one to answer with".into(), "1");
    }
    if config.response_bytes > MAX_RESPONSE_BYTES {
        return refuse("response_bytes", format!("{} is too large", config.response_bytes), "at most 1 GiB");
    }
    Ok(Settings {
        name: config.name.clone(),
        work: Duration::from_micros(config.work_us),
        body: Bytes::from(vec![b'x'; config.response_bytes as usize]),
        expect_next: config.expect_next,
        complaints: Complaints::new(&config.name),
    })
}

/// Does what the lines say until they end.
async fn converse(held: &mut Held, workers: &Workers<Order>) {
    while let Some(line) = held.line().await {
        let reply = match line.trim().split_once(' ') {
            Some(("next", url)) => match url.trim().parse::<NextHop>() {
                Ok(next) if set_next(workers, next).await => Reply::Next(next),
                Ok(_) => return,
                Err(error) => Reply::Error(error.to_string()),
            },
            _ => Reply::Error(format!("'{}' is not understood; try: next http://127.0.0.1:8080/", line.trim())),
        };
        held.say(&reply);
    }
}

/// Returns when every worker knows, so that what is said to the parent holds for the very next request.
async fn set_next(workers: &Workers<Order>, next: NextHop) -> bool {
    let mut told = Vec::new();
    let sent = workers.tell_all(|| {
        let (done, heard) = oneshot::channel();
        told.push(heard);
        Order::Next(next, done)
    });
    for heard in told {
        if heard.await.is_err() {
            return false;
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ServiceConfig {
        ServiceConfig {
            name: "s1".into(),
            listen: ([127, 0, 0, 1], 0).into(),
            work_us: 0,
            response_bytes: 0,
            next: None,
            expect_next: false,
            threads: 1,
        }
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_its_name() {
        for (bad, want) in [
            (ServiceConfig { name: "a;b".into(), ..config() }, "service a;b: name: "),
            (ServiceConfig { threads: 0, ..config() }, "service s1: threads: "),
            (ServiceConfig { response_bytes: 2 << 30, ..config() }, "service s1: response_bytes: "),
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
        let ready = Ready { ready: Listening { listen: ([127, 0, 0, 1], 9).into() } };
        assert_eq!(serde_json::to_string(&ready).unwrap(), r#"{"ready":{"listen":"127.0.0.1:9"}}"#);
    }
}
