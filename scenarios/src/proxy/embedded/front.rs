//! What a gateway adds to the requests of clients outside of the mesh, as Envoy does at the edge.

use std::net::SocketAddr;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The client of one connection.
pub(super) struct Front {
    client: HeaderValue,
}

impl Front {
    pub(super) fn of(client: SocketAddr) -> Option<Self> {
        HeaderValue::try_from(client.ip().to_string()).ok().map(|client| Self { client })
    }

    /// Says who asked and how, and gives the request an id if it has none.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        let before = headers.get(FORWARDED_FOR).map(HeaderValue::as_bytes);
        let client = match before {
            None => Some(self.client.clone()),
            Some(before) => HeaderValue::from_bytes(&[before, b",", self.client.as_bytes()].concat()).ok(),
        };
        if let Some(client) = client {
            headers.insert(FORWARDED_FOR, client);
        }
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
        if !headers.contains_key(REQUEST_ID)
            && let Ok(id) = HeaderValue::try_from(uuid(rand::random()))
        {
            headers.insert(REQUEST_ID, id);
        }
    }
}

/// A random number as a UUID of version 4 (RFC 9562, section 5.4).
fn uuid(random: u128) -> String {
    let fixed = random & !(0xf000_u128 << 64) & !(0xc000_u128 << 48) | (0x4000_u128 << 64) | (0x8000_u128 << 48);
    let part = |shift: u32, bits: u32| (fixed >> shift) & ((1 << bits) - 1);
    format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", part(96, 32), part(80, 16), part(64, 16), part(48, 16), part(0, 48))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_of_version_four() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid(0x1234_5678_9abc_def0_1122_3344_5566_7788), "12345678-9abc-4ef0-9122-334455667788");
    }

    #[test]
    fn a_request_is_marked_and_keeps_what_was_said_before() {
        let front = Front::of(([10, 77, 0, 1], 4711).into()).unwrap();
        let mut headers = HeaderMap::new();
        front.mark(&mut headers);
        assert_eq!(
            (&headers[FORWARDED_FOR], &headers[FORWARDED_PROTO]),
            (&"10.77.0.1".parse().unwrap(), &"https".parse().unwrap())
        );
        let id = headers[REQUEST_ID].clone();
        assert_eq!(id.len(), 36);
        front.mark(&mut headers);
        assert_eq!((&headers[FORWARDED_FOR], &headers[REQUEST_ID]), (&"10.77.0.1,10.77.0.1".parse().unwrap(), &id));
    }
}
