//! The kinds of value that stand in a topology, each read from its place.

use super::quantity;
use crate::yaml::{Fault, Placed, Value};
use serde_saphyr::Spanned;

/// The entries of a table that say something: `key:` with nothing after it is as if it were not there.
pub(super) fn entries<'a>(
    table: &'a Placed,
    what: &str,
) -> Result<impl Iterator<Item = (&'a Spanned<String>, &'a Placed)> + use<'a>, Fault> {
    match &table.value {
        Value::Table(entries) => {
            Ok(entries.iter().map(|(key, value)| (key, value)).filter(|(_, value)| value.value != Value::Nothing))
        }
        _ => Err(Fault::expected(what, table)),
    }
}

pub(super) fn list<'a>(value: &'a Placed, what: &str) -> Result<&'a [Placed], Fault> {
    match &value.value {
        Value::List(list) => Ok(list),
        _ => Err(Fault::expected(what, value)),
    }
}

pub(super) fn text<'a>(value: &'a Placed, what: &str) -> Result<&'a str, Fault> {
    match &value.value {
        Value::Text(text) => Ok(text),
        _ => Err(Fault::expected(what, value)),
    }
}

pub(super) fn truth(value: &Placed) -> Result<bool, Fault> {
    match &value.value {
        Value::Truth(truth) => Ok(*truth),
        _ => Err(Fault::expected("true or false", value)),
    }
}

/// A whole number within bounds.
pub(super) fn whole(value: &Placed, most: u64, what: &str) -> Result<u64, Fault> {
    match &value.value {
        Value::Number(n) if n.fract() == 0.0 && *n >= 0.0 && *n <= most as f64 => Ok(*n as u64),
        _ => Err(Fault::expected(what, value)),
    }
}

/// The largest body: it is kept in memory whole.
const MOST_BYTES: u64 = 1 << 30;

pub(super) fn bytes(value: &Placed) -> Result<u64, Fault> {
    let bytes = match &value.value {
        Value::Text(text) => quantity::bytes(text),
        Value::Number(n) if n.fract() == 0.0 && *n >= 0.0 => Some(*n as u64),
        _ => None,
    };
    bytes
        .filter(|bytes| *bytes <= MOST_BYTES)
        .ok_or_else(|| Fault::expected("a size up to 1 GiB, such as 16 KiB", value))
}

pub(super) fn error_rate(value: &Placed) -> Result<f64, Fault> {
    let share = match &value.value {
        Value::Text(text) => quantity::share(text),
        Value::Number(n) => Some(*n).filter(|n| (0.0..=1.0).contains(n)),
        _ => None,
    };
    share.ok_or_else(|| Fault::expected("a share such as 10% or 0.1", value))
}

pub(super) fn sleep_ns(value: &Placed) -> Result<u64, Fault> {
    let duration = match &value.value {
        Value::Text(text) => quantity::nanoseconds(text),
        _ => None,
    };
    duration.ok_or_else(|| Fault::expected("a duration such as 10ms", value))
}

/// HTTP is the one protocol the services speak to one another.
pub(super) fn http(value: &Placed) -> Result<(), Fault> {
    match text(value, "http")? {
        "http" => Ok(()),
        "grpc" => Err(Fault::at(value, "services call one another over HTTP here, and not over gRPC", "type: http")),
        _ => Err(Fault::expected("http", value)),
    }
}

pub(super) fn one_replica(value: &Placed) -> Result<(), Fault> {
    match whole(value, i32::MAX as u64, "a number of replicas")? {
        1 => Ok(()),
        n => {
            let problem = format!("{n} replicas: each service is one process here, with one sidecar");
            Err(Fault::at(value, problem, "numReplicas: 1"))
        }
    }
}

/// A DNS label (RFC 1123), as Kubernetes asks of a service's name.
pub(super) fn name(value: &Placed) -> Result<String, Fault> {
    let name = text(value, "a name such as frontend")?;
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let fit =
        (1..=63).contains(&name.len()) && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-');
    if !fit {
        let remedy = "at most 63 of a to z, 0 to 9 and -, such as frontend-2";
        return Err(Fault::at(value, format!("'{name}' is no name of a service"), remedy));
    }
    if ["client", "entry", "gateway"].contains(&name) {
        return Err(Fault::at(
            value,
            format!("'{name}' is what a part of the deployment is called"),
            format!("{name}-service"),
        ));
    }
    Ok(name.to_owned())
}
