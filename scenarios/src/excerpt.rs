//! The line in which something is wrong, with a mark under the place.

/// What is shown of a line at most, in characters, and before the place where it does not fit.
const WIDE: usize = 160;
const BEFORE: usize = 40;

/// Shows `line` of a file, whose text is `shown`, with `width` marks from `column` on; both count from 1.
///
/// A line that a program wrote can be as long as its file; the part around the place is shown.
pub(crate) fn excerpt(line: usize, shown: &str, column: usize, width: usize) -> String {
    let place = column.saturating_sub(1);
    let from = if place < WIDE { 0 } else { place - BEFORE };
    let dots = if from > 0 { "..." } else { "" };
    let part: String = shown.chars().skip(from).take(WIDE).collect();
    let space = dots.len() + place - from;
    let marks = "^".repeat(width.clamp(1, WIDE - (place - from)));
    format!("{line:5} | {dots}{part}\n      | {:space$}{marks}", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_under_the_place() {
        assert_eq!(excerpt(3, "a = true", 5, 4), "    3 | a = true\n      |     ^^^^");
        assert_eq!(excerpt(1, "", 1, 0), "    1 | \n      | ^");
    }

    #[test]
    fn of_a_line_of_any_length_the_part_around_the_place_is_shown() {
        // A width of more than 65535 is none for a format.
        let line = format!("{}here{}", " ".repeat(70_000), "x".repeat(70_000));
        let shown = excerpt(1, &line, 70_001, 100_000);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines.iter().all(|l| l.len() < 180), "{shown}");
        assert_eq!(lines[0].find("here"), lines[1].find('^'), "{shown}");
    }
}
