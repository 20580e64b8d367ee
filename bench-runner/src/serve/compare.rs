//! The page that chosen runs are compared on: that of `meshtax compare`, of the cells that all of them have.

use std::path::Path;
use std::sync::Arc;

use record::RunDirectory;
use reports::compare::{Allowed, Named, Point, compare};
use reports::shelf::Row;

/// The chosen runs side by side at p99, the others against the first. An error is the reason why they cannot be compared.
///
/// # Errors
/// As those of [`compare`], and when the page cannot be made.
pub(super) fn page(folder: &Path, rows: &[Arc<Row>]) -> anyhow::Result<String> {
    let open =
        |row: &Arc<Row>| Ok(Named { directory: RunDirectory::open(&folder.join(row.name.as_str()))?, name: None });
    let named = rows.iter().map(open).collect::<record::Result<Vec<Named>>>()?;
    let allowed = Allowed { shared_cells: true, ..Allowed::default() };
    Ok(reports::compare::page(&compare(&named, Point::P99, &allowed)?)?)
}
