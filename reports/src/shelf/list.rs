//! The page that lists runs, in an order and by words that were asked for.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;

use super::name::in_address;
use super::row::{Row, State, TaxLine};
use crate::Result;

/// Taxes shown of a run; of a sweep the largest.
const TAXES: usize = 3;

/// What rows are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// When it began.
    #[default]
    Started,
    /// The scenario's name.
    Scenario,
    /// The machine.
    Host,
    /// The commit or label.
    Source,
    /// What the mesh adds at p99.
    Tax,
    /// How many doubts there are.
    Doubts,
}

impl FromStr for Order {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        Ok(match text {
            "started" => Self::Started,
            "scenario" => Self::Scenario,
            "host" => Self::Host,
            "source" => Self::Source,
            "tax" => Self::Tax,
            "doubts" => Self::Doubts,
            _ => return Err(()),
        })
    }
}

/// Which rows, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// Words that a row must hold; empty for all.
    pub words: String,
    /// What they are ordered by.
    pub order: Order,
    /// The least first; else the greatest, or the latest.
    pub rising: bool,
}

#[derive(Serialize)]
struct PageRow<'r> {
    name: &'r str,
    address: String,
    begun: String,
    state: &'static str,
    broken: &'r str,
    scenario: &'r str,
    host: &'r str,
    source: &'r str,
    answer: Option<&'r str>,
    unreliable: bool,
    taxes: &'r [TaxLine],
    more_taxes: usize,
    doubts: usize,
    sealed: usize,
    planned: usize,
    explained: bool,
}

/// The rows of a folder as a page; they are taken as they come from the shelf, the last begun first.
///
/// # Errors
/// When the page cannot be made.
pub fn page(folder: &Path, rows: &[Arc<Row>], wanted: &Wanted) -> Result<String> {
    let mut shown: Vec<&Row> = rows.iter().map(Arc::as_ref).filter(|row| row.holds(&wanted.words)).collect();
    sort(&mut shown, wanted);
    let context = context! {
        title => "Runs: meshtax",
        folder => folder.display().to_string(),
        wanted => wanted,
        with_words => if wanted.words.is_empty() { String::new() } else { format!("&words={}", in_address(&wanted.words)) },
        all => rows.len(),
        rows => shown.into_iter().map(page_row).collect::<Vec<_>>(),
    };
    render("list.html", include_str!("list.html"), context)
}

fn sort(rows: &mut [&Row], wanted: &Wanted) {
    let tax = |row: &Row| row.taxes.first().map_or(f64::NEG_INFINITY, |t| t.value_ns);
    // Stable: equal ones stay the last begun first.
    rows.sort_by(|a, b| {
        let rising = match wanted.order {
            Order::Started => (&a.started, &a.name).cmp(&(&b.started, &b.name)),
            Order::Scenario => a.scenario.cmp(&b.scenario),
            Order::Host => a.host.cmp(&b.host),
            Order::Source => a.source.cmp(&b.source),
            Order::Tax => tax(a).total_cmp(&tax(b)),
            Order::Doubts => a.doubts.cmp(&b.doubts),
        };
        if wanted.rising { rising } else { rising.reverse() }
    });
}

fn page_row(row: &Row) -> PageRow<'_> {
    PageRow {
        name: row.name.as_str(),
        address: row.name.in_address(),
        // To the minute, in words that sort: "2026-11-23 05:10".
        begun: if row.started.is_empty() {
            row.name.to_string()
        } else {
            row.started.chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
        },
        state: row.state.words(),
        broken: if let State::Broken(reason) = &row.state { reason } else { "" },
        scenario: &row.scenario,
        host: &row.host,
        source: &row.source,
        answer: row.answer.as_deref(),
        unreliable: row.unreliable,
        taxes: row.taxes.get(..TAXES).unwrap_or(&row.taxes),
        more_taxes: row.taxes.len().saturating_sub(TAXES),
        doubts: row.doubts,
        sealed: row.sealed,
        planned: row.planned,
        explained: row.explained,
    }
}

/// A page of the shelf.
pub(super) fn render(name: &'static str, template: &'static str, context: minijinja::Value) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // The ending of its name turns escaping on.
    environment.add_template("base.html", include_str!("base.html"))?;
    environment.add_template(name, template)?;
    Ok(environment.get_template(name)?.render(context)?)
}
