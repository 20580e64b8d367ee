//! Topologies of isotope (istio/tools), read into shapes: each field is used, noted as without effect, or refused.
//!
//! Where isotope's README and its code differ the code holds (`isotope/convert/pkg/graph`): `defaults` and not
//! `default`, `size` and not `payloadSize`.

mod field;
mod quantity;
mod script;

use std::path::Path;

use serde_saphyr::Spanned;

use self::field::entries;
use self::script::NamedStep;
use super::{Call, Service, Shape, Step};
use crate::yaml::{Document, Fault, Placed};

/// More services than this are no plan for one host.
const MOST_SERVICES: usize = 128;

/// More calls for one request than this would make its stamps longer than the response headers that proxies take.
const MOST_CALLS: f64 = 200.0;

pub(super) fn read(text: &str, origin: &str) -> crate::Result<Shape> {
    let document = Document { text, origin, form: "YAML with `services:`, a list of tables that have a `name`" };
    let whole = document.parse()?;
    topology(&whole, origin).map_err(|fault| fault.into_error(&document))
}

/// What holds for services and calls that say nothing themselves.
#[derive(Default)]
struct Defaults {
    request_bytes: Option<u64>,
    response_bytes: Option<u64>,
    error_rate: Option<f64>,
    steps: Vec<NamedStep>,
}

/// A service as it stands in the list, its callees by name.
struct Named {
    name: Spanned<String>,
    /// Where it says that it is the entry, if it is.
    entry: Option<Spanned<()>>,
    cluster: Option<Spanned<String>>,
    response_bytes: Option<u64>,
    error_rate: Option<f64>,
    steps: Vec<NamedStep>,
}

fn topology(whole: &Placed, origin: &str) -> Result<Shape, Fault> {
    const WHAT: &str = "a table with services, and perhaps defaults";
    let mut notes = Vec::new();
    let (mut defaults, mut listed) = (Defaults::default(), None);
    for (key, value) in entries(whole, WHAT)? {
        match key.value.as_str() {
            "defaults" => defaults = read_defaults(value, &mut notes)?,
            "services" => listed = Some(value),
            "apiVersion" | "kind" => {}
            "default" => return Err(Fault::at(key, "isotope itself does not read 'default'", "defaults")),
            other => return Err(Fault::at(key, format!("unknown key '{other}' at the top"), "services, defaults")),
        }
    }
    let listed = listed.ok_or_else(|| Fault::at(whole, "there are no services", "services: with a list of them"))?;
    let services = field::list(listed, "a list of services")?;
    // Before each of them takes a copy of the default script.
    if services.len() > MOST_SERVICES {
        let problem = format!("{} services are more than one host takes", services.len());
        return Err(Fault::at(listed, problem, format!("at most {MOST_SERVICES}")));
    }
    let mut named =
        services.iter().map(|service| read_service(service, &defaults, &mut notes)).collect::<Result<Vec<_>, _>>()?;
    check_names(&named)?;
    // The entry comes first; the others stay in their order.
    let entry = entry(listed, &named)?;
    named[..=entry].rotate_right(1);
    check_clusters(&named)?;
    let name = Path::new(origin).file_stem().map_or_else(|| origin.to_owned(), |s| s.to_string_lossy().into_owned());
    let shape = Shape { name, services: named.iter().map(|n| n.resolved(&named)).collect::<Result<_, _>>()?, notes };
    check_calls(&named, &shape)?;
    Ok(shape)
}

fn read_defaults(table: &Placed, notes: &mut Vec<String>) -> Result<Defaults, Fault> {
    const KNOWN: &str = "requestSize, responseSize, errorRate, script, type, numReplicas";
    let mut defaults = Defaults::default();
    for (key, value) in entries(table, "a table of defaults")? {
        match key.value.as_str() {
            "requestSize" => defaults.request_bytes = Some(field::bytes(value)?),
            "responseSize" => defaults.response_bytes = Some(field::bytes(value)?),
            "errorRate" => defaults.error_rate = Some(field::error_rate(value)?),
            "script" => defaults.steps = script::read(value)?,
            "type" => field::http(value)?,
            "numReplicas" => field::one_replica(value)?,
            "numRbacPolicies" => notes.push(policies(key)),
            other => return Err(Fault::at(key, format!("unknown key '{other}' in defaults"), KNOWN)),
        }
    }
    Ok(defaults)
}

fn read_service(table: &Placed, defaults: &Defaults, notes: &mut Vec<String>) -> Result<Named, Fault> {
    const KNOWN: &str = "name, isEntrypoint, responseSize, errorRate, script, type, numReplicas";
    let (mut name, mut entry, mut cluster, mut steps) = (None, None, None, None);
    let (mut response_bytes, mut error_rate) = (defaults.response_bytes, defaults.error_rate);
    for (key, value) in entries(table, "a table with the name of a service")? {
        match key.value.as_str() {
            "name" => name = Some(Spanned::new(field::name(value)?, value.referenced, value.defined)),
            "isEntrypoint" => {
                entry = field::truth(value)?.then(|| Spanned::new((), value.referenced, value.defined));
            }
            "responseSize" => response_bytes = Some(field::bytes(value)?),
            "errorRate" => error_rate = Some(field::error_rate(value)?),
            "script" => steps = Some(script::read(value)?),
            "type" => field::http(value)?,
            "numReplicas" => field::one_replica(value)?,
            "numRbacPolicies" => notes.push(policies(key)),
            "namespace" | "labels" => notes.push(no_effect(key, "it is Kubernetes' alone")),
            "cluster" => {
                let text = field::text(value, "a cluster's name")?.to_owned();
                cluster = Some(Spanned::new(text, value.referenced, value.defined));
                notes.push(no_effect(key, "all services are on this host"));
            }
            other => return Err(Fault::at(key, format!("unknown key '{other}' in a service"), KNOWN)),
        }
    }
    let name = name.ok_or_else(|| Fault::at(table, "a service without a name", "name: frontend"))?;
    let mut steps = steps.unwrap_or_else(|| defaults.steps.clone());
    for call in steps.iter_mut().flat_map(|step| &mut step.calls) {
        call.request_bytes = call.request_bytes.or(defaults.request_bytes);
    }
    Ok(Named { name, entry, cluster, response_bytes, error_rate, steps })
}

fn no_effect(key: &Spanned<String>, why: &str) -> String {
    format!("line {}: {} has no effect here: {why}", key.referenced.line(), key.value)
}

fn policies(key: &Spanned<String>) -> String {
    no_effect(key, "isotope no longer makes policies of it either")
}

fn check_names(named: &[Named]) -> Result<(), Fault> {
    for (at, service) in named.iter().enumerate() {
        if let Some(first) = named.iter().take(at).find(|other| other.name.value == service.name.value) {
            let problem = format!("'{}' is in line {} already", service.name.value, first.name.referenced.line());
            return Err(Fault::at(&service.name, problem, "a name of its own"));
        }
    }
    Ok(())
}

/// The one service that requests enter at.
fn entry(listed: &Placed, named: &[Named]) -> Result<usize, Fault> {
    let mut entries = named.iter().enumerate().filter_map(|(at, service)| Some((at, service.entry.as_ref()?)));
    let (first, _) = entries
        .next()
        .ok_or_else(|| Fault::at(listed, "no service is the entry", "isEntrypoint: true in one of them"))?;
    match entries.next() {
        None => Ok(first),
        Some((_, second)) => {
            let problem = "a second entry, while a load goes to one service";
            Err(Fault::at(second, problem, "isEntrypoint: true in one service only"))
        }
    }
}

fn check_clusters(named: &[Named]) -> Result<(), Fault> {
    let mut clusters = named.iter().filter_map(|service| service.cluster.as_ref());
    let Some(first) = clusters.next() else { return Ok(()) };
    match clusters.find(|cluster| cluster.value != first.value) {
        None => Ok(()),
        Some(other) => {
            let problem = format!("a second cluster, '{}', while all services are on this host", other.value);
            Err(Fault::at(other, problem, "the topology without clusters"))
        }
    }
}

impl Named {
    /// With its callees by their places.
    fn resolved(&self, all: &[Self]) -> Result<Service, Fault> {
        let call = |call: &script::NamedCall| {
            let callee = all.iter().position(|other| other.name.value == call.service.value);
            let missing = || {
                let names: Vec<&str> = all.iter().map(|other| other.name.value.as_str()).collect();
                let problem = format!("there is no service '{}'", call.service.value);
                Fault::at(&call.service, problem, format!("one of {}", names.join(", ")))
            };
            let callee = callee.ok_or_else(missing)?;
            Ok(Call { callee, request_bytes: call.request_bytes, probability: call.probability })
        };
        let step = |step: &NamedStep| {
            let calls = step.calls.iter().map(call).collect::<Result<_, _>>()?;
            Ok(Step { calls, sleep_ns: step.sleep_ns })
        };
        Ok(Service {
            name: self.name.value.clone(),
            steps: self.steps.iter().map(step).collect::<Result<_, _>>()?,
            work_us: None,
            response_bytes: self.response_bytes,
            error_rate: self.error_rate,
        })
    }
}

/// That every request ends, reaches every service, and has not too many calls.
fn check_calls(named: &[Named], shape: &Shape) -> Result<(), Fault> {
    let name = |at: &usize| named.get(*at).map_or("", |service| service.name.value.as_str());
    let reached = match shape.callees_first() {
        Ok(reached) => reached,
        Err(cycle) => {
            let way: Vec<&str> = cycle.iter().chain(cycle.first()).map(name).collect();
            let place = cycle.first().and_then(|at| named.get(*at)).map(|service| &service.name);
            let problem = format!("requests would never end: {}", way.join(" calls "));
            return place.map_or(Ok(()), |place| Err(Fault::at(place, problem, "calls without a circle")));
        }
    };
    if let Some((_, left)) = named.iter().enumerate().find(|(at, _)| !reached.contains(at)) {
        let problem = format!("no request reaches '{}'", left.name.value);
        return Err(Fault::at(&left.name, problem, "a call to it, or the topology without it"));
    }
    match named.first() {
        Some(entry) if shape.calls_at_most() > MOST_CALLS => {
            let problem = format!("a request to '{}' becomes {} calls", entry.name.value, shape.calls_at_most());
            Err(Fault::at(&entry.name, problem, format!("at most {MOST_CALLS} in all")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "isotope/tests.rs"]
mod tests;
