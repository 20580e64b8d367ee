//! A table of a simulation, as it is kept in the repository.

use std::path::Path;

/// Writes `reports/simulations/NAME.md`: what it is of, the command, and the rows.
pub(crate) fn keep(name: &str, about: &str, header: &[&str], rows: &[Vec<String>]) {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let header: Vec<String> = header.iter().map(|h| (*h).to_owned()).collect();
    let rule: Vec<String> = header.iter().map(|_| "--".to_owned()).collect();
    let rows: String = rows.iter().map(|row| line(row)).collect();
    let text = format!(
        "{about}\n\nMade by `cargo test --release -p reports --test simulations -- --ignored {name}`.\n\n{}{}{rows}",
        line(&header),
        line(&rule),
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("simulations").join(format!("{name}.md"));
    std::fs::write(&path, text).unwrap();
}

/// A share as percent with one decimal.
pub(crate) fn percent(part: usize, of: usize) -> String {
    format!("{:.1}", 100.0 * part as f64 / of as f64)
}
