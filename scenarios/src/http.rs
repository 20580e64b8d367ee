//! Small HTTP/1.1 requests to admin ports and through a chain: blocking, one a connection, with a deadline.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status: 200.
    pub status: u16,
    /// The headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of a name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text; what is no UTF-8 is marked.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// More than any answer that is asked for here, so that a wrong one can't fill the memory.
const LARGEST: u64 = 128 << 20;

/// Asks for a path.
///
/// # Errors
/// What the kernel says of the connection; `TimedOut` at the deadline; `InvalidData` when the answer is no HTTP, or
/// is cut off.
pub fn get(address: SocketAddr, path: &str, patience: Duration) -> std::io::Result<Answer> {
    ask(address, path, &[], patience)
}

/// Asks for a path; with a body, sends it there.
///
/// # Errors
/// As [`get`].
pub fn ask(address: SocketAddr, path: &str, body: &[u8], patience: Duration) -> std::io::Result<Answer> {
    let asked = Asked { host: &address.to_string(), path, body, until: Instant::now() + patience };
    let stream = TcpStream::connect_timeout(&address, patience)?;
    exchange(&stream, &stream, &asked)
}

/// Whom a server with TLS must be.
#[derive(Clone, Copy, Debug)]
pub struct Tls<'a> {
    /// The name that its certificate must have.
    pub name: &'static str,
    /// The PEM file of the authority that must have issued it.
    pub authority: &'a Path,
}

/// Asks for a path with TLS; with a body, sends it there.
///
/// # Errors
/// As [`get`]; `InvalidInput` for an authority that cannot be read, `InvalidData` for a server that is someone else.
pub fn ask_tls(
    address: SocketAddr,
    tls: Tls<'_>,
    path: &str,
    body: &[u8],
    patience: Duration,
) -> std::io::Result<Answer> {
    let unfit = |e: &dyn std::fmt::Display| std::io::Error::new(std::io::ErrorKind::InvalidInput, e.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(tls.authority).map_err(|e| unfit(&e))? {
        roots.add(certificate.map_err(|e| unfit(&e))?).map_err(|e| unfit(&e))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| unfit(&e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(tls.name).map_err(|e| unfit(&e))?;
    let host = name.to_str().into_owned();
    let asked = Asked { host: &host, path, body, until: Instant::now() + patience };
    let stream = TcpStream::connect_timeout(&address, patience)?;
    let session = ClientConnection::new(Arc::new(config), name).map_err(|e| unfit(&e))?;
    exchange(StreamOwned::new(session, &stream), &stream, &asked)
}

/// What is asked, and until when there may be an answer.
struct Asked<'a> {
    host: &'a str,
    path: &'a str,
    /// Empty for a request without one.
    body: &'a [u8],
    until: Instant,
}

impl Asked<'_> {
    fn text(&self) -> Vec<u8> {
        let Self { host, path, body, until: _ } = self;
        let (method, length) = match body.len() {
            0 => ("GET", String::new()),
            n => ("POST", format!("content-length: {n}\r\n")),
        };
        // The other end closes when it has answered, so that reading to the end is reading the answer.
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: meshtax\r\n{length}connection: close\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    }
}

/// Sends the request on a stream and reads the answer; `socket` is what the stream waits for.
fn exchange(mut stream: impl Read + Write, socket: &TcpStream, asked: &Asked<'_>) -> std::io::Result<Answer> {
    let until = asked.until;
    socket.set_write_timeout(Some(until.saturating_duration_since(Instant::now()).max(LEAST)))?;
    socket.set_read_timeout(Some(until.saturating_duration_since(Instant::now()).max(LEAST)))?;
    stream.write_all(&asked.text()).map_err(in_time)?;
    let mut all = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => all.extend(chunk.iter().take(n)),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            // TLS wants a word at the end; the answer tells itself whether it is whole.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(in_time(e)),
        }
        if all.len() as u64 > LARGEST {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
    }
    parse(&all).ok_or_else(|| {
        let begin = String::from_utf8_lossy(all.get(..60).unwrap_or(&all)).into_owned();
        let said = if all.is_empty() { "it closed the connection".to_owned() } else { format!("it said '{begin}'") };
        std::io::Error::new(std::io::ErrorKind::InvalidData, format!("not a whole HTTP answer: {said}"))
    })
}

/// The least time a socket can be told to wait.
const LEAST: Duration = Duration::from_millis(1);

/// A socket that waited as long as it was told says that it would have to wait.
fn in_time(error: std::io::Error) -> std::io::Error {
    if error.kind() == std::io::ErrorKind::WouldBlock { std::io::ErrorKind::TimedOut.into() } else { error }
}

/// Reads a whole answer; none when it is cut off or is none.
fn parse(all: &[u8]) -> Option<Answer> {
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(all).ok()? else { return None };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let headers: Vec<(String, String)> =
        head.headers.iter().map(|h| (h.name.to_ascii_lowercase(), text(h.value))).collect();
    let mut answer = Answer { status: head.code?, headers, body: Vec::new() };
    let rest = all.get(length..)?;
    answer.body = if answer.header("transfer-encoding").is_some_and(|t| t.eq_ignore_ascii_case("chunked")) {
        dechunked(rest)?
    } else if let Some(length) = answer.header("content-length") {
        rest.get(..length.parse().ok()?)?.to_vec()
    } else {
        rest.to_vec()
    };
    Some(answer)
}

/// RFC 9112, section 7.1; none when the last chunk is missing.
fn dechunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let httparse::Status::Complete((start, size)) = httparse::parse_chunk_size(rest).ok()? else { return None };
        if size == 0 {
            return Some(body);
        }
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        body.extend(rest.get(start..end)?);
        rest = rest.get(end..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn answers_are_read_in_each_framing() {
        for (text, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Y: a b\r\n\r\nhello", "hello"),
            ("HTTP/1.1 200 OK\r\nx-y: a b\r\n\r\nhello", "hello"),
            (
                "HTTP/1.1 200 OK\r\nX-y: a b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
                "hello",
            ),
            ("HTTP/1.1 200 OK\r\nx-y:a b\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", ""),
        ] {
            let answer = parse(text.as_bytes()).unwrap();
            assert_eq!(
                (answer.status, answer.text().as_str(), answer.header("x-y")),
                (200, body, Some("a b")),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_cut_off_or_no_http_is_none() {
        for text in [
            "",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nhel",
            "SSH-2.0-OpenSSH\r\n\r\n",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up_at_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let e = get(listener.local_addr().unwrap(), "/", Duration::from_millis(50)).unwrap_err();
        assert_eq!(e.kind(), std::io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_body_is_sent_with_its_length() {
        let asked = |body| Asked { host: "h", path: "/x", body, until: Instant::now() };
        let with = String::from_utf8(asked(b"mark".as_slice()).text()).unwrap();
        assert!(with.starts_with("POST /x HTTP/1.1\r\nhost: h\r\n"), "{with}");
        assert!(with.ends_with("content-length: 4\r\nconnection: close\r\n\r\nmark"), "{with}");
        let without = String::from_utf8(asked(b"").text()).unwrap();
        assert!(without.starts_with("GET /x ") && !without.contains("content-length"), "{without}");
    }

    #[test]
    fn a_server_that_closes_is_told_from_one_that_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let n = stream.read(&mut head).unwrap();
            drop(stream);
            String::from_utf8_lossy(&head[..n]).into_owned()
        });
        let e = get(address, "/stats?x=y", Duration::from_secs(10)).unwrap_err();
        assert_eq!(e.to_string(), "not a whole HTTP answer: it closed the connection");
        assert!(server.join().unwrap().starts_with("GET /stats?x=y HTTP/1.1\r\nhost: 127.0.0.1:"));
    }
}
