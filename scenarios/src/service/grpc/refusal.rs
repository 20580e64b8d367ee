//! Why a gRPC call is refused, as its caller is told: by trailers and nothing else.

use hyper::header::{HeaderMap, HeaderValue};

use super::message::LARGEST;
use super::{MESSAGES, MESSAGES_MOST};
use crate::upstream::error_header;

/// The reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no such method.
    Unknown(String),
    /// The message is compressed.
    Compressed,
    /// The body is not exactly one message.
    NotOne,
    /// The message is larger than it may be.
    TooLarge(usize),
    /// The service answers a share of its calls with an error.
    Drawn,
    /// The header with the number of messages says none that may be.
    Count,
}

impl Refusal {
    /// Its number among gRPC's codes.
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "12",
            Self::Compressed | Self::NotOne | Self::Count => "3",
            Self::TooLarge(_) => "8",
            Self::Drawn => "13",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Unknown(path) => format!(
                "there is no {path}; try: /meshtax.Echo/Unary, /meshtax.Echo/ServerStream, /grpc.health.v1.Health/Check"
            ),
            Self::Compressed => "the message is compressed; try: identity".into(),
            Self::NotOne => "the body is not exactly one message; try: a prefix of five bytes and its message".into(),
            Self::TooLarge(length) => format!("a message of {length} bytes is too large; try: at most {LARGEST}"),
            Self::Drawn => "an error of its own, as it has at its error rate".into(),
            Self::Count => format!("{MESSAGES} is no number of messages; try: 0 to {MESSAGES_MOST}"),
        }
    }

    /// Puts it on a response which, as it has no body, is trailers only.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        headers.insert("grpc-status", HeaderValue::from_static(self.code()));
        // A path may hold anything; a percent sign would be read as the start of an escape.
        headers.insert("grpc-message", error_header(&self.message().replace('%', "%25")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_code_and_a_way_out() {
        for (refusal, code, begin) in [
            (Refusal::Unknown("/a%b".into()), "12", "there is no /a%25b; try: /meshtax.Echo/Unary, "),
            (Refusal::Compressed, "3", "the message is compressed; try: "),
            (Refusal::NotOne, "3", "the body is not exactly one message; try: "),
            (Refusal::TooLarge(5_000_000), "8", "a message of 5000000 bytes is too large; try: at most 4194304"),
            (Refusal::Count, "3", "x-meshtax-messages is no number of messages; try: 0 to 100000"),
        ] {
            let mut headers = HeaderMap::new();
            refusal.write(&mut headers);
            assert_eq!(headers["grpc-status"], code);
            let said = headers["grpc-message"].to_str().unwrap();
            assert!(said.starts_with(begin), "{said}");
        }
    }
}
