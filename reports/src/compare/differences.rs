//! What differs between the runs' machines, programs and plans.

use std::collections::{BTreeMap, BTreeSet};

use record::Host;
use serde_json::Value;

use super::read::RunData;
use super::result::Difference;
use super::same::{Across, Shared};
use crate::figure;
use crate::host_card::HostCard;

/// Fields of a machine's card that differ from run to run of one machine, or that a figure of its own tells.
const PASSED_OVER: [&str; 9] = [
    "steal_evidence",
    "memory_traits.available_bytes",
    "memory_traits.swap_used_bytes",
    "memory_bytes",
    "cpus_online",
    "speed",
    "smt_siblings",
    "disk.number",
    "limits",
];

/// The same machine does its best within so much.
const SAME_SPEED: f64 = 1.03;

/// Fields that people call by another name than the file does.
const WORDS: [(&str, &str); 15] = [
    ("cpu_model", "CPU"),
    ("cpus_allowed", "CPUs it may use"),
    ("virtual_machine", "hypervisor"),
    ("kernel", "kernel"),
    ("arch", "hardware"),
    ("distribution", "distribution"),
    ("container", "container"),
    ("steal_known", "steal is known"),
    ("clock_source", "clock"),
    ("clock_ticks_per_second", "clock ticks a second"),
    ("governor", "frequency governor"),
    ("cgroups", "cgroups"),
    ("psi", "PSI can be read"),
    ("disk_chain", "disk layer"),
    ("kernel_traits.vulnerabilities", "mitigation of"),
];

/// Fields that come first: what a plan is bought by.
const FIRST: [&str; 6] = ["cpu_model", "cpus_allowed", "virtual_machine", "arch", "kernel", "distribution"];

/// Everything that differs; the machine first, as it is bought, then what is set on it, programs, and the plan.
pub(super) fn all(runs: &[RunData], shared: &[Shared]) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut put = |what: &str, of: &dyn Fn(&RunData) -> String| {
        found.extend(difference(what, runs.iter().map(of).collect()));
    };
    put("number of CPUs", &|run| run.run.host.cpus_online.len().to_string());
    let cards: Vec<HostCard> = runs.iter().map(|run| HostCard::of(&run.run.host)).collect();
    let memory = |run: &RunData| match run.run.host.memory_bytes.seen() {
        Some(bytes) => format!("{:.1} GiB", *bytes as f64 / f64::from(1 << 30)),
        None => "n/a".to_owned(),
    };
    let other_memory = |(a, b): (&HostCard, &HostCard)| a.differences(b).iter().any(|(what, ..)| *what == "memory");
    if cards.iter().skip(1).any(|card| other_memory((&cards[0], card))) {
        put("memory", &memory);
    }
    if other_speed(runs) {
        put("fixed work, best", &|run| match run.run.host.speed.seen() {
            Some(speed) => format!("{:.2} us", speed.best_ns as f64 / 1e3),
            None => format!("n/a ({})", run.run.host.speed.reason().unwrap_or_default()),
        });
    }
    found.extend(of_cards(runs));
    found.extend(of_programs(runs));
    let mut put = |what: &str, of: &dyn Fn(&RunData) -> String| {
        found.extend(difference(what, runs.iter().map(of).collect()));
    };
    put("scenario", &|run| run.run.scenario.clone());
    put("measured in each trial", &|run| figure::seconds(run.run.timing.measure_ns));
    put("warm-up of each trial", &|run| figure::seconds(run.run.timing.warm_up_ns));
    put("blocks", &|run| run.run.repeats.to_string());
    found.extend(shared.iter().filter_map(|cell| workers(runs, cell)));
    found
}

/// What a rule made of the worker threads of a cell's proxies, which depends on the machine.
fn workers(runs: &[RunData], shared: &Shared) -> Option<Difference> {
    let of = |(run, id): (&RunData, &String)| {
        let found = run.cell(id).map(|cell| cell.all_proxies.worker_threads.clone()).unwrap_or_default();
        if found.is_empty() {
            "n/a".to_owned()
        } else {
            found.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
        }
    };
    let what = format!("worker threads found in {}", shared.ids.first()?);
    difference(&what, runs.iter().zip(&shared.ids).map(of).collect())
}

/// Whether machines do fixed work at speeds that differ by more than one machine does from run to run.
fn other_speed(runs: &[RunData]) -> bool {
    let best = runs.iter().filter_map(|run| run.run.host.speed.seen()).map(|speed| speed.best_ns as f64);
    let (low, high) = best.fold((f64::INFINITY, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
    let known = runs.iter().filter(|run| run.run.host.speed.seen().is_some()).count();
    high > low * SAME_SPEED || (known > 0 && known < runs.len())
}

fn difference(what: &str, values: Vec<String>) -> Option<Difference> {
    let same = values.iter().all(|value| Some(value) == values.first());
    (!same).then(|| Difference { what: what.to_owned(), values })
}

fn of_programs(runs: &[RunData]) -> Vec<Difference> {
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.run.versions.keys()).collect();
    let version = |run: &RunData, name: &str| run.run.versions.get(name).cloned().unwrap_or_else(|| "none".to_owned());
    let program = difference("meshtax", runs.iter().map(|run| run.run.program.clone()).collect());
    let others =
        names.into_iter().filter_map(|name| difference(name, runs.iter().map(|run| version(run, name)).collect()));
    let commit = |run: &RunData| {
        let source = run.run.source.as_ref();
        source.and_then(|s| s.short_commit()).unwrap_or("n/a").to_owned()
    };
    let commit = difference("commit", runs.iter().map(commit).collect());
    program.into_iter().chain(others).chain(commit).collect()
}

/// Every field of the cards: what a new one tells is shown without being named here.
fn of_cards(runs: &[RunData]) -> Vec<Difference> {
    let flat: Vec<BTreeMap<String, String>> = runs.iter().map(|run| flattened(&run.run.host)).collect();
    let paths: BTreeSet<&String> = flat.iter().flat_map(BTreeMap::keys).collect();
    let place = |path: &str| FIRST.iter().position(|first| *first == path).unwrap_or(FIRST.len());
    let mut paths: Vec<&String> = paths.into_iter().collect();
    paths.sort_by_key(|path| (place(path), path.as_str()));
    let mut found = Vec::new();
    for path in paths {
        let values = flat.iter().map(|card| card.get(path).cloned().unwrap_or_else(|| "n/a".to_owned())).collect();
        found.extend(difference(&worded(path), values));
    }
    found
}

/// A card as paths and values.
fn flattened(host: &Host) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    if let Ok(value) = serde_json::to_value(host) {
        flatten("", &value, &mut flat);
    }
    flat
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    if PASSED_OVER.contains(&path) {
        return;
    }
    match value {
        Value::Object(fields) => {
            if let (1, Some(reason)) = (fields.len(), fields.get("absent").and_then(Value::as_str)) {
                into.insert(path.to_owned(), if reason.is_empty() { "n/a".into() } else { format!("n/a ({reason})") });
                return;
            }
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, into);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (at, item) in items.iter().enumerate() {
                flatten(&format!("{path}.{}", at + 1), item, into);
            }
        }
        Value::Array(items) => {
            into.insert(path.to_owned(), items.iter().map(plain).collect::<Vec<_>>().join(", "));
        }
        other => {
            into.insert(path.to_owned(), plain(other));
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Null => "n/a".to_owned(),
        other => other.to_string(),
    }
}

/// A path as people read it: "kernel_traits.tick_hz" as "kernel traits, tick hz".
fn worded(path: &str) -> String {
    let known = WORDS.iter().filter(|(of, _)| path == *of || path.starts_with(&format!("{of}.")));
    match known.max_by_key(|(of, _)| of.len()) {
        Some((of, word)) => format!("{word} {}", path[of.len()..].replace(['.', '_'], " ").trim()).trim().to_owned(),
        None => path.replace('.', ", ").replace('_', " "),
    }
}

/// What an effect of one run over another is of: what differs between the two, the factors that were said to differ first.
pub(super) fn what(one: &RunData, other: &RunData, across: &[Across]) -> String {
    let host = !HostCard::of(&one.run.host).differences(&HostCard::of(&other.run.host)).is_empty();
    let commit = |run: &RunData| run.run.source.as_ref().and_then(|s| s.commit.clone());
    let versions = one.run.versions != other.run.versions || one.run.program != other.run.program;
    let mut all: Vec<String> = across.iter().map(Across::to_string).collect();
    all.extend(host.then(|| "host".to_owned()));
    all.extend((versions || commit(one) != commit(other)).then(|| "versions".to_owned()));
    if all.is_empty() { "time".to_owned() } else { all.join(", ") }
}

/// Numbers for the kinds of machines, from 1: the same for runs whose cards agree.
pub(super) fn machines(runs: &[RunData]) -> Vec<usize> {
    let mut known: Vec<HostCard> = Vec::new();
    let mut number = |run: &RunData| {
        let card = HostCard::of(&run.run.host);
        let found = known.iter().position(|other| other.differences(&card).is_empty());
        found.unwrap_or_else(|| {
            known.push(card);
            known.len() - 1
        }) + 1
    };
    runs.iter().map(&mut number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::example::run;

    #[test]
    fn a_card_is_read_field_by_field_and_absent_says_why() {
        let flat = flattened(&run("a").host);
        assert_eq!(flat["kernel"], "6.1.0");
        assert_eq!(flat["psi"], "yes");
        assert_eq!(flat["governor"], "n/a (no cpufreq)");
        assert!(!flat.contains_key("memory_bytes") && !flat.contains_key("cpus_online"));
    }

    #[test]
    fn paths_become_words() {
        for (path, words) in [
            ("cpu_model", "CPU"),
            ("kernel_traits.tick_hz", "kernel traits, tick hz"),
            ("kernel_traits.vulnerabilities.spectre_v2", "mitigation of spectre v2"),
            ("disk_chain.1.driver", "disk layer 1 driver"),
            ("topology.threads_per_core", "topology, threads per core"),
        ] {
            assert_eq!(worded(path), words);
        }
    }
}
