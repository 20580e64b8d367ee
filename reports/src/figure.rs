//! Figures as people read them: three significant digits, the unit always beside.

use crate::stats::Estimate;

/// Three significant digits, without an exponent and without more than four decimals.
pub(crate) fn digits(value: f64) -> String {
    if !value.is_finite() {
        return "n/a".to_owned();
    }
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let decimals = (2 - magnitude).clamp(0, 4) as usize;
    // Rounding may carry into the next decade (9.996 -> 10.0), which then needs one decimal less.
    let text = if magnitude > 2 {
        let unit = 10f64.powi(magnitude - 2);
        format!("{:.0}", (value / unit).round() * unit)
    } else {
        let text = format!("{value:.decimals$}");
        let carried = text.parse::<f64>().is_ok_and(|v| v.abs() >= 10f64.powi(magnitude + 1));
        if carried && decimals > 0 { format!("{value:.0$}", decimals - 1) } else { text }
    };
    if text.trim_start_matches(['-', '0', '.']).is_empty() { "0".to_owned() } else { text }
}

/// A figure and its interval in the figure's unit: `0.620 [0.550, 0.700]`.
pub(crate) fn with_interval(estimate: &Estimate, factor: f64) -> String {
    let value = digits(estimate.value * factor);
    match interval(estimate, factor) {
        Some(interval) => format!("{value} {interval}"),
        None => value,
    }
}

/// The interval alone: `[0.550, 0.700]`.
pub(crate) fn interval(estimate: &Estimate, factor: f64) -> Option<String> {
    let (low, high) = (estimate.low?, estimate.high?);
    Some(format!("[{}, {}]", digits(low * factor), digits(high * factor)))
}

/// Nanoseconds as milliseconds: `0.620 ms [0.550, 0.700]`.
pub(crate) fn ms(estimate: &Estimate) -> String {
    let value = ms_bare(estimate.value);
    match interval(estimate, 1e-6) {
        Some(interval) => format!("{value} {interval}"),
        None => value,
    }
}

/// Nanoseconds as milliseconds, without an interval.
pub(crate) fn ms_bare(ns: f64) -> String {
    format!("{} ms", digits(ns * 1e-6))
}

/// Nanoseconds as seconds: `2.30 s`.
pub(crate) fn s(ns: f64) -> String {
    format!("{} s", digits(ns * 1e-9))
}

/// A share as percent: `84.0 % [80.1, 90.2]`.
pub(crate) fn share(estimate: &Estimate) -> String {
    let value = percent(estimate.value);
    match interval(estimate, 100.0) {
        Some(interval) => format!("{value} {interval}"),
        None => value,
    }
}

/// A share as percent.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", digits(share * 100.0))
}

/// A time of whole or broken seconds, as it was asked for: `5 s`, `0.5 s`.
pub(crate) fn seconds(ns: u64) -> String {
    format!("{} s", ns as f64 / 1e9)
}

/// A level as percent: `93.8 %`, `95 %`.
pub(crate) fn level(level: f64) -> String {
    let text = format!("{:.1}", level * 100.0);
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_whatever_the_size() {
        for (value, text) in [
            (0.0, "0"),
            (0.62, "0.620"),
            (1.0, "1.00"),
            (9.996, "10.0"),
            (99.96, "100"),
            (999.6, "1000"),
            (12.345, "12.3"),
            (1234.0, "1230"),
            (98765.0, "98800"),
            (0.01234, "0.0123"),
            (0.00004, "0"),
            (-0.00004, "0"),
            (-0.5, "-0.500"),
            (-123.4, "-123"),
            (f64::NAN, "n/a"),
        ] {
            assert_eq!(digits(value), text, "{value}");
        }
    }

    #[test]
    fn a_figure_shows_its_interval_and_its_unit() {
        let e = Estimate { value: 620_000.0, low: Some(550_000.0), high: Some(700_000.0), level: 0.9375, n: 5 };
        assert_eq!(ms(&e), "0.620 ms [0.550, 0.700]");
        assert_eq!(ms(&Estimate { low: None, high: None, level: 0.0, n: 1, ..e }), "0.620 ms");
        assert_eq!((seconds(5_000_000_000), seconds(500_000_000)), ("5 s".into(), "0.5 s".into()));
        assert_eq!((level(0.9375), level(0.95)), ("93.8 %".into(), "95 %".into()));
    }
}
