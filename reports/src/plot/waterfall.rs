//! One slow request as a waterfall: a row for each service, in it when the request was on the way, there, or further on.

use plotters::prelude::*;

use super::axis::Marked;
use super::{Area, Drawn, INK, LATE, OWN, Sheet, WAY, short_ms, styled, text_style};
use crate::Result;
use crate::findings::{SlowestHop, SlowestRequest};

const LEFT: i32 = 150;
const WIDTH: i32 = 960;
const ROW: i32 = 24;
const BAR: i32 = 14;
const AXIS: i32 = 44;
const RIGHT: i32 = 24;

/// Services beyond these are left out of the drawing; they are in the table.
pub(crate) const ROWS: usize = 40;

/// A stretch of a request's time, in nanoseconds since it was due.
type Stretch = (u64, u64);

/// What a service had to itself: its time without that of its calls, from when it called to when it had the answer.
fn own(hops: &[SlowestHop], at: usize) -> Vec<Stretch> {
    let Some(hop) = hops.get(at) else { return Vec::new() };
    let calls = hops.iter().filter(|callee| callee.caller == Some(at));
    let mut calls: Vec<Stretch> =
        calls.map(|c| (c.received_ns.saturating_sub(c.there_ns), c.answered_ns + c.back_ns)).collect();
    calls.sort_unstable();
    let mut free = hop.received_ns;
    let mut stretches = Vec::new();
    for (from, to) in calls {
        if from > free {
            stretches.push((free, from));
        }
        free = free.max(to);
    }
    if hop.answered_ns > free {
        stretches.push((free, hop.answered_ns));
    }
    stretches
}

/// How deep a service is in the calls, from 0.
pub(crate) fn depth(hops: &[SlowestHop], at: usize) -> usize {
    let mut depth = 0;
    let mut here = hops.get(at).and_then(|hop| hop.caller);
    while let Some(caller) = here.filter(|_| depth < hops.len()) {
        depth += 1;
        here = hops.get(caller).and_then(|hop| hop.caller);
    }
    depth
}

/// The name of a row, indented by who called whom.
fn label(hops: &[SlowestHop], at: usize) -> String {
    const MOST: usize = 18;
    // A no-break space: the drawing collapses others.
    let indent = "\u{a0}\u{a0}".repeat(depth(hops, at).min(6));
    let name = hops.get(at).map_or("", |hop| hop.service.as_str());
    let text = format!("{indent}{name}");
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST - 1).chain(['…']).collect() }
}

/// A chart of one request.
pub(crate) fn waterfall(of: &SlowestRequest) -> Result<String> {
    let rows = of.hops.len().min(ROWS) as i32 + 1;
    let sheet = Sheet { chart: "waterfall", width: WIDTH as u32, height: (rows * ROW + 12 + AXIS) as u32 };
    let alt =
        "A slow request, a row for each service that it passed: when it was on the way, in the service, or further on";
    sheet.draw(alt, |area| {
        let (bars, axis) = area.split_vertically(rows * ROW + 12);
        draw_bars(&bars, of)?;
        time_axis(&axis, of)
    })
}

fn draw_bars(area: &Area<'_>, of: &SlowestRequest) -> Drawn {
    let room = f64::from(WIDTH - LEFT - RIGHT);
    let place = |ns: u64| LEFT + (room * (ns as f64 / of.response_ns.max(1) as f64).clamp(0.0, 1.0)) as i32;
    let bar = |row: usize, (from, to): Stretch, style: ShapeStyle, inset: i32| -> Drawn {
        let top = row as i32 * ROW + (ROW - BAR) / 2 + inset;
        let (from, to) = (place(from), place(to));
        // What is there is seen, however short.
        let corners = [(from, top), (to.max(from + 1), top + BAR - 2 * inset)];
        Ok(area.draw(&Rectangle::new(corners, style))?)
    };
    let name = |row: usize, text: &str| -> Drawn {
        Ok(area.draw_text(text, &text_style(), (8, row as i32 * ROW + (ROW - 14) / 2))?)
    };
    name(0, "load generator")?;
    let sent_ns = of.sent_ns.unwrap_or(of.response_ns);
    bar(0, (0, sent_ns), LATE.filled(), 0)?;
    if of.sent_ns.is_some() {
        bar(0, (sent_ns, of.response_ns), INK.mix(0.18).filled(), 0)?;
    }
    for (at, hop) in of.hops.iter().enumerate().take(ROWS) {
        let row = at + 1;
        name(row, &label(&of.hops, at))?;
        bar(row, (hop.received_ns.saturating_sub(hop.there_ns), hop.received_ns), WAY.filled(), 4)?;
        bar(row, (hop.received_ns, hop.answered_ns), INK.mix(0.18).filled(), 0)?;
        bar(row, (hop.answered_ns, hop.answered_ns + hop.back_ns), WAY.filled(), 4)?;
        for stretch in own(&of.hops, at) {
            bar(row, stretch, OWN.filled(), 0)?;
        }
    }
    Ok(())
}

fn time_axis(area: &Area<'_>, of: &SlowestRequest) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .margin_right(RIGHT)
        .x_label_area_size(AXIS - 4)
        .y_label_area_size(LEFT as u32)
        .build_cartesian_2d(0.0..of.response_ns.max(1) as f64 / 1e6, Marked::new(0.0..1.0, vec![]))?;
    styled(&mut chart.configure_mesh())
        .x_labels(10)
        .x_label_formatter(&|x| short_ms(*x))
        .x_desc("ms since it was due")
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(service: &str, caller: Option<usize>, [received_ns, answered_ns]: [u64; 2], ways: [u64; 2]) -> SlowestHop {
        let [there_ns, back_ns] = ways;
        SlowestHop { service: service.into(), caller, received_ns, answered_ns, own_ns: 0, there_ns, back_ns }
    }

    #[test]
    fn a_service_has_to_itself_what_its_calls_leave() {
        let hops = [
            hop("s1", None, [20, 990], [15, 10]),
            hop("s2", Some(0), [100, 400], [50, 50]),
            hop("s3", Some(0), [300, 600], [100, 0]),
            hop("s4", Some(2), [310, 320], [5, 5]),
        ];
        // Its calls were out from 50 to 450 and from 200 to 600.
        assert_eq!(own(&hops, 0), [(20, 50), (600, 990)]);
        assert_eq!(own(&hops, 1), [(100, 400)]);
        assert_eq!(own(&hops, 2), [(300, 305), (325, 600)]);
        assert_eq!([0, 1, 2, 3].map(|at| depth(&hops, at)), [0, 1, 1, 2]);
        assert_eq!(label(&hops, 3), "\u{a0}\u{a0}\u{a0}\u{a0}s4");
        // A file that was made by hand may name itself.
        assert_eq!(depth(&[hop("s1", Some(0), [0, 1], [0, 0])], 0), 1);
    }
}
