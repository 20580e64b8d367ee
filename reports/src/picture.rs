//! The charts as PNG pictures for slides and tickets, in the light style, each with its title and what its colours mean.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

use crate::explanation::Explanation;
use crate::html::{Chart, Charts, Mark, light};
use crate::{Error, Result};

/// Points of a picture for each unit of the drawing: sharp on a slide.
const SCALE: f32 = 2.0;
const WIDTH: usize = 960;
const MARGIN: usize = 16;
const TITLE: usize = 34;
const LINE: usize = 22;
/// Units that a character of a legend or of a note takes at most, in a font of 13.
const CHARACTER: f64 = 6.9;

/// A picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The name of its file, without the ending.
    pub name: String,
    /// A PNG file.
    pub png: Vec<u8>,
}

/// Every chart of a run.
///
/// # Errors
/// When a chart or its picture cannot be made.
pub fn pictures(explained: &Explanation) -> Result<Vec<Picture>> {
    let charts = Charts::of(explained)?;
    let subtitle = format!("{}, run {}", explained.findings.scenario, explained.findings.run);
    let options = options();
    charts.all().map(|chart| picture(chart, &subtitle, &options)).collect()
}

/// The font is in the program, so that a picture is the same on every machine, those without a font among them.
fn options() -> Options<'static> {
    let mut options = Options { font_family: FONT.to_owned(), ..Options::default() };
    let fonts = options.fontdb_mut();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    // What charts ask for.
    fonts.set_sans_serif_family(FONT);
    options
}

const FONT: &str = "DejaVu Sans";

fn picture(chart: &Chart, subtitle: &str, options: &Options<'_>) -> Result<Picture> {
    let failed = |message: String| Error::Picture { chart: chart.id.clone(), message };
    let (svg, height) = framed(chart, subtitle);
    let tree = Tree::from_str(&svg, options).map_err(|e| failed(e.to_string()))?;
    let size = |units: usize| (units as f32 * SCALE) as u32;
    let mut pixels =
        Pixmap::new(size(WIDTH + 2 * MARGIN), size(height)).ok_or_else(|| failed("it is too large".into()))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    let png = pixels.encode_png().map_err(|e| failed(e.to_string()))?;
    Ok(Picture { name: chart.id.clone(), png })
}

/// The drawing under its title and legend, above its note, with the colours of the light style; and how high that is.
fn framed(chart: &Chart, subtitle: &str) -> (String, usize) {
    let drawn = height_of(&chart.svg);
    let (legend, rows) = legend(&chart.marks);
    let top = MARGIN + 2 * TITLE - 4 + rows * LINE;
    let notes = wrapped(&chart.note);
    let height = top + drawn + 12 + notes.len() * LINE + MARGIN;
    let width = WIDTH + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"{FONT}\" \
         style=\"color:var(--ink)\"><rect width=\"{width}\" height=\"{height}\" style=\"fill:var(--paper)\"/>\
         <text x=\"{MARGIN}\" y=\"{}\" font-size=\"20\" style=\"fill:var(--ink)\">{}</text>\
         <text x=\"{MARGIN}\" y=\"{}\" font-size=\"13\" style=\"fill:var(--soft)\">{}</text>{legend}",
        MARGIN + 20,
        escaped(&chart.title),
        MARGIN + TITLE + 8,
        escaped(subtitle),
    );
    let inner = chart.svg.replacen("<svg ", &format!("<svg x=\"{MARGIN}\" y=\"{top}\" "), 1);
    svg.push_str(&inner);
    for (row, line) in notes.iter().enumerate() {
        let y = top + drawn + 12 + (row + 1) * LINE - 6;
        svg.push_str(&format!(
            "<text x=\"{MARGIN}\" y=\"{y}\" font-size=\"13\" style=\"fill:var(--soft)\">{}</text>",
            escaped(line)
        ));
    }
    svg.push_str("</svg>");
    (in_light(&svg), height)
}

/// The height that a drawing says it has.
fn height_of(svg: &str) -> usize {
    let said = svg.split("height=\"").nth(1).and_then(|rest| rest.split('"').next());
    said.and_then(|height| height.parse().ok()).unwrap_or(0)
}

/// The legend, and in how many rows it stands.
fn legend(marks: &[Mark]) -> (String, usize) {
    let (mut text, mut row, mut x) = (String::new(), 0, MARGIN as f64);
    for mark in marks {
        let length = 42.0 + mark.name.chars().count() as f64 * CHARACTER;
        if x + length > (WIDTH + MARGIN) as f64 && x > MARGIN as f64 {
            row += 1;
            x = MARGIN as f64;
        }
        let middle = (MARGIN + 2 * TITLE - 6 + row * LINE) as f64;
        let height = if mark.area { 11.0 } else { 4.0 };
        text.push_str(&format!(
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"18\" height=\"{height}\" rx=\"2\" style=\"fill:{};opacity:{}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"13\" style=\"fill:var(--ink)\">{}</text>",
            middle - height / 2.0,
            mark.paint,
            mark.opacity,
            x + 25.0,
            middle + 4.5,
            escaped(&mark.name),
        ));
        x += length;
    }
    (text, if marks.is_empty() { 0 } else { row + 1 })
}

/// A note in lines that are no wider than the picture.
fn wrapped(note: &str) -> Vec<String> {
    let most = (WIDTH as f64 / CHARACTER) as usize;
    let mut lines: Vec<String> = Vec::new();
    for word in note.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The style's variables and the colour of the text, resolved: what draws the picture knows none of them.
fn in_light(svg: &str) -> String {
    let mut svg = svg.to_owned();
    for (name, color) in light() {
        svg = svg.replace(&format!("var({name})"), color);
    }
    let ink = light().find(|(name, _)| *name == "--ink").map_or("#000000", |(_, color)| color);
    svg.replace("currentColor", ink)
}

fn escaped(text: &str) -> String {
    record::plain::blanked(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::SERIES;

    #[test]
    fn the_light_style_has_every_colour_that_charts_use() {
        let known: Vec<&str> = light().map(|(name, _)| name).collect();
        let series = (0..SERIES).map(|k| format!("--s{k}"));
        let named = ["--ink", "--paper", "--soft", "--faint", "--throttled", "--stolen", "--waited", "--disk"];
        for name in series.chain(named.map(str::to_owned)) {
            assert!(known.contains(&name.as_str()), "{name} of {known:?}");
        }
        let resolved = in_light("<a style=\"fill:var(--s1);stroke:currentColor\"/>");
        assert!(!resolved.contains("var(") && !resolved.contains("currentColor"), "{resolved}");
    }

    fn chart(note: &str) -> Chart {
        let svg = "<svg width=\"960\" height=\"40\" viewBox=\"0 0 960 40\" xmlns=\"http://www.w3.org/2000/svg\">\
                   <rect x=\"0\" y=\"0\" width=\"960\" height=\"30\" style=\"fill:var(--s2)\"/>\
                   <text x=\"9\" y=\"39\" font-family=\"sans-serif\" font-size=\"10\" style=\"fill:var(--stolen)\">axis</text></svg>";
        let mark = |name: &str| Mark {
            paint: "var(--s1)".into(),
            opacity: 1.0,
            area: true,
            class: "s1".into(),
            name: name.into(),
        };
        Chart {
            id: "chart-tax".into(),
            title: "A <title> & more".into(),
            marks: vec![mark("one"), mark(&"long".repeat(40))],
            svg: svg.into(),
            note: note.into(),
            cursor: String::new(),
        }
    }

    #[test]
    fn a_picture_is_the_drawing_in_the_light_styles_colours() {
        let picture = picture(&chart("A note."), "run x", &options()).unwrap();
        let pixels = Pixmap::decode_png(&picture.png).unwrap();
        assert_eq!(pixels.width(), 1984);
        let colors: Vec<[u8; 3]> = pixels.pixels().iter().map(|p| [p.red(), p.green(), p.blue()]).collect();
        let of = |color: [u8; 3]| colors.iter().filter(|c| **c == color).count();
        // --s2 is #c2410c: 960 by 30 units of two points each way.
        assert_eq!(of([0xc2, 0x41, 0x0c]), 960 * 30 * 4);
        // --stolen is #dc2626: what stands beside an axis asks for any font without serifs.
        assert!(of([0xdc, 0x26, 0x26]) > 20, "the numbers of an axis are written");
        assert!(of([255, 255, 255]) > colors.len() / 2, "paper");
        assert!(of([0x1a, 0x20, 0x27]) > 200, "the title is written");
    }

    #[test]
    fn a_long_legend_and_a_long_note_take_further_lines() {
        let (_, short) = framed(&chart("A note."), "");
        let (svg, tall) = framed(&chart(&"word ".repeat(60)), "");
        assert!(tall > short && wrapped(&"word ".repeat(60)).len() > 1, "{tall} {short}");
        assert_eq!(legend(&chart("").marks).1, 2);
        assert!(svg.contains("A &lt;title&gt; &amp; more"));
    }
}
