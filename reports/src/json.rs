//! The findings as JSON: findings.json.

use crate::{Findings, Result};

/// The findings, indented, with a line end.
///
/// # Errors
/// None that the type allows for; the writer's, if it has one.
pub fn render(findings: &Findings) -> Result<String> {
    let mut text = serde_json::to_string_pretty(findings)?;
    text.push('\n');
    Ok(text)
}
