//! A comparison as a page that needs nothing else.

use minijinja::context;
use record::Reading;

use super::tables::{self, DIFFERENCES, FLAGS, NOTES};
use super::{Compared, ComparedCell, Comparison};
use crate::findings::person_name;
use crate::html::{environment, page_tables};
use crate::plot::{self, Bar, Drift, Group, SERIES, Slice};
use crate::tables::Table;
use crate::{Result, html};

/// The comparison as one page.
///
/// # Errors
/// When a chart or the page cannot be made.
pub fn page(compared: &Compared) -> Result<String> {
    let of = &compared.comparison;
    let response: Vec<Table> = of.cells.iter().map(|cell| tables::response(of, cell)).collect();
    let taxes: Vec<Table> = of.cells.iter().filter_map(|cell| tables::tax(of, cell)).collect();
    let optional = |table: Option<Table>| html::page_tables(&table.into_iter().collect::<Vec<_>>());
    let context = context! {
        title => tables::title(of),
        answer => of.answer,
        at => of.at.to_string(),
        runs => of.runs.iter().enumerate().map(|(k, run)| (k % SERIES, run.name.clone())).collect::<Vec<_>>(),
        about => tables::runs(of),
        flags => (FLAGS, tables::flags(of)),
        response => page_tables(&response),
        taxes => page_tables(&taxes),
        effects => optional(tables::effects(of)),
        variance => optional(tables::variance(of)),
        not_parted => of.variance.reason(),
        meanings => tables::meanings(of),
        state => page_tables(&[tables::state(of)]),
        differences => (DIFFERENCES, of.differences.clone()),
        names => of.runs.iter().map(|run| run.name.clone()).collect::<Vec<_>>(),
        notes => (NOTES, of.notes.clone()),
        reading => tables::how_to_read(of),
        tax_chart => tax_chart(of)?,
        response_chart => plot::by_run(&groups(of), &of.at.to_string())?,
        variance_chart => variance_chart(of)?,
        drift_chart => drift_chart(compared)?,
    };
    let mut environment = environment()?;
    environment.add_template("comparison.html", include_str!("page.html"))?;
    Ok(environment.get_template("comparison.html")?.render(context)?)
}

/// What each run's mesh adds, where cells have a mesh; a bar for each cell and run.
fn tax_chart(of: &Comparison) -> Result<Option<String>> {
    let bars: Vec<Bar> = of.cells.iter().flat_map(bars).collect();
    if bars.is_empty() { Ok(None) } else { plot::taxes(&bars).map(Some) }
}

fn bars(cell: &ComparedCell) -> Vec<Bar> {
    let bar = |(series, run): (usize, &super::CellInRun)| {
        let tax = run.tax_ns.as_ref()?;
        let (p50, p99) = (*tax.p50.seen()?, *tax.p99.seen()?);
        Some(Bar { name: format!("{}, {}", person_name(&cell.label), run.run), series, p50, p99 })
    };
    cell.runs.iter().enumerate().filter_map(bar).collect()
}

fn groups(of: &Comparison) -> Vec<Group> {
    let group = |cell: &ComparedCell| Group {
        name: person_name(&cell.label),
        figures: cell.runs.iter().map(|run| super::contrasts::seen(&run.response_ns, of.at).copied()).collect(),
    };
    of.cells.iter().map(group).collect()
}

fn variance_chart(of: &Comparison) -> Result<Option<String>> {
    let Reading::Seen(parts) = &of.variance else { return Ok(None) };
    let single = !parts.iter().any(|p| p.source == crate::stats::components::Source::Run);
    let mesh_only = super::mesh_only(of);
    let slices = parts.iter().map(|part| Slice {
        name: super::variance::name(part.source, mesh_only, single).to_owned(),
        share: part.share,
    });
    plot::shares(&slices.collect::<Vec<_>>()).map(Some)
}

fn drift_chart(compared: &Compared) -> Result<String> {
    let drifts: Vec<Drift<'_>> = compared
        .comparison
        .runs
        .iter()
        .zip(&compared.courses)
        .enumerate()
        .map(|(series, (run, course))| Drift { name: &run.name, series, points: &course.points })
        .collect();
    plot::drifts(&drifts)
}
