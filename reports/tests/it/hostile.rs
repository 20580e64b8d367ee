//! Whatever text stands in a run, it is shown as text: every string of the findings is made hostile, one that is added
//! later as well, and no page has a tag more for it.

use std::collections::BTreeMap;

use reports::Findings;
use serde_json::Value;

use crate::hosts::on_hosts;
use crate::pages::{HOSTILE, balanced, run_with_everything};

/// The names of fields on the way to a string; places in lists are alike.
type Way = Vec<String>;

fn ways(value: &Value, way: &Way, into: &mut BTreeMap<Way, usize>) {
    let below = |name: &str| way.iter().cloned().chain([name.to_owned()]).collect::<Way>();
    match value {
        Value::String(_) => *into.entry(way.clone()).or_default() += 1,
        Value::Array(all) => all.iter().for_each(|one| ways(one, &below("*"), into)),
        Value::Object(all) => all.iter().for_each(|(name, one)| ways(one, &below(name), into)),
        _ => {}
    }
}

/// Puts the hostile text before every string at the end of a way: what was equal stays so.
fn spoil(value: &mut Value, way: &[String]) {
    match (value, way) {
        (Value::String(text), []) => text.insert_str(0, HOSTILE),
        (Value::Array(all), [_, rest @ ..]) => all.iter_mut().for_each(|one| spoil(one, rest)),
        (Value::Object(all), [name, rest @ ..]) => {
            if let Some(one) = all.get_mut(name) {
                spoil(one, rest);
            }
        }
        _ => {}
    }
}

#[test]
fn no_text_of_a_run_becomes_more_than_text_on_any_page() {
    let parent = tempfile::tempdir().unwrap();
    let directory = run_with_everything().write(parent.path());
    on_hosts(&directory, 1_000);
    let mut found = reports::findings(&directory).unwrap();
    found.source = Some(record::Source {
        commit: Some("0123456789abcdef".into()),
        branch: Some("main".into()),
        label: Some("plan A".into()),
        told_by: Some("--commit".into()),
    });
    let clean = reports::html::render(&found, &directory).unwrap();
    let tags = balanced(&clean).unwrap();

    let mut whole = serde_json::to_value(&found).unwrap();
    let mut all = BTreeMap::new();
    ways(&whole, &Way::new(), &mut all);
    let mut spoilt = Vec::new();
    for way in all.keys() {
        let mut tried = whole.clone();
        spoil(&mut tried, way);
        // A word of a few, such as a dataplane's, is no text: it is refused where it is read.
        if serde_json::from_value::<Findings>(tried.clone()).is_ok() {
            whole = tried;
            spoilt.push(way.join("."));
        }
    }
    for needed in [
        "scenario",
        "run",
        "cells.*.label",
        "cells.*.id",
        "source.commit",
        "source.branch",
        "source.label",
        "host.kernel",
        "host.cpu_model",
        "hosts.hosts.*.name",
        "answer.*",
        "warnings.*.evidence",
        "warnings.*.remedy",
        "proofs.*.claim",
    ] {
        assert!(spoilt.iter().any(|way| way == needed), "{needed} of {spoilt:#?}");
    }
    let findings: Findings = serde_json::from_value(whole).unwrap();
    let page = reports::html::render(&findings, &directory).unwrap();
    let hostile_tags = balanced(&page).unwrap();
    assert_eq!(page.matches("<script").count(), 1, "the page's own");
    assert!(page.matches("&lt;script&gt;alert(").count() > 50);
    // What is looked up by a spoilt name may be missing; nothing is there on top.
    assert!(hostile_tags <= tags, "{hostile_tags} tags, and {tags} without");
    let markdown = reports::markdown::render(&findings);
    assert!(!markdown.contains("<script") && markdown.contains("&lt;script&gt;"));
    for width in [80, 200] {
        assert!(!reports::text::render(&findings, width, false).contains('\u{1b}'), "no code for the terminal");
    }
    for (name, table) in reports::csv::render(&findings).unwrap() {
        assert!(!name.contains('<'), "{name}");
        // Whoever opens it in a browser sees text; what counts is that columns stay apart.
        let columns = table.lines().next().unwrap().split(',').count();
        let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(table.as_bytes());
        assert_eq!(reader.headers().unwrap().len(), columns, "{name}");
        assert!(reader.records().all(|record| record.is_ok()), "{name}");
    }
}
