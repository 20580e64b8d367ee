//! What is seen of the measured requests besides their times: the pacing, who answered, what proxies said.

use std::collections::BTreeMap;

use record::{Gaps, Histogram, KeptBack, Outcome, Share};

use crate::connection::Values;
use crate::protocol::kept::{ATTEMPTS, OVERLOADED, SPLIT};

/// Values of the header to split by that are kept apart; the rest is one.
const VALUES: usize = 32;

/// The width of the windows in which requests are counted for the index of dispersion.
const WINDOW_NS: u64 = 1_000_000;

/// Moments in order, and how they are spread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Train {
    last_ns: Option<u64>,
    gaps: Histogram,
    short: u64,
    window: u64,
    in_window: u64,
    windows: u64,
    sum: f64,
    squares: f64,
}

impl Train {
    /// One more moment, from the start of the measured phase; `short_ns` is a tenth of the mean planned gap.
    #[inline]
    pub(crate) fn note(&mut self, at_ns: u64, short_ns: u64) {
        if let Some(last) = self.last_ns {
            let gap = at_ns.saturating_sub(last);
            self.gaps.record(gap);
            self.short += u64::from(gap < short_ns);
        }
        self.last_ns = Some(at_ns);
        let window = at_ns / WINDOW_NS;
        if window > self.window {
            self.pass_to(window);
        }
        self.in_window += 1;
    }

    fn pass_to(&mut self, window: u64) {
        self.sum += self.in_window as f64;
        self.squares += (self.in_window as f64).powi(2);
        // The windows in between are empty.
        self.windows += window - self.window;
        self.window = window;
        self.in_window = 0;
    }

    fn add(&mut self, other: Train) -> record::Result<()> {
        let Train { last_ns: _, gaps, short, window: _, in_window: _, windows, sum, squares } = other;
        self.gaps.add(&gaps)?;
        self.short += short;
        self.windows += windows;
        self.sum += sum;
        self.squares += squares;
        Ok(())
    }

    fn gaps(&self) -> Gaps {
        let n = self.windows.max(1) as f64;
        let mean = self.sum / n;
        let variance = (self.squares / n - mean * mean).max(0.0);
        Gaps {
            gap_ns: (&self.gaps).into(),
            burst_share: self.short as f64 / self.gaps.count().max(1) as f64,
            dispersion: if mean > 0.0 { variance / mean } else { 0.0 },
        }
    }
}

/// The answers of one backend.
#[derive(Debug)]
struct Backend {
    value: Vec<u8>,
    answered: u64,
    errors: u64,
    response: Histogram,
    service: Histogram,
}

impl Backend {
    fn new(value: &[u8]) -> Self {
        let (response, service) = (Histogram::new(), Histogram::new());
        Self { value: value.to_vec(), answered: 0, errors: 0, response, service }
    }

    #[inline]
    fn count(&mut self, error: bool, response_ns: u64, service_ns: u64) {
        self.answered += 1;
        self.errors += u64::from(error);
        self.response.record(response_ns);
        self.service.record(service_ns);
    }

    fn add(&mut self, other: &Backend) -> record::Result<()> {
        let Backend { value: _, answered, errors, response, service } = other;
        self.answered += answered;
        self.errors += errors;
        self.response.add(response)?;
        Ok(self.service.add(service)?)
    }

    fn share(&self) -> Share {
        Share {
            value: String::from_utf8_lossy(&self.value).into_owned(),
            answered: self.answered,
            errors: self.errors,
            response_ns: (&self.response).into(),
            service_ns: (&self.service).into(),
        }
    }
}

/// A request that has ended: its kind, and how long it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) kind: u32,
    pub(crate) response_ns: u64,
    pub(crate) service_ns: u64,
}

/// What is counted of each request in the measured phase.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// A tenth of the mean planned gap; none where there is no plan.
    short_ns: Option<u64>,
    start_ns: u64,
    planned: Train,
    sent: Train,
    split: bool,
    backends: Vec<Backend>,
    last_backend: usize,
    /// One for each kind of request, where there are several.
    kinds: Vec<Backend>,
    pub(crate) retried: u64,
    pub(crate) extra_attempts: u64,
    pub(crate) overloaded: u64,
    pub(crate) grpc_statuses: BTreeMap<u32, u64>,
    pub(crate) grpc_messages: u64,
    pub(crate) bytes_read: u64,
    /// What was never sent and could have been.
    pub(crate) kept_back: KeptBack,
    /// Sleeps through answers; none where answers are always waited for.
    pub(crate) naps: Option<Histogram>,
}

impl Tally {
    /// For a measured phase that starts then; `mean_gap_ns` is that of this thread's plan.
    pub(crate) fn new(start_ns: u64, mean_gap_ns: Option<f64>, split: bool, kinds: &[String]) -> Self {
        // One kind is all there is, and all is counted anyway.
        let kinds = if kinds.len() > 1 { kinds } else { &[] };
        let kinds = kinds.iter().map(|name| Backend::new(name.as_bytes())).collect();
        let short_ns = mean_gap_ns.map(|gap| (gap / 10.0) as u64);
        Self { short_ns, start_ns, split, kinds, ..Self::default() }
    }

    /// Whether answers are split by a header.
    #[inline]
    pub(crate) fn splits(&self) -> bool {
        self.split
    }

    /// A request fell due.
    #[inline]
    pub(crate) fn due(&mut self, intended_ns: u64) {
        if let Some(short) = self.short_ns {
            self.planned.note(intended_ns.saturating_sub(self.start_ns), short);
        }
    }

    /// A request was written.
    #[inline]
    pub(crate) fn sent(&mut self, sent_ns: u64) {
        if let Some(short) = self.short_ns {
            self.sent.note(sent_ns.saturating_sub(self.start_ns), short);
        }
    }

    /// A request has ended; with the headers of its response.
    #[inline]
    pub(crate) fn ended(&mut self, of: Times, outcome: Outcome, bytes: u64, kept: Values<'_>) {
        let Times { kind, response_ns, service_ns } = of;
        self.bytes_read += bytes;
        let Outcome::Answered(status) = outcome else { return };
        let error = !(200..400).contains(&status);
        if let Some(kind) = self.kinds.get_mut(kind as usize) {
            kind.count(error, response_ns, service_ns);
        }
        if let attempts @ [_, ..] = kept.value(ATTEMPTS) {
            self.attempts(attempts);
        }
        self.overloaded += u64::from(!kept.value(OVERLOADED).is_empty());
        if self.split {
            self.backend(kept.value(SPLIT), error, response_ns, service_ns);
        }
    }

    /// A gRPC call was answered with this status of its own and so many messages.
    pub(crate) fn grpc(&mut self, status: u32, messages: u32) {
        *self.grpc_statuses.entry(status).or_default() += 1;
        self.grpc_messages += u64::from(messages);
    }

    fn attempts(&mut self, text: &[u8]) {
        let count = std::str::from_utf8(text).ok().and_then(|t| t.trim().parse::<u64>().ok()).unwrap_or(1);
        self.retried += u64::from(count > 1);
        self.extra_attempts += count.saturating_sub(1);
    }

    fn backend(&mut self, value: &[u8], error: bool, response_ns: u64, service_ns: u64) {
        let at = match self.backends.get(self.last_backend) {
            Some(last) if last.value == value => self.last_backend,
            _ => self.find(value),
        };
        self.last_backend = at;
        self.backends[at].count(error, response_ns, service_ns);
    }

    /// The place of a value, made if there is still room for one.
    fn find(&mut self, value: &[u8]) -> usize {
        if let Some(at) = self.backends.iter().position(|b| b.value == value) {
            return at;
        }
        let value = if self.backends.len() < VALUES { value } else { OTHERS };
        if let Some(at) = self.backends.iter().position(|b| b.value == value) {
            return at;
        }
        self.backends.push(Backend::new(value));
        self.backends.len() - 1
    }

    /// Adds what another thread saw.
    pub(crate) fn add(&mut self, other: Tally) -> record::Result<()> {
        let Tally {
            short_ns: _,
            start_ns: _,
            planned,
            sent,
            split: _,
            backends,
            last_backend: _,
            kinds,
            retried,
            extra_attempts,
            overloaded,
            grpc_statuses,
            grpc_messages,
            bytes_read,
            kept_back,
            naps,
        } = other;
        self.planned.add(planned)?;
        self.sent.add(sent)?;
        for theirs in &backends {
            let at = self.find(&theirs.value);
            self.backends[at].add(theirs)?;
        }
        for (mine, theirs) in self.kinds.iter_mut().zip(&kinds) {
            mine.add(theirs)?;
        }
        self.retried += retried;
        self.extra_attempts += extra_attempts;
        self.overloaded += overloaded;
        for (status, n) in grpc_statuses {
            *self.grpc_statuses.entry(status).or_default() += n;
        }
        self.grpc_messages += grpc_messages;
        self.bytes_read += bytes_read;
        self.kept_back.add(kept_back);
        if let Some(naps) = naps {
            self.naps.get_or_insert_default().add(&naps)?;
        }
        Ok(())
    }

    /// The pacing as planned and as sent; none without a plan.
    pub(crate) fn gaps(&self) -> Option<(Gaps, Gaps)> {
        self.short_ns.map(|_| (self.planned.gaps(), self.sent.gaps()))
    }

    /// The answers of each backend, the most frequent first.
    pub(crate) fn shares(&self) -> Vec<Share> {
        let mut all: Vec<Share> = self.backends.iter().map(Backend::share).collect();
        all.sort_by(|a, b| b.answered.cmp(&a.answered).then_with(|| a.value.cmp(&b.value)));
        all
    }

    /// The answers to each kind of request, in the order of the kinds.
    pub(crate) fn kinds(&self) -> Vec<Share> {
        self.kinds.iter().map(Backend::share).collect()
    }
}

const OTHERS: &[u8] = b"(others)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Kept;
    use crate::protocol::kept::names;

    #[test]
    fn an_even_train_has_no_dispersion_and_bursts_have_much() {
        let (mut even, mut bursts) = (Train::default(), Train::default());
        for i in 0..10_000u64 {
            even.note(i * 100_000, 10_000);
            bursts.note(i / 32 * 3_200_000, 10_000);
        }
        let (e, b) = (even.gaps(), bursts.gaps());
        assert_eq!((e.gap_ns.p50, e.burst_share), (100_000, 0.0));
        assert!(e.dispersion < 1e-9, "{e:?}");
        // 31 of 32 gaps are none; in each 3.2 ms one window holds 32 and the others nothing: 32 - 10.
        assert!((b.burst_share - 31.0 / 32.0).abs() < 1e-3 && (b.dispersion - 22.0).abs() < 0.1, "{b:?}");
    }

    fn kept(pairs: &[(&str, &str)]) -> Kept {
        let mut kept = Kept::new(names(Some("x-pod")));
        kept.clear();
        pairs.iter().for_each(|(name, value)| kept.offer(name, value.as_bytes()));
        kept
    }

    #[test]
    fn backends_retries_and_overload_are_told_apart() {
        let kinds = ["GET /a".to_owned(), "GET /b".to_owned()];
        let mut one = Tally::new(0, None, true, &kinds);
        let mut two = Tally::new(0, None, true, &kinds);
        let ok = Outcome::Answered(200);
        let end = |tally: &mut Tally, outcome, response_ns, pairs: &[(&str, &str)]| {
            let of = Times { kind: u32::from(response_ns > 1000), response_ns, service_ns: 900 };
            tally.ended(of, outcome, 10, Values::H1(&kept(pairs)));
        };
        end(&mut one, ok, 1000, &[("x-pod", "a"), ("x-envoy-attempt-count", "3")]);
        end(&mut one, Outcome::Answered(503), 9000, &[("x-pod", "b"), ("x-envoy-overloaded", "true")]);
        end(&mut two, ok, 2000, &[("x-pod", "a"), ("x-envoy-attempt-count", "1")]);
        end(&mut two, ok, 2000, &[]);
        end(&mut two, Outcome::Reset, 5, &[("x-pod", "c")]);
        one.add(two).unwrap();
        assert_eq!((one.retried, one.extra_attempts, one.overloaded, one.bytes_read), (1, 2, 1, 50));
        let shares = one.shares();
        let said: Vec<(&str, u64, u64)> = shares.iter().map(|s| (s.value.as_str(), s.answered, s.errors)).collect();
        assert_eq!(said, [("a", 2, 0), ("", 1, 0), ("b", 1, 1)]);
        assert_eq!(shares[0].response_ns.max, 2000);
        let kinds: Vec<(String, u64)> = one.kinds().into_iter().map(|k| (k.value, k.answered)).collect();
        assert_eq!(kinds, [("GET /a".to_owned(), 1), ("GET /b".to_owned(), 3)]);
        assert!(one.gaps().is_none());
    }

    #[test]
    fn too_many_values_share_a_place() {
        let mut tally = Tally::new(0, None, true, &["GET /".to_owned()]);
        for i in 0..100u64 {
            let of = Times { kind: 0, response_ns: 1, service_ns: 1 };
            tally.ended(of, Outcome::Answered(200), 1, Values::H1(&kept(&[("x-pod", &format!("p{i}"))])));
        }
        let shares = tally.shares();
        assert_eq!((shares.len(), shares[0].value.as_str(), shares[0].answered), (VALUES + 1, "(others)", 68));
    }
}
