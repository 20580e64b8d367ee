//! A chain is ready when a request through all of it was answered by every service of it.

use std::time::Duration;

use record::HopStamps;

use crate::deployment::Deployment;
use crate::ready::{Deadline, until};
use crate::{Error, Result, Shape};

/// Waits until a request through the whole chain is answered by every service of it.
pub(super) fn answers(deployment: &Deployment, shape: &Shape, patience: Duration) -> Result<()> {
    let Some(first) = deployment.nodes().next() else {
        return Err(Error::Config { part: shape.name.clone(), problem: "it has no services".into() });
    };
    let expected = shape.visits();
    // A service that is to fail some requests, and a call that is not always made, may leave out the ones behind.
    let whole = |names: &[&str]| names == expected.as_slice() || (deployment.may_fall_short() && !names.is_empty());
    let deadline = Deadline::after(patience);
    let mut last = String::new();
    let found = until(&first.part, "an answer", &deadline, || {
        deployment.check_alive()?;
        last = match deployment.ask(&[], deadline.left().max(Duration::from_millis(100))) {
            Err(e) => e.to_string(),
            Ok(answer) => {
                let hops = HopStamps::from_header(answer.header(HopStamps::HEADER).unwrap_or_default());
                let names: Vec<&str> = hops.iter().map(|h| h.service.as_str()).collect();
                if answer.status == 200 && whole(&names) {
                    return Ok(Some(()));
                }
                format!("status {} by way of [{}]", answer.status, names.join(", "))
            }
        };
        Ok(None)
    });
    found.map_err(|e| match e {
        Error::NotReady { part, seconds, log, .. } => {
            let way = expected.join(", ");
            let waited_for = format!("an answer from {} by way of {way} (last: {last})", deployment.entry_url());
            Error::NotReady { part, waited_for, seconds, log }
        }
        other => other,
    })
}
