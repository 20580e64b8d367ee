//! The date of a line, as Envoy writes it: 2026-11-26T20:04:05.678Z.

use std::cell::Cell;

/// What turns stamps of CLOCK_MONOTONIC into dates. The two clocks are compared once: what sets the other one while a
/// trial runs would bend the log's order.
pub(super) struct Clock {
    /// The time of day, since 1970, at which the monotonic clock was 0.
    offset_ns: u64,
    /// The last second that was shown, since most lines are of the same one as the line before.
    last: Cell<(u64, [u8; 19])>,
}

impl Default for Clock {
    fn default() -> Self {
        let offset_ns = record::realtime_ns().saturating_sub(record::monotonic_ns());
        Self { offset_ns, last: Cell::new((0, civil(0))) }
    }
}

impl Clock {
    pub(super) fn show(&self, monotonic_ns: u64) -> [u8; 24] {
        self.show_realtime(self.offset_ns + monotonic_ns)
    }

    fn show_realtime(&self, ns: u64) -> [u8; 24] {
        let second = ns / 1_000_000_000;
        if self.last.get().0 != second {
            self.last.set((second, civil(second)));
        }
        let mut shown = *b"2026-11-26T20:04:05.678Z";
        for (to, from) in shown.iter_mut().zip(self.last.get().1) {
            *to = from;
        }
        digits(&mut shown, 20, 3, ns / 1_000_000 % 1000);
        shown
    }
}

/// A second since 1970 as a date, by the algorithm `civil_from_days` of Howard Hinnant
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn civil(second: u64) -> [u8; 19] {
    let days = second / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let mut shown = *b"2026-11-26T20:04:05";
    for (at, length, value) in [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day_of_year - (153 * shifted + 2) / 5 + 1),
        (11, 2, second / 3600 % 24),
        (14, 2, second / 60 % 60),
        (17, 2, second % 60),
    ] {
        digits(&mut shown, at, length, value);
    }
    shown
}

fn digits(text: &mut [u8], at: usize, length: usize, mut value: u64) {
    for digit in text.iter_mut().skip(at).take(length).rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let clock = Clock::default();
        for (second, date) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_795_724_645, "2026-11-26T20:24:05.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(std::str::from_utf8(&clock.show_realtime(second * 1_000_000_000)).unwrap(), date);
        }
        assert!(clock.show_realtime(1_234_567_890).ends_with(b":01.234Z"));
    }
}
