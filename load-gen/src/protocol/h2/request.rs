//! A request, prepared once for a load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fixed;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A header as the encoder needs it.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: Box<[u8]>,
    pub(super) value: Box<[u8]>,
    /// The static entry of this name, and the one of this name and value.
    pub(super) named: Option<usize>,
    pub(super) whole: Option<usize>,
    /// Nobody on the way may keep it in a table.
    pub(super) secret: bool,
}

/// A request: made once, opened many times, on any connection.
#[derive(Debug)]
pub struct Request {
    /// No other request of this process has it.
    pub(super) number: u64,
    pub(super) fields: Vec<Field>,
    pub(super) body: Arc<[u8]>,
    /// Whether the answer has no body, whatever its head says.
    pub(super) bodiless: bool,
}

impl Request {
    /// A request of these parts. Names become lower-case; headers that HTTP/2 has no use for (`host`, `connection`
    /// and the like) are left out. The length of a body is said, except to gRPC, which frames it itself.
    pub fn new(
        method: &str,
        scheme: &str,
        authority: &str,
        path: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Self {
        let mut fields = Vec::with_capacity(headers.len() + 5);
        let pseudo = [(":method", method), (":scheme", scheme), (":path", path), (":authority", authority)];
        fields.extend(pseudo.iter().map(|(name, value)| Field::new(name, value)));
        fields.extend(headers.iter().map(|(name, value)| Field::new(&name.to_ascii_lowercase(), value)));
        fields.retain(|f| !is_of_a_hop(&f.name));
        let grpc = fields.iter().any(|f| *f.name == *b"content-type" && f.value.starts_with(b"application/grpc"));
        let said = fields.iter().any(|f| *f.name == *b"content-length");
        if !body.is_empty() && !grpc && !said {
            fields.push(Field::new("content-length", &body.len().to_string()));
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { number, fields, body: body.into(), bodiless: method == "HEAD" }
    }
}

impl Field {
    fn new(name: &str, value: &str) -> Self {
        let (named, whole) = fixed::find(name.as_bytes(), value.as_bytes());
        let secret = matches!(name, "authorization" | "cookie" | "proxy-authorization");
        Self { name: name.as_bytes().into(), value: value.as_bytes().into(), named, whole, secret }
    }
}

/// Whether a header speaks of one HTTP/1.1 connection.
fn is_of_a_hop(name: &[u8]) -> bool {
    matches!(name, b"host" | b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade")
}
