//! What is noted of a request on its way, to be written when it is through.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hyper::body::{Body as _, Incoming};
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri, Version};
use record::monotonic_ns;

use super::Ledger;
use crate::proxy::embedded::front::{FORWARDED_FOR, REQUEST_ID};
use crate::proxy::embedded::passage::Ends;
use crate::upstream::Failure;

/// A request on its way. Dropped, it is written.
pub(in crate::proxy::embedded) struct Note {
    ledger: Rc<Ledger>,
    began_ns: u64,
    pub(super) method: Method,
    pub(super) path: Uri,
    pub(super) version: Version,
    pub(super) status: u16,
    /// Envoy's RESPONSE_FLAGS: "-", "UF" for no connection, "UC" for one that ended, "DC" for a caller that went away.
    pub(super) flags: &'static str,
    pub(super) details: &'static str,
    /// Why TLS with the upstream failed.
    pub(super) trouble: Option<String>,
    received: Received,
    pub(super) sent_bytes: u64,
    /// The whole body was sent.
    whole: bool,
    pub(super) waited_ns: Option<u64>,
    pub(super) forwarded_for: Option<HeaderValue>,
    pub(super) user_agent: Option<HeaderValue>,
    pub(super) request_id: Option<HeaderValue>,
    pub(super) authority: Option<HeaderValue>,
    pub(super) host: Option<SocketAddr>,
    pub(super) local: Option<SocketAddr>,
    pub(super) cluster: Option<Rc<str>>,
    pub(super) ends: Ends,
}

/// Bytes of a request's body.
enum Received {
    /// So many were announced.
    Announced(u64),
    /// So many came.
    Counted(Arc<AtomicU64>),
}

impl Note {
    /// Opens one, with what counts the body of the request where nothing announces its length.
    pub(in crate::proxy::embedded) fn open(
        ledger: &Rc<Ledger>,
        request: &Request<Incoming>,
        version: Version,
        ends: Ends,
    ) -> (Box<Self>, Option<Arc<AtomicU64>>) {
        let header = |name: &HeaderName| request.headers().get(name).cloned();
        let announced = request.body().size_hint().exact();
        let count = announced.is_none().then(Arc::default);
        let received = match &count {
            Some(count) => Received::Counted(Arc::clone(count)),
            None => Received::Announced(announced.unwrap_or_default()),
        };
        let note = Self {
            ledger: Rc::clone(ledger),
            began_ns: monotonic_ns(),
            method: request.method().clone(),
            path: request.uri().clone(),
            version,
            status: 0,
            flags: "-",
            details: "via_upstream",
            trouble: None,
            received,
            sent_bytes: 0,
            whole: false,
            waited_ns: None,
            forwarded_for: header(&FORWARDED_FOR),
            user_agent: header(&USER_AGENT),
            request_id: header(&REQUEST_ID),
            authority: header(&HOST),
            host: None,
            local: None,
            cluster: None,
            ends,
        };
        (Box::new(note), count)
    }

    /// A response has come.
    pub(in crate::proxy::embedded) fn answered(&mut self, status: u16, local: Option<SocketAddr>) {
        self.status = status;
        self.waited_ns = Some(monotonic_ns() - self.began_ns);
        self.local = local;
    }

    /// No response came, and one of our own goes out.
    pub(in crate::proxy::embedded) fn refused(&mut self, status: u16, failure: Option<&Failure>) {
        self.status = status;
        (self.flags, self.details) = match failure {
            None => ("-", "direct_response"),
            Some(Failure::Connect { .. } | Failure::Handshake { .. }) => {
                ("UF", "upstream_reset_before_response_started{connection_failure}")
            }
            Some(Failure::Exchange { .. }) => ("UC", "upstream_reset_before_response_started{connection_termination}"),
        };
        if let Some(failure @ Failure::Handshake { .. }) = failure {
            self.trouble = Some(failure.to_string());
        }
    }

    /// So much of the body was sent.
    pub(in crate::proxy::embedded) fn sent(&mut self, bytes: usize) {
        self.sent_bytes += bytes as u64;
    }

    /// The body is at its end.
    pub(in crate::proxy::embedded) fn through(&mut self) {
        self.whole = true;
    }

    /// Where it was sent.
    pub(in crate::proxy::embedded) fn routed(&mut self, cluster: &Rc<str>, host: SocketAddr) {
        self.cluster = Some(Rc::clone(cluster));
        self.host = Some(host);
    }

    pub(super) fn began_ns(&self) -> u64 {
        self.began_ns
    }

    pub(super) fn lasted_ms(&self) -> u64 {
        (monotonic_ns() - self.began_ns) / 1_000_000
    }

    pub(super) fn received_bytes(&self) -> u64 {
        match &self.received {
            Received::Announced(bytes) => *bytes,
            Received::Counted(bytes) => bytes.load(Relaxed),
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if !self.whole {
            self.flags = if self.status == 0 || self.flags == "-" { "DC" } else { self.flags };
            self.details = if self.flags == "DC" { "downstream_remote_disconnect" } else { self.details };
        }
        let ledger = Rc::clone(&self.ledger);
        ledger.enter(self);
    }
}
