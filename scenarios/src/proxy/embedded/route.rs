//! Where the requests of a connection go.

use std::rc::Rc;
use std::sync::Arc;

use super::callee::Callee;
use crate::upstream::{Meter, Upstream};

/// A pool, as the access log names it.
pub(super) struct Pool {
    pub(super) upstream: Rc<Upstream<super::inflow::Inflow>>,
    pub(super) meter: Arc<Meter>,
    /// "outbound|8080|v2|s3", "inbound|8080||".
    pub(super) cluster: Rc<str>,
}

/// Where requests go: always to the same pool, or to a subset that is drawn for each.
#[derive(Clone)]
pub(super) enum Route {
    /// A port of the service.
    App(Rc<Pool>),
    /// A service that is called.
    Callee(Rc<Callee>),
}

impl Route {
    /// The pool of one request or connection.
    pub(super) fn draw(&self) -> Option<&Rc<Pool>> {
        match self {
            Self::App(pool) => Some(pool),
            Self::Callee(callee) => callee.draw(),
        }
    }
}
