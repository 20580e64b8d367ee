//! Names and texts of others made fit to be shown: in a scenario, a run or a result that somebody sent, they may hold what steers
//! a terminal, ends a line or a comment, or turns the order of what follows it.

/// In the place of what cannot be shown as text.
const INSTEAD: char = '\u{fffd}';

/// One line that steers nothing: each such character is U+FFFD.
pub fn line(text: &str) -> String {
    text.chars().map(|c| if steers(c) { INSTEAD } else { c }).collect()
}

/// The same with the ends of lines and the tabulators that it has.
pub fn lines(text: &str) -> String {
    text.chars().map(|c| if steers(c) && c != '\n' && c != '\t' { INSTEAD } else { c }).collect()
}

/// One line with a blank for each, where a mark would be read as part of what is meant.
pub fn blanked(text: &str) -> String {
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

/// Controls, and what embeds, overrides or isolates the direction of writing (Unicode's UAX 9).
pub fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_told_apart_from_what_is_read() {
        let text = "a\tb\n\u{1b}[2J\u{9b}\r\u{7f}\u{202e}c\u{2066}é 漢 \u{5d0}";
        assert_eq!(line(text), "a\u{fffd}b\u{fffd}\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}c\u{fffd}é 漢 \u{5d0}");
        assert_eq!(lines(text), line(text).replacen('\u{fffd}', "\t", 1).replacen('\u{fffd}', "\n", 1));
        assert_eq!(blanked(text), line(text).replace('\u{fffd}', " "));
    }
}
