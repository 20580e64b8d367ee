//! The charts of a run with all that belongs to each: its title, what its colours mean, what is to be said below it.

use record::Reading;
use serde::Serialize;

use super::cursor;
use crate::explanation::Explanation;
use crate::findings::{CellFindings, Findings, SlowestRequest, TIMELINES, TaxKind, Timeline, person_name, typical};
use crate::plot::{self, Bar, Curve, Lane, Spent};
use crate::usage::Span;
use crate::{Result, attribution, tables};

/// A colour of a chart and what it means.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Mark {
    /// The style's variable.
    pub(crate) paint: String,
    /// How much of it is seen, 0 to 1.
    pub(crate) opacity: f64,
    /// Whether it fills an area.
    pub(crate) area: bool,
    /// The class of what has this colour in the drawing.
    pub(crate) class: String,
    pub(crate) name: String,
}

impl Mark {
    fn series(k: usize, name: impl Into<String>) -> Self {
        Self { paint: plot::paint_of(k), opacity: 1.0, area: false, class: format!("s{k}"), name: name.into() }
    }

    fn role(paint: &str, class: &str, name: &str) -> Self {
        Self { paint: paint.into(), opacity: 1.0, area: true, class: class.into(), name: name.into() }
    }
}

/// A chart.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Chart {
    /// Unique in the page, and the name of its picture's file.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) marks: Vec<Mark>,
    pub(crate) svg: String,
    /// What is to be said below it; empty where nothing is.
    pub(crate) note: String,
    /// What a cursor reads out, as JSON; empty where it has no axis of time.
    pub(crate) cursor: String,
}

/// All charts of a run, by the section that they stand in.
pub(crate) struct Charts {
    pub(crate) tax: Option<Chart>,
    pub(crate) quantiles: Chart,
    pub(crate) timelines: Vec<Chart>,
    pub(crate) waterfalls: Vec<Chart>,
    pub(crate) costs: Option<Chart>,
    pub(crate) limits: Vec<Chart>,
    pub(crate) splits: Vec<Chart>,
}

impl Charts {
    /// Draws them.
    pub(crate) fn of(explained: &Explanation) -> Result<Self> {
        let f = &explained.findings;
        Ok(Self {
            tax: tax(f)?,
            quantiles: quantiles(explained)?,
            timelines: timelines(explained)?,
            waterfalls: f.cells.iter().filter_map(|c| waterfall(f, c).transpose()).collect::<Result<_>>()?,
            costs: costs(f)?,
            limits: f.limits.iter().enumerate().map(|(at, sweep)| limits(at, sweep)).collect::<Result<_>>()?,
            splits: splits(explained)?,
        })
    }

    /// Each of them, in the order of the page.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Chart> {
        let Self { tax, quantiles, timelines, waterfalls, costs, limits, splits } = self;
        let lists = [timelines, waterfalls].into_iter().flatten();
        tax.iter().chain([quantiles]).chain(lists).chain(costs).chain(limits).chain(splits)
    }
}

/// The name of a chart about a cell: what may stand in a file's name and in an address.
fn id(of: &str, cell: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    format!("{of}-{}", cell.chars().map(plain).collect::<String>())
}

fn tax(findings: &Findings) -> Result<Option<Chart>> {
    let bars: Vec<Bar> = tables::taxes(findings)
        .into_iter()
        .filter_map(|t| {
            let series = findings.cells.iter().position(|c| c.id == t.cell)?;
            let name = person_name(&findings.cells[series].label);
            let name = match t.kind {
                TaxKind::Mesh => name,
                TaxKind::Limit => format!("{name}: the limit"),
                TaxKind::Aa => format!("{name}: A/A"),
            };
            Some(Bar { name, series, p50: t.response_ns.p50.difference, p99: t.response_ns.p99.difference })
        })
        .collect();
    if bars.is_empty() {
        return Ok(None);
    }
    Ok(Some(Chart {
        id: "chart-tax".into(),
        title: "What each cell adds to the response time".into(),
        marks: vec![],
        svg: plot::taxes(&bars)?,
        note: "A dot is the figure of the typical pair of trials, a line its interval.".into(),
        cursor: String::new(),
    }))
}

fn quantiles(explained: &Explanation) -> Result<Chart> {
    let Explanation { findings, gathered } = explained;
    let curves: Vec<Curve<'_>> = findings
        .cells
        .iter()
        .enumerate()
        .map(|(series, c)| Curve {
            series,
            trials: gathered.of_cell(&c.id).map(|t| t.response_buckets.as_slice()).collect(),
        })
        .collect();
    Ok(Chart {
        id: "chart-quantiles".into(),
        title: "Response time by quantile".into(),
        marks: findings.cells.iter().enumerate().map(|(k, c)| Mark::series(k, person_name(&c.label))).collect(),
        svg: plot::quantiles(&curves)?,
        note: "Thick: all trials of a cell together. Thin: each trial. Right of p99 every step is ten times rarer."
            .into(),
        cursor: String::new(),
    })
}

/// When each cause that is named in a cell was at work in one of its trials, since its measured phase began.
fn lanes(explained: &Explanation, cell: &str) -> Vec<Lane> {
    let Some(trial) = typical(&explained.gathered, cell) else { return Vec::new() };
    let began = trial.measured.start_ns;
    let since =
        |span: Span| Span { start_ns: span.start_ns.saturating_sub(began), end_ns: span.end_ns.saturating_sub(began) };
    let named = explained.findings.attribution.iter().filter(|a| a.cell == cell);
    let spans = named.filter_map(|a| Some((a.cause.word(), attribution::spans(trial, a.cause, a.quiet_ns?)?)));
    spans.map(|(word, spans)| (word, spans.into_iter().map(since).collect())).collect()
}

fn timelines(explained: &Explanation) -> Result<Vec<Chart>> {
    let chart = |(series, cell): (usize, &CellFindings)| {
        let of = explained.findings.timelines.iter().find(|t| t.cell == cell.id)?;
        Some(timeline(series, cell, of, &lanes(explained, &cell.id)))
    };
    explained.findings.cells.iter().enumerate().take(TIMELINES).filter_map(chart).collect()
}

fn timeline(series: usize, cell: &CellFindings, of: &Timeline, lanes: &[Lane]) -> Result<Chart> {
    let mut marks = vec![
        Mark { area: false, ..Mark::role("currentColor", "median", "median") },
        Mark::series(series, "p99"),
        Mark { opacity: 0.45, class: "longest".into(), ..Mark::series(series, "longest") },
    ];
    let any = |lost: &Reading<Vec<u64>>| lost.seen().is_some_and(|windows| windows.iter().any(|ns| *ns > 0));
    for (lost, class, name) in [
        (&of.throttled_ns, "throttled", "proxies throttled, summed"),
        (&of.steal_ns, "stolen", "CPU time stolen"),
        (&of.run_delay_ns, "waited", "threads waiting for a CPU, summed"),
        (&of.disk_ns, "disk", "reads, writes and flushes of the disk, summed"),
    ] {
        if any(lost) {
            marks.push(Mark::role(&format!("var(--{class})"), class, name));
        }
    }
    let lanes_note = if lanes.is_empty() {
        ""
    } else {
        " The lanes show when each cause that is named was at work, as far as its counters place it."
    };
    Ok(Chart {
        id: id("timeline", &cell.id),
        title: format!("{} over the time of a trial", person_name(&cell.label)),
        marks,
        svg: plot::timeline(of, series, lanes)?,
        note: format!("Every tenth of a second of trial {}, the one with the median p99.{lanes_note}", of.trial),
        cursor: cursor::of(of)?,
    })
}

/// The slowest request of a cell; none where none was kept with stamps.
fn waterfall(findings: &Findings, cell: &CellFindings) -> Result<Option<Chart>> {
    let of: Option<&SlowestRequest> = findings.slowest.iter().find(|s| s.cell == cell.id && !s.hops.is_empty());
    let Some(of) = of else { return Ok(None) };
    let at_ns = of.due_ns as f64;
    Ok(Some(Chart {
        id: id("waterfall", &cell.id),
        title: format!("{}: the slowest request", person_name(&cell.label)),
        marks: vec![
            Mark::role("var(--s5)", "late", "before it was sent"),
            Mark::role("var(--s2)", "way", "on the way, through proxies if there are any"),
            Mark::role("var(--s1)", "own", "in the service itself"),
            Mark { opacity: 0.18, ..Mark::role("currentColor", "waiting", "waiting for the next") },
        ],
        svg: plot::waterfall(of)?,
        note: format!("Of trial {}, due {} after its measured phase began.", of.trial, crate::figure::s(at_ns)),
        cursor: String::new(),
    }))
}

/// What the proxies of each meshed cell used.
fn spent(findings: &Findings) -> Vec<Spent> {
    const MIB: f64 = 1024.0 * 1024.0;
    let meshed = findings.cells.iter().enumerate().filter(|(_, c)| c.factors.meshed());
    let mut groups: Vec<record::Factors> = Vec::new();
    let spent = meshed.map(|(series, cell)| {
        let alike = record::Factors { rate_per_second: 0.0, ..cell.factors.clone() };
        let known = groups.iter().position(|of| *of == alike);
        let group = known.unwrap_or_else(|| {
            groups.push(alike);
            groups.len() - 1
        });
        let each = |pick: fn(&crate::PartCosts) -> &crate::Figure, unit: f64| {
            let parts = cell.proxies.parts.values();
            parts.filter_map(|p| pick(p).seen()).map(|e| e.value / unit).collect::<Vec<_>>()
        };
        Spent {
            name: person_name(&cell.label),
            series,
            rate: cell.factors.rate_per_second,
            group,
            cpu_millicores: each(|p| &p.cpu_millicores, 1.0),
            rss_mib: each(|p| &p.rss_bytes, MIB),
        }
    });
    spent.collect()
}

/// A label without the rate, which a line over rates has none of.
fn without_rate(label: &str, rate: f64) -> String {
    let said = format!("{rate} requests/s");
    label.split(", ").filter(|word| *word != said).collect::<Vec<_>>().join(", ")
}

fn costs(findings: &Findings) -> Result<Option<Chart>> {
    let cells = spent(findings);
    if cells.iter().all(|c| c.cpu_millicores.is_empty() && c.rss_mib.is_empty()) {
        return Ok(None);
    }
    let (title, note) = match plot::Load::of(&cells) {
        plot::Load::Rates => (
            "CPU and memory of each proxy over the rate",
            "A line is the mean of a cell's proxies, a bar goes from the least to the most.",
        ),
        plot::Load::Cells => ("CPU and memory of each proxy", "A dot is one proxy, a line the mean of its cell."),
    };
    let marks = match plot::Load::of(&cells) {
        plot::Load::Rates => {
            let first = |c: &&Spent| cells.iter().find(|o| o.group == c.group).is_some_and(|o| o.series == c.series);
            let name = |c: &Spent| {
                let label = findings.cells.get(c.series).map_or("", |cell| cell.label.as_str());
                person_name(&without_rate(label, c.rate))
            };
            cells.iter().filter(first).map(|c| Mark::series(c.series, name(c))).collect()
        }
        plot::Load::Cells => vec![],
    };
    Ok(Some(Chart {
        id: "chart-costs".into(),
        title: title.into(),
        marks,
        svg: plot::costs(&cells)?,
        note: note.into(),
        cursor: String::new(),
    }))
}

fn limits(at: usize, sweep: &crate::LimitSweep) -> Result<Chart> {
    let mut marks = vec![Mark::series(1, "p99 with its interval")];
    if sweep.knee_millicores.seen().is_some() {
        marks.push(Mark { area: false, ..Mark::role("var(--stolen)", "knee", "knee, shaded: its interval") });
    }
    marks.push(Mark::role("var(--throttled)", "throttled", "quota periods in which proxies were throttled"));
    Ok(Chart {
        id: format!("limits-{}", at + 1),
        title: format!("{}: p99 over the CPU limit", sweep.name),
        marks,
        svg: plot::limits(sweep)?,
        note: sweep.sentence.clone(),
        cursor: String::new(),
    })
}

fn splits(explained: &Explanation) -> Result<Vec<Chart>> {
    let mut charts = Vec::new();
    for cell in explained.findings.cells.iter().take(TIMELINES) {
        let Some(canary) = &cell.factors.canary else { continue };
        let Some(trial) = typical(&explained.gathered, &cell.id) else { continue };
        let lines = plot::split_lines(canary).into_iter().map(|(k, name)| Mark::series(k, name));
        let asked = Mark { opacity: 0.5, area: false, ..Mark::role("currentColor", "asked", "asked for") };
        charts.push(Chart {
            id: id("split", &cell.id),
            title: format!("{}: how requests were split", person_name(&cell.label)),
            marks: lines.chain([asked]).collect(),
            svg: plot::split(trial, canary)?,
            note: format!("The share of answers in every tenth of a second of trial {}.", trial.trial.id),
            cursor: String::new(),
        });
    }
    Ok(charts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cells_name_makes_no_path() {
        assert_eq!(id("timeline", "chain3-envoy-500m"), "timeline-chain3-envoy-500m");
        assert_eq!(without_rate("embedded, 500m, 100 requests/s", 100.0), "embedded, 500m");
        assert_eq!(id("split", "../<b>x y"), "split-____b_x_y");
    }
}
