//! Where a kept slow request spent its time: at the generator, on the way between services, or within one.

use std::collections::BTreeMap;

use record::{Phase, SlowRequest};

use crate::hosts::Apart;
use crate::usage::Span;

/// The slowest kept request of a window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) intended_ns: u64,
    pub(crate) response_ns: u64,
    /// Where it was for the longest, and for how long.
    pub(crate) at: String,
    pub(crate) at_ns: u64,
}

impl Kept {
    /// From due to ended.
    pub(crate) fn span(&self) -> Span {
        Span { start_ns: self.intended_ns, end_ns: self.intended_ns + self.response_ns }
    }

    /// `apart` is what is known of the clocks of the hosts where there were several.
    pub(crate) fn of(request: &SlowRequest, apart: Option<&Apart>) -> Self {
        let (at, at_ns) = places(request, apart).into_iter().max_by_key(|(_, ns)| *ns).unwrap_or_default();
        Self { intended_ns: request.intended_ns, response_ns: request.response_ns(), at, at_ns }
    }
}

/// The slowest kept request of each window, by the window's start: that in which it ended.
pub(crate) fn slowest(
    requests: impl Iterator<Item = record::Result<SlowRequest>>,
    windows: &[Span],
) -> record::Result<BTreeMap<u64, SlowRequest>> {
    let mut kept: BTreeMap<u64, SlowRequest> = BTreeMap::new();
    for request in requests {
        let request = request?;
        if request.phase != Phase::Measure {
            continue;
        }
        let after = windows.partition_point(|w| w.start_ns <= request.done_ns);
        let Some(window) = after.checked_sub(1).and_then(|at| windows.get(at)) else { continue };
        if kept.get(&window.start_ns).is_none_or(|known| known.response_ns() < request.response_ns()) {
            kept.insert(window.start_ns, request);
        }
    }
    Ok(kept)
}

/// Each place that its stamps tell apart, with the time that it was there.
fn places(request: &SlowRequest, apart: Option<&Apart>) -> Vec<(String, u64)> {
    let compared = |caller: Option<&str>, callee: &str| apart.is_none_or(|apart| apart.stamps_may_meet(caller, callee));
    let Some(sent_ns) = request.sent_ns else {
        return vec![("not sent: it waited for a connection".to_owned(), request.response_ns())];
    };
    let mut places = vec![("before it was sent".to_owned(), sent_ns.saturating_sub(request.intended_ns))];
    let Some(first) = request.hops.first() else {
        places.push(("after it was sent".to_owned(), request.done_ns.saturating_sub(sent_ns)));
        return places;
    };
    if compared(None, &first.service) {
        let there = first.received_ns.saturating_sub(sent_ns);
        let back = request.done_ns.saturating_sub(first.answered_ns);
        places.push((format!("on the way to {}", first.service), there));
        places.push((format!("on the way back from {}", first.service), back));
    } else {
        // Two lengths, each by one clock: what is left of the one is known whatever lies between the clocks.
        let inside = first.answered_ns.saturating_sub(first.received_ns);
        let both = request.done_ns.saturating_sub(sent_ns).saturating_sub(inside);
        places.push((format!("on the way to {} and back", first.service), both));
    }
    for (at, hop) in request.hops.iter().enumerate() {
        places.extend(request.self_ns(at).map(|ns| (format!("in {}", hop.service), ns)));
        for call in request.calls(at) {
            let took = call.returned_ns.saturating_sub(call.called_ns);
            match call.hop.and_then(|to| request.hops.get(to as usize)) {
                Some(callee) if !compared(Some(&hop.service), &callee.service) => {
                    let inside = callee.answered_ns.saturating_sub(callee.received_ns);
                    let on_the_way = format!("on the way from {} to {} and back", hop.service, callee.service);
                    places.push((on_the_way, took.saturating_sub(inside)));
                }
                Some(callee) => {
                    let there = callee.received_ns.saturating_sub(call.called_ns);
                    let back = call.returned_ns.saturating_sub(callee.answered_ns);
                    places.push((format!("on the way from {} to {}", hop.service, callee.service), there));
                    places.push((format!("on the way back from {} to {}", callee.service, hop.service), back));
                }
                None => places.push((format!("in a call of {} that brought no stamps back", hop.service), took)),
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use record::{HopStamps, HostRole, Outcome, Quantiles, TrialHost, TrialHosts};

    use super::*;

    fn request(intended_ns: u64, sent_ns: Option<u64>, done_ns: u64, hops: Vec<HopStamps>) -> SlowRequest {
        let outcome = Outcome::Answered(200);
        SlowRequest { index: 0, phase: Phase::Measure, intended_ns, sent_ns, done_ns, outcome, connection: None, hops }
    }

    fn hop(service: &str, stamps: [u64; 2], called: Option<[u64; 2]>) -> HopStamps {
        HopStamps {
            service: service.into(),
            received_ns: stamps[0],
            called_ns: called.map(|c| c[0]),
            returned_ns: called.map(|c| c[1]),
            answered_ns: stamps[1],
            calls: vec![],
        }
    }

    #[test]
    fn the_stamps_tell_on_which_hop_the_time_went() {
        let chain = request(0, Some(5), 1000, vec![hop("s1", [20, 990], Some([25, 980])), hop("s2", [900, 930], None)]);
        let kept = Kept::of(&chain, None);
        assert_eq!((kept.at.as_str(), kept.at_ns), ("on the way from s1 to s2", 875));
        let total: u64 = places(&chain, None).iter().map(|(_, ns)| ns).sum();
        assert_eq!(total, 1000, "every nanosecond has its place");
        let late = request(0, Some(700), 1000, vec![hop("s1", [720, 990], None)]);
        assert_eq!(Kept::of(&late, None).at, "before it was sent");
        assert_eq!(Kept::of(&request(0, None, 1000, vec![]), None).at_ns, 1000);
    }

    #[test]
    fn a_clock_that_is_not_known_well_enough_bends_no_place() {
        let on = |ahead: u64| request(0, Some(100), 1000, vec![hop("s1", [ahead + 300, ahead + 700], None)]);
        let apart = apart(&[("l", HostRole::Load, &[], 90_000_000), ("s", HostRole::Services, &[], 0)]);
        for ahead in [0, 5_000_000_000] {
            let places = places(&on(ahead), Some(&apart));
            let place = |name: &str| places.iter().find(|(at, _)| at == name).map(|(_, ns)| *ns);
            assert_eq!((place("on the way to s1 and back"), place("in s1")), (Some(500), Some(400)));
            assert_eq!(places.iter().map(|(_, ns)| ns).sum::<u64>(), 1000);
        }
    }

    fn apart(hosts: &[(&str, HostRole, &[&str], u64)]) -> Apart {
        let host = |(name, role, services, error_ns): &(&str, HostRole, &[&str], u64)| TrialHost {
            name: (*name).into(),
            roles: vec![*role],
            services: services.iter().map(|s| (*s).to_owned()).collect(),
            ahead_ns: 0,
            error_ns: *error_ns,
        };
        let hosts = TrialHosts { schema: 1, attempt: 1, hosts: hosts.iter().map(host).collect() };
        Apart::of(Some(&hosts), &Quantiles::default()).unwrap()
    }

    #[test]
    fn a_hop_between_two_hosts_is_one_place_where_their_clocks_are_not_known_well_enough() {
        use HostRole::{Load, Services};
        // s1 calls s2 on another host, and s2 calls s3 beside it.
        let hops = vec![
            hop("s1", [10, 990], Some([20, 980])),
            hop("s2", [500, 1300], Some([600, 1200])),
            hop("s3", [700, 1100], None),
        ];
        let request = request(0, Some(5), 1000, hops);
        let of = |error_ns| {
            let hosts = [
                ("l", Load, &[][..], 0),
                ("a", Services, &["s1"][..], 0),
                ("b", Services, &["s2", "s3"][..], error_ns),
            ];
            places(&request, Some(&apart(&hosts)))
        };
        let place = |places: &[(String, u64)], name: &str| places.iter().find(|(at, _)| at == name).map(|(_, ns)| *ns);
        let blurred = of(60_000);
        assert_eq!(place(&blurred, "on the way from s1 to s2 and back"), Some(960 - 800));
        assert_eq!(place(&blurred, "on the way from s2 to s3"), Some(100), "both by the clock of b");
        assert_eq!(blurred.iter().map(|(_, ns)| ns).sum::<u64>(), 1000);
        assert_eq!(place(&of(50_000), "on the way from s1 to s2"), Some(480));
    }

    #[test]
    fn each_window_has_the_slowest_that_ended_in_it() {
        let windows = [Span { start_ns: 0, end_ns: 100 }, Span { start_ns: 100, end_ns: 200 }];
        let ended = |intended, done| Ok(request(intended, Some(intended), done, vec![]));
        let found =
            slowest([ended(0, 99), ended(90, 98), ended(60, 100), ended(50, 150)].into_iter(), &windows).unwrap();
        let spans: Vec<_> = found.values().map(|r| (r.intended_ns, r.response_ns())).collect();
        assert_eq!(spans, [(0, 99), (50, 100)]);
    }
}
