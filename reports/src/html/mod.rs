//! The findings as one page that needs nothing else: no network, no script, no font of its own.

use minijinja::{Environment, Value, context};
use record::{Reading, RunDirectory};
use serde::Serialize;

use crate::figure;
use crate::findings::{Findings, TaxKind, person_name};
use crate::gather::{Gathered, TrialData};
use crate::hosts::{self, HOSTS};
use crate::istio;
use crate::plot::{self, SERIES};
use crate::tables::{self, Entry, Table};
use crate::{Result, attribution, plot::Bar, plot::Curve, plot::Lane};

/// The page, whose block `main` another page may fill with its own.
pub(crate) const PAGE: &str = include_str!("page.html");

/// Charts over time beyond these would make the page heavy; the cells left out are named on it.
const TIMELINES: usize = 12;

#[derive(Serialize)]
struct PageTable {
    id: String,
    caption: String,
    of: &'static str,
    columns: Vec<(&'static str, &'static str)>,
    rows: Vec<(String, Vec<PageEntry>)>,
    notes: Vec<String>,
}

#[derive(Default, Serialize)]
struct PageEntry {
    text: String,
    /// The figure as it stands in findings.json.
    raw: Option<String>,
    /// Its interval, as people read it.
    interval: Option<String>,
    /// Why there is none.
    absent: Option<String>,
    words: bool,
}

#[derive(Serialize)]
struct Chart {
    name: String,
    series: usize,
    trial: String,
    throttled: bool,
    stolen: bool,
    lanes: bool,
    svg: String,
}

/// The findings as a page, with charts of the run they were made from.
///
/// # Errors
/// When the run cannot be read again, or a chart or the page cannot be made.
pub fn render(findings: &Findings, dir: &RunDirectory) -> Result<String> {
    let gathered = Gathered::read(dir)?;
    let f = findings;
    let tax_tables: Vec<Table> = tables::taxes(f).into_iter().map(|t| tables::tax(f, t)).collect();
    let latency: Vec<Table> = vec![tables::response(f), tables::service(f)];
    let costs = [tables::proxies(f), tables::all_proxies(f), tables::neighbours(f), tables::events(f)];
    let costs: Vec<Table> = costs.into_iter().flatten().chain([tables::parts(f)]).collect();
    let context = context! {
        title => format!("meshtax: {}", f.scenario),
        findings => f,
        host => host_line(f),
        platform => tables::platform(f),
        ended => tables::ended(f),
        lists => [(HOSTS, hosts::lines(f.hosts.as_ref())), (tables::LACKS, tables::lacks(f)), (tables::LEFT_OUT, tables::left_out(f))],
        cut_off => tables::cut_off(f),
        confidence => tables::confidence(f),
        doubts => tables::doubts(f).iter().map(|d| (d.evidence(), d.first.remedy.clone())).collect::<Vec<_>>(),
        reading => tables::how_to_read(f),
        istio => f.istio.as_ref().map(|r| (istio::heading(r), istio::groups(r))),
        latency => page_tables(&latency),
        taxes => page_tables(&tax_tables),
        canaries => page_tables(&tables::canaries(f)),
        splits => splits(f, &gathered)?,
        costs => page_tables(&costs),
        tail => page_tables(&tables::attribution(f).into_iter().collect::<Vec<_>>()),
        stalls => page_tables(&[tables::worst_windows(f), tables::ledger(f)].into_iter().flatten().collect::<Vec<_>>()),
        machine => page_tables(&[tables::node(f), tables::waits(f), tables::requests(f)]),
        legend => f.cells.iter().enumerate().map(|(k, c)| (k % SERIES, person_name(&c.label))).collect::<Vec<_>>(),
        quantiles => quantile_chart(f, &gathered)?,
        tax_chart => tax_chart(f)?,
        timelines => timelines(f, &gathered)?,
        timelines_left_out => f.cells.len().saturating_sub(TIMELINES),
    };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    // The name's ending turns escaping on; only the charts, whose texts are escaped where they are drawn, are
    // marked safe.
    environment.add_template("page.html", PAGE)?;
    Ok(environment.get_template("page.html")?.render(context)?)
}

fn host_line(findings: &Findings) -> String {
    let h = &findings.host;
    let said = |r: &Reading<String>| r.seen().cloned();
    let cpu = said(&h.cpu_model).unwrap_or_else(|| h.arch.clone());
    let vm = said(&h.virtual_machine).filter(|v| v != "none").map_or_else(String::new, |v| format!(", {v} guest"));
    format!("{} × {cpu}{vm}, Linux {}", h.cpus_online.len(), h.kernel)
}

fn page_tables(tables: &[Table]) -> Vec<Value> {
    tables.iter().map(|t| Value::from_serialize(page_table(t))).collect()
}

fn page_table(table: &Table) -> PageTable {
    let entry = |entry: &Entry, factor: f64| match entry {
        Entry::Figure(Reading::Seen(e)) => PageEntry {
            text: figure::digits(e.value * factor),
            raw: Some(e.value.to_string()),
            interval: figure::interval(e, factor),
            ..PageEntry::default()
        },
        Entry::Figure(Reading::Absent { absent }) => {
            PageEntry { text: "n/a".into(), absent: Some(absent.clone()), ..PageEntry::default() }
        }
        Entry::Count(n) => PageEntry { text: n.to_string(), raw: Some(n.to_string()), ..PageEntry::default() },
        Entry::Plain(v) => {
            PageEntry { text: figure::digits(v * factor), raw: Some(v.to_string()), ..PageEntry::default() }
        }
        Entry::Short(words) => PageEntry { text: words.clone(), ..PageEntry::default() },
        Entry::Words(words) => PageEntry { text: words.clone(), words: true, ..PageEntry::default() },
    };
    PageTable {
        id: table.id.clone(),
        caption: table.caption.clone(),
        of: table.of,
        columns: table.columns.iter().map(|c| (c.head, c.unit)).collect(),
        rows: table
            .rows
            .iter()
            .map(|r| {
                let entries = r.entries.iter().zip(&table.columns).map(|(e, c)| entry(e, c.factor)).collect();
                (r.head.clone(), entries)
            })
            .collect(),
        // Why a figure is absent stands in its own cell of the page.
        notes: table.notes().into_iter().filter(|n| !n.starts_with("n/a")).collect(),
    }
}

fn quantile_chart(findings: &Findings, gathered: &Gathered) -> Result<String> {
    let curves: Vec<Curve<'_>> = findings
        .cells
        .iter()
        .enumerate()
        .map(|(series, c)| Curve {
            series,
            trials: gathered.of_cell(&c.id).map(|t| t.response_buckets.as_slice()).collect(),
        })
        .collect();
    plot::quantiles(&curves)
}

fn tax_chart(findings: &Findings) -> Result<Option<String>> {
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
    if bars.is_empty() { Ok(None) } else { plot::taxes(&bars).map(Some) }
}

/// A cell's most typical trial: that with the median p99.
fn typical<'a>(gathered: &'a Gathered, cell: &'a str) -> Option<&'a TrialData> {
    let mut trials: Vec<&TrialData> = gathered.of_cell(cell).filter(|t| t.ended > 0).collect();
    trials.sort_by_key(|t| t.response.p99);
    trials.get(trials.len().saturating_sub(1) / 2).copied()
}

#[derive(Serialize)]
struct SplitChart {
    name: String,
    trial: String,
    lines: Vec<(usize, String)>,
    svg: String,
}

fn splits(findings: &Findings, gathered: &Gathered) -> Result<Vec<SplitChart>> {
    let mut charts = Vec::new();
    for cell in findings.cells.iter().take(TIMELINES) {
        let Some(canary) = &cell.factors.canary else { continue };
        let Some(trial) = typical(gathered, &cell.id) else { continue };
        charts.push(SplitChart {
            name: person_name(&cell.label),
            trial: trial.trial.id.clone(),
            lines: plot::split_lines(canary),
            svg: plot::split(trial, canary)?,
        });
    }
    Ok(charts)
}

/// When each cause that is named in a cell was at work in one of its trials.
fn lanes(findings: &Findings, cell: &str, trial: &TrialData) -> Vec<Lane> {
    let named = findings.attribution.iter().filter(|a| a.cell == cell);
    named.filter_map(|a| Some((a.cause.word(), attribution::spans(trial, a.cause, a.quiet_ns?)?))).collect()
}

fn timelines(findings: &Findings, gathered: &Gathered) -> Result<Vec<Chart>> {
    let any = |steps: &Reading<Vec<crate::usage::Step>>| steps.seen().is_some_and(|s| !s.is_empty());
    let mut charts = Vec::new();
    for (series, cell) in findings.cells.iter().enumerate().take(TIMELINES) {
        let Some(trial) = typical(gathered, &cell.id) else { continue };
        let lanes = lanes(findings, &cell.id, trial);
        charts.push(Chart {
            name: person_name(&cell.label),
            series: series % SERIES,
            trial: trial.trial.id.clone(),
            throttled: any(&trial.usage.throttling),
            stolen: any(&trial.usage.steal),
            lanes: !lanes.is_empty(),
            svg: plot::timeline(trial, series, &lanes)?,
        });
    }
    Ok(charts)
}
