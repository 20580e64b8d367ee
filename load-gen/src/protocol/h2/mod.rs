//! HTTP/2 as a client of a benchmark needs it: one connection as bytes in and bytes out, many requests under way.
//!
//! The session does no input or output, and after its first requests no allocation. It follows RFC 9113, and
//! RFC 7541 for the headers.

mod answer;
mod control;
mod decoder;
mod encoder;
mod fixed;
mod frame;
mod heads;
mod huffman;
mod inbound;
mod integer;
mod names;
mod outbound;
mod request;
mod session;
mod streams;
mod table;

pub use request::Request;
pub use session::Session;

/// Something that happened to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The answer begins: its head is there, or, of a gRPC answer, the first byte of its body. An answer of gRPC
    /// that consists of trailers only ends without.
    FirstByte {
        /// Whose.
        place: u32,
    },
    /// The request is over, and its place free.
    Ended {
        /// Whose.
        place: u32,
        /// How.
        end: End,
    },
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A whole answer came.
    Answered {
        /// Of the final head.
        status: u16,
        /// From the trailers, or from a head that is the trailer, too.
        grpc_status: Option<u32>,
        /// Whole gRPC messages; 0 where the answer is none of gRPC.
        messages: u32,
        /// Of the body, without padding.
        bytes: u64,
    },
    /// The stream was reset: by the peer, or by us because what came makes no answer.
    Reset {
        /// The error code, RFC 9113 section 7.
        code: u32,
    },
    /// The peer says that it did nothing with it.
    Refused,
}

/// The connection is of no use any more; a GOAWAY that says so has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The error code, RFC 9113 section 7.
    pub code: u32,
    /// What the peer did.
    pub reason: &'static str,
}

#[cfg(test)]
mod desk;
#[cfg(test)]
mod flood_tests;
#[cfg(test)]
mod peer_tests;
#[cfg(test)]
mod random_tests;
