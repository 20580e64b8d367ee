//! The slowest requests, kept whole with every hop's stamps.

use serde::{Deserialize, Serialize};

use crate::{Outcome, Phase};

/// One kept request; a line of `slow.jsonl`. All stamps are CLOCK_MONOTONIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowRequest {
    /// Its number in the schedule, from 0.
    pub index: u64,
    /// The phase in which it was due.
    pub phase: Phase,
    /// When it was due, by arithmetic.
    pub intended_ns: u64,
    /// When it was written; absent if it never was.
    pub sent_ns: Option<u64>,
    /// When it ended.
    pub done_ns: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The connection it went over, from 0.
    pub connection: Option<u32>,
    /// What the services stamped, the outermost first; empty when the target is not ours.
    pub hops: Vec<HopStamps>,
}

impl SlowRequest {
    /// From intended to done.
    pub fn response_ns(&self) -> u64 {
        self.done_ns.saturating_sub(self.intended_ns)
    }
}

/// The stamps of one service for one request. All are CLOCK_MONOTONIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HopStamps {
    /// The service's name.
    pub service: String,
    /// The request's head was read.
    pub received_ns: u64,
    /// Its own work was done and the call to the next service began; absent in the last service.
    pub called_ns: Option<u64>,
    /// The next service's response was whole; absent in the last service.
    pub returned_ns: Option<u64>,
    /// Its own response was handed to the kernel's side of the server.
    pub answered_ns: u64,
}

impl HopStamps {
    /// The response header that carries the stamps of a chain, the outermost service first.
    pub const HEADER: &'static str = "x-meshtax-hops";

    /// The header's value for one service: `name;received;called;returned;answered`, with `-` for absent.
    /// Several services are joined by `,`, the outermost first.
    pub fn to_header(&self) -> String {
        let opt = |v: Option<u64>| v.map_or_else(|| "-".to_owned(), |v| v.to_string());
        format!(
            "{};{};{};{};{}",
            self.service,
            self.received_ns,
            opt(self.called_ns),
            opt(self.returned_ns),
            self.answered_ns
        )
    }

    /// Reads the header's value; whatever is not of its form is left out, since it is not ours.
    pub fn from_header(value: &str) -> Vec<HopStamps> {
        let one = |text: &str| -> Option<HopStamps> {
            let opt = |t: &str| if t == "-" { Some(None) } else { t.parse().ok().map(Some) };
            let mut f = text.trim().split(';');
            let hop = HopStamps {
                service: f.next().filter(|s| !s.is_empty())?.to_owned(),
                received_ns: f.next()?.parse().ok()?,
                called_ns: opt(f.next()?)?,
                returned_ns: opt(f.next()?)?,
                answered_ns: f.next()?.parse().ok()?,
            };
            f.next().is_none().then_some(hop)
        };
        value.split(',').filter_map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_survive_the_header() {
        let hops = vec![
            HopStamps {
                service: "s1".into(),
                received_ns: 1,
                called_ns: Some(2),
                returned_ns: Some(8),
                answered_ns: 9,
            },
            HopStamps { service: "s2".into(), received_ns: 3, called_ns: None, returned_ns: None, answered_ns: 5 },
        ];
        let header = hops.iter().map(HopStamps::to_header).collect::<Vec<_>>().join(",");
        assert_eq!(header, "s1;1;2;8;9,s2;3;-;-;5");
        assert_eq!(HopStamps::from_header(&header), hops);
    }

    #[test]
    fn a_header_that_is_not_ours_yields_nothing() {
        for text in ["", ",", "a;b", "s;1;2;3", "s;1;2;3;4;5", ";1;-;-;2", "s;-1;-;-;2"] {
            assert_eq!(HopStamps::from_header(text), vec![], "{text}");
        }
    }
}
