//! HTTP/1.1 as a client of a benchmark needs it: one request as bytes, and a reader that finds where a
//! response ends without keeping its body.
//!
//! The reader does no input or output. Framing follows RFC 9112 section 6.3.

use std::mem::MaybeUninit;

use crate::protocol::Kept;

/// The largest head, and the largest trailer, that is read: 64 KiB.
pub const LARGEST_HEAD: usize = 64 << 10;

const MOST_HEADERS: usize = 128;

/// The bytes of a request: its head, with what every request has unless `headers` say otherwise, and its body.
pub fn request(
    method: &str,
    path: &str,
    host: &str,
    headers: &[(String, String)],
    keep_alive: bool,
    body: &[u8],
) -> Vec<u8> {
    let length = body.len().to_string();
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    let has_body = !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH");
    for (name, value, wanted) in [
        ("Host", host, true),
        ("User-Agent", USER_AGENT, true),
        ("Accept", "*/*", true),
        ("Content-Length", length.as_str(), has_body),
        ("Connection", "close", !keep_alive),
    ] {
        if wanted && !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) {
            head.extend([name, ": ", value, "\r\n"]);
        }
    }
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// What the generator calls itself.
pub const USER_AGENT: &str = concat!("meshtax/", env!("CARGO_PKG_VERSION"));

/// What came is no HTTP/1.x response; with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// How far a response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    More,
    /// It is whole; so many of the bytes given last belong to it.
    Whole {
        /// Bytes of the last piece that belong to this response.
        used: usize,
    },
}

/// Where in a response the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Head,
    Sized(u64),
    Chunks(Chunks),
    UntilClose,
    Whole,
}

/// Where in a chunked body the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunks {
    Size {
        value: u64,
        digits: u8,
    },
    /// After the digits: an extension, or the line's end.
    SizeEnd {
        value: u64,
        skipped: usize,
    },
    Data(u64),
    /// The line end after the data.
    DataEnd,
    /// A line of the trailer; an empty one ends it.
    Trailer {
        line: usize,
        skipped: usize,
    },
}

/// Reads one response after another from pieces of any size.
#[derive(Debug)]
pub struct Reader {
    /// Whether the request was a HEAD: its response has no body, whatever it says.
    without_body: bool,
    step: Step,
    /// A head that came in pieces.
    head: Vec<u8>,
    kept: Kept,
    /// The head read last, if it was of a usual size, and what it said: a server's answers mostly have the same head,
    /// and comparing takes a fraction of reading.
    known: Vec<u8>,
    known_head: Option<Head>,
    status: u16,
    keep_alive: bool,
    /// Bytes read since the beginning.
    length: u64,
}

/// A longer head is not compared with the next.
const LONGEST_KNOWN: usize = 2 << 10;

/// What a head says.
#[derive(Clone, Copy, Debug)]
struct Head {
    length: usize,
    status: u16,
    keep_alive: bool,
    step: Step,
}

impl Reader {
    /// A reader that keeps some headers of each response.
    pub fn new(kept: Kept) -> Self {
        let head = Vec::with_capacity(1024);
        Self {
            without_body: false,
            step: Step::Head,
            head,
            kept,
            known: Vec::new(),
            known_head: None,
            status: 0,
            keep_alive: false,
            length: 0,
        }
    }

    /// Forgets what was read: the next byte begins a response, to a HEAD or to something else.
    pub fn begin(&mut self, head: bool) {
        if self.without_body != head {
            self.without_body = head;
            // The same head means another body.
            self.known_head = None;
        }
        self.step = Step::Head;
        self.head.clear();
        self.kept.hide();
        self.length = 0;
    }

    /// Bytes of the response read so far.
    #[inline]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The status of the response whose head was read last.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the connection may be used again.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// The headers that were to be kept.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Reads on.
    ///
    /// # Errors
    /// When the bytes are no response; the connection is of no use then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, Malformed> {
        self.length += bytes.len() as u64;
        let mut at = 0;
        loop {
            match self.step {
                Step::Head => match self.feed_head(&bytes[at..])? {
                    Some(used) => at += used,
                    None => return Ok(Progress::More),
                },
                Step::Sized(left) => {
                    let here = left.min((bytes.len() - at) as u64);
                    at += here as usize;
                    self.step = if here == left { Step::Whole } else { Step::Sized(left - here) };
                }
                Step::Chunks(chunks) => {
                    let (next, used) = feed_chunks(chunks, &bytes[at..])?;
                    at += used;
                    self.step = next.map_or(Step::Whole, Step::Chunks);
                }
                Step::UntilClose => return Ok(Progress::More),
                Step::Whole => {
                    // What follows is none of this response.
                    self.length -= (bytes.len() - at) as u64;
                    return Ok(Progress::Whole { used: at });
                }
            }
            if at == bytes.len() && self.step != Step::Whole {
                return Ok(Progress::More);
            }
        }
    }

    /// The other side closed the connection: whether that made the response whole.
    pub fn ends_with_close(&self) -> bool {
        self.step == Step::UntilClose
    }

    /// Reads a head, or a part of one, and says how many of these bytes it took; none when it goes on.
    fn feed_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let before = self.head.len();
        let parsed = if before == 0 {
            if let Some(head) = self.known_head
                && bytes.starts_with(&self.known)
            {
                self.kept.show();
                self.step = head.step;
                return Ok(Some(head.length));
            }
            // Reading another overwrites its values, also where that turns out to be no head.
            self.known_head = None;
            let parsed = parse_head(bytes, self.without_body, &mut self.kept)?;
            self.remember(bytes, parsed);
            parsed
        } else {
            self.known_head = None;
            self.head.extend_from_slice(bytes);
            parse_head(&self.head, self.without_body, &mut self.kept)?
        };
        let Some(head) = parsed else {
            if before == 0 {
                self.head.extend_from_slice(bytes);
            }
            return if self.head.len() > LARGEST_HEAD { Err(Malformed("the head is too large")) } else { Ok(None) };
        };
        self.head.clear();
        self.status = head.status;
        self.keep_alive = head.keep_alive;
        self.step = head.step;
        if head.step == Step::Head {
            // An interim response: what it said is not said of the one to come.
            self.kept.hide();
        }
        Ok(Some(head.length - before))
    }

    fn remember(&mut self, bytes: &[u8], parsed: Option<Head>) {
        self.known_head = parsed.filter(|head| head.length <= LONGEST_KNOWN && head.step != Step::Head);
        if let Some(head) = self.known_head {
            self.known.clear();
            self.known.extend_from_slice(&bytes[..head.length]);
        }
    }
}

/// Reads a head; none when it is not whole yet.
fn parse_head(bytes: &[u8], without_body: bool, kept: &mut Kept) -> Result<Option<Head>, Malformed> {
    // Uninitialised: clearing 4 KiB of headers for each response would cost more than reading them.
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut headers);
    let length = match parsed {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Malformed("there are too many headers")),
        Err(_) => return Err(Malformed("the head is not that of an HTTP/1.x response")),
    };
    if length > LARGEST_HEAD {
        return Err(Malformed("the head is too large"));
    }
    let status = response.code.unwrap_or(0);
    if status == 101 || !(100..1000).contains(&status) {
        return Err(Malformed("the status is none that can answer a request"));
    }
    kept.clear();
    let mut fields = Fields { keep_alive: response.version == Some(1), ..Fields::default() };
    for header in response.headers.iter() {
        fields.read(header.name, header.value)?;
        kept.offer(header.name, header.value);
    }
    let step = match status {
        100..200 => Step::Head,
        204 | 304 => Step::Whole,
        _ if without_body => Step::Whole,
        _ => fields.body(),
    };
    let keep_alive = fields.keep_alive && step != Step::UntilClose;
    Ok(Some(Head { length, status, keep_alive, step }))
}

/// What the headers say of the body and of the connection.
#[derive(Default)]
struct Fields {
    keep_alive: bool,
    length: Option<u64>,
    coded: bool,
    chunked: bool,
}

impl Fields {
    #[inline]
    fn read(&mut self, name: &str, value: &[u8]) -> Result<(), Malformed> {
        // By length first: most headers are none of these.
        match name.len() {
            10 if name.eq_ignore_ascii_case("connection") => {
                if tokens(value).any(|t| t.eq_ignore_ascii_case(b"close")) {
                    self.keep_alive = false;
                } else if tokens(value).any(|t| t.eq_ignore_ascii_case(b"keep-alive")) {
                    self.keep_alive = true;
                }
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                let length = number(value).ok_or(Malformed("the content length is no number"))?;
                if self.length.is_some_and(|l| l != length) {
                    return Err(Malformed("there are two content lengths"));
                }
                self.length = Some(length);
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                self.coded = true;
                self.chunked = tokens(value).last().is_some_and(|t| t.eq_ignore_ascii_case(b"chunked"));
            }
            _ => {}
        }
        Ok(())
    }

    fn body(&self) -> Step {
        match (self.coded, self.chunked, self.length) {
            (true, true, _) => Step::Chunks(Chunks::Size { value: 0, digits: 0 }),
            (true, false, _) | (false, _, None) => Step::UntilClose,
            (false, _, Some(0)) => Step::Whole,
            (false, _, Some(length)) => Step::Sized(length),
        }
    }
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii)
}

fn number(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Reads on in a chunked body: where it stands then (none: it is whole), and how many bytes it took.
fn feed_chunks(mut now: Chunks, bytes: &[u8]) -> Result<(Option<Chunks>, usize), Malformed> {
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        now = match now {
            Chunks::Data(left) => {
                let here = left.min((bytes.len() - at) as u64);
                at += here as usize;
                if here == left { Chunks::DataEnd } else { Chunks::Data(left - here) }
            }
            Chunks::Size { value, digits } => match (byte as char).to_digit(16) {
                Some(_) if digits >= 15 => return Err(Malformed("a chunk is too large")),
                Some(digit) => {
                    at += 1;
                    Chunks::Size { value: value * 16 + u64::from(digit), digits: digits + 1 }
                }
                None if digits == 0 => return Err(Malformed("a chunk has no size")),
                // Not taken: the rest of the line is looked at as such.
                None => Chunks::SizeEnd { value, skipped: 0 },
            },
            Chunks::SizeEnd { value, skipped } => {
                at += 1;
                match byte {
                    b'\n' if value == 0 => Chunks::Trailer { line: 0, skipped: 0 },
                    b'\n' => Chunks::Data(value),
                    b'\r' | b';' | b' ' | b'\t' => Chunks::SizeEnd { value, skipped: skipped + 1 },
                    _ if skipped == 0 => return Err(Malformed("a chunk's size is no number")),
                    _ if skipped > LARGEST_HEAD => return Err(Malformed("a chunk's extension is too large")),
                    _ => Chunks::SizeEnd { value, skipped: skipped + 1 },
                }
            }
            Chunks::DataEnd => {
                at += 1;
                match byte {
                    b'\r' => Chunks::DataEnd,
                    b'\n' => Chunks::Size { value: 0, digits: 0 },
                    _ => return Err(Malformed("a chunk is longer than its size")),
                }
            }
            Chunks::Trailer { line, skipped } => {
                at += 1;
                match byte {
                    b'\n' if line == 0 => return Ok((None, at)),
                    b'\n' => Chunks::Trailer { line: 0, skipped: skipped + 1 },
                    b'\r' => Chunks::Trailer { line, skipped: skipped + 1 },
                    _ if skipped > LARGEST_HEAD => return Err(Malformed("the trailer is too large")),
                    _ => Chunks::Trailer { line: line + 1, skipped: skipped + 1 },
                }
            }
        };
    }
    Ok((Some(now), at))
}

#[cfg(test)]
#[path = "h1_tests.rs"]
mod tests;
