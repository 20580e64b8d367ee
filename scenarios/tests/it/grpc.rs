//! The gRPC of a service: what is sent comes back, every refusal has its code, and no caller stops it.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use scenarios::service::{NextHop, ServiceConfig};
use tokio::task::JoinSet;

use crate::caller::Caller;
use crate::h2_caller::{H2Answer, H2Caller, read, run};
use crate::part::{idle_service, service};

type Headers = Vec<(&'static str, &'static str)>;

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const UNARY: &str = "/meshtax.Echo/Unary";
const STREAM: &str = "/meshtax.Echo/ServerStream";
const LARGEST: usize = 4 << 20;

/// A message of so many bytes with its prefix.
fn message(length: usize, byte: u8) -> Bytes {
    let mut wire = vec![0];
    wire.extend((length as u32).to_be_bytes());
    wire.resize(5 + length, byte);
    wire.into()
}

/// An answer as it is when all went well.
#[track_caller]
fn assert_ok(answer: &H2Answer, content_type: &str) {
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
    assert_eq!((answer.header("grpc-status"), answer.trailer("grpc-status")), (None, Some("0")));
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(answer.hops().len(), 1);
}

#[test]
fn a_message_comes_back_whatever_its_size() {
    let s1 = service(idle_service("s1"));
    run(async {
        let caller = H2Caller::connect(s1.listen).await;
        for (length, content_type) in [
            (0, "application/grpc"),
            (1, "application/grpc+proto"),
            (100_000, "application/grpc"),
            (LARGEST, "application/grpc"),
        ] {
            let sent = message(length, 7);
            let answer = caller.send("POST", UNARY, &[("content-type", content_type)], sent.clone()).await;
            assert_ok(&answer, content_type);
            assert!(answer.body == sent, "{length}");
            assert_eq!(answer.hops()[0].service, "s1");
        }
    });
}

#[test]
fn a_stream_is_as_many_copies_as_were_asked_for() {
    let s1 = service(idle_service("s1"));
    run(async {
        let caller = H2Caller::connect(s1.listen).await;
        for (asked, count, length) in [
            (None, 10, 3),
            (Some("1"), 1, 100_000),
            (Some("10"), 10, 0),
            (Some("1000"), 1000, 1000),
            (Some("100000"), 100_000, 1),
            (Some("0"), 0, 1),
        ] {
            let mut headers = vec![GRPC];
            headers.extend(asked.map(|asked| ("x-meshtax-messages", asked)));
            let sent = message(length, 9);
            let answer = caller.send("POST", STREAM, &headers, sent.clone()).await;
            assert_ok(&answer, "application/grpc");
            assert!(answer.body == sent.repeat(count), "{asked:?}: {} bytes", answer.body.len());
        }
    });
}

#[test]
fn the_health_check_says_serving() {
    let s1 = service(ServiceConfig { expect_next: true, ..idle_service("s1") });
    run(async {
        let caller = H2Caller::connect(s1.listen).await;
        let answer = caller.send("POST", "/grpc.health.v1.Health/Check", &[GRPC], message(0, 0)).await;
        assert_ok(&answer, "application/grpc");
        assert_eq!(answer.body, b"\0\0\0\0\x02\x08\x01".as_slice());
    });
}

#[test]
fn what_cannot_be_answered_is_refused_with_its_code_and_the_connection_goes_on() {
    let s1 = service(idle_service("s1"));
    let count = |value| vec![GRPC, ("x-meshtax-messages", value)];
    let two: Bytes = [message(1, 1), message(1, 2)].concat().into();
    let cases: Vec<(&str, Headers, Bytes, &str)> = vec![
        ("/meshtax.Echo/Nothing", vec![GRPC], message(1, 1), "12"),
        ("/grpc.health.v1.Health/Watch", vec![GRPC], message(0, 1), "12"),
        ("/", vec![GRPC], Bytes::new(), "12"),
        (UNARY, vec![GRPC], Bytes::new(), "3"),
        (UNARY, vec![GRPC], message(1, 1).slice(..4), "3"),
        (UNARY, vec![GRPC], message(9, 1).slice(..13), "3"),
        (STREAM, vec![GRPC], two, "3"),
        (UNARY, vec![GRPC], Bytes::from_static(b"\x01\0\0\0\x01a"), "3"),
        (STREAM, vec![GRPC], Bytes::from_static(b"\x02\0\0\0\x01a"), "3"),
        (STREAM, count("100001"), message(1, 1), "3"),
        (STREAM, count("-1"), message(1, 1), "3"),
        (STREAM, count("many"), message(1, 1), "3"),
        (UNARY, vec![GRPC], message(LARGEST + 1, 1), "8"),
        (STREAM, vec![GRPC], message(LARGEST + 1, 1).slice(..5), "8"),
    ];
    run(async {
        let caller = H2Caller::connect(s1.listen).await;
        // More than once: what a refused caller still sends must not use up the connection's window.
        for (path, headers, body, code) in cases.iter().cycle().take(3 * cases.len()) {
            let answer = caller.send("POST", path, headers, body.clone()).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc")), "{path}");
            assert_eq!(answer.header("grpc-status"), Some(*code), "{path}: {answer:?}");
            assert!(answer.header("grpc-message").unwrap().contains("; try: "), "{answer:?}");
            // Trailers only: the head is all there is.
            assert_eq!((answer.body.len(), &answer.trailers, answer.hops().len()), (0, &None, 1), "{path}");
            let answer = caller.send("POST", UNARY, &[GRPC], message(1, 1)).await;
            assert_ok(&answer, "application/grpc");
        }
    });
}

#[test]
fn a_call_is_worked_for_and_answered_here_whatever_the_next_hop() {
    // Nobody listens there: a plain request would be a failure.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let s1 = service(ServiceConfig {
        work_us: 2_000,
        next: Some(NextHop { address }),
        response_bytes: 9,
        ..idle_service("s1")
    });
    run(async {
        let caller = H2Caller::connect(s1.listen).await;
        let answer = caller.send("POST", UNARY, &[GRPC], message(1, 1)).await;
        assert_ok(&answer, "application/grpc");
        assert_eq!(answer.body, message(1, 1));
        let hops = answer.hops();
        assert_eq!((hops[0].called_ns, hops[0].returned_ns), (None, None));
        // CPU time cannot pass faster than time.
        assert!(hops[0].answered_ns - hops[0].received_ns >= 2_000_000, "{hops:?}");
    });
}

#[test]
fn what_is_no_call_is_a_plain_request() {
    let s1 = service(ServiceConfig { response_bytes: 9, ..idle_service("s1") });
    run(async {
        let caller = H2Caller::connect(s1.listen).await;
        for (method, content_type) in
            [("POST", "application/grpc-web"), ("POST", "application/json"), ("GET", "application/grpc")]
        {
            let answer = caller.send(method, UNARY, &[("content-type", content_type)], message(1, 1)).await;
            assert_eq!((answer.status, answer.body.len(), answer.trailers), (200, 9, None), "{method} {content_type}");
        }
    });
    // HTTP/1.1 has no gRPC.
    let mut caller = Caller::connect(s1.listen);
    caller.say(b"POST /meshtax.Echo/Unary HTTP/1.1\r\nhost: test\r\ncontent-type: application/grpc\r\n");
    caller.say(b"content-length: 5\r\n\r\n\0\0\0\0\0");
    let answer = caller.answer();
    assert_eq!((answer.status, answer.body.len(), answer.header("grpc-status")), (200, 9, None));
}

#[test]
fn a_hundred_streams_share_one_connection() {
    let s1 = service(idle_service("s1"));
    run(async {
        let caller = H2Caller::connect(s1.listen).await;
        // Together they are more than any window, so that most are still open when the last one begins.
        let mut begun = Vec::new();
        for i in 0..100 {
            let headers = [GRPC, ("x-meshtax-messages", "5")];
            begun.push((i, caller.begin("POST", STREAM, &headers, message(100_000, i)).await));
        }
        let mut reading = JoinSet::new();
        for (i, response) in begun {
            reading.spawn(async move { (i, read(response).await) });
        }
        for (i, answer) in reading.join_all().await {
            assert_ok(&answer, "application/grpc");
            assert!(answer.body == message(100_000, i).repeat(5), "{i}");
        }
    });
}

#[test]
fn more_streams_than_servers_usually_permit_are_answered_at_once() {
    let s1 = service(idle_service("s1"));
    run(async {
        let caller = H2Caller::connect(s1.listen).await;
        assert_ok(&caller.send("POST", UNARY, &[GRPC], message(1, 1)).await, "application/grpc");
        let mut calling = JoinSet::new();
        for i in 0..2000 {
            let caller = caller.clone();
            calling.spawn(async move { caller.send("POST", UNARY, &[GRPC], message(i, 1)).await.body.len() });
        }
        let mut lengths = calling.join_all().await;
        lengths.sort_unstable();
        assert_eq!(lengths, (5..2005).collect::<Vec<_>>());
    });
}

#[test]
fn callers_that_give_up_in_the_middle_stop_nothing() {
    let s1 = service(idle_service("s1"));
    let headers = [GRPC, ("x-meshtax-messages", "100000")];
    run(async {
        let caller = H2Caller::connect(s1.listen).await;
        for _ in 0..100 {
            let mut response = caller.begin("POST", STREAM, &headers, message(10_000, 1)).await;
            // Some of the gigabyte is there, and the rest is reset.
            assert!(response.body_mut().frame().await.unwrap().unwrap().is_data());
        }
        assert_ok(&caller.send("POST", UNARY, &[GRPC], message(1, 1)).await, "application/grpc");
    });
    // The whole connection goes with its caller.
    run(async {
        let caller = H2Caller::connect(s1.listen).await;
        let mut response = caller.begin("POST", STREAM, &headers, message(10_000, 1)).await;
        assert!(response.body_mut().frame().await.unwrap().unwrap().is_data());
    });
    run(async {
        let caller = H2Caller::connect(s1.listen).await;
        assert_ok(&caller.send("POST", UNARY, &[GRPC], message(1, 1)).await, "application/grpc");
    });
    assert_eq!(Caller::connect(s1.listen).get("/").status, 200);
}

#[test]
fn a_share_of_calls_fails_by_itself_and_health_checks_do_not() {
    let s1 = service(ServiceConfig { error_rate: 1.0, subset: Some("v2".into()), ..idle_service("s1") });
    run(async {
        let caller = H2Caller::connect(s1.listen).await;
        for path in [UNARY, STREAM] {
            let answer = caller.send("POST", path, &[GRPC], message(3, 1)).await;
            assert_eq!((answer.status, answer.header("grpc-status"), answer.body.len()), (200, Some("13"), 0));
            assert_eq!(answer.header("grpc-message"), Some("an error of its own, as it has at its error rate"));
            assert_eq!((answer.header("x-meshtax-subset"), answer.hops().len()), (Some("v2"), 1));
        }
        let answer = caller.send("POST", "/grpc.health.v1.Health/Check", &[GRPC], message(0, 0)).await;
        assert_ok(&answer, "application/grpc");
    });
}
