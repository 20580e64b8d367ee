//! A caller that writes HTTP/1.1 byte by byte, so that what is on the wire is what a test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A silent server fails a test; it doesn't hang it.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection.
pub(crate) struct Caller {
    stream: BufReader<TcpStream>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a header, whose name is given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Caller {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        Self::over(stream)
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.say(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes());
        self.answer()
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Reads one response; only one with a body of known or chunked length, as all of ours are.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.answer_to_head();
        answer.body = body(&mut self.stream, &answer.headers);
        answer
    }

    /// Reads a response that has no body, whatever length it announces.
    pub(crate) fn answer_to_head(&mut self) -> Answer {
        let (first, headers) = head(&mut self.stream).unwrap();
        Answer { status: first.split(' ').nth(1).unwrap().parse().unwrap(), headers, body: Vec::new() }
    }

    /// True once the other side has closed the connection without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(n) => n == 0,
            // A reset says the same; to have waited in vain says the opposite.
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// The first line of a message and its headers, names in lower case; nothing at the end of the connection.
pub(crate) fn head(stream: &mut impl BufRead) -> Option<(String, Vec<(String, String)>)> {
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|n| *n > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else { return Some((first, headers)) };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// The body that the headers announce.
pub(crate) fn body(stream: &mut impl BufRead, headers: &[(String, String)]) -> Vec<u8> {
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let mut body = Vec::new();
    if header("transfer-encoding") == Some("chunked") {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let start = body.len();
            body.resize(start + size, 0);
            stream.read_exact(&mut body[start..]).unwrap();
            stream.read_line(&mut line).unwrap();
            if size == 0 {
                return body;
            }
        }
    }
    body.resize(header("content-length").map_or(0, |n| n.parse().unwrap()), 0);
    stream.read_exact(&mut body).unwrap();
    body
}
