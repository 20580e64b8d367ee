//! The pods of a cell: what runs in each, and what it is told.

use record::{Entry, Factors, Role, Timing};

use super::{ATTEND_PORT, GATEWAY, GATEWAY_FOLDER, SERVICE_PORT, by_gateway, entry_url};
use crate::platform::instance::instances;
use crate::{Error, Result, Shape};

/// A pod that a cell has, or several equal ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// "s3", "s3-v2" for another subset, "load", "neighbour".
    pub part: String,
    /// What it does in a trial.
    pub role: Role,
    /// The service it answers as; none but for services.
    pub service: Option<String>,
    /// The subset it answers as; none without a canary.
    pub subset: Option<String>,
    /// Whether the mesh has it.
    pub in_mesh: bool,
    /// What the program in it is told.
    pub args: Vec<String>,
}

/// The longest that a neighbour works beyond its trial, should nobody end it.
const NEIGHBOUR_GRACE_SECONDS: u64 = 600;

/// The pods of a cell, callees first, the load generators last.
///
/// # Errors
/// [`Error::Value`] when a service's name cannot be that of a Service.
pub fn workloads(factors: &Factors, shape: &Shape, timing: &Timing, generators: u32) -> Result<Vec<Workload>> {
    let mut all = Vec::new();
    for service in shape.services.iter().rev() {
        if !is_dns_label(&service.name) {
            return Err(Error::Value {
                what: format!("the service '{}'", service.name),
                problem: "a cluster knows no such name of a Service".to_owned(),
                remedy: "lower case letters, digits and '-', beginning with a letter, 50 at most".to_owned(),
            });
        }
        for instance in instances(factors, service) {
            let mut args: Vec<String> = vec!["pod".into(), "service".into(), "--port".into(), SERVICE_PORT.to_string()];
            for callee in service.callees() {
                let Some(callee) = shape.services.get(callee) else { continue };
                args.extend(["--callee".into(), format!("{}=http://{}:{SERVICE_PORT}/", callee.name, callee.name)]);
            }
            args.push("--".into());
            args.extend(instance.args(factors, shape)?);
            all.push(Workload {
                part: instance.name.clone(),
                role: Role::Service,
                service: Some(service.name.clone()),
                subset: instance.subset.map(str::to_owned),
                in_mesh: factors.meshed(),
                args,
            });
        }
    }
    if !factors.neighbour.is_none() {
        all.push(neighbour(factors, timing));
    }
    if by_gateway(factors) {
        let args = ["pod", "beside", "--record", "/work"].map(str::to_owned).to_vec();
        let part = GATEWAY.to_owned();
        all.push(Workload { part, role: Role::Gateway, service: None, subset: None, in_mesh: true, args });
    }
    all.push(load(factors, shape, timing, generators));
    Ok(all)
}

/// Someone else at work on the node of the chain.
fn neighbour(factors: &Factors, timing: &Timing) -> Workload {
    let whole_ns = timing.settle_ns + timing.warm_up_ns + timing.measure_ns + timing.cool_down_ns;
    let at_most = whole_ns / 1_000_000_000 + NEIGHBOUR_GRACE_SECONDS;
    let threads = factors.neighbour;
    let mut args: Vec<String> = ["pod", "neighbour", "--"].map(str::to_owned).to_vec();
    for (flag, value) in [
        ("--cpu", threads.cpu.to_string()),
        ("--disk", threads.disk.to_string()),
        ("--memory", threads.memory.to_string()),
        ("--dir", "/work".to_owned()),
        ("--at-most", format!("{at_most}s")),
    ] {
        args.extend([flag.to_owned(), value]);
    }
    Workload { part: "neighbour".into(), role: Role::Neighbour, service: None, subset: None, in_mesh: false, args }
}

fn load(factors: &Factors, shape: &Shape, timing: &Timing, generators: u32) -> Workload {
    let mut args: Vec<String> = vec!["pod".into(), "load".into(), "--record".into(), "/work".into()];
    for (flag, value) in [
        ("--url", entry_url(factors, shape)),
        ("--rate", factors.rate_per_second.to_string()),
        ("--connections", factors.connections.to_string()),
        ("--generators", generators.to_string()),
    ] {
        args.extend([flag.to_owned(), value]);
    }
    if by_gateway(factors) {
        args.extend(["--gateway-ca".to_owned(), format!("{GATEWAY_FOLDER}/ca.crt")]);
    }
    args.push("--".into());
    for (flag, value) in [
        ("--warm-up", format!("{}ns", timing.warm_up_ns)),
        ("--duration", format!("{}ns", timing.measure_ns)),
        ("--arrival", factors.arrival.to_string()),
        ("--pace", factors.pace.to_string()),
    ] {
        args.extend([flag.to_owned(), value]);
    }
    if !factors.keepalive {
        args.push("--no-keepalive".to_owned());
    }
    if factors.canary.is_some() {
        args.extend(["--split-by".to_owned(), crate::service::SUBSET_HEADER.to_owned()]);
    }
    let in_mesh = factors.meshed() && factors.entry == Entry::Sidecar;
    Workload { part: "load".into(), role: Role::Load, service: None, subset: None, in_mesh, args }
}

/// The ports of its container, with their names.
pub(super) fn ports(workload: &Workload) -> Vec<(&'static str, u16)> {
    match workload.role {
        Role::Service => vec![("service", SERVICE_PORT), ("attend", ATTEND_PORT)],
        _ => vec![("attend", ATTEND_PORT)],
    }
}

/// RFC 1035, with room for what is put behind a service's name.
fn is_dns_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=50).contains(&text.len())
        && text.chars().all(inner)
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
}
