//! The page docs/scenarios.md: its tables are made of the library, of what a file's errors say is expected, and of the
//! comments in the source, and are current.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use scenarios::{Scenario, library};

/// What stands above this line is written by hand.
const FROM_HERE: &str = "Below this line the page is generated from the library and from what reads a scenario.\n";

/// Where each table of a file is commented in the source.
const STRUCTS: [(&str, &str, &str); 8] = [
    ("", "scenarios/src/scenario.rs", "Scenario"),
    ("chain", "scenarios/src/scenario.rs", "ChainFactors"),
    ("load", "scenarios/src/scenario.rs", "LoadFactors"),
    ("mesh", "scenarios/src/scenario.rs", "MeshFactors"),
    ("canary", "scenarios/src/scenario.rs", "CanaryFactors"),
    ("host", "scenarios/src/scenario.rs", "HostFactors"),
    ("trial", "reports/record/src/run.rs", "Timing"),
    ("plan", "scenarios/src/scenario.rs", "PlanSettings"),
];

/// Values of which each field that has a range refuses one or another.
const ABSURD: [&str; 7] = ["4294967295", "-1.0", "\"7200s\"", "\"1ms\"", "\"0s\"", "\"1m\"", "\"1Ki\""];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What is said to a value that cannot stand there: the problem, and what would be right.
fn refusal(table: &str, key: &str, value: &str) -> Option<(String, String)> {
    let text = if table.is_empty() { format!("{key} = {value}\n") } else { format!("[{table}]\n{key} = {value}\n") };
    let Err(scenarios::Error::Scenario { problem, remedy, .. }) = Scenario::parse(&text, "x.toml") else {
        return None;
    };
    Some((problem, remedy))
}

/// The comments of a struct's fields, by key; lengths have their unit in the name there and in the value in a file.
fn comments(file: &str, name: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let (_, body) = text.split_once(&format!("pub struct {name} {{")).unwrap_or_else(|| panic!("{name} in {file}"));
    let (body, _) = body.split_once("\n}").unwrap();
    let (mut found, mut comment) = (BTreeMap::new(), Vec::new());
    for line in body.lines().map(str::trim) {
        if let Some(said) = line.strip_prefix("/// ") {
            comment.push(said);
        } else if let Some((field, _)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(':')) {
            let key = field.strip_suffix("_ns").unwrap_or(field).to_owned();
            found.insert(key, std::mem::take(&mut comment).join(" "));
        }
    }
    found
}

/// The table and key of each field with its default, in the order of a file that is written.
fn defaults() -> Vec<(String, String, String)> {
    let (mut table, mut found) = (String::new(), Vec::new());
    let text = Scenario::default().to_toml();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut table);
        } else {
            let (key, value) = line.split_once(" = ").unwrap();
            found.push((table.clone(), key.to_owned(), value.to_owned()));
        }
    }
    found
}

/// What may stand in a field: its type, then its range where it has one.
fn takes(table: &str, key: &str) -> String {
    // A date is of no field's type.
    let (_, kind) = refusal(table, key, "2026-01-01").unwrap_or_else(|| panic!("{table}.{key} takes a date"));
    let mut ranges: Vec<String> = Vec::new();
    for (_, remedy) in ABSURD.iter().filter_map(|value| refusal(table, key, value)) {
        if remedy != kind && !ranges.contains(&remedy) {
            ranges.push(remedy);
        }
    }
    let list = refusal(table, key, "[]").is_some_and(|(_, remedy)| remedy.ends_with(", or a list of such"));
    let range = ranges.join("; ");
    let text = match kind.as_str() {
        _ if range.is_empty() => kind,
        // What the range says of the kind already is not said twice.
        "a number" if range.starts_with("a number") => range,
        "a whole number" if range.starts_with("a number") => range.replacen("a number", &kind, 1),
        _ => format!("{kind}; {range}"),
    };
    if list { format!("{text} (*list*)") } else { text }
}

fn generated() -> String {
    let mut page = String::from("\n## The library\n| name | cells | teaches |\n|---|---|---|\n");
    for (name, text) in library() {
        let scenario = Scenario::parse(text, name).unwrap();
        page.push_str(&format!("| `{name}` | {} | {} |\n", scenario.cells().unwrap().len(), scenario.teaches));
    }
    page.push_str("\n## Every field\n");
    let mut table: Option<String> = None;
    for (section, key, default) in defaults() {
        if table.as_deref() != Some(section.as_str()) {
            let title = if section.is_empty() { "At the top".to_owned() } else { format!("`[{section}]`") };
            page.push_str(&format!(
                "{}### {title}\n| field | is | takes | default |\n|---|---|---|---|\n",
                if table.is_some() { "\n" } else { "" }
            ));
            table = Some(section.clone());
        }
        let (_, file, name) = STRUCTS.iter().find(|(of, ..)| *of == section).expect("a struct for each table");
        let is = comments(file, name).remove(&key).unwrap_or_else(|| panic!("{name} in {file} has no field {key}"));
        assert!(is.ends_with('.'), "{section}.{key}: {is}");
        let cell = |text: &str| text.replace('|', "\\|");
        page.push_str(&format!("| `{key}` | {} | {} | `{default}` |\n", cell(&is), cell(&takes(&section, &key))));
    }
    page
}

#[test]
fn the_page_is_current() {
    let path = root().join("docs/scenarios.md");
    let page = fs::read_to_string(&path).unwrap();
    let (by_hand, below) = page.split_once(FROM_HERE).expect("the page has the line that begins what is generated");
    let want = generated();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{by_hand}{FROM_HERE}{want}")).unwrap();
        return;
    }
    assert_eq!(below, want, "UPDATE_DOCS=1 cargo test -p scenarios reference writes it anew, to be looked at");
}

#[test]
fn a_fields_row_says_its_kind_its_range_and_whether_it_takes_a_list() {
    assert_eq!(
        takes("chain", "services"),
        "a whole number from 1 to 50; with sidecars, 50 services are 101 processes (*list*)"
    );
    assert_eq!(takes("plan", "aa"), "true or false");
}
