//! A comparison as CSV tables for spreadsheets and scripts.

use super::{Comparison, Contrast, Told};
use crate::csv::{Fields, Table, estimate, figure};
use crate::{Result, findings::Figure};
use record::Reading;

const COMPARED: [&str; 11] = ["of", "cell", "run", "quantile", "value", "low", "high", "level", "n", "absent", "unit"];

/// The tables: each a file name and its text. A figure that is absent has empty fields and its reason beside.
///
/// # Errors
/// None that the types allow for; the writer's, if it has one.
pub fn csv(of: &Comparison) -> Result<Vec<(String, String)>> {
    Ok(vec![cells(of)?, contrasts(of)?, effects(of)?, variance(of)?, state(of)?, differences(of)?, flags(of)?])
}

/// Response times and taxes, a row for each cell, run and quantile.
fn cells(of: &Comparison) -> Result<(String, String)> {
    let mut table = Table::new("cells", &COMPARED)?;
    for cell in &of.cells {
        for run in &cell.runs {
            for (name, found) in run.response_ns.named() {
                table.row(("response", &cell.id, &run.run, name, figure(found), "ns"))?;
            }
            for (point, found) in run.tax_ns.iter().flat_map(|tax| tax.named()) {
                table.row(("tax", &cell.id, &run.run, point.to_string(), figure(found), "ns"))?;
            }
            let used: [(&str, &Figure, &str); 2] = [
                ("proxies_cpu", &run.cpu_millicores_per_1000_rps, "millicores_per_1000_rps"),
                ("proxies_rss", &run.rss_bytes, "bytes"),
            ];
            for (what, found, unit) in used {
                table.row((what, &cell.id, &run.run, "", figure(found), unit))?;
            }
        }
    }
    table.finish()
}

fn word(told: Told) -> &'static str {
    match told {
        Told::Apart => "apart",
        Told::OnlyTheseRuns => "only_these_runs",
        Told::Not => "not",
    }
}

/// Each run against the first, a row for each cell and quantile.
fn contrasts(of: &Comparison) -> Result<(String, String)> {
    let head = ["of", "cell", "run", "first", "quantile", "value", "low", "high", "level", "n"];
    let more = ["made_again_low", "made_again_high", "told", "unit"];
    let mut table = Table::new("contrasts", &[&head[..], &more[..]].concat())?;
    let first = of.runs.first().map(|run| run.name.clone()).unwrap_or_default();
    let fields = |c: &Contrast| {
        let e = c.these_runs;
        let again = (c.made_again.low, c.made_again.high);
        ((e.value, e.low, e.high, e.level, e.n), again, word(c.told))
    };
    for cell in &of.cells {
        for run in &cell.runs {
            let ratios = run.ratio.named().map(|(point, c)| ("response", point, c, "times"));
            let taxes = run.tax_over_first_ns.iter().flat_map(|t| t.named()).map(|(point, c)| ("tax", point, c, "ns"));
            for (what, point, contrast, unit) in ratios.into_iter().chain(taxes) {
                if let Some(contrast) = contrast {
                    let of = (what, &cell.id, &run.run, &first, point.to_string());
                    table.row((of, fields(contrast), unit))?;
                }
            }
        }
    }
    table.finish()
}

fn effects(of: &Comparison) -> Result<(String, String)> {
    let head =
        ["of", "factor", "from", "to", "run", "value", "low", "high", "level", "n", "absent", "pairs", "quantile"];
    let mut table = Table::new("effects", &head)?;
    for effect in &of.effects {
        let kind = match effect.of {
            super::EffectOf::Run => "run",
            super::EffectOf::Factor => "factor",
        };
        let row = |run: &str, fields: Fields| {
            let of_what = (kind, &effect.factor, &effect.from, &effect.to, run.to_owned());
            (of_what.0, of_what.1.clone(), of_what.2.clone(), of_what.3.clone(), of_what.4, fields, effect.pairs)
        };
        let at = of.at.to_string();
        table.row((row("all", estimate(&effect.ratio)), &at))?;
        for in_run in &effect.by_run {
            table.row((row(&in_run.run, estimate(&in_run.ratio)), &at))?;
        }
    }
    table.finish()
}

fn variance(of: &Comparison) -> Result<(String, String)> {
    let head = ["part", "sd_of_logarithm", "share", "low", "high", "level", "n", "absent", "degrees", "quantile"];
    let mut table = Table::new("variance", &head)?;
    match &of.variance {
        Reading::Seen(parts) => {
            for part in parts {
                table.row((part.source, part.sd, estimate(&part.share), part.degrees, of.at.to_string()))?;
            }
        }
        Reading::Absent { absent } => {
            let none: (Option<f64>, Option<f64>, Option<f64>) = (None, None, None);
            let fields = (none, None::<f64>, None::<usize>, absent);
            table.row(("all", None::<f64>, fields, None::<usize>, of.at.to_string()))?;
        }
    }
    table.finish()
}

/// A figure of the thirds of a run.
type OfThirds = fn(&super::Thirds) -> &Figure;

fn state(of: &Comparison) -> Result<(String, String)> {
    let mut table = Table::new("state", &["run", "figure", "value", "low", "high", "level", "n", "absent"])?;
    for run in &of.runs {
        let figures = [
            ("steal_share", &run.steal_share),
            ("unexplained_loss_share", &run.unexplained_loss_share),
            ("work_slowdown", &run.work_slowdown),
            ("work_ns", &run.work_ns),
        ];
        for (what, found) in figures {
            table.row((&run.name, what, figure(found)))?;
        }
        let thirds: [(&str, OfThirds); 4] = [
            ("p50_last_over_first_third", |t| &t.p50),
            ("work_last_over_first_third", |t| &t.work),
            ("steal_share_rise", |t| &t.steal_rise),
            ("unexplained_loss_share_rise", |t| &t.loss_rise),
        ];
        for (what, pick) in thirds {
            let absent = run.thirds.reason().map(Reading::absent);
            let found = run.thirds.seen().map(pick).cloned().or(absent).unwrap_or_default();
            table.row((&run.name, what, figure(&found)))?;
        }
    }
    table.finish()
}

fn differences(of: &Comparison) -> Result<(String, String)> {
    let mut table = Table::new("differences", &["what", "run", "value"])?;
    for difference in &of.differences {
        for (run, value) in of.runs.iter().zip(&difference.values) {
            table.row((&difference.what, &run.name, value))?;
        }
    }
    table.finish()
}

fn flags(of: &Comparison) -> Result<(String, String)> {
    let mut table = Table::new("flags", &["run", "kind", "evidence", "remedy"])?;
    for flag in &of.flags {
        table.row((&flag.run, flag.kind, &flag.evidence, &flag.remedy))?;
    }
    table.finish()
}
