//! A service or a sidecar in a thread of the test, held by pipes as a process is by its standard input and output.

use std::io::{BufRead as _, BufReader, PipeReader, PipeWriter, Write as _};
use std::net::SocketAddr;
use std::thread::JoinHandle;

use scenarios::lifeline::Lifeline;
use scenarios::proxy::embedded::{self, SidecarConfig, Stats};
use scenarios::service::{self, Script, ServiceConfig};
use serde::de::DeserializeOwned;

use crate::caller::Caller;

/// A port of the kernel's choice.
pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A part that runs until it is dropped, which fails the test if the part did not end well.
pub(crate) struct Part {
    input: Option<PipeWriter>,
    output: BufReader<PipeReader>,
    thread: Option<JoinHandle<scenarios::Result<()>>>,
}

impl Part {
    pub(crate) fn start(serve: impl FnOnce(Lifeline) -> scenarios::Result<()> + Send + 'static) -> Self {
        let (read_input, input) = std::io::pipe().unwrap();
        let (output, write_output) = std::io::pipe().unwrap();
        let lifeline = Lifeline::new(read_input, write_output);
        let thread = Some(std::thread::spawn(move || serve(lifeline)));
        Self { input: Some(input), output: BufReader::new(output), thread }
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Tells it to end.
    pub(crate) fn end(&mut self) {
        drop(self.input.take());
    }

    /// The next line it says.
    pub(crate) fn hear<T: DeserializeOwned>(&mut self) -> T {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(self.input.take());
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// A service, and where it listens.
pub(crate) struct Service {
    pub(crate) part: Part,
    pub(crate) listen: SocketAddr,
}

/// A service with a name and nothing else to do.
pub(crate) fn idle_service(name: &str) -> ServiceConfig {
    ServiceConfig {
        name: name.into(),
        listen: vec![ANY],
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

/// A service that has yet to say where it listens.
pub(crate) fn start(config: ServiceConfig) -> Part {
    Part::start(move |lifeline| service::serve_on(config, lifeline))
}

pub(crate) fn service(config: ServiceConfig) -> Service {
    let mut part = start(config);
    let ready: service::Ready = part.hear();
    Service { part, listen: ready.ready.listen }
}

/// A sidecar, and where it listens.
pub(crate) struct Sidecar {
    pub(crate) part: Part,
    pub(crate) at: embedded::Listening,
}

pub(crate) fn sidecar(config: SidecarConfig) -> Sidecar {
    let mut part = Part::start(move |lifeline| embedded::serve_on(config, lifeline));
    let ready: embedded::Ready = part.hear();
    Sidecar { part, at: ready.ready }
}

impl Sidecar {
    pub(crate) fn stats(&self) -> Stats {
        let answer = Caller::connect(self.at.admin).get("/stats");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Counters move on the sidecar's own time after the event a test sees, so a test waits for them, with an end.
    pub(crate) fn stats_when(&self, enough: impl Fn(&Stats) -> bool) -> Stats {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let stats = self.stats();
            if enough(&stats) || std::time::Instant::now() > end {
                return stats;
            }
            std::thread::yield_now();
        }
    }
}
