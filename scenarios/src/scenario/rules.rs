//! The range of each field; the same rule holds for a file and for the command line.

use record::{CpuQuantity, MemoryQuantity, WorkerRule};

use super::change::Change;
use super::field::{Fault, Field};
use super::length::Length;

type Checked = Result<(), Fault>;

fn within<T: PartialOrd + std::fmt::Display>(value: T, low: T, high: T, why: &str) -> Checked {
    if value >= low && value <= high {
        return Ok(());
    }
    Err(Fault::new(format!("{value} is out of range"), format!("a number from {low} to {high}{why}")))
}

/// Any value of the type.
pub(super) fn any<T>(_: &T) -> Checked {
    Ok(())
}

pub(super) fn services(value: &u32) -> Checked {
    within(*value, 1, 50, "; with sidecars, 50 services are 101 processes")
}

pub(super) fn work_us(value: &u64) -> Checked {
    within(*value, 0, 10_000_000, " microseconds")
}

pub(super) fn response_bytes(value: &u64) -> Checked {
    within(*value, 0, 64 << 20, "; a service keeps its whole response in memory")
}

pub(super) fn rate(value: &f64) -> Checked {
    if value.is_finite() && *value > 0.0 && *value <= 1_000_000.0 {
        return Ok(());
    }
    Err(Fault::new(
        format!("{value} is out of range"),
        "requests per second: more than 0 and at most 1000000, such as 500",
    ))
}

pub(super) fn connections(value: &u32) -> Checked {
    within(*value, 1, 10_000, "")
}

pub(super) fn workers(value: &WorkerRule) -> Checked {
    match value {
        WorkerRule::Fixed(threads) => {
            within(*threads, 1, 128, "; 2 is what Istio makes of its default limit of two cores")
        }
        WorkerRule::Istio | WorkerRule::Envoy | WorkerRule::Linkerd => Ok(()),
    }
}

pub(super) fn retries(value: &u32) -> Checked {
    within(*value, 0, 10, "; Istio adds 2 tries by default")
}

/// With less a proxy cannot even begin.
const LEAST_MEMORY: u64 = 4 << 20;

pub(super) fn memory_limit(value: &Option<MemoryQuantity>) -> Checked {
    match value {
        Some(limit) if limit.bytes() < LEAST_MEMORY => {
            Err(Fault::new(format!("{limit} is out of range"), "\"none\", or a limit of at least \"4Mi\""))
        }
        _ => Ok(()),
    }
}

pub(super) fn share(value: &f64) -> Checked {
    within(*value, 0.0, 1.0, ", the share of requests that fail: 0.05 is one of twenty")
}

/// The name of a service, or none for the last one.
pub(super) fn service(value: &String) -> Checked {
    if value.is_empty() { Ok(()) } else { name(value) }
}

#[allow(clippy::ptr_arg)] // a rule takes the type of its field
pub(super) fn shift(value: &Vec<Change>) -> Checked {
    if value.windows(2).all(|two| two[0].at.ns < two[1].at.ns) {
        return Ok(());
    }
    Err(Fault::new("the changes are not in the order of time", "each later than the one before"))
}

/// A length of its own, or 0 for never.
fn every(value: &Length, least_ms: u64) -> Checked {
    if value.ns == 0 || value.ns >= least_ms * 1_000_000 {
        return phase(value);
    }
    Err(Fault::new(
        format!("{} is too often", value.write()),
        format!("\"0s\" for never, or \"{least_ms}ms\" and more"),
    ))
}

pub(super) const LEAST_ROTATE_MS: u64 = 200;
pub(super) const LEAST_SCRAPE_MS: u64 = 100;

pub(super) fn rotate(value: &Length) -> Checked {
    every(value, LEAST_ROTATE_MS)
}

pub(super) fn scrape(value: &Length) -> Checked {
    every(value, LEAST_SCRAPE_MS)
}

pub(super) fn log_flush(value: &Length) -> Checked {
    if (1_000_000..=HOUR_NS).contains(&value.ns) && value.ns.is_multiple_of(1_000_000) {
        return Ok(());
    }
    Err(Fault::new(
        format!("{} is out of range", value.write()),
        "whole milliseconds from \"1ms\" to \"3600s\"; Istio has 1s",
    ))
}

pub(super) fn log_flush_kb(value: &u32) -> Checked {
    within(*value, 1, 1 << 20, " units of 1024 bytes; Envoy has 64")
}

/// The kernel's least quota is a millisecond of a period of a hundred.
pub(super) fn cpu_limit(value: &Option<CpuQuantity>) -> Checked {
    match value {
        Some(limit) if limit.millicores() < 10 || limit.millicores() > 1_024_000 => {
            Err(Fault::new(format!("{limit} is out of range"), "\"none\", or a limit from \"10m\" to \"1024\" cores"))
        }
        _ => Ok(()),
    }
}

const HOUR_NS: u64 = 3_600_000_000_000;

pub(super) fn phase(value: &Length) -> Checked {
    if value.ns <= HOUR_NS {
        return Ok(());
    }
    Err(Fault::new(format!("{} is too long", value.write()), "at most an hour, \"3600s\""))
}

pub(super) fn measure(value: &Length) -> Checked {
    if value.ns < record::INTERVAL_NS {
        return Err(Fault::new(
            format!("{} is too short to measure anything", value.write()),
            "at least one interval, \"100ms\"; \"10s\" or more for figures that hold",
        ));
    }
    phase(value)
}

pub(super) fn repeats(value: &u32) -> Checked {
    within(*value, 1, 1_000, "; 5 or more give an interval worth printing")
}

pub(super) fn seed(value: &u64) -> Checked {
    // A whole number in TOML has 63 bits and a sign.
    within(*value, 0, i64::MAX as u64, "")
}

pub(super) fn level(value: &f64) -> Checked {
    if *value >= 0.5 && *value < 1.0 {
        return Ok(());
    }
    Err(Fault::new(format!("{value} is out of range"), "the level of the intervals, from 0.5 to below 1, such as 0.95"))
}

pub(super) fn name(value: &String) -> Checked {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !value.is_empty() && value.len() <= 60 && value.chars().all(allowed) {
        return Ok(());
    }
    Err(Fault::new(
        format!("\"{value}\" cannot be a name"),
        "1 to 60 letters, digits, '-', '_' or '.', since it stands in paths and pages",
    ))
}
