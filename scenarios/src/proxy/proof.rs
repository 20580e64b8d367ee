//! What is proven of a sidecar: never what was asked for, always what was read back.

use std::path::Path;

use record::Proof;

use super::Way;
use crate::{Error, Result};

/// A claim that holds if what was found is what was expected.
///
/// # Errors
/// [`Error::Unproven`] if not.
pub(crate) fn claim(part: &str, claim: &str, expected: &str, found: &str, source: &str) -> Result<Proof> {
    held(expected == found, part, claim, expected, found, source)
}

/// A claim that holds by another measure than being the same.
///
/// # Errors
/// [`Error::Unproven`] if not.
pub(crate) fn held(holds: bool, part: &str, claim: &str, expected: &str, found: &str, source: &str) -> Result<Proof> {
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

/// Whom a part was made: that user and its group, in no other group, without any right and with no way to one.
///
/// # Errors
/// [`Error::Unproven`] when it is another, or has more.
pub(crate) fn user(part: &str, pid: u32, user: u32) -> Result<Proof> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).unwrap_or_default();
    let expected = format!("user {user}, group {user}, no other group, rights 0000000000000000, no new privileges");
    claim(part, "user and rights", &expected, &user_and_rights(&status), &path)
}

/// What /proc/PID/status says of its user (proc_pid_status(5)): ids in use, saved and of the file system alike.
fn user_and_rights(status: &str) -> String {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("nothing");
        line.split_whitespace().collect::<Vec<_>>()
    };
    let alike = |name: &str| {
        let mut ids = field(name);
        ids.dedup();
        ids.join("/")
    };
    let groups = match field("Groups:").join(" ") {
        none if none.is_empty() => "no other group".to_owned(),
        some => format!("groups {some}"),
    };
    let mut rights = ["CapPrm:", "CapEff:", "CapInh:", "CapAmb:"].map(field).concat();
    rights.dedup();
    let gains = if field("NoNewPrivs:") == ["1"] { "no new privileges" } else { "new privileges" };
    format!("user {}, group {}, {groups}, rights {}, {gains}", alike("Uid:"), alike("Gid:"), rights.join("/"))
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

/// What the ways of a proxy should be.
pub(crate) struct Asked<'a> {
    pub(crate) part: &'a str,
    /// How it should be spoken on the way.
    pub(crate) speech: Speech,
    /// How often it was spoken to in clear by us, to see what it does.
    pub(crate) refused_probes: u64,
}

/// How two ends of a way speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// In clear.
    Clear,
    /// With mTLS, by peers of these SPIFFE ids.
    Secured(Vec<String>),
    /// With TLS, by clients that show no certificate.
    Server,
}

/// Whether callers came in as they should.
///
/// # Errors
/// [`Error::Unproven`] for a way that is not as it should be, or on which nothing was seen.
pub(crate) fn inbound(asked: &Asked<'_>, way: &Way) -> Result<Vec<Proof>> {
    one_way(asked, "inbound", way, asked.refused_probes)
}

/// Whether calls to a callee went out as they should.
///
/// # Errors
/// As [`inbound`].
pub(crate) fn outbound(asked: &Asked<'_>, callee: &str, way: &Way) -> Result<Vec<Proof>> {
    one_way(asked, &format!("outbound to {callee}"), way, 0)
}

fn one_way(asked: &Asked<'_>, name: &str, way: &Way, probes: u64) -> Result<Vec<Proof>> {
    let Way { requests, handshakes, strangers, broken, in_clear, peers } = way;
    let part = asked.part;
    let some = |what: &str, counter: &super::Counter| {
        let found = counter.value.to_string();
        held(counter.value > 0, part, &format!("{name} {what}"), "more than 0", &found, &counter.source)
    };
    let exactly = |what: &str, expected: u64, counter: &super::Counter| {
        let (expected, found) = (expected.to_string(), counter.value.to_string());
        claim(part, &format!("{name} {what}"), &expected, &found, &counter.source)
    };
    let mut proofs = vec![some("requests", requests)?];
    let expected_peers = match &asked.speech {
        Speech::Clear => {
            proofs.push(exactly("mTLS handshakes", 0, handshakes)?);
            return Ok(proofs);
        }
        Speech::Server => None,
        Speech::Secured(peers) => Some(peers),
    };
    proofs.push(some("mTLS handshakes", handshakes)?);
    if let Some(strangers) = strangers {
        proofs.push(exactly("mTLS strangers", 0, strangers)?);
    }
    if let Some(broken) = broken {
        proofs.push(exactly("connections that were not mTLS", probes, broken)?);
    }
    if let Some(in_clear) = in_clear {
        proofs.push(exactly("requests in clear", 0, in_clear)?);
    }
    if let (Some(peers), Some(expected)) = (peers, expected_peers) {
        proofs.push(claim(part, &format!("{name} peer"), &expected.join(", "), &peers.join(", "), &handshakes.source)?);
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

    fn proven(speech: Speech, way: Way) -> std::result::Result<usize, String> {
        let asked = Asked { part: "s2-sidecar", speech, refused_probes: 1 };
        inbound(&asked, &way).map(|proofs| proofs.len()).map_err(|e| e.to_string())
    }

    fn by_a() -> Speech {
        Speech::Secured(vec!["spiffe://a".into()])
    }

    #[test]
    fn a_secured_way_is_proven_in_every_point() {
        assert_eq!(proven(by_a(), secured()), Ok(6));
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
            let said = proven(by_a(), way).unwrap_err();
            assert!(said.starts_with(&format!("s2-sidecar: {says} (listener.inbound.x)")), "{said}");
        }
    }

    #[test]
    fn tls_where_none_was_asked_for_is_a_mismatch_too() {
        let said = proven(Speech::Clear, secured()).unwrap_err();
        assert!(said.contains("inbound mTLS handshakes should be 0 and is 2"), "{said}");
        assert_eq!(proven(Speech::Clear, Way { handshakes: counter(0), ..secured() }), Ok(2));
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
