//! The findings as JSON: findings.json.

use crate::{Findings, Result};

/// The findings, indented, with a line end; a list of numbers stands on one line, since a timeline has hundreds.
///
/// # Errors
/// None that the type allows for; the writer's, if it has one.
pub fn render(findings: &Findings) -> Result<String> {
    Ok(flat(&serde_json::to_string_pretty(findings)?))
}

/// Indented JSON with its lists of numbers each on one line. No text in it is broken: a line end in a string is written as
/// an escape.
fn flat(indented: &str) -> String {
    let mut text = String::with_capacity(indented.len());
    // Numbers that wait for the end of their list.
    let mut waiting: Vec<&str> = Vec::new();
    let mut in_list = false;
    for line in indented.lines() {
        let bare = line.trim_start();
        let number = bare.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        if in_list && number {
            waiting.push(line);
            continue;
        }
        if in_list && bare.starts_with(']') && !waiting.is_empty() {
            // Without the line end after the bracket.
            text.pop();
            let numbers: Vec<&str> = waiting.drain(..).map(str::trim).collect();
            text.push_str(&numbers.join(" "));
            text.push_str(bare);
        } else {
            for line in waiting.drain(..) {
                text.push_str(line);
                text.push('\n');
            }
            text.push_str(line);
        }
        text.push('\n');
        in_list = bare.ends_with('[');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_on_one_line_and_mean_the_same() {
        let value = serde_json::json!({
            "a": [1, -2.5, 3], "b": [], "c": [[1, 2], ["x\n1,", 2], {"d": [7]}], "e": "[\n1\n]", "f": [1, null], "g": [{"h": 1}, 5]
        });
        let indented = serde_json::to_string_pretty(&value).unwrap();
        let text = flat(&indented);
        assert!(text.contains("\"a\": [1, -2.5, 3],\n"), "{text}");
        assert!(text.contains("\"d\": [7]\n") && text.ends_with("}\n"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        assert!(text.lines().count() < indented.lines().count());
    }
}
