//! A history for a terminal: for each series a line of bars, its changes, and its latest runs.

use std::fmt::Write as _;

use record::Reading;
use record::plain::line as plain;

use super::spark;
use super::{Change, Followed, History, Point, Series};
use crate::figure;

/// The text, as wide as told; of each series the `last` runs are listed, or all.
pub fn text(history: &History, width: usize, last: Option<usize>) -> String {
    let followed = history.metric;
    let mut page = format!(
        "meshtax: history of {} ({}), {} runs in {}\n",
        history.words,
        followed.shown_in().0,
        history.runs,
        plain(&history.folder)
    );
    if history.series.len() > 1 {
        page.push_str(
            "  Another machine, method, scenario, length of trials or cell is another series; two are not compared.\n",
        );
    }
    for left_out in &history.left_out {
        let reason = left_out.reason.lines().next().unwrap_or_default();
        let _ = writeln!(page, "  left out: {}: {}", plain(&left_out.path), plain(reason));
    }
    for series in &history.series {
        page.push('\n');
        one(&mut page, series, followed, width, last);
    }
    page
}

fn one(page: &mut String, series: &Series, followed: Followed, width: usize, last: Option<usize>) {
    let (unit, factor) = followed.shown_in();
    let _ = writeln!(page, "{}: {}, {} runs", plain(&series.scenario), plain(&series.cell), series.points.len());
    let trials = series.measure_ns.map_or_else(String::new, |ns| format!(", trials of {}", figure::seconds(ns)));
    let _ = writeln!(page, "  on {}{trials}, method {}", plain(&series.host), series.method);
    let values: Vec<Option<f64>> = series.points.iter().map(|p| p.figure.seen().map(|e| e.value)).collect();
    let marks: Vec<usize> = series.changes.iter().map(|change| change.at).collect();
    let (bars, beneath) = spark::line(&values, &marks, width.saturating_sub(30).clamp(20, 100));
    let seen = values.iter().flatten();
    let (low, high) = seen.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    if low <= high {
        let _ =
            writeln!(page, "  {bars}  {} to {} {unit}", figure::digits(low * factor), figure::digits(high * factor));
    }
    if !beneath.is_empty() {
        let _ = writeln!(page, "  {beneath}");
    }
    match &series.not_searched {
        Some(reason) => {
            let _ = writeln!(page, "  no change looked for: {reason}");
        }
        None if series.changes.is_empty() => page.push_str("  no change of level\n"),
        None => {}
    }
    for change in &series.changes {
        page.push_str(&said(change, series, followed));
    }
    table(page, series, followed, last);
}

/// What a change is: "worse, +10.2 %: 1.00 -> 1.10 ms (p 0.001)".
pub(super) fn sentence(change: &Change, followed: Followed) -> String {
    let (unit, factor) = followed.shown_in();
    let by = change.ratio.map_or_else(String::new, |ratio| format!(", {:+.1} %", (ratio - 1.0) * 100.0));
    let worse = (change.after > change.before) == followed.smaller_is_better();
    format!(
        "{}{by}: {} -> {} {unit} (p {})",
        if worse { "worse" } else { "better" },
        figure::digits(change.before * factor),
        figure::digits(change.after * factor),
        figure::digits(change.p),
    )
}

/// A change with its runs and commits.
fn said(change: &Change, series: &Series, followed: Followed) -> String {
    let at = series.points.get(change.at).and_then(Point::name).unwrap_or(&change.run);
    let mut text = format!("  {}, at {}\n", sentence(change, followed), plain(at));
    let _ = writeln!(text, "    after {} and not after {}", plain(&change.last_before), plain(&change.first_after));
    match &change.commits {
        Some([old, new]) if old == new => text.push_str("    one commit throughout: what changed is not in it\n"),
        Some([old, new]) => {
            let _ = writeln!(text, "    commits: git log {}..{}", plain(old), plain(new));
        }
        None => text.push_str("    commits: not known of these runs; see --commit of meshtax run\n"),
    }
    for changed in &change.meanwhile {
        let _ = writeln!(text, "    meanwhile {}", plain(changed));
    }
    text
}

fn table(page: &mut String, series: &Series, followed: Followed, last: Option<usize>) {
    let (unit, factor) = followed.shown_in();
    let skipped = last.map_or(0, |last| series.points.len().saturating_sub(last));
    let _ = writeln!(page, "  {:<20}  {:<24}  {:<14}  {} {unit}", "begun", "run", "commit", followed);
    if skipped > 0 {
        let _ = writeln!(page, "  ... {skipped} earlier runs (--last all lists them)");
    }
    for (at, point) in series.points.iter().enumerate().skip(skipped) {
        let shown = match &point.figure {
            Reading::Seen(e) => figure::with_interval(e, factor),
            Reading::Absent { absent } => format!("n/a ({})", plain(absent)),
        };
        let mark = if series.changes.iter().any(|change| change.at == at) { '^' } else { ' ' };
        let cut = if point.cut_off { "  cut off" } else { "" };
        let _ = writeln!(
            page,
            "{mark} {:<20}  {:<24}  {:<14}  {shown}{cut}",
            plain(&point.started),
            plain(&point.run),
            plain(point.name().unwrap_or("-"))
        );
    }
}
