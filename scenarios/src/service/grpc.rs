//! The gRPC that a service answers itself, whatever its next hop: an echo to be loaded, and a health check.
//!
//! ```proto
//! package meshtax;
//! service Echo { rpc Unary(Payload) returns (Payload); rpc ServerStream(Payload) returns (stream Payload); }
//! ```
//! A payload may be any message: its bytes are sent back as they came, and never read. `ServerStream` sends as many
//! copies as the header `x-meshtax-messages` says. `grpc.health.v1.Health/Check` answers SERVING for every name.

mod copies;
mod message;
mod refusal;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use record::monotonic_ns;

pub(super) use self::copies::Copies;
use self::message::Message;
use self::refusal::Refusal;
use super::answer::{Server, label};
use super::work;

/// The header that says how many messages a stream has, and what it may say.
const MESSAGES: &str = "x-meshtax-messages";
const MESSAGES_DEFAULT: usize = 10;
const MESSAGES_MOST: usize = 100_000;

/// `HealthCheckResponse { status: SERVING }` with its prefix.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 0x01];

/// Whether a request on HTTP/2 is a gRPC call: `application/grpc`, with any encoding of the messages.
pub(super) fn is_call(request: &Request<Incoming>) -> bool {
    request.method() == Method::POST && request.headers().get(CONTENT_TYPE).is_some_and(is_grpc)
}

fn is_grpc(content_type: &HeaderValue) -> bool {
    // Not application/grpc-web, which is framed in another way.
    let rest = content_type.as_bytes().strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Works, answers and stamps, as a plain request is worked for, answered and stamped.
pub(super) async fn answer(server: &Server, request: Request<Incoming>) -> Response<Copies> {
    let received_ns = monotonic_ns();
    work::burn(server.settings().work);
    let (head, body) = request.into_parts();
    let (copies, refusal) = match reply(server, head.uri.path(), &head.headers, body).await {
        Ok(copies) => (copies, None),
        Err(refusal) => (Copies::none(), Some(refusal)),
    };
    let mut response = Response::new(copies);
    let headers = response.headers_mut();
    if let Some(content_type) = head.headers.get(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, content_type.clone());
    }
    if let Some(refusal) = refusal {
        refusal.write(headers);
    }
    label(server.settings(), &[], received_ns, headers);
    response
}

async fn reply(server: &Server, path: &str, headers: &HeaderMap, body: Incoming) -> Result<Copies, Refusal> {
    match path {
        "/meshtax.Echo/Unary" => echo(server, 1, body).await,
        "/meshtax.Echo/ServerStream" => echo(server, messages(headers)?, body).await,
        "/grpc.health.v1.Health/Check" => {
            Message::read(body).await?;
            Ok(Copies::new(Bytes::from_static(SERVING), 1))
        }
        path => Err(Refusal::Unknown(path.to_owned())),
    }
}

async fn echo(server: &Server, count: usize, body: Incoming) -> Result<Copies, Refusal> {
    let message = Message::read(body).await?;
    if server.fails() { Err(Refusal::Drawn) } else { Ok(Copies::new(message, count)) }
}

fn messages(headers: &HeaderMap) -> Result<usize, Refusal> {
    let Some(value) = headers.get(MESSAGES) else { return Ok(MESSAGES_DEFAULT) };
    let count = value.to_str().ok().and_then(|text| text.parse().ok());
    count.filter(|count| *count <= MESSAGES_MOST).ok_or(Refusal::Count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_by_their_content_type() {
        for (content_type, is) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;x=y", true),
            ("application/grpc-web", false),
            ("application/grpcx", false),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(is_grpc(&HeaderValue::from_static(content_type)), is, "{content_type}");
        }
    }

    #[test]
    fn the_number_of_messages_is_ten_or_what_is_said_within_bounds() {
        assert_eq!(messages(&HeaderMap::new()), Ok(10));
        for (said, count) in [
            ("0", Ok(0)),
            ("1", Ok(1)),
            ("100000", Ok(100_000)),
            ("100001", Err(Refusal::Count)),
            ("-1", Err(Refusal::Count)),
            ("many", Err(Refusal::Count)),
            ("", Err(Refusal::Count)),
        ] {
            let headers = HeaderMap::from_iter([(MESSAGES.parse().unwrap(), HeaderValue::from_static(said))]);
            assert_eq!(messages(&headers), count, "{said}");
        }
    }
}
