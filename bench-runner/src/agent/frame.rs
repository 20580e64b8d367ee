//! Messages on a stream of bytes: a length of four bytes, the most significant first, then so many bytes of JSON.
//!
//! What a peer says is believed only as far as a limit: a longer frame is refused by its length alone, and memory is
//! taken for what has come, never for what was announced. This file needs nothing of the others, so that it is fuzzed
//! on its own (`bench-runner/fuzz`).

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The bytes of the length.
const HEAD: usize = 4;

/// Why a frame is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// It announces, or would take, more than is allowed.
    #[error("a message of {length} bytes, and {limit} are allowed")]
    TooLong {
        /// What was announced.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// It is no message that is known.
    #[error("not a message: {0}")]
    Unknown(String),
}

/// Bytes as they come, and the frames that are whole.
#[derive(Debug)]
pub(crate) struct Frames {
    limit: usize,
    bytes: Vec<u8>,
}

impl Frames {
    /// None yet; each may be so long.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, bytes: Vec::new() }
    }

    /// Lets messages be longer from now on.
    pub(crate) fn raise(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Takes bytes that came.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes are held.
    // The program has no need to know; those who watch its memory do.
    #[allow(dead_code)]
    pub(crate) fn held(&self) -> usize {
        self.bytes.len()
    }

    /// The next message, if it is whole; to be called after each push, and until there is none.
    ///
    /// # Errors
    /// For a frame that is too long or no message; nothing after it is to be believed.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let Some(head) = self.bytes.first_chunk::<HEAD>() else { return Ok(None) };
        let length = u32::from_be_bytes(*head) as usize;
        if length > self.limit {
            return Err(FrameError::TooLong { length, limit: self.limit });
        }
        let Some(body) = self.bytes.get(HEAD..HEAD + length) else { return Ok(None) };
        let message = serde_json::from_slice(body).map_err(|e| FrameError::Unknown(e.to_string()));
        self.bytes.drain(..HEAD + length);
        if self.bytes.is_empty() {
            // A long message's memory goes with it.
            self.bytes = Vec::new();
        }
        message.map(Some)
    }
}

/// A message as its frame.
///
/// # Errors
/// When it is longer than the other side allows.
pub(crate) fn frame<T: Serialize>(message: &T, limit: usize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; HEAD];
    serde_json::to_writer(&mut bytes, message).map_err(|e| FrameError::Unknown(e.to_string()))?;
    let length = bytes.len() - HEAD;
    let head = u32::try_from(length).ok().filter(|_| length <= limit).map(u32::to_be_bytes);
    let head = head.ok_or(FrameError::TooLong { length, limit })?;
    bytes.splice(..HEAD, head);
    Ok(bytes)
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
