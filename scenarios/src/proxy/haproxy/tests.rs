//! A real HAProxy: who is let through, what its counters say, and what changes while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use record::{AccessLog, Canary, Dataplane, LogSink};

use super::super::proof::{self, Asked, Speech};
use super::super::stage::{LONG, Subsets, answers, app, folders, packaged, place, settled, started};
use super::super::{Door, Place};
use super::*;
use crate::certs::{Authority, GATEWAY_NAME};
use crate::http::{self, Tls};
use crate::onlooker::serial_shown;

fn haproxy() -> Option<Haproxy> {
    packaged(Dataplane::Haproxy).map(Haproxy::new)
}

fn authority() -> Authority {
    Authority::new().unwrap().with_names()
}

fn asked(speech: Speech, refused_probes: u64) -> Asked<'static> {
    Asked { part: "x", speech, refused_probes }
}

#[test]
fn a_request_goes_through_two_sidecars_with_mtls_and_their_counters_prove_it() {
    let Some(haproxy) = haproxy() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let authority = authority();
    let identity = |name: &str| Some(folders.identity(&authority.issue(name).unwrap()).unwrap());
    let beside_s1 = place(Dataplane::Haproxy, "s1", Some(app("hello")), &[], identity("s1"));
    let (callee, at_s1) = started(&haproxy, &beside_s1, &folders);
    let to = at_s1.inbound.unwrap();
    let at_entry = place(Dataplane::Haproxy, "entry", None, &[("s1", &[("", 1, to)])], identity("entry"));
    let (caller, out) = started(&haproxy, &at_entry, &folders);
    assert_eq!(answers(out.to("s1").unwrap(), 3)["hello"], 3);

    let tally = haproxy.tally(&at_entry, &caller, &out).unwrap();
    assert_eq!((tally.program, tally.retries.unwrap().value), (haproxy.program(), 0));
    let way = tally.outbound[0].1.clone();
    assert_eq!(way.requests.value, 3);
    assert_eq!(proof::outbound(&asked(Speech::Secured(vec![]), 0), "s1", &way).unwrap().len(), 3);
    let way = haproxy.tally(&beside_s1, &callee, &at_s1).unwrap().inbound.unwrap();
    assert_eq!(way.requests.value, 3);
    assert_eq!(proof::inbound(&asked(Speech::Secured(vec![]), 0), &way).unwrap().len(), 3);
    assert_eq!(haproxy.workers(&callee, 2).unwrap().found, "2");
    assert!(haproxy.workers(&callee, 1).is_err());
    assert_eq!(haproxy.prove(&beside_s1, &callee, &at_s1).unwrap().len(), 1);

    // Without TLS there is no answer, and it is counted as what it is.
    assert!(http::get(to, "/", LONG).is_err());
    let way = || haproxy.tally(&beside_s1, &callee, &at_s1).unwrap().inbound.unwrap();
    let proven = |refused_probes| proof::inbound(&asked(Speech::Secured(vec![]), refused_probes), &way());
    settled(|| proven(1));
    assert_eq!((way().broken.unwrap().value, way().requests.value), (1, 3));
    assert!(proven(0).is_err());
}

#[test]
fn a_callee_of_another_name_and_a_caller_of_another_authority_are_turned_away() {
    let Some(haproxy) = haproxy() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let authority = authority();
    let identity = |authority: &Authority, name: &str| Some(folders.identity(&authority.issue(name).unwrap()).unwrap());
    let beside_s1 = place(Dataplane::Haproxy, "s1", Some(app("hello")), &[], identity(&authority, "s1"));
    let (callee, at_s1) = started(&haproxy, &beside_s1, &folders);
    let to = at_s1.inbound.unwrap();
    let foreign = self::authority();
    let mistaken = place(Dataplane::Haproxy, "entry", None, &[("s9", &[("", 1, to)])], identity(&authority, "entry"));
    let stranger = place(Dataplane::Haproxy, "foreign", None, &[("s1", &[("", 1, to)])], identity(&foreign, "foreign"));
    for place in [mistaken, stranger] {
        let (_caller, out) = started(&haproxy, &place, &folders);
        let status = http::get(out.outbound[0].1, "/", LONG).unwrap().status;
        assert!(status == 503 || status == 502, "{status}");
    }
    let way = haproxy.tally(&beside_s1, &callee, &at_s1).unwrap().inbound.unwrap();
    assert_eq!(way.requests.value, 0);
}

#[test]
fn permissive_takes_both_and_tells_them_apart() {
    let Some(haproxy) = haproxy() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let authority = authority();
    let identity = |name: &str| Some(folders.identity(&authority.issue(name).unwrap()).unwrap());
    let mut beside_s1 = place(Dataplane::Haproxy, "s1", Some(app("hello")), &[], identity("s1"));
    beside_s1.factors.mtls = Mtls::Permissive;
    let (callee, at_s1) = started(&haproxy, &beside_s1, &folders);
    let to = at_s1.inbound.unwrap();
    let at_entry = place(Dataplane::Haproxy, "entry", None, &[("s1", &[("", 1, to)])], identity("entry"));
    let (_caller, out) = started(&haproxy, &at_entry, &folders);
    assert_eq!(answers(out.outbound[0].1, 4)["hello"], 4);
    assert_eq!(answers(to, 3)["hello"], 3);
    let way = haproxy.tally(&beside_s1, &callee, &at_s1).unwrap().inbound.unwrap();
    assert_eq!((way.requests.value, way.in_clear.unwrap().value), (7, 3));
    assert!(way.handshakes.value > 0);
}

#[test]
fn requests_are_split_by_weight_and_shifted_while_it_runs() {
    let Some(haproxy) = haproxy() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let subsets: Subsets<'_> = &[("v1", 90, app("one")), ("v2", 10, app("two"))];
    let mut place = place(Dataplane::Haproxy, "s1", None, &[("s2", subsets), ("s3", &[("", 1, app("three"))])], None);
    let weights = |text: &str| text.parse::<Weights>().unwrap();
    place.factors.canary = Some(Canary {
        service: "s2".into(),
        weights: weights("v1=90,v2=10"),
        work_us: 0,
        error_rate: 0.0,
        shifts: vec![],
    });
    let (mut part, ports) = started(&haproxy, &place, &folders);
    let at = ports.to("s2").unwrap();
    assert_eq!(answers(at, 100), [("one".to_owned(), 90), ("two".to_owned(), 10)].into());
    assert_eq!(haproxy.prove(&place, &part, &ports).unwrap().len(), 2);
    haproxy.shift(&place, &mut part, &folders, &weights("v1=50,v2=50")).unwrap();
    let half = answers(at, 100);
    assert!((49..=51).contains(&half["two"]), "{half:?}");
    haproxy.shift(&place, &mut part, &folders, &weights("v1=100,v2=0")).unwrap();
    assert_eq!(answers(at, 50), [("one".to_owned(), 50)].into());
    let proofs = haproxy.prove(&place, &part, &ports).unwrap();
    assert_eq!(proofs.iter().map(|p| p.found.as_str()).collect::<Vec<_>>(), ["1", "0"]);
    assert_eq!(answers(ports.to("s3").unwrap(), 5), [("three".to_owned(), 5)].into());
    let said = haproxy.shift(&place, &mut part, &folders, &weights("v1=1,v9=1")).unwrap_err().to_string();
    assert!(said.contains("it said '") && said.contains("v9"), "{said}");
}

#[test]
fn a_certificate_is_renewed_under_requests_none_of_which_fails() {
    let Some(haproxy) = haproxy() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let authority = authority();
    let identity = |name: &str| Some(folders.identity(&authority.issue(name).unwrap()).unwrap());
    let beside_s1 = place(Dataplane::Haproxy, "s1", Some(app("hello")), &[], identity("s1"));
    let (mut callee, at_s1) = started(&haproxy, &beside_s1, &folders);
    let to = at_s1.inbound.unwrap();
    let at_entry = place(Dataplane::Haproxy, "entry", None, &[("s1", &[("", 1, to)])], identity("entry"));
    let (mut caller, out) = started(&haproxy, &at_entry, &folders);
    let done = Arc::new(AtomicBool::new(false));
    let load = {
        let (done, at) = (Arc::clone(&done), out.outbound[0].1);
        std::thread::spawn(move || {
            let mut all = 0;
            while !done.load(Relaxed) {
                all += answers(at, 10)["hello"];
            }
            all
        })
    };
    for _ in 0..5 {
        let (of_s1, of_entry) = (authority.issue("s1").unwrap(), authority.issue("entry").unwrap());
        folders.replace_identity(&of_s1).unwrap();
        folders.replace_identity(&of_entry).unwrap();
        haproxy.renew(&beside_s1, &mut callee, &at_s1).unwrap();
        haproxy.renew(&at_entry, &mut caller, &out).unwrap();
        let onlooker = authority.issue("onlooker").unwrap();
        assert_eq!(serial_shown(to, &onlooker, LONG).unwrap(), of_s1.serial().unwrap());
        haproxy.prove(&at_entry, &caller, &out).unwrap();
    }
    done.store(true, Relaxed);
    assert!(load.join().unwrap() > 0);
}

#[test]
fn a_door_takes_clients_without_a_certificate() {
    let Some(haproxy) = haproxy() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let authority = authority();
    let identity = |name: &str| Some(folders.identity(&authority.issue(name).unwrap()).unwrap());
    let beside_s1 = place(Dataplane::Haproxy, "s1", Some(app("hello")), &[], identity("s1"));
    let (_callee, at_s1) = started(&haproxy, &beside_s1, &folders);
    let to = at_s1.inbound.unwrap();
    let shown = folders.identity(&authority.issue_server(GATEWAY_NAME).unwrap().named("gateway-door")).unwrap();
    let mut gateway: Place = place(Dataplane::Haproxy, "gateway", None, &[("s1", &[("", 1, to)])], identity("gateway"));
    gateway.door = Some(Door { identity: shown.clone() });
    let (part, ports) = started(&haproxy, &gateway, &folders);
    let answer =
        http::ask_tls(ports.inbound.unwrap(), Tls { name: GATEWAY_NAME, authority: &shown.ca }, "/", &[], LONG)
            .unwrap();
    assert_eq!(answer.text(), "hello");
    let tally = haproxy.tally(&gateway, &part, &ports).unwrap();
    assert_eq!(proof::inbound(&asked(Speech::Server, 0), &tally.inbound.unwrap()).unwrap().len(), 2);
    assert_eq!((ports.outbound.len(), tally.outbound[0].1.requests.value), (0, 1));
}

#[test]
fn lines_are_written_where_and_as_they_were_asked_for() {
    let Some(haproxy) = haproxy() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    for (log, to) in
        [(AccessLog::Text, LogSink::File), (AccessLog::Json, LogSink::File), (AccessLog::Text, LogSink::Stdout)]
    {
        let mut place = place(Dataplane::Haproxy, "s1", Some(app("hello")), &[("s2", &[("", 1, app("x"))])], None);
        place.name = format!("{log}-{to}-sidecar");
        (place.factors.access_log, place.factors.access_log_to) = (log, to);
        let (part, ports) = started(&haproxy, &place, &folders);
        assert!(haproxy.prove(&place, &part, &ports).is_err(), "nothing is written yet");
        assert_eq!(answers(ports.inbound.unwrap(), 5)["hello"], 5);
        assert_eq!(answers(ports.to("s2").unwrap(), 2)["x"], 2);
        let proven = || Ok(haproxy.prove(&place, &part, &ports).ok());
        let proofs = until(&part, "its lines", &Deadline::after(LONG), proven).unwrap();
        let Some(file) = line_log::file(&place, &folders) else {
            assert_eq!(proofs[0].source, "its standard output");
            continue;
        };
        let text = || std::fs::read_to_string(&file).unwrap();
        until(&part, "all of them", &Deadline::after(LONG), || Ok((text().lines().count() == 7).then_some(())))
            .unwrap();
        match log {
            AccessLog::Json => {
                let line: serde_json::Value = serde_json::from_str(text().lines().next().unwrap()).unwrap();
                assert_eq!((&line["response_code"], &line["user_agent"]), (&200.into(), &"meshtax".into()));
            }
            _ => assert!(
                text().lines().all(|line| line.starts_with('[') && line.contains("\"GET / HTTP/1.1\" 200 ")),
                "{}",
                text()
            ),
        }
    }
}

#[test]
fn one_that_dies_at_start_is_named_with_its_last_words() {
    let Some(haproxy) = haproxy() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let files = folders.identity(&authority().issue("s1").unwrap()).unwrap();
    std::fs::write(&files.chain, "no certificate\n").unwrap();
    let place = place(Dataplane::Haproxy, "s1", Some(app("hello")), &[], Some(files));
    let mut part = haproxy.launch(&place, &folders).unwrap().spawn(&folders.meshtax).unwrap();
    let said = haproxy.listening(&place, &mut part, &folders, LONG).unwrap_err().to_string();
    assert!(said.starts_with("s1-sidecar ended: exit status 1, while waiting for "), "{said}");
    assert!(said.contains("unable to load certificate"), "{said}");
}

#[test]
fn what_it_cannot_be_has_a_reason() {
    let f = Factors { dataplane: Dataplane::Haproxy, mtls: Mtls::Strict, retries: 2, ..Factors::unmeshed() };
    assert_eq!(cannot(&f), None);
    let said = cannot(&Factors { requests_per_connection: 10, ..f.clone() }).unwrap();
    assert!(said.contains("max-reuse"), "{said}");
    let weights = "v1=1000,v2=1".parse().unwrap();
    let canary = Canary { service: "s2".into(), weights, work_us: 0, error_rate: 0.0, shifts: vec![] };
    let said = cannot(&Factors { canary: Some(canary), ..f }).unwrap();
    assert!(said.contains("v1=1000,v2=1"), "{said}");
}
