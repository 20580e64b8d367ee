//! Charts as SVG whose colours the page chooses, so that one drawing is readable in light and in dark.
//!
//! The drawing library knows fixed colours only. Each role gets a colour that nothing else has, and the
//! finished text is rewritten to the style's variables.

mod axis;
mod by_run;
mod cost;
mod drift;
mod history;
mod limits;
mod quantiles;
mod shares;
mod split;
mod tax;
mod timeline;
mod waterfall;

use plotters::chart::MeshStyle;
use plotters::coord::ranged1d::Ranged;
use plotters::prelude::*;

use crate::{Error, Result};

pub(crate) use by_run::{Group, by_run};
pub(crate) use cost::{Load, Spent, costs};
pub(crate) use drift::{Drift, drifts};
pub(crate) use history::history;
pub(crate) use limits::limits;
pub(crate) use quantiles::{Curve, quantiles};
pub(crate) use shares::{Slice, shares};
pub(crate) use split::{lines as split_lines, split};
pub(crate) use tax::{Bar, taxes};
pub(crate) use timeline::{Lane, PLOT, Plot, timeline};
pub(crate) use waterfall::{depth, waterfall};

/// How many series have a colour of their own; further ones begin anew.
pub(crate) const SERIES: usize = 8;

const INK: RGBColor = RGBColor(1, 1, 1);
const FAINT: RGBColor = RGBColor(2, 2, 2);

/// What is not a series of its own: each role has a colour, and a class by which a page hides it.
const ROLES: [(RGBColor, &str, &str); 9] = [
    (THROTTLED, "var(--throttled)", "throttled"),
    (STOLEN, "var(--stolen)", "stolen"),
    (WAITED, "var(--waited)", "waited"),
    (DISK, "var(--disk)", "disk"),
    (MEDIAN, "currentColor", "median"),
    (KNEE, "var(--stolen)", "knee"),
    (OWN, "var(--s1)", "own"),
    (WAY, "var(--s2)", "way"),
    (LATE, "var(--s5)", "late"),
];
const THROTTLED: RGBColor = RGBColor(4, 0, 1);
const STOLEN: RGBColor = RGBColor(4, 0, 2);
const WAITED: RGBColor = RGBColor(4, 0, 3);
const DISK: RGBColor = RGBColor(4, 0, 4);
const MEDIAN: RGBColor = RGBColor(4, 0, 5);
const KNEE: RGBColor = RGBColor(4, 0, 6);
const OWN: RGBColor = RGBColor(4, 0, 7);
const WAY: RGBColor = RGBColor(4, 0, 8);
const LATE: RGBColor = RGBColor(4, 0, 9);

/// The colour of a series, which are told apart by class even where they share a colour.
fn series(k: usize) -> RGBColor {
    RGBColor(3, 0, k.min(usize::from(u8::MAX)) as u8)
}

/// What belongs to a series and is hidden on its own: the longest times beside p99.
fn beside(k: usize) -> RGBColor {
    RGBColor(5, 0, (k % SERIES) as u8)
}

/// The variable of the style that a series has.
pub(crate) fn paint_of(k: usize) -> String {
    format!("var(--s{})", k % SERIES)
}

/// A drawing of one chart, by its name in errors.
struct Sheet {
    chart: &'static str,
    width: u32,
    height: u32,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

impl Sheet {
    /// Draws, and hands back the SVG with the style's variables for colours. `alt` is what the chart shows, for
    /// those who do not see it; it is escaped here.
    fn draw(&self, alt: &str, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (self.width, self.height)).into_drawing_area();
            let failed = |message: String| Error::Chart { chart: self.chart, message };
            draw(&area).map_err(|Failed(message)| failed(message))?;
            area.present().map_err(|e| failed(e.to_string()))?;
        }
        Ok(themed(&svg, alt))
    }
}

/// What the drawing library said; its own error type is generic over the backend's.
struct Failed(String);

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for Failed {
    fn from(e: DrawingAreaErrorKind<E>) -> Self {
        Self(e.to_string())
    }
}

type Drawn = std::result::Result<(), Failed>;

/// The drawing with the style's variables in place of the roles' colours: one pass over the text, since a long chart has
/// thousands of colours.
fn themed(svg: &str, alt: &str) -> String {
    let alt = alt.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;");
    let mut themed = String::with_capacity(svg.len() + svg.len() / 4);
    let mut rest = svg;
    if let Some(after) = rest.strip_prefix("<svg ") {
        themed.push_str(&format!("<svg role=\"img\" aria-label=\"{alt}\" "));
        rest = after;
    }
    while let Some(at) = rest.find("=\"#") {
        let property = if rest[..at].ends_with("fill") { "fill" } else { "stroke" };
        let hex = rest.get(at + 3..at + 9).unwrap_or_default();
        let style = rest[..at].ends_with(property).then(|| style_of(hex)).flatten();
        let Some((paint, class)) = style else {
            themed.push_str(&rest[..at + 3]);
            rest = &rest[at + 3..];
            continue;
        };
        themed.push_str(&rest[..at - property.len()]);
        themed.push_str(&format!("style=\"{property}:{paint}\""));
        if let Some(class) = class {
            themed.push_str(&format!(" class=\"{class}\""));
        }
        // The six digits and the closing quote.
        rest = &rest[at + 10..];
    }
    themed.push_str(rest);
    themed
}

/// The paint and the class of a role's colour.
fn style_of(hex: &str) -> Option<(String, Option<String>)> {
    let part = |from: usize| u8::from_str_radix(hex.get(from..from + 2)?, 16).ok();
    let color = RGBColor(part(0)?, part(2)?, part(4)?);
    if let Some((_, paint, class)) = ROLES.iter().find(|(known, ..)| *known == color) {
        return Some(((*paint).to_owned(), Some((*class).to_owned())));
    }
    match color {
        INK => Some(("currentColor".to_owned(), None)),
        FAINT => Some(("var(--faint)".to_owned(), None)),
        RGBColor(3, 0, k) => Some((paint_of(usize::from(k)), Some(format!("s{k}")))),
        RGBColor(5, 0, k) => Some((paint_of(usize::from(k)), Some("longest".to_owned()))),
        _ => None,
    }
}

/// What the axes and the mesh of all charts look like.
fn styled<'m, 'a, 'b, X: Ranged, Y: Ranged, DB: DrawingBackend>(
    mesh: &'m mut MeshStyle<'a, 'b, X, Y, DB>,
) -> &'m mut MeshStyle<'a, 'b, X, Y, DB> {
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .axis_style(FAINT)
        .label_style(text_style())
        .axis_desc_style(text_style())
}

/// The text of all charts; the drawing library makes it 1.24 times smaller than it is told.
fn text_style<'a>() -> TextStyle<'a> {
    ("sans-serif", 13.0 * 1.24).into_font().color(&INK)
}

/// The marks of an axis of logarithms between two values: 1, 2 and 5 of each decade, the decades alone where
/// these are many, and finer ones where the range is short.
fn log_marks(low: f64, high: f64) -> Vec<f64> {
    const STEPS: [&[f64]; 3] = [&[1.0], &[1.0, 2.0, 5.0], &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0]];
    let marks = |steps: &[f64]| -> Vec<f64> {
        ((low.floor() as i32)..=(high.ceil() as i32))
            .flat_map(|d| steps.iter().map(move |s| f64::from(d) + s.log10()))
            .filter(|m| (low - 1e-9..=high + 1e-9).contains(m))
            .collect()
    };
    let coarse = if high - low > 3.2 { 0 } else { 1 };
    let found = marks(STEPS[coarse]);
    // An axis with one mark on it tells no scale.
    if found.len() < 3 { marks(STEPS[2]) } else { found }
}

/// Times in milliseconds on an axis: as short as can be.
fn short_ms(ms: f64) -> String {
    if ms == 0.0 {
        return "0".to_owned();
    }
    let decimals = (2.0 - ms.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{ms:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The range of logarithms (base 10) that holds all the values, in milliseconds, with a little air.
fn log_range(values_ns: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values_ns
        .filter(|v| *v > 0.0)
        .map(|v| (v / 1e6).log10())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high { (-1.0, 1.0) } else { (low - 0.08, high + 0.08) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_of_logarithms_is_marked_at_round_values() {
        let ms: Vec<String> = log_marks(-0.8, 1.1).into_iter().map(|m| short_ms(10f64.powf(m))).collect();
        assert_eq!(ms, ["0.2", "0.5", "1", "2", "5", "10"]);
        assert_eq!(log_marks(-2.0, 2.0).len(), 5);
        // 0.4, 0.5 and 0.6 between 0.32 and 0.63.
        assert_eq!(log_marks(-0.5, -0.2).len(), 3);
    }

    #[test]
    fn colours_become_the_styles_and_names_stay_text() {
        let svg = "<svg width=\"1\"><text fill=\"#010101\">a</text><line stroke=\"#030002\"/></svg>";
        let themed = themed(svg, "a \"<b>\"");
        assert_eq!(
            themed,
            "<svg role=\"img\" aria-label=\"a &quot;&lt;b&gt;&quot;\" width=\"1\"><text style=\"fill:currentColor\">a</text>\
             <line style=\"stroke:var(--s2)\" class=\"s2\"/></svg>"
        );
        // A series more than there are colours shares one, and keeps a class of its own.
        assert_eq!(style_of("03000B"), Some(("var(--s3)".into(), Some("s11".into()))));
        assert_eq!(style_of("040001"), Some(("var(--throttled)".into(), Some("throttled".into()))));
        assert_eq!(style_of("FFFFFF"), None);
    }

    #[test]
    fn nothing_to_show_still_has_an_axis() {
        assert_eq!(log_range(std::iter::empty()), (-1.0, 1.0));
        assert_eq!(log_range([0.0].into_iter()), (-1.0, 1.0));
    }
}
