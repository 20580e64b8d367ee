//! The protocols a load can speak: bytes in and out, without input and output of their own.

pub mod h1;
pub mod h2;
pub mod kept;

pub use kept::Kept;

/// Which protocol a load speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on a connection.
    #[default]
    Http1,
    /// HTTP/2, several requests at a time on a connection: agreed on in TLS's handshake, or by prior knowledge.
    Http2,
    /// gRPC over HTTP/2: a request is a call with one message, answered by one or by several.
    Grpc,
}

impl Protocol {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "http/2",
            Self::Grpc => "grpc",
        }
    }

    /// Whether it goes over HTTP/2.
    pub fn multiplexes(self) -> bool {
        self != Self::Http1
    }

    /// What is offered in TLS's handshake.
    pub(crate) fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 | Self::Grpc => &[b"h2"],
        }
    }
}
