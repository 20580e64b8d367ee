//! What is proven of a sidecar: never what was asked for, always what was read back.

use std::path::Path;

use record::{Mtls, Proof};

use super::{Tally, Way};
use crate::{Error, Result};

/// A claim that holds if what was found is what was expected.
///
/// # Errors
/// [`Error::Unproven`] if not.
pub(crate) fn claim(part: &str, claim: &str, expected: &str, found: &str, source: &str) -> Result<Proof> {
    held(expected == found, part, claim, expected, found, source)
}

fn held(holds: bool, part: &str, claim: &str, expected: &str, found: &str, source: &str) -> Result<Proof> {
    let proof = Proof {
        part: part.to_owned(),
        claim: claim.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
        source: source.to_owned(),
    };
    if holds {
        return Ok(proof);
    }
    let Proof { part, claim, expected, found, source } = proof;
    Err(Error::Unproven { part, claim, expected, found, read_from: source })
}

/// Worker threads, counted by their names.
///
/// # Errors
/// [`Error::Unproven`] when there are more or fewer.
pub(crate) fn workers(part: &str, pid: u32, expected: u32) -> Result<Proof> {
    let tasks = format!("/proc/{pid}/task");
    let found = worker_threads(Path::new(&tasks));
    claim(part, "worker threads", &expected.to_string(), &found.to_string(), &format!("{tasks}/*/comm"))
}

/// Threads named "wrk:worker_0" (Envoy) or "wrk:0" (ours).
fn worker_threads(tasks: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(tasks) else { return 0 };
    let is_worker = |comm: String| {
        let after = comm.trim_end().strip_prefix("wrk").map(|rest| rest.trim_start_matches([':', '-']));
        after.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) || rest.starts_with("worker_"))
    };
    entries
        .flatten()
        .filter_map(|e| std::fs::read_to_string(e.path().join("comm")).ok())
        .filter(|c| is_worker(c.clone()))
        .count()
}

/// What a sidecar was asked to be, as far as its counters can bear it out.
pub(crate) struct Asked<'a> {
    pub(crate) part: &'a str,
    pub(crate) mtls: Mtls,
    /// The SPIFFE id of the service it calls.
    pub(crate) callee: Option<String>,
    /// The SPIFFE id of the service that calls it.
    pub(crate) caller: String,
    /// How often it was spoken to in clear by us, to see whether it refuses.
    pub(crate) refused_probes: u64,
}

/// Whether the ways between sidecars are secured as they should be.
///
/// # Errors
/// [`Error::Unproven`] for a way that is not, or on which nothing was seen.
pub(crate) fn ways(asked: &Asked<'_>, tally: &Tally) -> Result<Vec<Proof>> {
    let mut proofs = Vec::new();
    if let Some(way) = &tally.inbound {
        proofs.extend(one_way(asked, "inbound", way, Some(&asked.caller), asked.refused_probes)?);
    }
    if let Some(way) = &tally.outbound {
        proofs.extend(one_way(asked, "outbound", way, asked.callee.as_ref(), 0)?);
    }
    Ok(proofs)
}

fn one_way(asked: &Asked<'_>, name: &str, way: &Way, peer: Option<&String>, probes: u64) -> Result<Vec<Proof>> {
    let Way { requests, handshakes, strangers, broken, in_clear, peers } = way;
    let part = asked.part;
    let text = |n: u64| n.to_string();
    let some = requests.value > 0;
    let mut proofs =
        vec![held(some, part, &format!("{name} requests"), "more than 0", &text(requests.value), &requests.source)?];
    if asked.mtls == Mtls::Disable {
        let none = claim(part, &format!("{name} mTLS handshakes"), "0", &text(handshakes.value), &handshakes.source)?;
        proofs.push(none);
        return Ok(proofs);
    }
    let secured = handshakes.value > 0;
    proofs.push(held(
        secured,
        part,
        &format!("{name} mTLS handshakes"),
        "more than 0",
        &text(handshakes.value),
        &handshakes.source,
    )?);
    if let Some(strangers) = strangers {
        proofs.push(claim(part, &format!("{name} mTLS strangers"), "0", &text(strangers.value), &strangers.source)?);
    }
    if let Some(broken) = broken {
        let (expected, found) = (text(probes), text(broken.value));
        proofs.push(claim(part, &format!("{name} connections that were not mTLS"), &expected, &found, &broken.source)?);
    }
    if let Some(in_clear) = in_clear {
        proofs.push(claim(part, &format!("{name} requests in clear"), "0", &text(in_clear.value), &in_clear.source)?);
    }
    if let (Some(peers), Some(peer)) = (peers, peer) {
        proofs.push(claim(part, &format!("{name} peer"), peer, &peers.join(", "), &handshakes.source)?);
    }
    Ok(proofs)
}

/// Whether what a sidecar sent arrived where it should: never more than was sent (no way around, no retries), and not
/// nothing. Fewer is possible: a request can be given up on its way.
///
/// # Errors
/// [`Error::Unproven`] if not.
pub(crate) fn passed_on(part: &str, from: (&str, u64), found: u64, source: &str) -> Result<Proof> {
    let (sender, sent) = from;
    let holds = found > 0 && found <= sent;
    held(holds, part, "requests passed on", &format!("1 to {sent}, which {sender} sent"), &found.to_string(), source)
}

#[cfg(test)]
mod tests {
    use super::super::Counter;
    use super::*;

    fn counter(value: u64) -> Counter {
        Counter { value, source: "listener.inbound.x".into() }
    }

    fn secured() -> Way {
        Way {
            requests: counter(100),
            handshakes: counter(2),
            strangers: Some(counter(0)),
            broken: Some(counter(1)),
            in_clear: Some(counter(0)),
            peers: Some(vec!["spiffe://a".into()]),
        }
    }

    fn proven(mtls: Mtls, way: Way) -> std::result::Result<usize, String> {
        let asked = Asked { part: "s2-sidecar", mtls, callee: None, caller: "spiffe://a".into(), refused_probes: 1 };
        let tally = Tally { inbound: Some(way), ..Tally::default() };
        ways(&asked, &tally).map(|proofs| proofs.len()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_secured_way_is_proven_in_every_point() {
        assert_eq!(proven(Mtls::Strict, secured()), Ok(6));
    }

    #[test]
    fn each_point_that_fails_is_named_with_what_was_found() {
        for (way, says) in [
            (Way { requests: counter(0), ..secured() }, "inbound requests should be more than 0 and is 0"),
            (Way { handshakes: counter(0), ..secured() }, "inbound mTLS handshakes should be more than 0 and is 0"),
            (Way { strangers: Some(counter(3)), ..secured() }, "inbound mTLS strangers should be 0 and is 3"),
            (
                Way { broken: Some(counter(4)), ..secured() },
                "inbound connections that were not mTLS should be 1 and is 4",
            ),
            (Way { in_clear: Some(counter(5)), ..secured() }, "inbound requests in clear should be 0 and is 5"),
            (
                Way { peers: Some(vec!["spiffe://b".into()]), ..secured() },
                "inbound peer should be spiffe://a and is spiffe://b",
            ),
        ] {
            let said = proven(Mtls::Strict, way).unwrap_err();
            assert!(said.starts_with(&format!("s2-sidecar: {says} (listener.inbound.x)")), "{said}");
        }
    }

    #[test]
    fn tls_where_none_was_asked_for_is_a_mismatch_too() {
        let said = proven(Mtls::Disable, secured()).unwrap_err();
        assert!(said.contains("inbound mTLS handshakes should be 0 and is 2"), "{said}");
        assert_eq!(proven(Mtls::Disable, Way { handshakes: counter(0), ..secured() }), Ok(2));
    }

    #[test]
    fn more_requests_than_were_sent_came_by_another_way() {
        let found = |n| passed_on("s2-sidecar", ("s1-sidecar", 100), n, "x").is_ok();
        assert_eq!((found(100), found(98), found(101), found(0)), (true, true, false, false));
    }

    #[test]
    fn workers_are_counted_by_name_and_nothing_else_is() {
        let tasks = tempfile::tempdir().unwrap();
        let comms = ["envoy", "wrk:worker_0", "wrk:worker_1", "wrk:0", "wrk1", "wrk", "wrkshop", "dog:main_thread"];
        for (tid, comm) in comms.iter().enumerate() {
            let task = tasks.path().join(tid.to_string());
            std::fs::create_dir(&task).unwrap();
            std::fs::write(task.join("comm"), format!("{comm}\n")).unwrap();
        }
        assert_eq!(worker_threads(tasks.path()), 4);
        assert_eq!(worker_threads(&tasks.path().join("none")), 0);
    }
}
