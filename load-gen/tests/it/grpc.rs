//! gRPC: statuses of their own, messages counted, and calls that end as no call should.

use std::time::Duration;

use ::h2::server::Builder;
use bytes::Bytes;
use http::{HeaderMap, Response};
use load_gen::{Plan, Protocol};

use crate::h2_server::{Call, H2Server};
use crate::{assert_adds_up, load, plan, together};

const HELLO: &[u8] = b"\0\0\0\0\x05hello";

/// How a call is answered.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// So many messages, then trailers with this status.
    Messages(usize, &'static str),
    /// A head that is the trailer, too.
    TrailersOnly(&'static str),
    /// A message, and no trailers.
    NoTrailers,
    /// Trailers that say nothing of the status.
    NoStatus,
    /// A plain HTTP answer, as of a proxy.
    Http(u16),
    /// The stream is reset behind the first message.
    Reset,
}

async fn answer(call: Call, form: Form) {
    let Call { request, mut respond, .. } = call;
    let (head, mut body) = request.into_parts();
    let said = |name: &str| head.headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/test.Echo/Say"));
    assert_eq!((said("content-type").as_str(), said("te").as_str()), ("application/grpc", "trailers"));
    let mut message = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        let _ = body.flow_control().release_capacity(piece.len());
        message.extend_from_slice(&piece);
    }
    assert_eq!(message, b"\0\0\0\0\x03abc");

    let mut response = Response::new(());
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let mut trailers = HeaderMap::new();
    trailers.insert("x-more", "1".parse().unwrap());
    match form {
        Form::TrailersOnly(status) => {
            response.headers_mut().insert("grpc-status", status.parse().unwrap());
            respond.send_response(response, true).unwrap();
        }
        Form::Http(status) => {
            let response = Response::builder().status(status).header("content-type", "text/plain").body(()).unwrap();
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(Bytes::from_static(b"no upstream"), true).unwrap();
        }
        Form::Messages(count, status) => {
            let mut stream = respond.send_response(response, false).unwrap();
            let all = HELLO.repeat(count);
            // In frames that are cut without regard to messages.
            for piece in all.chunks(7) {
                stream.send_data(Bytes::copy_from_slice(piece), false).unwrap();
                tokio::task::yield_now().await;
            }
            trailers.insert("grpc-status", status.parse().unwrap());
            stream.send_trailers(trailers).unwrap();
        }
        Form::NoTrailers => {
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(Bytes::from_static(HELLO), true).unwrap();
        }
        Form::NoStatus => {
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_trailers(trailers).unwrap();
        }
        Form::Reset => {
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(Bytes::from_static(HELLO), false).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
            stream.send_reset(::h2::Reason::INTERNAL_ERROR);
        }
    }
}

fn grpc_plan(server: &H2Server, rate: f64, duration_ms: u64) -> Plan {
    let mut plan = plan(&format!("{}test.Echo/Say", server.url("http")), rate, 2, duration_ms);
    (plan.protocol, plan.streams) = (Protocol::Grpc, 4);
    plan.requests[0].body = b"abc"[..].into();
    plan
}

fn serving(forms: &'static [Form]) -> H2Server {
    H2Server::start("127.0.0.1:0", Builder::new(), None, |call| {
        let form = forms[call.number as usize % forms.len()];
        answer(call, form)
    })
}

#[test]
fn a_call_counts_as_the_http_status_that_stands_for_its_own() {
    let _together = together();
    let server = serving(&[
        Form::Messages(1, "0"),
        Form::Messages(1, "14"),
        Form::TrailersOnly("5"),
        Form::NoTrailers,
        Form::NoStatus,
        Form::Http(502),
        Form::Messages(0, "16"),
        Form::Messages(2, "no number"),
    ]);
    let s = load(&grpc_plan(&server, 400.0, 400));
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, s.outcomes.failed()), (160, 160, 0), "{:?}", s.outcomes);
    let statuses: Vec<(u16, u64)> = s.outcomes.answered.clone().into_iter().collect();
    // Without a status of its own a call has ended as unknown.
    assert_eq!(statuses, [(200, 20), (401, 20), (404, 20), (500, 60), (502, 20), (503, 20)]);
    assert_eq!(s.outcomes.error_statuses(), 140);
    let own: Vec<(u32, u64)> = s.observed.grpc_statuses.clone().into_iter().collect();
    assert_eq!(own, [(0, 20), (2, 80), (5, 20), (14, 20), (16, 20)]);
    // One, one, one without trailers, and two.
    assert_eq!(s.observed.grpc_messages, 20 * 5);
    assert_eq!((s.observed.protocol.as_str(), server.connections()), ("grpc", 2));
    server.assert_content();
}

#[test]
fn the_messages_of_streaming_calls_are_counted_and_a_broken_one_is_a_reset() {
    let _together = together();
    let server = serving(&[Form::Messages(50, "0"), Form::Reset]);
    let s = load(&grpc_plan(&server, 200.0, 500));
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, s.outcomes.reset), (100, 50, 50), "{:?}", s.outcomes);
    assert_eq!((s.observed.grpc_messages, s.observed.grpc_statuses.get(&0)), (50 * 50, Some(&50)));
    assert_eq!(s.observed.bytes_read, 50 * 50 * 10);
    server.assert_content();
}
