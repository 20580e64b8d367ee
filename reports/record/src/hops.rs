//! What every service on a request's way stamped, and the response header that carries it back.

use serde::{Deserialize, Serialize};

/// The stamps of one service for one request. All are CLOCK_MONOTONIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HopStamps {
    /// The service's name.
    pub service: String,
    /// The request's head was read.
    pub received_ns: u64,
    /// Its own work was done and its first call began; absent in a service that called nobody.
    pub called_ns: Option<u64>,
    /// The last of the responses to its calls was whole; absent in a service that called nobody.
    pub returned_ns: Option<u64>,
    /// Its own response was handed to the kernel's side of the server.
    pub answered_ns: u64,
    /// Its calls, where `called_ns` and `returned_ns` do not tell all: empty in a service that called nobody, and in one
    /// that made one call to the service whose stamps come next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallStamps>,
}

/// The stamps of one call, by the service that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CallStamps {
    /// It began.
    pub called_ns: u64,
    /// The response was whole, or had failed.
    pub returned_ns: u64,
    /// The callee's stamps, by their place among the request's hops, from 0; absent when none came back.
    pub hop: Option<u32>,
}

/// Calls within calls, at most. The longest chain there can be is well below.
const DEEPEST: usize = 256;

impl HopStamps {
    /// Moves all stamps: onto the clock of another host.
    pub fn move_by(&mut self, ns: i64) {
        // Destructured, so that a new stamp does not compile until it is moved here.
        let Self { service: _, received_ns, called_ns, returned_ns, answered_ns, calls } = self;
        let of_calls =
            calls.iter_mut().flat_map(|CallStamps { called_ns, returned_ns, hop: _ }| [called_ns, returned_ns]);
        let stamps = [received_ns, answered_ns].into_iter().chain(called_ns).chain(returned_ns).chain(of_calls);
        stamps.for_each(|stamp| *stamp = stamp.saturating_add_signed(ns));
    }

    /// The response header that carries the stamps of a service and of all that it called.
    ///
    /// ```text
    /// hop  = name ; received ; answered { ; called . returned [ ( hop ) ] }
    /// ```
    /// without blanks, in base 36: `received` as it is, `answered` and `called` since `received`, `returned` since
    /// `called`. Fifty services in a chain take less than 2 KiB, so that they fit in what proxies keep for headers.
    pub const HEADER: &'static str = "x-meshtax-hops";

    /// Appends the header's value for a service to `out`. Each of its calls is (called_ns, returned_ns, the value of
    /// this header in the callee's response, if there was one).
    pub fn write<'a>(
        out: &mut String,
        service: &str,
        received_ns: u64,
        answered_ns: u64,
        calls: impl IntoIterator<Item = (u64, u64, Option<&'a str>)>,
    ) {
        out.push_str(service);
        out.push(';');
        push_base36(out, received_ns);
        out.push(';');
        push_base36(out, answered_ns.saturating_sub(received_ns));
        for (called_ns, returned_ns, later) in calls {
            out.push(';');
            push_base36(out, called_ns.saturating_sub(received_ns));
            out.push('.');
            push_base36(out, returned_ns.saturating_sub(called_ns));
            if let Some(later) = later {
                out.push('(');
                out.push_str(later);
                out.push(')');
            }
        }
    }

    /// Reads the header's value, the outermost service first and each before those it called; several values may be
    /// joined by commas. What is not of its form is left out, since it is not ours.
    pub fn from_header(value: &str) -> Vec<HopStamps> {
        let mut hops = Vec::new();
        for text in value.split(',') {
            let known = hops.len();
            let mut reader = Reader { rest: text.trim(), hops: &mut hops };
            if reader.hop(0).is_none() || !reader.rest.is_empty() {
                hops.truncate(known);
            }
        }
        let count = hops.len();
        for (at, hop) in hops.iter_mut().enumerate() {
            // What `called_ns` and `returned_ns` tell is not told twice: a chain's line is as short as it can be.
            if let [only] = hop.calls.as_slice()
                && only.hop == (at + 1 < count).then_some(at as u32 + 1)
            {
                hop.calls.clear();
            }
        }
        hops
    }
}

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

fn push_base36(out: &mut String, mut value: u64) {
    // 36^13 is more than 2^64.
    let mut digits = [0; 13];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = DIGITS[(value % 36) as usize];
        value /= 36;
        if value == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|digit| char::from(*digit)));
}

struct Reader<'a> {
    rest: &'a str,
    hops: &'a mut Vec<HopStamps>,
}

impl Reader<'_> {
    /// A hop and those within it; its place.
    fn hop(&mut self, depth: usize) -> Option<u32> {
        let (service, rest) = self.rest.split_once(';')?;
        let place = self.hops.len();
        if service.is_empty() || service.contains(['(', ')']) || depth > DEEPEST {
            return None;
        }
        self.rest = rest;
        let received_ns = self.number()?;
        self.expect(';')?;
        let answered_ns = received_ns.checked_add(self.number()?)?;
        let service = service.to_owned();
        let stamps =
            HopStamps { service, received_ns, called_ns: None, returned_ns: None, answered_ns, calls: Vec::new() };
        self.hops.push(stamps);
        let mut calls = Vec::new();
        while self.expect(';').is_some() {
            let called_ns = received_ns.checked_add(self.number()?)?;
            self.expect('.')?;
            let returned_ns = called_ns.checked_add(self.number()?)?;
            let hop = match self.expect('(') {
                None => None,
                Some(()) => {
                    let hop = self.hop(depth + 1)?;
                    self.expect(')')?;
                    Some(hop)
                }
            };
            calls.push(CallStamps { called_ns, returned_ns, hop });
        }
        let own = self.hops.get_mut(place)?;
        own.called_ns = calls.iter().map(|call| call.called_ns).min();
        own.returned_ns = calls.iter().map(|call| call.returned_ns).max();
        own.calls = calls;
        u32::try_from(place).ok()
    }

    fn number(&mut self) -> Option<u64> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && !c.is_ascii_lowercase()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        u64::from_str_radix(digits, 36).ok()
    }

    fn expect(&mut self, mark: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(mark)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<'a>(
        service: &str,
        received_ns: u64,
        answered_ns: u64,
        calls: impl IntoIterator<Item = (u64, u64, Option<&'a str>)>,
    ) -> String {
        let mut out = String::new();
        HopStamps::write(&mut out, service, received_ns, answered_ns, calls);
        out
    }

    fn hop(service: &str, stamps: (u64, Option<u64>, Option<u64>, u64), calls: &[CallStamps]) -> HopStamps {
        let (received_ns, called_ns, returned_ns, answered_ns) = stamps;
        HopStamps { service: service.into(), received_ns, called_ns, returned_ns, answered_ns, calls: calls.to_vec() }
    }

    #[test]
    fn a_chain_survives_the_header_and_is_told_once() {
        let s3 = written("s3", 50, 61, []);
        let s2 = written("s2", 40, 80, [(45, 70, Some(s3.as_str()))]);
        let s1 = written("s1", 36, 100, [(37, 90, Some(s2.as_str()))]);
        assert_eq!(s1, "s1;10;1s;1.1h(s2;14;14;5.p(s3;1e;b))");
        let want = [
            hop("s1", (36, Some(37), Some(90), 100), &[]),
            hop("s2", (40, Some(45), Some(70), 80), &[]),
            hop("s3", (50, None, None, 61), &[]),
        ];
        assert_eq!(HopStamps::from_header(&s1), want);
    }

    #[test]
    fn all_stamps_of_a_hop_are_moved_alike() {
        let call = |called_ns, returned_ns| CallStamps { called_ns, returned_ns, hop: Some(1) };
        let mut moved = hop("s1", (100, Some(110), Some(190), 200), &[call(110, 150), call(120, 190)]);
        moved.move_by(-100);
        assert_eq!(moved, hop("s1", (0, Some(10), Some(90), 100), &[call(10, 50), call(20, 90)]));
        let mut last = hop("s2", (1, None, None, 2), &[]);
        last.move_by(5);
        assert_eq!(last, hop("s2", (6, None, None, 7), &[]));
    }

    #[test]
    fn a_tree_keeps_who_called_whom_and_calls_without_an_answer() {
        let s3 = written("s3", 12, 13, []);
        let s2 = written("s2", 11, 20, [(12, 14, Some(s3.as_str()))]);
        let s4 = written("s4", 11, 40, [(12, 30, None)]);
        let s1 = written("s1", 10, 60, [(10, 21, Some(s2.as_str())), (10, 41, Some(s4.as_str())), (42, 50, None)]);
        let call = |called_ns, returned_ns, hop| CallStamps { called_ns, returned_ns, hop };
        let want = [
            hop(
                "s1",
                (10, Some(10), Some(50), 60),
                &[call(10, 21, Some(1)), call(10, 41, Some(3)), call(42, 50, None)],
            ),
            hop("s2", (11, Some(12), Some(14), 20), &[]),
            hop("s3", (12, None, None, 13), &[]),
            // The last of the list: that no stamps came back is plain.
            hop("s4", (11, Some(12), Some(30), 40), &[]),
        ];
        assert_eq!(HopStamps::from_header(&s1), want);
        // Where other stamps follow it is not.
        let both = format!("{s4},{s3}");
        let first = &HopStamps::from_header(&both)[0];
        assert_eq!(first.calls, [call(12, 30, None)]);
    }

    #[test]
    fn a_chain_of_fifty_slow_services_fits_in_two_kibibytes() {
        // A host that has been up for a year, and a second in every service.
        let start = 365 * 86_400 * 1_000_000_000_u64;
        let second = 1_000_000_000;
        let mut header = String::new();
        for k in (1..=50_u64).rev() {
            let (received, answered) = (start + k * second, start + (110 - k) * second);
            let later = header;
            header = String::new();
            let call = (k < 50).then_some((received + second / 2, answered - second / 2, Some(later.as_str())));
            HopStamps::write(&mut header, &format!("s{k}"), received, answered, call);
        }
        assert!(header.len() <= 2048, "{}", header.len());
        let hops = HopStamps::from_header(&header);
        assert_eq!((hops.len(), hops[49].received_ns), (50, start + 50 * second));
        assert!(hops.iter().all(|hop| hop.calls.is_empty()));
    }

    #[test]
    fn every_number_is_read_back() {
        for value in [0, 1, 35, 36, 1295, 1296, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let header = written("s", value, value, []);
            assert_eq!(HopStamps::from_header(&header), [hop("s", (value, None, None, value), &[])], "{header}");
        }
    }

    #[test]
    fn a_header_that_is_not_ours_yields_nothing() {
        for text in [
            "",
            ",",
            "a;b",
            "s;1",
            "s;;2",
            "s;1;",
            ";1;2",
            "s;-1;2",
            "s;1;2;",
            "s;1;2;3",
            "s;1;2;3.",
            "s;1;2;3.4(",
            "s;A;2",
            "s;1;2;3.4()",
            "s;1;2;3.4(t;1;2",
            "s;1;2;3.4(t;1;2))",
            "s;1;2)",
            "(s;1;2)",
            "s;3w5e11264sgsf;1",
            "s;1;2;3;4",
        ] {
            assert_eq!(HopStamps::from_header(text), vec![], "{text}");
        }
        let deep = format!("{}s;1;2{}", "s;1;2;3.4(".repeat(10_000), ")".repeat(10_000));
        assert_eq!(HopStamps::from_header(&deep), vec![]);
        // What is broken leaves nothing of itself, and the rest is read.
        assert_eq!(HopStamps::from_header("a;1;2;3.4(b;1;x!), c;1;2").len(), 1);
    }

    #[test]
    fn a_line_of_before_there_were_several_calls_is_read() {
        let old = r#"{"service":"s1","received_ns":1,"called_ns":2,"returned_ns":8,"answered_ns":9}"#;
        let stamps: HopStamps = serde_json::from_str(old).unwrap();
        assert_eq!(stamps, hop("s1", (1, Some(2), Some(8), 9), &[]));
        assert_eq!(serde_json::to_string(&stamps).unwrap(), old);
    }
}
