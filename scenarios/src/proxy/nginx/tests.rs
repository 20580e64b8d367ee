//! A real nginx: who is let through, and what is read back of it.

use std::collections::BTreeSet;

use record::{AccessLog, Canary, Dataplane, LogSink, Shift};

use super::super::proof::{self, Asked, Speech};
use super::super::stage::{LONG, Subsets, answers, app, folders, packaged, place, settled, started};
use super::super::{Door, Place};
use super::*;
use crate::certs::{Authority, GATEWAY_NAME, spiffe_id};
use crate::http::{self, Tls};

fn nginx() -> Option<Nginx> {
    packaged(Dataplane::Nginx).map(Nginx::new)
}

fn authority() -> Authority {
    Authority::new().unwrap().with_names()
}

fn asked(speech: Speech, refused_probes: u64) -> Asked<'static> {
    Asked { part: "x", speech, refused_probes }
}

#[test]
fn a_request_goes_through_two_sidecars_with_mtls_and_the_callees_says_who_called() {
    let Some(nginx) = nginx() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let authority = authority();
    let identity = |name: &str| Some(folders.identity(&authority.issue(name).unwrap()).unwrap());
    let beside_s1 = place(Dataplane::Nginx, "s1", Some(app("hello")), &[], identity("s1"));
    let (callee, at_s1) = started(&nginx, &beside_s1, &folders);
    let to = at_s1.inbound.unwrap();
    let at_entry = place(Dataplane::Nginx, "entry", None, &[("s1", &[("", 1, to)])], identity("entry"));
    let (caller, out) = started(&nginx, &at_entry, &folders);
    assert_eq!(answers(out.to("s1").unwrap(), 3)["hello"], 3);

    let tally = || nginx.tally(&beside_s1, &callee, &at_s1).unwrap();
    assert_eq!(tally().program, nginx.program());
    let by_entry = || Speech::Secured(vec![spiffe_id("entry")]);
    let inbound = |refused_probes| proof::inbound(&asked(by_entry(), refused_probes), &tally().inbound.unwrap());
    assert_eq!(settled(|| inbound(0)).len(), 5);
    let proofs = settled(|| nginx.prove(&at_entry, &caller, &out));
    assert_eq!((proofs.len(), &proofs[0].found), (1, &to.to_string()));
    assert_eq!(nginx.workers(&callee, 2).unwrap().found, "2");
    assert!(nginx.workers(&callee, 1).is_err());
    let children = nginx.children(&callee);
    assert!(children.len() == 2 && !children.contains(&callee.pid()), "{children:?}");

    // Without TLS there is no answer, and it is counted as what it is.
    assert!(http::get(to, "/", LONG).is_err());
    settled(|| inbound(1));
    assert_eq!(tally().inbound.unwrap().broken.unwrap().value, 1);
    assert!(inbound(0).is_err());
}

#[test]
fn a_callee_of_another_name_and_a_caller_of_another_authority_are_turned_away() {
    let Some(nginx) = nginx() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let authority = authority();
    let identity = |authority: &Authority, name: &str| Some(folders.identity(&authority.issue(name).unwrap()).unwrap());
    let beside_s1 = place(Dataplane::Nginx, "s1", Some(app("hello")), &[], identity(&authority, "s1"));
    let (callee, at_s1) = started(&nginx, &beside_s1, &folders);
    let to = at_s1.inbound.unwrap();
    let foreign = self::authority();
    let mistaken = place(Dataplane::Nginx, "entry", None, &[("s9", &[("", 1, to)])], identity(&authority, "entry"));
    let stranger = place(Dataplane::Nginx, "foreign", None, &[("s1", &[("", 1, to)])], identity(&foreign, "foreign"));
    for place in [mistaken, stranger] {
        let (_caller, out) = started(&nginx, &place, &folders);
        assert_eq!(http::get(out.outbound[0].1, "/", LONG).unwrap().status, 502);
    }
    let way = nginx.tally(&beside_s1, &callee, &at_s1).unwrap().inbound.unwrap();
    assert!(proof::inbound(&asked(Speech::Secured(vec![spiffe_id("entry")]), 0), &way).is_err(), "{way:?}");
}

#[test]
fn requests_are_split_by_chance_and_connections_closed_after_so_many() {
    let Some(nginx) = nginx() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let subsets: Subsets<'_> = &[("v1", 80, app("one")), ("v2", 20, app("two")), ("v3", 0, app("no"))];
    let mut place = place(Dataplane::Nginx, "s1", None, &[("s2", subsets), ("s3", &[("", 1, app("three"))])], None);
    (place.factors.requests_per_connection, place.factors.workers) = (10, 1);
    let (part, ports) = started(&nginx, &place, &folders);
    let split = answers(ports.to("s2").unwrap(), 500);
    // 100 with a standard deviation of 9: seven of those.
    assert!((37..=163).contains(&split["two"]) && split.len() == 2, "{split:?}");
    let connections: BTreeSet<String> = (0..30)
        .map(|_| http::get(ports.to("s3").unwrap(), "/", LONG).unwrap().header("x-from").unwrap().to_owned())
        .collect();
    assert_eq!(connections.len(), 3);
    assert_eq!(settled(|| nginx.prove(&place, &part, &ports)).len(), 2);
}

#[test]
fn a_door_takes_clients_without_a_certificate() {
    let Some(nginx) = nginx() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let authority = authority();
    let identity = |name: &str| Some(folders.identity(&authority.issue(name).unwrap()).unwrap());
    let beside_s1 = place(Dataplane::Nginx, "s1", Some(app("hello")), &[], identity("s1"));
    let (_callee, at_s1) = started(&nginx, &beside_s1, &folders);
    let to = at_s1.inbound.unwrap();
    let shown = folders.identity(&authority.issue_server(GATEWAY_NAME).unwrap().named("gateway-door")).unwrap();
    let mut gateway: Place = place(Dataplane::Nginx, "gateway", None, &[("s1", &[("", 1, to)])], identity("gateway"));
    gateway.door = Some(Door { identity: shown.clone() });
    let (part, ports) = started(&nginx, &gateway, &folders);
    let answer =
        http::ask_tls(ports.inbound.unwrap(), Tls { name: GATEWAY_NAME, authority: &shown.ca }, "/", &[], LONG)
            .unwrap();
    assert_eq!(answer.text(), "hello");
    let inbound = || nginx.tally(&gateway, &part, &ports).unwrap().inbound.unwrap();
    assert_eq!(settled(|| proof::inbound(&asked(Speech::Server, 0), &inbound())).len(), 2);
    assert_eq!(settled(|| nginx.prove(&gateway, &part, &ports)).len(), 1);
}

#[test]
fn lines_are_written_where_and_as_they_were_asked_for() {
    let Some(nginx) = nginx() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    for (log, begins) in [(AccessLog::Text, "["), (AccessLog::Json, "{")] {
        let mut place = place(Dataplane::Nginx, "s1", Some(app("hello")), &[], None);
        place.name = format!("{log}-sidecar");
        place.factors.access_log = log;
        place.factors.log_flush_ns = 100_000_000;
        let (part, ports) = started(&nginx, &place, &folders);
        assert_eq!(answers(ports.inbound.unwrap(), 5)["hello"], 5);
        let file = line_log::file(&place, &folders).unwrap();
        assert!(nginx.prove(&place, &part, &ports).is_err(), "nothing is flushed yet");
        let lines = || std::fs::read_to_string(&file).unwrap();
        until(&part, "its lines", &Deadline::after(LONG), || Ok((lines().lines().count() == 5).then_some(()))).unwrap();
        assert!(lines().lines().all(|line| line.starts_with(begins)), "{}", lines());
        assert_eq!(nginx.prove(&place, &part, &ports).unwrap().len(), 1);
    }
    let mut place = place(Dataplane::Nginx, "s2", Some(app("hello")), &[], None);
    (place.factors.access_log, place.factors.access_log_to) = (AccessLog::Text, LogSink::Stdout);
    place.factors.log_flush_ns = 50_000_000;
    let (part, ports) = started(&nginx, &place, &folders);
    assert_eq!(answers(ports.inbound.unwrap(), 5)["hello"], 5);
    let drained = || part.drained().filter(|bytes| *bytes > 0);
    until(&part, "its lines", &Deadline::after(LONG), || Ok(drained())).unwrap();
    assert_eq!(nginx.prove(&place, &part, &ports).unwrap()[0].source, "its standard output");
}

#[test]
fn one_that_dies_at_start_is_named_with_its_last_words() {
    let Some(nginx) = nginx() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let files = folders.identity(&authority().issue("s1").unwrap()).unwrap();
    std::fs::write(&files.chain, "no certificate\n").unwrap();
    let place = place(Dataplane::Nginx, "s1", Some(app("hello")), &[], Some(files));
    let mut part = nginx.launch(&place, &folders).unwrap().spawn(&folders.meshtax).unwrap();
    let said = nginx.listening(&place, &mut part, &folders, LONG).unwrap_err().to_string();
    assert!(said.starts_with("s1-sidecar ended: exit status 1, while waiting for "), "{said}");
    assert!(said.contains("cannot load certificate"), "{said}");
}

#[test]
fn what_it_cannot_be_has_a_reason() {
    let f = Factors { dataplane: Dataplane::Nginx, mtls: Mtls::Strict, retries: 2, ..Factors::unmeshed() };
    assert_eq!(cannot(&f), None);
    let canary = |weights: &str, shifts: Vec<Shift>| {
        let weights = weights.parse().unwrap();
        Some(Canary { service: "s2".into(), weights, work_us: 0, error_rate: 0.0, shifts })
    };
    let shift = Shift { at_ns: 1, weights: "v1=1,v2=3".parse().unwrap() };
    for (factors, why) in [
        (Factors { platform: Platform::Pods, port_mtls: Some(Mtls::Disable), ..f.clone() }, "original destination"),
        (Factors { mtls: Mtls::Permissive, ..f.clone() }, "TLS or clear"),
        (Factors { rotate_ns: 1, ..f.clone() }, "reload"),
        (Factors { protocol: Protocol::Auto, ..f.clone() }, "does not look"),
        (Factors { canary: canary("v1=3,v2=1", vec![shift]), ..f.clone() }, "reload"),
        (Factors { canary: canary("v1=1,v2=2", vec![]), ..f.clone() }, "hundredths of a percent"),
    ] {
        let said = cannot(&factors).unwrap_or_default();
        assert!(said.contains(why), "{why}: {said}");
    }
    assert_eq!(cannot(&Factors { canary: canary("v1=3,v2=1", vec![]), ..f }), None);
}
