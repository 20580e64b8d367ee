//! The slowest requests of each cell, hop by hop: when each service had them, and how long they were on the way.

use record::{HopStamps, Outcome, SlowRequest};
use serde::{Deserialize, Serialize};

use crate::gather::Gathered;

/// How many of a cell are told.
const TOLD: usize = 3;

/// One kept request. Its moments are counted from when it was due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SlowestRequest {
    /// The cell's id.
    pub cell: String,
    /// The trial's id.
    pub trial: String,
    /// When it was due, since the measured phase began.
    pub due_ns: u64,
    /// When it was sent; absent if it never was.
    pub sent_ns: Option<u64>,
    /// When it ended.
    pub response_ns: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The services that it passed, the outermost first and each before those it called; empty where none left a stamp.
    pub hops: Vec<SlowestHop>,
}

/// One service on a request's way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SlowestHop {
    /// The service.
    pub service: String,
    /// The place of its caller in this list; absent for the one that the load generator called.
    pub caller: Option<usize>,
    /// When it had read the request.
    pub received_ns: u64,
    /// When it wrote its response.
    pub answered_ns: u64,
    /// What it had to itself: without the time in which it waited for others.
    pub own_ns: u64,
    /// On the way to it, through the proxies between: from when its caller sent.
    pub there_ns: u64,
    /// On the way back: until its caller had the response.
    pub back_ns: u64,
}

impl SlowestRequest {
    fn of(cell: &str, trial: &str, began_ns: u64, request: &SlowRequest) -> Self {
        let since = |at_ns: u64| at_ns.saturating_sub(request.intended_ns);
        let mut hops: Vec<SlowestHop> = Vec::new();
        for (at, stamps) in request.hops.iter().enumerate() {
            let HopStamps { service, received_ns, answered_ns, .. } = stamps;
            // Without a call that names it, it is the first, which the generator called.
            let call = (0..at).find_map(|caller| {
                let call = request.calls(caller).into_iter().find(|call| call.hop == Some(at as u32))?;
                Some((caller, call))
            });
            let (from_ns, to_ns) = match call {
                Some((_, call)) => (call.called_ns, call.returned_ns),
                None => (request.sent_ns.unwrap_or(request.intended_ns), request.done_ns),
            };
            hops.push(SlowestHop {
                service: service.clone(),
                caller: call.map(|(caller, _)| caller),
                received_ns: since(*received_ns),
                answered_ns: since(*answered_ns),
                own_ns: request.self_ns(at).unwrap_or(0),
                there_ns: received_ns.saturating_sub(from_ns),
                back_ns: to_ns.saturating_sub(*answered_ns),
            });
        }
        Self {
            cell: cell.to_owned(),
            trial: trial.to_owned(),
            due_ns: request.intended_ns.saturating_sub(began_ns),
            sent_ns: request.sent_ns.map(since),
            response_ns: request.response_ns(),
            outcome: request.outcome,
            hops,
        }
    }
}

/// The slowest of each cell over all its trials, one of a window at most: what ended together was slow for one reason.
pub(super) fn of(gathered: &Gathered) -> Vec<SlowestRequest> {
    let mut all = Vec::new();
    for cell in &gathered.run.cells {
        let kept = gathered.of_cell(&cell.id).flat_map(|t| t.slowest.iter().map(move |request| (t, request)));
        let mut kept: Vec<_> = kept.collect();
        kept.sort_by_key(|(_, request)| std::cmp::Reverse(request.response_ns()));
        kept.truncate(TOLD);
        let told = kept.iter().map(|(t, r)| SlowestRequest::of(&cell.id, &t.trial.id, t.measured.start_ns, r));
        all.extend(told);
    }
    all
}

/// Of a trial's kept requests, by window, those that can be among the slowest of its cell.
pub(crate) fn candidates(mut by_window: Vec<SlowRequest>) -> Vec<SlowRequest> {
    by_window.sort_by_key(|request| std::cmp::Reverse(request.response_ns()));
    by_window.truncate(TOLD);
    by_window
}

#[cfg(test)]
mod tests {
    use record::Phase;

    use super::*;

    #[test]
    fn every_nanosecond_of_a_chain_is_on_a_way_or_in_a_service() {
        let hop = |service: &str, received_ns, calls: Option<[u64; 2]>, answered_ns| HopStamps {
            service: service.into(),
            received_ns,
            called_ns: calls.map(|c| c[0]),
            returned_ns: calls.map(|c| c[1]),
            answered_ns,
            calls: vec![],
        };
        let request = SlowRequest {
            index: 0,
            phase: Phase::Measure,
            intended_ns: 1000,
            sent_ns: Some(1005),
            done_ns: 2000,
            outcome: Outcome::Answered(200),
            connection: Some(0),
            hops: vec![hop("s1", 1020, Some([1025, 1980]), 1990), hop("s2", 1900, None, 1930)],
        };
        let told = SlowestRequest::of("cell", "trial", 400, &request);
        assert_eq!((told.due_ns, told.sent_ns, told.response_ns), (600, Some(5), 1000));
        let [s1, s2] = told.hops.as_slice() else { panic!("{told:?}") };
        assert_eq!((s1.caller, s1.received_ns, s1.own_ns, s1.there_ns, s1.back_ns), (None, 20, 15, 15, 10));
        assert_eq!((s2.caller, s2.received_ns, s2.own_ns, s2.there_ns, s2.back_ns), (Some(0), 900, 30, 875, 50));
        let sum: u64 = told.hops.iter().map(|h| h.own_ns + h.there_ns + h.back_ns).sum();
        assert_eq!(sum + told.sent_ns.unwrap(), told.response_ns);
    }

    #[test]
    fn a_request_that_was_never_sent_has_no_hops() {
        let request = SlowRequest {
            index: 0,
            phase: Phase::Measure,
            intended_ns: 10,
            sent_ns: None,
            done_ns: 90,
            outcome: Outcome::TimedOut,
            connection: None,
            hops: vec![],
        };
        let told = SlowestRequest::of("cell", "trial", 0, &request);
        assert_eq!((told.sent_ns, told.response_ns, told.hops.len()), (None, 80, 0));
    }
}
