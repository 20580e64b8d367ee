//! The page that chosen runs are compared on.

use std::path::Path;
use std::sync::Arc;

use reports::shelf::{self, Row};

/// The chosen runs side by side. Here is where another way to compare them is joined: it has the folder and the rows, whose
/// names are those of directories in it.
///
/// # Errors
/// When the page cannot be made.
pub(super) fn page(folder: &Path, rows: &[Arc<Row>]) -> anyhow::Result<String> {
    Ok(shelf::side_by_side_page(folder, rows)?)
}
