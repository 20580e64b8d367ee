//! A script made ready to be run: callees by their places, bodies made.

use std::sync::Arc;

use bytes::Bytes;

use super::script::{Script, ScriptCall, ScriptStep};

/// Whom a service calls.
pub(super) enum Plan {
    /// The next service of a chain, once it is named.
    Next {
        /// Until then requests are answered with 503, and not as by the last service of a chain.
        expected: bool,
    },
    /// Those of a script.
    Script {
        steps: Vec<PlannedStep>,
        /// The body that came in is passed on, as there is one call and nothing is said of its size.
        forwards: bool,
    },
}

pub(super) struct PlannedStep {
    pub(super) calls: Vec<PlannedCall>,
    pub(super) sleep_ns: u64,
}

pub(super) struct PlannedCall {
    /// The callee's place.
    pub(super) callee: usize,
    pub(super) body: Option<Bytes>,
    pub(super) probability: f64,
}

/// What the one callee is called that has no name of its own.
const NEXT: &str = "next hop";

impl Plan {
    /// The plan of a script, or without one that of a chain; and the callees' names.
    pub(super) fn new(script: &Script, expects_next: bool) -> (Self, Vec<Arc<str>>) {
        if script.0.is_empty() {
            return (Self::Next { expected: expects_next }, vec![NEXT.into()]);
        }
        let names = script.callees();
        let body = |bytes: u64| (bytes > 0).then(|| Bytes::from(vec![b'x'; bytes as usize]));
        let call = |call: &ScriptCall| {
            let callee = names.iter().position(|name| *name == call.service)?;
            let body = call.request_bytes.and_then(body);
            Some(PlannedCall { callee, body, probability: call.probability })
        };
        let step = |step: &ScriptStep| PlannedStep {
            calls: step.calls.iter().filter_map(call).collect(),
            sleep_ns: step.sleep_ns,
        };
        let calls: Vec<&ScriptCall> = script.0.iter().flat_map(|step| &step.calls).collect();
        let forwards = matches!(calls.as_slice(), [only] if only.request_bytes.is_none());
        let steps = script.0.iter().map(step).collect();
        (Self::Script { steps, forwards }, names.into_iter().map(Into::into).collect())
    }
}
