//! How fast: `500`, `max`, `100..1000`, `100x5s,200x5s`; and how single arrivals are drawn.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use load_gen::{Arrivals, Draw, Profile};

use crate::duration;
use crate::exit::Usage;

/// What `--rate` was given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rate {
    /// By a plan.
    Profile(Profile),
    /// As much as the target can take.
    Max,
}

/// Reads a rate.
///
/// # Errors
/// What is wrong, and what would be right.
pub(crate) fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    if let Some((from, to)) = text.split_once("..") {
        return Ok(Rate::Profile(Profile::Ramp { from: number(from)?, to: number(to)? }));
    }
    if text.contains('x') {
        let step = |text: &str| -> Result<(f64, Duration), String> {
            let (rate, length) = text.split_once('x').ok_or("a step is a rate and a time, such as 100x5s")?;
            match duration::parse(length)? {
                Duration::ZERO => Err("a step must last longer than 0, such as 100x5s".into()),
                length => Ok((number(rate)?, length)),
            }
        };
        return Ok(Rate::Profile(Profile::Steps(text.split(',').map(step).collect::<Result<_, _>>()?)));
    }
    Ok(Rate::Profile(Profile::Flat(number(text)?)))
}

fn number(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 && rate <= 1e9 => Ok(rate),
        Ok(_) => Err("a rate is more than 0 and at most 1e9 requests per second, such as 500".into()),
        Err(_) => Err("that is no number; give requests per second, such as 500 or 0.5, or 100..1000 for a ramp, \
                       100x5s,200x5s for steps, max for as much as the target can take"
            .into()),
    }
}

/// Reads how arrivals are drawn.
///
/// # Errors
/// What is wrong, and what would be right.
pub(crate) fn draw(text: &str) -> Result<Draw, String> {
    match text.split_once(':') {
        None if text == "constant" => Ok(Draw::Constant),
        None if text == "poisson" => Ok(Draw::Poisson),
        Some(("burst", size)) => match size.parse() {
            Ok(size) if size > 0 => Ok(Draw::Burst(size)),
            _ => Err("a burst has a whole number of requests, at least 1, such as burst:32".into()),
        },
        _ => Err(format!("'{text}' is none of constant, poisson, burst:N")),
    }
}

/// A load that lasts longer is a slip in a unit.
const LONGEST_NS: f64 = 365.0 * 86_400e9;

/// Reads offsets from a CSV file: its first column, or the one whose header is `offset_ns`, `offset_us`, `offset_ms`
/// or `offset_s`; without a header they are seconds.
///
/// # Errors
/// With the file and the line.
pub(crate) fn replay(path: &Path) -> anyhow::Result<Arrivals> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the offsets in {}", path.display()))?;
    let refuse = |line: usize, problem: String| {
        let remedy = "one offset from the start on each line, in rising order; in seconds, or under a header \
                      offset_ns, offset_us, offset_ms or offset_s";
        Usage(format!("{} line {line}: {problem}\n  try: {remedy}", path.display()))
    };
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).peekable();
    let mut column = 0;
    let mut unit_ns = 1e9;
    let (first_at, first) = lines.peek().map_or((0, ""), |(at, line)| (*at, *line));
    if !first.is_empty() && first.split(',').any(|field| field.trim().parse::<f64>().is_err()) {
        let units = [("offset_ns", 1.0), ("offset_us", 1e3), ("offset_ms", 1e6), ("offset_s", 1e9)];
        let named = first
            .split(',')
            .enumerate()
            .find_map(|(at, name)| units.iter().find(|(known, _)| *known == name.trim()).map(|(_, unit)| (at, *unit)));
        (column, unit_ns) =
            named.ok_or_else(|| refuse(first_at + 1, format!("'{first}' names no column of offsets")))?;
        lines.next();
    }
    let mut offsets: Vec<u64> = Vec::new();
    for (at, line) in lines {
        let field = line.split(',').nth(column).unwrap_or_default().trim();
        let offset = field.parse::<f64>().ok().filter(|o| o.is_finite() && *o >= 0.0);
        let ns = offset.ok_or_else(|| refuse(at + 1, format!("'{field}' is no offset")))? * unit_ns;
        if ns > LONGEST_NS {
            return Err(refuse(at + 1, format!("{field} is more than a year from the start")).into());
        }
        let ns = ns.round() as u64;
        if offsets.last().is_some_and(|last| *last > ns) {
            return Err(refuse(at + 1, format!("{field} is before the line above it")).into());
        }
        offsets.push(ns);
    }
    if offsets.is_empty() {
        return Err(refuse(1, "there is no offset".to_owned()).into());
    }
    Ok(Arrivals::Replay(offsets.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_in_every_form() {
        let s = Duration::from_secs;
        assert_eq!(rate("500"), Ok(Rate::Profile(Profile::Flat(500.0))));
        assert_eq!(rate("0.5"), Ok(Rate::Profile(Profile::Flat(0.5))));
        assert_eq!(rate("max"), Ok(Rate::Max));
        assert_eq!(rate("100..1000"), Ok(Rate::Profile(Profile::Ramp { from: 100.0, to: 1000.0 })));
        assert_eq!(rate("100x5s,200x10s"), Ok(Rate::Profile(Profile::Steps(vec![(100.0, s(5)), (200.0, s(10))]))));
        for bad in ["0", "-1", "NaN", "fast", "1..", "1..x", "100x", "100x5", "100x0s", "x5s", "1x1s,", "2e9"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
        assert_eq!(
            (draw("constant"), draw("poisson"), draw("burst:32")),
            (Ok(Draw::Constant), Ok(Draw::Poisson), Ok(Draw::Burst(32)))
        );
        for bad in ["bursts", "burst", "burst:0", "burst:x", "poisson:3"] {
            assert!(draw(bad).is_err(), "{bad}");
        }
    }

    fn read(text: &str) -> Result<Vec<u64>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offsets.csv");
        std::fs::write(&path, text).unwrap();
        match replay(&path) {
            Ok(Arrivals::Replay(offsets)) => Ok(offsets.to_vec()),
            Ok(other) => panic!("{other:?}"),
            Err(e) => Err(e.to_string()),
        }
    }

    #[test]
    fn offsets_are_read_with_and_without_a_header() {
        assert_eq!(read("0\n0.5\n\n1.25\n"), Ok(vec![0, 500_000_000, 1_250_000_000]));
        assert_eq!(read("who, offset_ms ,x\na,1,b\nc,2.5,d\n"), Ok(vec![1_000_000, 2_500_000]));
        for (text, says) in [
            ("", "there is no offset"),
            ("when\n1\n", "line 1: 'when' names no column"),
            ("1\nx\n", "line 2: 'x' is no offset"),
            ("offset_s\n3\n2\n", "line 3: 2 is before the line above it"),
            ("-1\n", "line 1: '-1' is no offset"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(says) && said.contains("try: one offset"), "{text:?}: {said}");
        }
    }
}
