//! /proc/pressure/* and cpu.pressure: time stalled for a resource (kernel document accounting/psi).
//!
//! `procfs` wants both lines, which fails for cpu before 5.13 (no `full`) and for irq (no `some`), and keeps
//! averages as f32, so this is read here.
//!
//! It is never read more often than five times a second: see [`crate::tiers`].

use record::{PressureLine, PressureSample};

/// The lines there are; none if there is neither, or one is broken.
pub(crate) fn parse(text: &str) -> Option<PressureSample> {
    let mut sample = PressureSample::default();
    for line in text.lines() {
        let (word, values) = line.split_once(' ')?;
        match word {
            "some" => sample.some = Some(parse_line(values)?),
            "full" => sample.full = Some(parse_line(values)?),
            _ => {}
        }
    }
    (sample.some.is_some() || sample.full.is_some()).then_some(sample)
}

fn parse_line(values: &str) -> Option<PressureLine> {
    let (mut avg10, mut total_us) = (None, None);
    for pair in values.split_ascii_whitespace() {
        match pair.split_once('=')? {
            ("avg10", value) => avg10 = Some(value.parse::<f64>().ok().filter(|share| share.is_finite())?),
            ("total", value) => total_us = Some(value.parse().ok()?),
            _ => {}
        }
    }
    Some(PressureLine { avg10: avg10?, total_us: total_us? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_line_may_be_missing() {
        let some = "some avg10=1.34 avg60=3.56 avg300=2.63 total=21155299\n";
        let full = "full avg10=0.29 avg60=0.06 avg300=0.14 total=6874379\n";
        let some_line = PressureLine { avg10: 1.34, total_us: 21_155_299 };
        let full_line = PressureLine { avg10: 0.29, total_us: 6_874_379 };
        assert_eq!(parse(some), Some(PressureSample { some: Some(some_line), full: None }));
        assert_eq!(parse(full), Some(PressureSample { some: None, full: Some(full_line) }));
        let both = PressureSample { some: Some(some_line), full: Some(full_line) };
        assert_eq!(parse(&format!("{some}{full}")), Some(both));
    }

    #[test]
    fn what_is_no_pressure_is_none() {
        for text in [
            "",
            "some\n",
            "some avg10=1.34\n",
            "some total=1\n",
            "some avg10=x total=1\n",
            "some avg10=nan total=1\n",
            "half avg10=1 total=1\n",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
