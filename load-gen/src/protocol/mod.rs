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
}

impl Protocol {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
        }
    }

    /// What is offered in TLS's handshake.
    pub(crate) fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http1 => &[b"http/1.1"],
        }
    }
}
