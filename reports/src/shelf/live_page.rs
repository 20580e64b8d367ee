//! The page that follows a run: whole as it is served, and renewed by the script.

use std::path::Path;

use minijinja::context;
use record::{Quantiles, Reading};

use super::Row;
use super::list::render;
use crate::live::{MachineNow, RequestsNow, RunNow};
use crate::{Result, figure};

/// How a run stands, as a page that goes on by itself where scripts run.
///
/// # Errors
/// When the page cannot be made.
pub fn page(folder: &Path, row: &Row, now: &RunNow) -> Result<String> {
    let rows = [
        ("second", "last second", now.now.last_second.as_ref()),
        ("sofar", "measured so far", now.now.so_far.as_ref()),
    ];
    let context = context! {
        title => format!("{}, being made: meshtax", row.scenario),
        folder => folder.display().to_string(),
        name => row.name.as_str(),
        address => row.name.in_address(),
        scenario => row.scenario,
        started => row.started,
        host => row.host,
        trial => trial(now),
        sealed => now.sealed,
        planned => now.planned,
        left => left(now.left_ns),
        figures => rows.map(|(key, words, requests)| (key, words, figures(requests))),
        machine => machine(now),
    };
    render("live.html", include_str!("live.html"), context)
}

fn trial(now: &RunNow) -> String {
    match &now.trial {
        Some(trial) => {
            let phase = now.now.phase.map_or("start", |phase| phase.word());
            format!("Trial {} of {}: {}, {phase}", trial.number, now.planned, trial.label)
        }
        None if now.sealed == now.planned => "All trials are made; their report is being written".to_owned(),
        None => "Between two trials".to_owned(),
    }
}

fn left(left_ns: u64) -> String {
    let s = left_ns.div_ceil(1_000_000_000);
    match s {
        0..120 => format!("{s} s"),
        120..7200 => format!("{} min", s.div_ceil(60)),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// The fields of a row by their names, which the script knows too.
fn figures(requests: Option<&RequestsNow>) -> [(&'static str, String); 6] {
    let none = || "–".to_owned();
    let Some(RequestsNow { length_ns: _, due_per_second, answered_per_second, errors, response_ns }) = requests else {
        return ["p50", "p99", "max", "answered", "due", "errors"].map(|field| (field, none()));
    };
    let ms = |of: fn(&Quantiles) -> u64| response_ns.as_ref().map_or_else(none, |q| figure::digits(of(q) as f64 / 1e6));
    [
        ("p50", ms(|q| q.p50)),
        ("p99", ms(|q| q.p99)),
        ("max", ms(|q| q.max)),
        ("answered", format!("{answered_per_second:.0}")),
        ("due", format!("{due_per_second:.0}")),
        ("errors", errors.to_string()),
    ]
}

/// Each figure of the machine: its key, its words, what it says, and why it says nothing.
fn machine(now: &RunNow) -> [(&'static str, &'static str, String, String); 4] {
    let of = |key, words, pick: fn(&MachineNow) -> &Reading<f64>, show: fn(f64) -> String| match &now.now.machine {
        None => (key, words, "–".to_owned(), String::new()),
        Some(machine) => match pick(machine) {
            Reading::Seen(value) => (key, words, show(*value), String::new()),
            Reading::Absent { absent } => (key, words, "n/a".to_owned(), absent.clone()),
        },
    };
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    [
        of("busy", "CPU in use", |m| &m.cpu_busy_share, percent),
        of("steal", "CPU stolen", |m| &m.steal_share, percent),
        of("cores", "proxies, cores in use", |m| &m.proxy_cores, |cores| format!("{cores:.2}")),
        of("throttled", "proxies, periods throttled", |m| &m.proxy_throttled_share, percent),
    ]
}
