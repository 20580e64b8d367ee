//! What the cursor of a timeline reads out: the windows as they stand in findings.json.

use record::Reading;
use serde::Serialize;

use crate::Result;
use crate::findings::Timeline;
use crate::plot::{PLOT, Plot};

#[derive(Serialize)]
struct Cursor<'a> {
    /// Of the drawing, in its own units: how wide it is, and where the axis of time begins and ends.
    width: i32,
    from: i32,
    to: i32,
    /// The axis' end, and when each window begins, in nanoseconds.
    end: u64,
    at: &'a [u64],
    /// The name of each line, and its values in nanoseconds.
    lines: Vec<(&'static str, &'a [u64])>,
}

/// As JSON.
pub(super) fn of(timeline: &Timeline) -> Result<String> {
    let Plot { width, from, to } = PLOT;
    let lost: [(&str, &Reading<Vec<u64>>); 4] = [
        ("throttled", &timeline.throttled_ns),
        ("stolen", &timeline.steal_ns),
        ("waiting for a CPU", &timeline.run_delay_ns),
        ("disk", &timeline.disk_ns),
    ];
    let times = [("median", &timeline.p50_ns), ("p99", &timeline.p99_ns), ("longest", &timeline.max_ns)];
    let times = times.into_iter().map(|(name, values)| (name, values.as_slice()));
    let seen = lost.into_iter().filter_map(|(name, values)| Some((name, values.seen()?.as_slice())));
    let lines = times.chain(seen).collect();
    Ok(serde_json::to_string(&Cursor { width, from, to, end: timeline.end_ns, at: &timeline.at_ns, lines })?)
}
