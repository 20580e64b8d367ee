//! The page of troubleshooting: each text that it quotes is one that the program has.

use std::fs;
use std::path::Path;
use std::str::Chars;

use super::pages::{all, root};

/// The libraries and the program.
const SOURCES: [&str; 6] =
    ["bench-runner/src", "load-gen/src", "node-probe/src", "reports/src", "reports/record/src", "scenarios/src"];

/// Less than this could be found anywhere.
const LEAST_FIXED: usize = 8;

/// Every text in quotes of the sources, with what is filled in left as it stands there.
fn texts() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = SOURCES.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|e| e == "rs") && !is_a_test(&entry) {
                let source = fs::read_to_string(&entry).unwrap();
                // Tests at the end of a file quote what they look for.
                found.extend(quoted(source.split("#[cfg(test)]").next().unwrap_or_default()));
            }
        }
    }
    found
}

fn is_a_test(path: &Path) -> bool {
    let path = path.strip_prefix(root()).unwrap_or(path);
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

/// What stands in double quotes, its lines joined as the compiler joins them. Comments have no quotes that matter: an odd
/// one turns inside out what follows on its line only, since each line of code closes what it opens or is joined.
fn quoted(source: &str) -> Vec<String> {
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).fold(String::new(), |mut code, line| {
            match code.strip_suffix("\\\n").map(str::len) {
                Some(length) => {
                    code.truncate(length);
                    code.push_str(line.trim_start());
                }
                None => code.push_str(line),
            }
            code.push('\n');
            code
        });
    let (mut texts, mut text, mut inside) = (Vec::new(), String::new(), false);
    let mut characters = code.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' if inside => match characters.next() {
                Some('n') => text.push('\n'),
                Some(escaped) => text.push(escaped),
                None => {}
            },
            // A quote as a character, as it is or escaped.
            '\'' if !inside && characters.as_str().starts_with("\"'") => characters = skipped(characters, 2),
            '\'' if !inside && characters.as_str().starts_with("\\\"'") => characters = skipped(characters, 3),
            // A raw text has quotes of its own.
            'r' if !inside && characters.as_str().starts_with("#\"") => {
                let raw = characters.as_str()[2..].split("\"#").next().unwrap_or_default();
                texts.push(raw.to_owned());
                characters = skipped(characters, 2 + raw.chars().count() + 2);
            }
            '"' if inside => {
                texts.push(std::mem::take(&mut text));
                inside = false;
            }
            '"' => inside = true,
            c if inside => text.push(c),
            _ => {}
        }
    }
    texts
}

fn skipped(characters: Chars<'_>, count: usize) -> Chars<'_> {
    let mut rest = characters;
    rest.by_ref().take(count).for_each(drop);
    rest
}

/// Whether the fixed parts of what is quoted stand in this text, in their order, with something filled in between.
fn has(text: &str, parts: &[&str]) -> bool {
    let mut rest = text;
    parts.iter().all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

#[test]
fn every_error_and_doubt_that_is_quoted_is_one_that_the_program_has() {
    let texts = texts();
    let page = all().into_iter().find(|page| page.name == "docs/troubleshooting.md").unwrap();
    let entries: Vec<&str> = page.prose.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert!(entries.len() > 30, "{entries:?}");
    for entry in entries {
        let quoted = entry.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
        let quoted = quoted.unwrap_or_else(|| panic!("an entry is a text in code: {entry}"));
        let parts: Vec<&str> = quoted.split('…').map(str::trim).filter(|part| !part.is_empty()).collect();
        assert!(parts.concat().chars().count() >= LEAST_FIXED, "{entry} says too little");
        assert!(texts.iter().any(|text| has(text, &parts)), "no text of the program is: {entry}");
    }
}

#[test]
fn texts_are_found_as_the_compiler_sees_them() {
    let source = "// say \"no\"\nlet a = \"one \\\n   two {x} \\\"three\\\"\\n  try\"; f('\"'); g(\"four\"); r#\"a \"b\"\"#; \"c\"";
    assert_eq!(quoted(source), ["one two {x} \"three\"\n  try", "four", "a \"b\"", "c"]);
    assert!(has("one {} two {b} three", &["one", "two"]) && !has("one two", &["two", "one"]));
}
