//! Loads over TLS: who is taken for the target, who is not, and what becomes of requests when TLS breaks off.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use load_gen::{Error, Plan, Trust};

use crate::raw::{Listening, say};
use crate::server::{Answer, Server, ok};
use crate::tls_server::{Authority, Holds, Identity, TlsServer, Turn, dns, loopback, uri};
use crate::{alone, assert_adds_up, four_and_four, load, plan, together};

const HTTP: &[&str] = &["http/1.1"];

fn tls_plan(server: &TlsServer, trust: Trust) -> Plan {
    let mut plan = plan(&server.url(), 100.0, 2, 100);
    plan.trust = trust;
    plan
}

/// A server of this identity that answers.
fn answering(authority: &Authority, identity: &Identity) -> TlsServer {
    TlsServer::start(authority.config(identity, false, HTTP), |_| Turn::Answer)
}

fn refusal(plan: &Plan) -> Error {
    load_gen::run(plan, &AtomicBool::new(false)).unwrap_err()
}

/// The refusal of a target that was reached, in words.
#[track_caller]
fn unfit(plan: &Plan) -> String {
    let e = refusal(plan);
    assert!(matches!(e, Error::Unfit { .. }), "{e:?}");
    let said = e.to_string();
    assert!(said.contains("TLS failed: ") && said.contains("--cacert") && said.contains("--insecure"), "{said}");
    said
}

#[test]
fn a_server_is_verified_by_its_address_or_name_and_told_which() {
    let _together = together();
    let authority = Authority::new();
    let server = answering(&authority, &authority.issue(&[dns("mesh.test"), loopback()], Holds::Now));
    for (name, told) in [(None, None), (Some("mesh.test"), Some("mesh.test".to_owned()))] {
        server.hellos.lock().unwrap().clear();
        let s = load(&tls_plan(&server, Trust { name: name.map(str::to_owned), ..authority.trusted() }));
        assert_adds_up(&s);
        assert_eq!((s.due, s.answered), (10, 10));
        assert_eq!(s.observed.protocol, "http/1.1 over TLS 1.3");
        let setup = s.observed.setup_ns;
        assert!(setup.opened == 2 && setup.tls.max > 0 && setup.tls.max < 2_000_000_000, "{setup:?}");
        // No address is told as a name (RFC 6066), and HTTP/1.1 was offered.
        assert_eq!(*server.hellos.lock().unwrap(), vec![(told, Some("http/1.1".to_owned())); 2]);
    }
    assert_eq!((server.listening.accepted(), server.requests()), (4, 20));
}

#[test]
fn a_server_of_tls_1_2_is_spoken_with_and_named() {
    let _together = together();
    let authority = Authority::new();
    let identity = authority.issue(&[loopback()], Holds::Now);
    let config = authority.config_for(&identity, false, &[], &[&rustls::version::TLS12]);
    let server = TlsServer::start(config, |_| Turn::Answer);
    let s = load(&tls_plan(&server, authority.trusted()));
    assert_adds_up(&s);
    assert_eq!((s.answered, s.observed.protocol.as_str()), (10, "http/1.1 over TLS 1.2"));
}

#[test]
fn an_unknown_authority_a_wrong_name_and_an_old_certificate_are_refused_unless_nothing_is_verified() {
    let _together = together();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let good = authority.issue(&[loopback()], Holds::Now);
    let named = authority.issue(&[dns("mesh.test")], Holds::Now);
    let old = authority.issue(&[loopback()], Holds::UntilYesterday);
    let elsewhere = Trust { name: Some("other.test".to_owned()), ..authority.trusted() };
    for (identity, trust, why) in [
        (&good, stranger.trusted(), "UnknownIssuer"),
        (&named, authority.trusted(), "not valid for name"),
        (&named, elsewhere, "not valid for name"),
        (&old, authority.trusted(), "expired"),
    ] {
        let server = answering(&authority, identity);
        let said = unfit(&tls_plan(&server, trust.clone()));
        assert!(said.contains(why) && said.contains(&server.listening.address().to_string()), "{said}");
        let s = load(&tls_plan(&server, Trust { insecure: true, ..trust }));
        assert_adds_up(&s);
        assert_eq!((s.answered, server.requests()), (10, 10));
    }
}

#[test]
fn without_roots_those_of_the_system_are_asked_and_do_not_know_a_test() {
    let _together = together();
    let authority = Authority::new();
    let server = answering(&authority, &authority.issue(&[loopback()], Holds::Now));
    // A system without any roots says that.
    let e = refusal(&tls_plan(&server, Trust::default()));
    assert!(matches!(e, Error::Unfit { .. } | Error::Tls(_)) && e.to_string().contains("--cacert"), "{e}");
}

#[test]
fn a_server_that_demands_a_certificate_takes_ours_and_nothing_else() {
    let _together = together();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let identity = authority.issue(&[loopback()], Holds::Now);
    let own = |by: &Authority| {
        let Identity { chain, key } = by.issue(&[uri("spiffe://mesh.test/load")], Holds::Now);
        Trust { own: Some((chain, key)), ..authority.trusted() }
    };
    // The two versions differ in who is done first.
    for version in rustls::ALL_VERSIONS {
        let config = authority.config_for(&identity, true, HTTP, &[version]);
        let server = TlsServer::start(config, |_| Turn::Answer);
        let said = unfit(&tls_plan(&server, authority.trusted()));
        assert!(said.contains("ertificate") && said.contains("--cert and --key"), "{version:?}: {said}");
        unfit(&tls_plan(&server, own(&stranger)));
        assert_eq!(server.requests(), 0);
        let s = load(&tls_plan(&server, own(&authority)));
        assert_adds_up(&s);
        assert_eq!((s.answered, server.requests()), (10, 10));
    }
}

#[test]
fn a_spiffe_identity_is_verified_instead_of_a_name_and_the_chain_as_ever() {
    let _together = together();
    const WEB: &str = "spiffe://mesh.test/ns/a/sa/web";
    let (authority, stranger) = (Authority::new(), Authority::new());
    let trust = |of: &Authority| Trust { spiffe: Some(WEB.to_owned()), ..of.trusted() };
    // Its names do not matter.
    let server = answering(&authority, &authority.issue(&[uri(WEB), dns("whoever.test")], Holds::Now));
    let s = load(&tls_plan(&server, trust(&authority)));
    assert_adds_up(&s);
    assert_eq!(s.answered, 10);
    let said = unfit(&tls_plan(&server, trust(&stranger)));
    assert!(said.contains("UnknownIssuer"), "{said}");
    let api = "spiffe://mesh.test/ns/a/sa/api";
    for (names, holds, why) in [
        (vec![uri(api)], Holds::Now, format!("the server is {api}, and should be {WEB}")),
        (vec![loopback()], Holds::Now, format!("the server is without an identity, and should be {WEB}")),
        (vec![uri(WEB), uri(api)], Holds::Now, format!("the server is {WEB}, {api}, and should be {WEB}")),
        (vec![uri(WEB)], Holds::UntilYesterday, "expired".to_owned()),
    ] {
        let server = answering(&authority, &authority.issue(&names, holds));
        let said = unfit(&tls_plan(&server, trust(&authority)));
        assert!(said.contains(&why), "{said}");
    }
    let wrong = Trust { spiffe: Some("web".to_owned()), ..authority.trusted() };
    let said = refusal(&tls_plan(&server, wrong)).to_string();
    assert!(said.starts_with("the SPIFFE identity is \"web\": "), "{said}");
}

#[test]
fn files_that_hold_no_credential_are_named_with_what_is_wrong() {
    let _together = together();
    let authority = Authority::new();
    let good = authority.issue(&[loopback()], Holds::Now);
    let another = authority.issue(&[loopback()], Holds::Now);
    let file = |name: &str, text: &str| {
        let path = authority.dir().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let missing = authority.dir().join("missing.pem");
    let empty = file("empty.pem", "nothing in it\n");
    let broken = file("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    let hollow = file("hollow.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let own = |chain, key| Trust { own: Some((chain, key)), ..authority.trusted() };
    let roots = |path| Trust { roots: Some(path), ..Trust::default() };
    for (trust, path) in [
        (roots(missing.clone()), &missing),
        (roots(empty.clone()), &empty),
        (roots(broken.clone()), &broken),
        (roots(hollow.clone()), &hollow),
        (own(missing.clone(), good.key.clone()), &missing),
        (own(empty.clone(), good.key.clone()), &empty),
        (own(good.chain.clone(), missing.clone()), &missing),
        (own(good.chain.clone(), empty.clone()), &empty),
        (own(good.chain.clone(), another.key.clone()), &another.key),
    ] {
        // Nothing is connected to: nobody listens there.
        let mut plan = plan("https://127.0.0.1:9/", 1.0, 1, 100);
        plan.trust = trust;
        let e = refusal(&plan);
        assert!(matches!(&e, Error::Credential { path: said, .. } if said == path), "{path:?}: {e:?}");
        assert!(e.to_string().contains("try: a PEM file"), "{e}");
    }
}

#[test]
fn an_alert_and_half_an_answer_in_mid_run_are_resets() {
    let _together = together();
    let authority = Authority::new();
    let identity = authority.issue(&[loopback()], Holds::Now);
    for bad in [Turn::Alert, Turn::Half] {
        let config = authority.config(&identity, false, HTTP);
        let server = TlsServer::start(config, move |number| if number % 10 == 4 { bad } else { Turn::Answer });
        let mut plan = plan(&server.url(), 200.0, 2, 500);
        plan.trust = authority.trusted();
        let s = load(&plan);
        assert_adds_up(&s);
        assert_eq!((s.due, s.outcomes.reset, s.answered), (100, 10, 90), "{bad:?}");
        assert_eq!((server.requests(), server.listening.accepted()), (100, 12));
    }
}

#[test]
fn a_close_behind_a_whole_answer_is_no_failure_with_a_goodbye_or_without() {
    let _together = together();
    let authority = Authority::new();
    let identity = authority.issue(&[loopback()], Holds::Now);
    for turn in [Turn::AnswerAndCut, Turn::AnswerAndClose] {
        let server = TlsServer::start(authority.config(&identity, false, HTTP), move |_| turn);
        let mut plan = four_and_four(&server.url());
        plan.trust = authority.trusted();
        let s = load(&plan);
        assert_adds_up(&s);
        assert_eq!((s.due, s.answered, s.outcomes.failed()), (8, 8, 0), "{turn:?}");
        assert!(server.listening.accepted() >= 8);
    }
}

#[test]
fn https_to_a_port_that_speaks_no_tls_is_an_error_that_says_so() {
    let _together = together();
    let authority = Authority::new();
    let silent = Server::start(|_, _| Answer::Whole(ok()));
    let says_no = Listening::start(|mut stream| {
        say(&mut stream, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        std::thread::sleep(Duration::from_millis(50));
    });
    let closes = Listening::start(|mut stream| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
    });
    for address in [silent.address(), says_no.address(), closes.address()] {
        let mut plan = plan(&format!("https://{address}/"), 10.0, 2, 100);
        plan.trust = authority.trusted();
        plan.connect_timeout = Duration::from_millis(200);
        let said = unfit(&plan);
        assert!(said.contains("http:// if it speaks no TLS"), "{said}");
    }
}

#[test]
fn http_to_a_port_that_speaks_tls_fails_each_request_and_ends() {
    let _together = together();
    let authority = Authority::new();
    let server = answering(&authority, &authority.issue(&[loopback()], Holds::Now));
    let mut plan = plan(&server.listening.url(), 100.0, 2, 500);
    plan.request_timeout = Duration::from_millis(300);
    let s = load(&plan);
    assert_adds_up(&s);
    // Alerts are no answers; between the tries the connections rest.
    assert_eq!((s.due, s.answered, s.outcomes.failed()), (50, 0, 50));
    assert!(s.outcomes.reset >= 2, "{:?}", s.outcomes);
}

#[test]
fn a_connection_a_request_shakes_hands_each_time() {
    let _alone = alone();
    let authority = Authority::new();
    let server = answering(&authority, &authority.issue(&[loopback()], Holds::Now));
    let mut plan = plan(&server.url(), 100.0, 4, 300);
    plan.trust = authority.trusted();
    plan.keep_alive = false;
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, s.observed.setup_ns.opened), (30, 30, 34));
    assert_eq!(s.observed.protocol, "http/1.1 over TLS 1.3, a connection a request");
    // The handshake is part of what such a request takes.
    assert!(s.observed.setup_ns.tls.p50 < s.service_ns.p50, "{:?} {:?}", s.observed.setup_ns, s.service_ns);
}

#[test]
fn large_bodies_go_both_ways_over_tls() {
    let _together = together();
    let authority = Authority::new();
    let server = answering(&authority, &authority.issue(&[loopback()], Holds::Now));
    let mut plan = plan(&server.url(), 20.0, 2, 500);
    plan.trust = authority.trusted();
    plan.requests[0].method = "POST".to_owned();
    plan.requests[0].body = vec![b'x'; 1 << 20].into();
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered), (10, 10));
}
