//! What the servers here share: one spinning thread on one epoll that takes HTTP/1.1 requests and answers `ok`.
//!
//! It spins while a connection is open, so that a stamp is not late by a wake-up: that takes a whole CPU. Requests
//! have no body; a connection stays open whatever its headers say.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::str::FromStr;

use record::monotonic_ns;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

const LISTENER: u64 = u64::MAX;
const STDIN: u64 = u64::MAX - 1;
const EVENTS: usize = 256;
const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";

/// The options of the command line, all of the form `--name value`.
pub(crate) struct Options(BTreeMap<String, String>);

impl Options {
    /// Of this process; `known` says which there may be.
    pub(crate) fn read(known: &[&str]) -> Result<Self> {
        let mut found = BTreeMap::new();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").filter(|name| known.contains(name));
            let name = name.ok_or_else(|| format!("there is no {word} here, only --{}", known.join(", --")))?;
            let value = words.next().ok_or_else(|| format!("--{name} needs a value"))?;
            found.insert(name.to_owned(), value);
        }
        Ok(Self(found))
    }

    /// One option, if it was given.
    pub(crate) fn get<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        let value = self.0.get(name).map(|text| text.parse().map_err(|_| format!("--{name} can't be {text:?}")));
        Ok(value.transpose()?)
    }

    /// One option that is a rate per second and has to be given.
    pub(crate) fn per_second(&self, name: &str) -> Result<f64> {
        match self.get::<f64>(name)? {
            Some(rate) if rate > 0.0 && rate <= 1e9 => Ok(rate),
            _ => Err(format!("--{name} has to be given: more than 0 and at most 1e9 per second").into()),
        }
    }
}

/// A request that has come whole.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    /// Whom to answer.
    pub(crate) connection: usize,
    /// CLOCK_MONOTONIC just before it was read.
    pub(crate) at_ns: u64,
}

struct Connection {
    stream: TcpStream,
    /// How much of the empty line that ends a head has been seen.
    matched: u8,
}

/// The listening socket and what it accepted.
pub(crate) struct Server {
    epoll: OwnedFd,
    listener: TcpListener,
    /// By number. A number is not given twice: an answer that waits must not reach another connection.
    connections: Vec<Option<Connection>>,
    open: usize,
    ready: Vec<epoll::Event>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1 and prints which, after going to the CPU named by `--cpu`.
    pub(crate) fn start(options: &Options) -> Result<Self> {
        if let Some(cpu) = options.get("cpu")? {
            pin(cpu)?;
        }
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        epoll::add(&epoll, std::io::stdin(), epoll::EventData::new_u64(STDIN), epoll::EventFlags::IN)
            .map_err(|e| format!("stdin has to be a pipe or a terminal, whose end ends this server: {e}"))?;
        say(&format!("{{\"listen\":\"{}\"}}", listener.local_addr()?));
        Ok(Self { epoll, listener, connections: Vec::new(), open: 0, ready: Vec::with_capacity(EVENTS) })
    }

    /// Looks once for requests and appends them to `arrived`. False when stdin has ended.
    pub(crate) fn look(&mut self, arrived: &mut Vec<Arrival>) -> Result<bool> {
        let timeout = (self.open > 0).then_some(&NO_TIME);
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut ready), timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let mut goes_on = true;
        for event in &ready {
            match { event.data }.u64() {
                LISTENER => self.accept()?,
                STDIN => goes_on = std::io::stdin().read(&mut [0; 512])? > 0,
                number => self.read(number as usize, arrived),
            }
        }
        self.ready = ready;
        Ok(goes_on)
    }

    /// Answers one request. False when its connection is gone.
    pub(crate) fn answer(&mut self, number: usize) -> bool {
        let Some(Some(connection)) = self.connections.get_mut(number) else { return false };
        // Who doesn't read its answers fills the socket, and is not served further.
        let whole = connection.stream.write(OK).is_ok_and(|n| n == OK.len());
        if !whole {
            self.close(number);
        }
        whole
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Whoever connected has gone again.
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
                Err(e) => return Err(e.into()),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let number = epoll::EventData::new_u64(self.connections.len() as u64);
            epoll::add(&self.epoll, &stream, number, epoll::EventFlags::IN)?;
            self.connections.push(Some(Connection { stream, matched: 0 }));
            self.open += 1;
        }
    }

    fn read(&mut self, number: usize, arrived: &mut Vec<Arrival>) {
        let Some(Some(connection)) = self.connections.get_mut(number) else { return };
        let mut buffer = [0; 4096];
        let at_ns = monotonic_ns();
        match connection.stream.read(&mut buffer) {
            Ok(0) => self.close(number),
            Ok(n) => {
                let whole = ends_of_heads(&mut connection.matched, &buffer[..n]);
                arrived.extend((0..whole).map(|_| Arrival { connection: number, at_ns }));
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.close(number),
        }
    }

    fn close(&mut self, number: usize) {
        // Closed by being dropped, which takes it out of the epoll as well.
        self.connections[number] = None;
        self.open -= 1;
    }
}

/// Counts the empty lines that end heads, also where a head comes in pieces.
fn ends_of_heads(matched: &mut u8, bytes: &[u8]) -> usize {
    let mut whole = 0;
    for byte in bytes {
        *matched = match (*matched, byte) {
            (0 | 2, b'\r') | (1, b'\n') => *matched + 1,
            (3, b'\n') => {
                whole += 1;
                0
            }
            (_, b'\r') => 1,
            _ => 0,
        };
    }
    whole
}

fn pin(cpu: usize) -> Result<()> {
    let mut cpus = rustix::thread::CpuSet::new();
    if cpu >= rustix::thread::CpuSet::MAX_CPU {
        return Err(format!("--cpu can't be {cpu}").into());
    }
    cpus.set(cpu);
    Ok(rustix::thread::sched_setaffinity(None, &cpus).map_err(|e| format!("can't go to CPU {cpu}: {e}"))?)
}

/// Prints one line for the script that started this.
// It is what these programs are for; a library would return it.
#[allow(clippy::print_stdout)]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_however_they_are_cut() {
        let three = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nA: \r\r\n\r\n";
        for piece in 1..three.len() {
            let mut matched = 0;
            let counted: usize = three.chunks(piece).map(|bytes| ends_of_heads(&mut matched, bytes)).sum();
            assert_eq!(counted, 3, "in pieces of {piece}");
        }
    }
}
