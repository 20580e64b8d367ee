//! A series as one line of a terminal.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar for each value, or for the median of as many neighbours as make it fit; a dot where there is none. Beneath it
/// a mark at each of `marks`, which are places in the series.
pub(super) fn line(values: &[Option<f64>], marks: &[usize], width: usize) -> (String, String) {
    let each = values.len().div_ceil(width.max(1)).max(1);
    let bins: Vec<Option<f64>> = values.chunks(each).map(median).collect();
    let seen = bins.iter().flatten();
    let (low, high) = seen.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let bar = |value: f64| {
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        BARS[((share * 7.0).round() as usize).min(7)]
    };
    let bars = bins.iter().map(|bin| bin.map_or('·', bar)).collect();
    let mut beneath = vec![' '; bins.len()];
    for place in marks.iter().map(|mark| mark / each) {
        if let Some(mark) = beneath.get_mut(place) {
            *mark = '^';
        }
    }
    (bars, beneath.into_iter().collect::<String>().trim_end().to_owned())
}

fn median(bin: &[Option<f64>]) -> Option<f64> {
    let mut seen: Vec<f64> = bin.iter().flatten().copied().filter(|v| v.is_finite()).collect();
    seen.sort_by(f64::total_cmp);
    seen.get(seen.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_low_the_most_is_high_and_none_is_a_dot() {
        let values = [Some(1.0), Some(4.5), None, Some(8.0)];
        assert_eq!(line(&values, &[3], 10), ("▁▅·█".to_owned(), "   ^".to_owned()));
    }

    #[test]
    fn many_are_put_together_by_their_median() {
        let values: Vec<Option<f64>> = [1.0, 1.0, 99.0, 8.0, 8.0, 0.0].map(Some).to_vec();
        assert_eq!(line(&values, &[4], 2), ("▁█".to_owned(), " ^".to_owned()));
    }

    #[test]
    fn equal_values_and_none_at_all_have_a_line_too() {
        assert_eq!(line(&[Some(2.0), Some(2.0)], &[], 5), ("▅▅".to_owned(), String::new()));
        assert_eq!(line(&[None], &[], 5), ("·".to_owned(), String::new()));
        assert_eq!(line(&[], &[], 0), (String::new(), String::new()));
    }
}
