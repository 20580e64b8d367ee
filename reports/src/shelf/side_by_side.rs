//! Chosen runs side by side, each with its own figures.

use std::path::Path;
use std::sync::Arc;

use minijinja::context;

use super::Row;
use super::list::render;
use crate::Result;

/// What each run says of each cell, as a page; nothing in it compares them.
///
/// # Errors
/// When the page cannot be made.
pub fn page(folder: &Path, rows: &[Arc<Row>]) -> Result<String> {
    let mut labels: Vec<&str> = Vec::new();
    for tax in rows.iter().flat_map(|row| &row.taxes) {
        if !labels.contains(&tax.label.as_str()) {
            labels.push(&tax.label);
        }
    }
    let figure = |row: &Row, label: &str| {
        row.taxes.iter().find(|tax| tax.label == label).map_or_else(|| "–".to_owned(), |tax| tax.figure.clone())
    };
    let cells: Vec<(&str, Vec<String>)> =
        labels.into_iter().map(|label| (label, rows.iter().map(|row| figure(row, label)).collect())).collect();
    let runs: Vec<_> = rows
        .iter()
        .map(|row| {
            context! { address => row.name.in_address(), name => row.name.as_str(), scenario => row.scenario, host => row.host }
        })
        .collect();
    let context = context! { title => "Side by side: meshtax", folder => folder.display().to_string(), runs, cells };
    render("side_by_side.html", include_str!("side_by_side.html"), context)
}
