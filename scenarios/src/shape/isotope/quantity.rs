//! Sizes, shares and durations as isotope writes them.

/// Bytes from "1 KB", "16KiB", "2.5m" or "80": units are binary whatever they are called, as in Docker's go-units
/// (`RAMInBytes`), which isotope reads sizes with.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let digits = text.rfind(|c: char| c.is_ascii_digit() || c == '.')?;
    let (number, unit) = text.split_at(digits + 1);
    let number: f64 = number.parse().ok()?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.trim_end_matches('b') {
        "" => 0,
        prefix => {
            1 + ["k", "m", "g", "t", "p"].iter().position(|p| prefix == *p || prefix.strip_suffix('i') == Some(p))?
        }
    };
    // One b at most, and "kib" but not "ib".
    let known = unit.len() - unit.trim_end_matches('b').len() <= 1 && !(unit.ends_with('i'));
    let bytes = number * 1024_f64.powi(power as i32);
    (known && bytes.is_finite() && bytes >= 0.0 && bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// A share from 0 to 1 from "10%" or "0.01%".
pub(super) fn share(text: &str) -> Option<f64> {
    let percent: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
    Some(percent / 100.0).filter(|share| (0.0..=1.0).contains(share))
}

/// Nanoseconds from a duration as Go writes it: "10ms", "1.5s", "1h2m0.5s", "0".
pub(super) fn nanoseconds(text: &str) -> Option<u64> {
    const UNITS: [(&str, f64); 8] =
        [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, after) = rest.split_at(number);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total += digits.parse::<f64>().ok()? * scale;
        rest = after;
    }
    // Whole nanoseconds are exact in a float up to a hundred days.
    (!text.is_empty() && total < 1e16).then_some(total.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_size_are_binary_whatever_they_are_called() {
        for (text, want) in [
            ("0", 0),
            ("80", 80),
            ("80B", 80),
            ("80 b", 80),
            ("1k", 1024),
            ("1 K", 1024),
            ("1KB", 1024),
            ("1 KB", 1024),
            ("16KiB", 16_384),
            ("2.5m", 2_621_440),
            ("1 GiB", 1 << 30),
            ("1t", 1 << 40),
            ("1PB", 1 << 50),
        ] {
            assert_eq!(bytes(text), Some(want), "{text}");
        }
        for text in ["", " ", "k", "-1", "1x", "1bb", "1ib", "1ki", "1kbb", "1.2.3", "1  k", "1kk", "9999999p", "one"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn shares_are_percent() {
        for (text, want) in [("10%", 0.1), ("0.01%", 0.0001), ("0%", 0.0), ("100 %", 1.0)] {
            let share = share(text).unwrap();
            assert!((share - want).abs() < 1e-15, "{text}: {share}");
        }
        for text in ["", "0.1", "10", "-1%", "101%", "%", "nan%"] {
            assert_eq!(share(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, want) in [
            ("0", 0),
            ("0s", 0),
            ("1ns", 1),
            ("100us", 100_000),
            ("100µs", 100_000),
            ("10ms", 10_000_000),
            ("1.5s", 1_500_000_000),
            ("+2m", 120_000_000_000),
            ("1h2m0.5s", 3_720_500_000_000),
        ] {
            assert_eq!(nanoseconds(text), Some(want), "{text}");
        }
        for text in ["", "10", "ms", "-1s", "1 s", "1d", "1.2.3s", ".s", "1s2"] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }
}
