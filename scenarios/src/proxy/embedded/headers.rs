//! What a proxy must not pass on: the headers that are about one connection and not about the message.

use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers about one connection (RFC 9110, section 7.6.1), beside those that `Connection` itself names.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Takes out the headers that must not be passed on. A chunked body is framed anew by hyper, and Content-Length stays.
pub(super) fn strip(headers: &mut HeaderMap) {
    // Most messages have none of them, and looking costs less than removing nine times in vain.
    if !headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        return;
    }
    let named: Vec<HeaderName> = headers.get_all(CONNECTION).iter().flat_map(names).collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The header names in a `Connection` header. Host and the framing are never for a caller to take out.
fn names(value: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    value
        .to_str()
        .unwrap_or_default()
        .split(',')
        .filter_map(|name| name.trim().parse::<HeaderName>().ok())
        .filter(|name| ![hyper::header::HOST, hyper::header::CONTENT_LENGTH].contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(lines: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip(&mut headers);
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn what_is_about_the_message_passes_in_its_order() {
        let kept = stripped(&[("host", "s2"), ("content-length", "3"), ("x-a", "1"), ("x-a", "2")]);
        assert_eq!(kept, ["host: s2", "content-length: 3", "x-a: 1", "x-a: 2"]);
    }

    #[test]
    fn what_is_about_the_connection_is_taken_out() {
        for name in HOP_BY_HOP.iter().map(HeaderName::as_str) {
            let mut headers = HeaderMap::new();
            headers.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_static("x"));
            strip(&mut headers);
            assert!(headers.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_connection_names_is_taken_out_too_in_every_one_of_its_lines() {
        let lines = [("connection", "X-One, keep-alive ,x-two"), ("connection", "x-three, ,b ad"), ("x-one", "1")];
        let more = [("x-two", "2"), ("x-three", "3"), ("x-four", "4")];
        assert_eq!(stripped(&[lines.as_slice(), &more].concat()), ["x-four: 4"]);
    }

    #[test]
    fn a_caller_cannot_have_host_or_length_taken_out() {
        let kept = stripped(&[("connection", "host, content-length"), ("host", "s2"), ("content-length", "3")]);
        assert_eq!(kept.len(), 2, "{kept:?}");
    }
}
