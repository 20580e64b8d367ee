//! A page that says why there is nothing else.

use std::path::Path;

use minijinja::context;

use super::list::render;
use crate::Result;

/// A heading, and below it each line of a text as a paragraph.
///
/// # Errors
/// When the page cannot be made.
pub fn page(folder: &Path, heading: &str, text: &str) -> Result<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let folder = folder.display().to_string();
    let context = context! { title => format!("{heading}: meshtax"), folder, heading, lines };
    render("message.html", include_str!("message.html"), context)
}
