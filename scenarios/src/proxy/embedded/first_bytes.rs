//! The first bytes of a connection, looked at and left where they are: is it TLS, is it HTTP/1.x.

use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;

/// The first byte of a TLS connection: a record of type handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// How HTTP/2 by prior knowledge begins (RFC 9113, section 3.4); no method of HTTP/1.1 may be called so.
const PREFACE: &[u8] = b"PRI ";

/// A request line that is longer than this is none.
const LONGEST: usize = 8 << 10;

/// The pause between looks at a connection that has sent a part of a line and no more: the socket stays readable, so
/// that waiting for more is looking again.
const PAUSE: Duration = Duration::from_millis(1);

/// Whether a connection begins as TLS does; waits for its first byte.
///
/// # Errors
/// What the kernel says; `UnexpectedEof` when it ends without a byte.
pub(super) async fn is_tls(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first == [TLS_HANDSHAKE]),
    }
}

/// Whether a connection begins with a request line of HTTP/1.x, as Istio's http_inspector would find; waits, as that
/// does by default, for as long as it takes to know.
///
/// # Errors
/// As [`is_tls`].
pub(super) async fn is_http1(stream: &TcpStream) -> std::io::Result<bool> {
    let mut begin = vec![0; 512];
    loop {
        let seen = stream.peek(&mut begin).await?;
        if seen == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(known) = judge(begin.get(..seen).unwrap_or_default()) {
            return Ok(known);
        }
        if seen == begin.len() {
            if seen >= LONGEST {
                return Ok(false);
            }
            begin.resize(2 * seen, 0);
        } else if stream.ready(Interest::READABLE).await?.is_read_closed() {
            // That was all: no request.
            return Ok(false);
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Whether these bytes begin a request of HTTP/1.x; none when more must be seen to know.
fn judge(begin: &[u8]) -> Option<bool> {
    if begin.iter().zip(PREFACE).all(|(a, b)| a == b) {
        return (begin.len() >= PREFACE.len()).then_some(false);
    }
    let mut fields = [httparse::EMPTY_HEADER; 1];
    let mut head = httparse::Request::new(&mut fields);
    match head.parse(begin) {
        Err(httparse::Error::TooManyHeaders) => Some(true),
        Err(_) => Some(head.version.is_some()),
        Ok(_) => head.version.map(|_| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_known_when_it_is_whole() {
        for (begin, known) in [
            (&b"G"[..], None),
            (b"GET / HTT", None),
            (b"GET / HTTP/1.1\r\n", Some(true)),
            (b"GET / HTTP/1.0\r\nhost: a\r\nx: y\r\n", Some(true)),
            (b"M-SEARCH * HTTP/1.1\r\nhost: a\r\n\r\n", Some(true)),
            (b"PRI", None),
            (b"PUT / HTTP/1.1\r\n", Some(true)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(false)),
            (b"GET / HTTP/3.7\r\n", Some(false)),
            (b"\x16\x03\x01", Some(false)),
            (b"\0\0\0\x10", Some(false)),
            (b"SELECT 1;\n", Some(false)),
        ] {
            assert_eq!(judge(begin), known, "{:?}", String::from_utf8_lossy(begin));
        }
    }
}
