//! A service's script: `sleep` and `call`, one after another, or at once where they are in a list of their own.

use serde_saphyr::Spanned;

use super::field::{bytes, entries, list, sleep_ns, text, whole};
use crate::yaml::{Fault, Placed, Value};

/// A step whose callees are known by name and place.
#[derive(Clone, Debug, Default)]
pub(super) struct NamedStep {
    pub(super) calls: Vec<NamedCall>,
    pub(super) sleep_ns: u64,
}

#[derive(Clone, Debug)]
pub(super) struct NamedCall {
    pub(super) service: Spanned<String>,
    pub(super) request_bytes: Option<u64>,
    pub(super) probability: f64,
}

pub(super) fn read(script: &Placed) -> Result<Vec<NamedStep>, Fault> {
    list(script, "a list of `- call: NAME` and `- sleep: 10ms`")?.iter().map(step).collect()
}

fn step(step: &Placed) -> Result<NamedStep, Fault> {
    let mut all = NamedStep::default();
    match &step.value {
        Value::List(at_once) => at_once.iter().try_for_each(|one| command(&mut all, one))?,
        _ => command(&mut all, step)?,
    }
    Ok(all)
}

fn command(step: &mut NamedStep, command: &Placed) -> Result<(), Fault> {
    const WHAT: &str = "call: NAME, or sleep: 10ms";
    if let Value::List(_) = command.value {
        let problem = "a list within a list of what is done at once; isotope has one level of these";
        return Err(Fault::at(command, problem, WHAT));
    }
    let mut entries = entries(command, WHAT)?;
    let Some((key, value)) = entries.next() else { return Err(Fault::expected(WHAT, command)) };
    if let Some((second, _)) = entries.next() {
        let problem = format!("'{}' and '{}' in one command", key.value, second.value);
        return Err(Fault::at(second, problem, "a list item for each"));
    }
    match key.value.as_str() {
        // Sleeps that run at once are over with the longest.
        "sleep" => step.sleep_ns = step.sleep_ns.max(sleep_ns(value)?),
        "call" => step.calls.push(call(value)?),
        other => return Err(Fault::at(key, format!("unknown command '{other}'"), WHAT)),
    }
    Ok(())
}

fn call(value: &Placed) -> Result<NamedCall, Fault> {
    if let Value::Text(service) = &value.value {
        let service = Spanned::new(service.clone(), value.referenced, value.defined);
        return Ok(NamedCall { service, request_bytes: None, probability: 1.0 });
    }
    const WHAT: &str = "a service's name, or a table with service, size, probability";
    let (mut service, mut hostname) = (None, None);
    let (mut request_bytes, mut probability) = (None, 1.0);
    for (key, value) in entries(value, WHAT)? {
        match key.value.as_str() {
            "service" => {
                let name = text(value, "a service's name")?.to_owned();
                service = Some(Spanned::new(name, value.referenced, value.defined));
            }
            "size" => request_bytes = Some(bytes(value)?),
            "probability" => {
                // As in isotope, where 0 is as if nothing were said.
                let percent = whole(value, 100, "a whole number of percent from 1 to 100")?;
                probability = if percent == 0 { 1.0 } else { percent as f64 / 100.0 };
            }
            "hostname" => hostname = Some((value, text(value, "a host name")?)),
            "payloadSize" => return Err(Fault::at(key, "isotope itself does not read payloadSize", "size")),
            "extra-header" => {
                let problem = "the calls of a service carry no headers of a topology's own here";
                return Err(Fault::at(key, problem, "the topology without it"));
            }
            other => {
                let problem = format!("unknown key '{other}' in a call");
                return Err(Fault::at(key, problem, "service, size, probability"));
            }
        }
    }
    let service = service.ok_or_else(|| Fault::at(value, "a call without a service", "service: NAME"))?;
    if let Some((place, hostname)) = hostname {
        // Where a name leads is the deployment's; one that leads elsewhere would be another call.
        let label = hostname.split(['.', ':']).next().unwrap_or_default();
        if label != service.value {
            let problem = format!("the host '{hostname}' is not the service '{}'", service.value);
            return Err(Fault::at(place, problem, "the topology without the hostname"));
        }
    }
    Ok(NamedCall { service, request_bytes, probability })
}
