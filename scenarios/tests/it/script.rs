//! Services with scripts: what is done at once and what after another, shares, sizes, subsets, and deep chains.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};

use record::{HopStamps, Outcome, Phase, SlowRequest};
use scenarios::Shape;
use scenarios::service::{NextHop, Reply, SUBSET_HEADER, Script, ServiceConfig};

use crate::caller::{Answer, Caller, body, head};
use crate::part::{ANY, Service, idle_service, service};

/// A service of a script, told where its callees are.
fn scripted(config: ServiceConfig, script: &str, callees: &[(&str, SocketAddr)]) -> Service {
    let mut service = service(ServiceConfig { script: script.parse().unwrap(), ..config });
    for (name, address) in callees {
        let hop = NextHop { address: *address };
        service.part.say(&format!("next {name} {hop}"));
        assert_eq!(service.part.hear::<Reply>(), Reply::Next(hop));
    }
    service
}

/// A service that only sleeps.
fn sleeper(name: &str, ms: u64) -> Service {
    scripted(idle_service(name), &format!("[{{\"sleep_ns\":{}}}]", ms * 1_000_000), &[])
}

/// Every service of a shape, the entry first.
fn shape(shape: &Shape) -> Vec<Service> {
    let one = |at: usize| ServiceConfig { script: Script::of(shape, at), ..idle_service(&shape.services[at].name) };
    let mut all: Vec<Service> = (0..shape.services.len()).map(|at| service(one(at))).collect();
    let addresses: Vec<SocketAddr> = all.iter().map(|s| s.listen).collect();
    for (at, described) in shape.services.iter().enumerate() {
        for callee in described.callees() {
            let hop = NextHop { address: addresses[callee] };
            all[at].part.say(&format!("next {} {hop}", shape.services[callee].name));
            assert_eq!(all[at].part.hear::<Reply>(), Reply::Next(hop));
        }
    }
    all
}

/// An answer's stamps, as they are kept of a slow request.
fn stamped(answer: &Answer) -> SlowRequest {
    let hops = HopStamps::from_header(answer.header(HopStamps::HEADER).unwrap_or_else(|| panic!("{answer:?}")));
    SlowRequest {
        index: 0,
        phase: Phase::Measure,
        intended_ns: 0,
        sent_ns: None,
        done_ns: 0,
        outcome: Outcome::Answered(answer.status),
        connection: None,
        hops,
    }
}

fn names(kept: &SlowRequest) -> Vec<&str> {
    kept.hops.iter().map(|hop| hop.service.as_str()).collect()
}

/// From received to answered.
fn span_ns(hop: &HopStamps) -> u64 {
    hop.answered_ns - hop.received_ns
}

/// A callee that says what it was sent, and answers 200.
fn listener() -> (SocketAddr, std::thread::JoinHandle<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = std::thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let (first, headers) = head(&mut stream).unwrap();
        let body = body(&mut stream, &headers);
        stream.get_mut().write_all(b"HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n").unwrap();
        (first, body)
    });
    (address, seen)
}

#[test]
fn calls_at_once_take_the_longest_and_calls_in_turn_the_sum() {
    // They sleep for longer than this machine may be held up between two calls.
    let callees = ["a", "b", "c"].map(|name| sleeper(name, 1500));
    let named = |callees: &[Service; 3]| [("a", callees[0].listen), ("b", callees[1].listen), ("c", callees[2].listen)];
    let calls = r#"{"service":"a"},{"service":"b"},{"service":"c"}"#;
    let wide = scripted(idle_service("wide"), &format!("[{{\"calls\":[{calls}]}}]"), &named(&callees));
    let kept = stamped(&Caller::connect(wide.listen).get("/"));
    assert_eq!(names(&kept), ["wide", "a", "b", "c"]);
    let calls = kept.calls(0);
    assert_eq!(calls.iter().map(|call| call.hop).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
    let begun = calls.iter().map(|call| call.called_ns).max().unwrap();
    let first_back = calls.iter().map(|call| call.returned_ns).min().unwrap();
    assert!(begun < first_back, "{kept:?}");
    let span = span_ns(&kept.hops[0]);
    assert!((1_500_000_000..4_500_000_000).contains(&span), "{span}");
    // Whatever it waited for is not its own time.
    assert!(kept.self_ns(0).unwrap() <= span - 1_500_000_000, "{kept:?}");

    let steps =
        r#"[{"calls":[{"service":"a"}]},{"calls":[{"service":"b"}]},{"calls":[{"service":"c"}],"sleep_ns":200000000}]"#;
    let callees = ["a", "b", "c"].map(|name| sleeper(name, 150));
    let line = scripted(idle_service("line"), steps, &named(&callees));
    let kept = stamped(&Caller::connect(line.listen).get("/"));
    assert_eq!(names(&kept), ["line", "a", "b", "c"]);
    let calls = kept.calls(0);
    assert!(calls.windows(2).all(|pair| pair[0].returned_ns <= pair[1].called_ns), "{kept:?}");
    // The last call has its step to itself for a while: the step sleeps longer.
    assert!(span_ns(&kept.hops[0]) >= 500_000_000, "{kept:?}");
    assert!(kept.hops[0].answered_ns >= calls[2].called_ns + 200_000_000, "{kept:?}");
}

#[test]
fn an_error_rate_is_kept_and_drawn_again_by_its_seed() {
    let failed = |seed: u64| -> Vec<bool> {
        let s1 = service(ServiceConfig { error_rate: 0.2, seed, ..idle_service("s1") });
        let mut caller = Caller::connect(s1.listen);
        let mut one = || {
            let answer = caller.get("/");
            let said = answer.header("x-meshtax-error").map(str::to_owned);
            match answer.status {
                200 => assert_eq!(said, None),
                500 => assert_eq!(said.as_deref(), Some("s1: an error of its own, as for 0.2 of its requests")),
                other => panic!("{other}"),
            }
            assert_eq!(names(&stamped(&answer)), ["s1"]);
            answer.status == 500
        };
        (0..5000).map(|_| one()).collect()
    };
    let first = failed(1);
    let count = first.iter().filter(|failed| **failed).count() as f64;
    // 99.9 % of a binomial: 3.29 standard deviations of 28.3.
    assert!((count - 1000.0).abs() <= 3.29 * (5000.0 * 0.2 * 0.8_f64).sqrt(), "{count}");
    assert_eq!(first, failed(1));
    assert_ne!(first, failed(2));
}

#[test]
fn an_error_of_its_own_calls_nobody_and_comes_up_the_chain() {
    let s2 = service(ServiceConfig { error_rate: 1.0, work_us: 1000, ..idle_service("s2") });
    let s1 = scripted(idle_service("s1"), r#"[{"calls":[{"service":"s2"}]}]"#, &[("s2", s2.listen)]);
    let answer = Caller::connect(s1.listen).get("/");
    assert_eq!(answer.status, 500);
    let said = answer.header("x-meshtax-error").unwrap();
    assert!(
        said.starts_with("s1: s2 http://") && said.ends_with("s2: an error of its own, as for 1 of its requests"),
        "{said}"
    );
    let kept = stamped(&answer);
    assert_eq!(names(&kept), ["s1", "s2"]);
    // It did its work.
    assert!(span_ns(&kept.hops[1]) >= 1_000_000);

    let down = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failing = ServiceConfig { error_rate: 1.0, ..idle_service("s0") };
    let s0 = scripted(failing, r#"[{"calls":[{"service":"s1"}]}]"#, &[("s1", down)]);
    // With a body, on one connection: what was not read would be in the way of the next request.
    let mut caller = Caller::connect(s0.listen);
    for _ in 0..3 {
        caller.say(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello");
        let answer = caller.answer();
        assert_eq!((answer.status, names(&stamped(&answer))), (500, vec!["s0"]));
    }
}

#[test]
fn a_failed_call_fails_the_request_and_what_comes_after_it_is_not_done() {
    let down = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (a, b) = (sleeper("a", 30), service(idle_service("b")));
    let script = r#"[{"calls":[{"service":"a"},{"service":"down"}]},{"calls":[{"service":"b"}]}]"#;
    let s1 = scripted(idle_service("s1"), script, &[("a", a.listen), ("down", down), ("b", b.listen)]);
    let answer = Caller::connect(s1.listen).get("/");
    assert_eq!(answer.status, 502);
    let said = answer.header("x-meshtax-error").unwrap();
    assert!(said.starts_with(&format!("s1: down http://{down}/: cannot connect")), "{said}");
    let kept = stamped(&answer);
    assert_eq!(names(&kept), ["s1", "a"], "a was waited for, b was not called");
    assert_eq!(kept.calls(0).iter().map(|call| call.hop).collect::<Vec<_>>(), [Some(1), None]);
}

#[test]
fn callees_are_named_one_by_one_and_until_then_nobody_is_called() {
    let (a, b) = (service(idle_service("a")), service(idle_service("b")));
    let script = r#"[{"calls":[{"service":"a"},{"service":"b"}]}]"#;
    let mut s1 = scripted(idle_service("s1"), script, &[("a", a.listen)]);
    let mut caller = Caller::connect(s1.listen);
    let answer = caller.get("/");
    assert_eq!((answer.status, names(&stamped(&answer))), (503, vec!["s1"]));
    assert_eq!(answer.header("x-meshtax-error"), Some("s1: b was not named yet"));
    for (line, said) in [
        ("next http://127.0.0.1:1/", "it calls a, b; try: next s2 http://"),
        ("next c http://127.0.0.1:1/", "it does not call c; try: one of a, b"),
        ("next b nowhere", "next hop 'nowhere'"),
        ("next", "'next' is not understood"),
    ] {
        s1.part.say(line);
        let reply = s1.part.hear::<Reply>();
        assert!(matches!(&reply, Reply::Error(e) if e.starts_with(said)), "{line}: {reply:?}");
    }
    s1.part.say(&format!("next b http://{}/", b.listen));
    assert_eq!(s1.part.hear::<Reply>(), Reply::Next(NextHop { address: b.listen }));
    assert_eq!(names(&stamped(&caller.get("/"))), ["s1", "a", "b"]);
    // A chain's service knows no names, and an only callee needs none.
    let mut chain = service(idle_service("s1"));
    chain.part.say("next b http://127.0.0.1:1/");
    assert!(matches!(chain.part.hear::<Reply>(), Reply::Error(e) if e.starts_with("it calls nobody by the name b")));
    let mut only = scripted(idle_service("s1"), r#"[{"calls":[{"service":"a"}]}]"#, &[]);
    only.part.say(&format!("next http://{}/", a.listen));
    assert_eq!(only.part.hear::<Reply>(), Reply::Next(NextHop { address: a.listen }));
}

#[test]
fn an_only_call_passes_the_body_on_and_others_send_what_they_say() {
    let put = b"PUT /a/b?c=d HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello";
    let (a, seen) = listener();
    let s1 = scripted(idle_service("s1"), r#"[{"sleep_ns":1},{"calls":[{"service":"a"}]}]"#, &[("a", a)]);
    let mut caller = Caller::connect(s1.listen);
    caller.say(put);
    assert_eq!(caller.answer().status, 200);
    assert_eq!(seen.join().unwrap(), ("PUT /a/b?c=d HTTP/1.1".into(), b"hello".to_vec()));

    let (a, seen_a) = listener();
    let (b, seen_b) = listener();
    let script = r#"[{"calls":[{"service":"a","request_bytes":3000},{"service":"b"}]}]"#;
    let s1 = scripted(idle_service("s1"), script, &[("a", a), ("b", b)]);
    let mut caller = Caller::connect(s1.listen);
    caller.say(put);
    assert_eq!(caller.answer().status, 200);
    assert_eq!(seen_a.join().unwrap(), ("PUT /a/b?c=d HTTP/1.1".into(), vec![b'x'; 3000]));
    assert_eq!(seen_b.join().unwrap(), ("PUT /a/b?c=d HTTP/1.1".into(), vec![]));

    let (a, seen) = listener();
    let sized = r#"[{"calls":[{"service":"a","request_bytes":7}]}]"#;
    let s1 = scripted(idle_service("s1"), sized, &[("a", a)]);
    assert_eq!(Caller::connect(s1.listen).get("/x").status, 200);
    assert_eq!(seen.join().unwrap(), ("GET /x HTTP/1.1".into(), b"xxxxxxx".to_vec()));
}

#[test]
fn calls_of_a_probability_are_made_in_their_share_and_drawn_again_by_the_seed() {
    let a = service(idle_service("a"));
    let made = || -> Vec<bool> {
        let script = r#"[{"calls":[{"service":"a","probability":0.3}]}]"#;
        let s1 = scripted(idle_service("s1"), script, &[("a", a.listen)]);
        let mut caller = Caller::connect(s1.listen);
        let mut one = || {
            let answer = caller.get("/");
            assert_eq!(answer.status, 200);
            stamped(&answer).hops.len() == 2
        };
        (0..2000).map(|_| one()).collect()
    };
    let first = made();
    let count = first.iter().filter(|made| **made).count() as f64;
    assert!((count - 600.0).abs() <= 3.29 * (2000.0 * 0.3 * 0.7_f64).sqrt(), "{count}");
    assert_eq!(first, made());
}

#[test]
fn the_subset_met_first_on_the_way_back_is_passed_on_with_errors_too() {
    let subset = |answer: &Answer| answer.header(SUBSET_HEADER).map(str::to_owned);
    let of = |name: &str, label: &str| ServiceConfig { subset: Some(label.into()), ..idle_service(name) };
    let s3 = service(ServiceConfig { error_rate: 0.5, ..of("s3-v2", "v2") });
    let s2 = service(ServiceConfig { next: Some(NextHop { address: s3.listen }), ..idle_service("s2") });
    let s1 = service(ServiceConfig { next: Some(NextHop { address: s2.listen }), ..idle_service("s1") });
    let mut caller = Caller::connect(s1.listen);
    let answers: Vec<Answer> = (0..50).map(|_| caller.get("/")).collect();
    assert!(answers.iter().all(|answer| subset(answer).as_deref() == Some("v2")), "{answers:?}");
    assert!(answers.iter().any(|answer| answer.status == 200) && answers.iter().any(|answer| answer.status == 500));
    // A subset further back is met first; where there is none behind it, a service says its own.
    let behind = service(ServiceConfig { next: Some(NextHop { address: s3.listen }), ..of("s2", "other") });
    assert_eq!(subset(&Caller::connect(behind.listen).get("/")).as_deref(), Some("v2"));
    let (plain, b) = (service(idle_service("a")), service(of("b", "b-1")));
    let script = r#"[{"calls":[{"service":"a"},{"service":"b"}]}]"#;
    let wide = scripted(of("s1", "own"), script, &[("a", plain.listen), ("b", b.listen)]);
    assert_eq!(subset(&Caller::connect(wide.listen).get("/")).as_deref(), Some("b-1"));
    assert_eq!(subset(&Caller::connect(plain.listen).get("/")), None);
}

#[test]
fn a_service_listens_in_several_places() {
    let mut part = crate::part::start(ServiceConfig { listen: vec![ANY, ANY, ANY], threads: 2, ..idle_service("s1") });
    let ready = part.hear::<scenarios::service::Ready>().ready;
    let all: Vec<SocketAddr> = [ready.listen].into_iter().chain(ready.also).collect();
    assert_eq!((all.len(), ready.seed), (3, None));
    // Several at once on each, in any order.
    let mut callers: Vec<Caller> = all.iter().chain(&all).map(|address| Caller::connect(*address)).collect();
    for caller in callers.iter_mut().rev() {
        assert_eq!(names(&stamped(&caller.get("/"))), ["s1"]);
    }
    // The seed is said where something is drawn from it.
    let mut part = crate::part::start(ServiceConfig { error_rate: 0.1, seed: 7, ..idle_service("s1") });
    assert_eq!(part.hear::<scenarios::service::Ready>().ready.seed, Some(7));
}

#[test]
fn a_chain_of_fifty_answers_with_all_its_stamps_in_four_kibibytes() {
    let chain = Shape::chain(50);
    let services = shape(&chain);
    let mut caller = Caller::connect(services[0].listen);
    for _ in 0..3 {
        let answer = caller.get("/");
        assert_eq!(answer.status, 200);
        let length = answer.header(HopStamps::HEADER).unwrap().len();
        assert!(length <= 4096, "{length}");
        let kept = stamped(&answer);
        assert_eq!(names(&kept), chain.visits());
        for pair in kept.hops.windows(2) {
            let (called, returned) = (pair[0].called_ns.unwrap(), pair[0].returned_ns.unwrap());
            let order =
                [pair[0].received_ns, called, pair[1].received_ns, pair[1].answered_ns, returned, pair[0].answered_ns];
            assert!(order.is_sorted(), "{order:?}");
        }
    }
}

#[test]
fn trees_and_topologies_visit_who_they_say() {
    let canonical = "
defaults: {requestSize: 1k, responseSize: 2k}
services:
- name: leaf-a
- name: leaf-b
- {name: middle, script: [call: leaf-a, call: leaf-b]}
- {name: front, isEntrypoint: true, script: [[call: leaf-a, call: middle], sleep: 2ms, call: leaf-b]}
";
    for described in [Shape::tree(7), Shape::fan_out(6), Shape::isotope(canonical, "two-leaves.yaml").unwrap()] {
        let services = shape(&described);
        let mut caller = Caller::connect(services[0].listen);
        for _ in 0..3 {
            let answer = caller.get("/");
            assert_eq!(answer.status, 200, "{}", described.name);
            let kept = stamped(&answer);
            assert_eq!(names(&kept), described.visits());
            // Each hop lies within the call that led to it.
            for (at, hop) in kept.hops.iter().enumerate() {
                assert!(kept.self_ns(at).unwrap() <= span_ns(hop));
                for call in kept.calls(at) {
                    let callee = &kept.hops[call.hop.unwrap() as usize];
                    let order = [
                        hop.received_ns,
                        call.called_ns,
                        callee.received_ns,
                        callee.answered_ns,
                        call.returned_ns,
                        hop.answered_ns,
                    ];
                    assert!(order.is_sorted(), "{order:?}");
                }
            }
        }
    }
}
