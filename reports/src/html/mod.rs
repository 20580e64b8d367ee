//! The findings as one page that needs nothing else: no network, no font of its own, and no script to be whole.

mod charts;
mod cursor;
mod hash;

use minijinja::{Environment, UndefinedBehavior, Value, context};
use record::{Reading, RunDirectory};
use serde::Serialize;

pub(crate) use charts::{Chart, Charts, Mark};

use crate::Result;
use crate::explanation::Explanation;
use crate::figure;
use crate::findings::{Findings, TIMELINES, host_name};
use crate::gather::Gathered;
use crate::hosts::{self, HOSTS};
use crate::istio;
use crate::tables::{self, Entry, Table};

/// The page, whose block `main` another page may fill with its own.
const PAGE: &str = include_str!("page.html");

/// What the page does not need, and is nicer with.
const SCRIPT: &str = include_str!("script.js");

/// What a browser may do with a report: the policy that stands in the page, for those who serve it.
pub fn policy() -> String {
    const BEFORE: &str = "http-equiv=\"Content-Security-Policy\" content=\"";
    let after = PAGE.split_once(BEFORE).map(|(_, after)| after);
    // Without it nothing at all.
    let policy = after.and_then(|after| after.split_once('"')).map_or("default-src 'none'", |(policy, _)| policy);
    policy.replace("{{ script_hash }}", hash::OF_SCRIPT)
}

#[derive(Serialize)]
struct PageTable {
    id: String,
    caption: String,
    of: &'static str,
    /// Head, unit, and whether words stand in it.
    columns: Vec<(&'static str, &'static str, bool)>,
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

/// What every page is made with: strict about what a page lacks, and escaping by the name's ending. `page.html` is in it.
///
/// # Errors
/// When the page is no template.
pub(crate) fn environment() -> Result<Environment<'static>> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_template("page.html", PAGE)?;
    environment.add_global("script", SCRIPT);
    environment.add_global("script_hash", hash::OF_SCRIPT);
    Ok(environment)
}

/// The style's variables in light, as they stand in the page: `--ink` and its colour.
pub(crate) fn light() -> impl Iterator<Item = (&'static str, &'static str)> {
    let style = PAGE.split("</style>").next().unwrap_or_default();
    let light = style.split("@media").next().unwrap_or_default();
    let declared = light.split(['{', ';', '}']).filter_map(|part| part.trim().split_once(':'));
    declared.map(|(name, value)| (name.trim(), value.trim())).filter(|(name, _)| name.starts_with("--"))
}

/// The findings as a page, with charts of the run they were made from.
///
/// # Errors
/// When the run cannot be read again, or a chart or the page cannot be made.
pub fn render(findings: &Findings, dir: &RunDirectory) -> Result<String> {
    page(&Explanation { findings: findings.clone(), gathered: Gathered::read(dir)? })
}

/// The page of a run that was read.
///
/// # Errors
/// When a chart or the page cannot be made.
pub fn page(explained: &Explanation) -> Result<String> {
    let f = &explained.findings;
    let charts = Charts::of(explained)?;
    let tax_tables: Vec<Table> = tables::taxes(f).into_iter().map(|t| tables::tax(f, t)).collect();
    let latency: Vec<Table> = vec![tables::response(f), tables::service(f)];
    let costs = [tables::proxies(f), tables::all_proxies(f), tables::neighbours(f), tables::events(f)];
    let costs: Vec<Table> = costs.into_iter().flatten().chain([tables::parts(f)]).collect();
    let limits: Vec<Table> = f.limits.iter().enumerate().map(|(at, sweep)| tables::limits(at, sweep)).collect();
    let context = context! {
        title => format!("meshtax: {}", f.scenario),
        findings => f,
        host => format!("{}, Linux {}", host_name(&f.host), f.host.kernel),
        platform => tables::platform(f),
        ended => tables::ended(f),
        lists => [(HOSTS, hosts::lines(f.hosts.as_ref())), (tables::LACKS, tables::lacks(f)), (tables::LEFT_OUT, tables::left_out(f))],
        cut_off => tables::cut_off(f),
        confidence => tables::confidence(f),
        doubts => tables::doubts(f).iter().map(|d| (d.evidence(), d.first.remedy.clone())).collect::<Vec<_>>(),
        reading => tables::how_to_read(f),
        method => tables::repeat(f).into_iter().next(),
        istio => f.istio.as_ref().map(|r| (istio::heading(r), istio::groups(r))),
        latency => page_tables(&latency),
        glance => page_tables(&tables::taxes_by_cell(f).into_iter().collect::<Vec<_>>()),
        taxes => page_tables(&tax_tables),
        canaries => page_tables(&tables::canaries(f)),
        costs => page_tables(&costs),
        limits => page_tables(&limits),
        tail => page_tables(&tables::attribution(f).into_iter().collect::<Vec<_>>()),
        stalls => page_tables(&[tables::worst_windows(f), tables::ledger(f)].into_iter().flatten().collect::<Vec<_>>()),
        slowest => page_tables(&tables::slowest(f).into_iter().collect::<Vec<_>>()),
        hops => hops(f),
        machine => page_tables(&[tables::node(f), tables::waits(f), tables::requests(f)]),
        proofs => proofs(f),
        tax_chart => charts.tax,
        quantiles_chart => charts.quantiles,
        timelines => charts.timelines,
        waterfalls => charts.waterfalls,
        costs_chart => charts.costs,
        limit_charts => charts.limits,
        splits => charts.splits,
        timelines_left_out => f.cells.len().saturating_sub(TIMELINES),
    };
    let environment = environment()?;
    // The name's ending turns escaping on; only the charts, whose texts are escaped where they are drawn, and the
    // script are marked safe.
    Ok(environment.get_template("page.html")?.render(context)?)
}

/// The slowest request of each cell, hop by hop.
fn hops(findings: &Findings) -> Vec<Value> {
    let first = findings.cells.iter().filter_map(|c| {
        let of = findings.slowest.iter().find(|s| s.cell == c.id && !s.hops.is_empty())?;
        Some(tables::hops(findings, of))
    });
    page_tables(&first.collect::<Vec<_>>())
}

#[derive(Serialize)]
struct Proven {
    said: String,
    table: PageTable,
}

fn proofs(findings: &Findings) -> Vec<Value> {
    let proven = findings.cells.iter().filter_map(|c| {
        let table = page_table(&tables::proofs(findings, &c.id)?);
        Some(Proven { said: tables::proven(findings, &c.id)?, table })
    });
    proven.map(|p| Value::from_serialize(&p)).collect()
}

pub(crate) fn page_tables(tables: &[Table]) -> Vec<Value> {
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
        columns: table
            .columns
            .iter()
            .enumerate()
            .map(|(at, c)| {
                let first = table.rows.first().and_then(|row| row.entries.get(at));
                (c.head, c.unit, matches!(first, Some(Entry::Words(_))))
            })
            .collect(),
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
