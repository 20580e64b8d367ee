//! The page that chosen runs are compared on.

use std::path::Path;
use std::sync::Arc;

use reports::shelf::{self, Row};

/// A page, and how a browser is to treat it.
pub(super) struct Compared {
    pub(super) page: String,
    /// Whether it is one of those that carry their style and script in them, as a report does.
    pub(super) is_report: bool,
}

/// The chosen runs side by side. Here is where another way to compare them is joined: the names of the rows are those of
/// directories in the folder. An error is shown as the reason why they cannot be compared.
///
/// # Errors
/// When the page cannot be made.
pub(super) fn page(folder: &Path, rows: &[Arc<Row>]) -> anyhow::Result<Compared> {
    Ok(Compared { page: shelf::side_by_side_page(folder, rows)?, is_report: false })
}
