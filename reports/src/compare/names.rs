//! What each run is called on a comparison: by the user, by its label, or by what tells it from the others.

use record::{Host, Run};

use super::read::RunData;
use super::same::Across;

/// The longest name that has room at the head of a row.
const LONGEST: usize = 44;

/// Something that may tell runs apart, as people say it.
type Trait = fn(&Run) -> Option<String>;

/// In the order in which they are tried: what a machine is comes first.
const TRAITS: [Trait; 9] = [
    machine,
    memory,
    |run| run.host.virtual_machine.seen().filter(|vm| *vm != "none").cloned(),
    |run| Some(format!("Linux {}", run.host.kernel)),
    versions,
    |run| Some(run.program.clone()),
    |run| Some(run.scenario.clone()),
    |run| run.source.as_ref()?.short_commit().map(|commit| format!("commit {commit}")),
    |run| Some(run.started.clone()),
];

/// Gives each run its name; those that the user gave stay. Where factors differ between runs on purpose, they name them.
pub(super) fn give(runs: &mut [RunData], asked: &[Option<String>], across: &[Across]) {
    let by_factor: Option<Vec<String>> = runs.iter().map(|run| values(&run.run, across)).collect();
    let by_factor = by_factor.filter(|names| distinct(names) == runs.len());
    let found = by_factor.unwrap_or_else(|| names(&runs.iter().map(|run| &run.run).collect::<Vec<_>>()));
    for ((run, found), asked) in runs.iter_mut().zip(found).zip(asked) {
        run.name = asked.clone().unwrap_or(found);
    }
}

/// "cpu_limit 500m": the values of factors in a run's cells with a mesh, if each has one only.
fn values(run: &Run, across: &[Across]) -> Option<String> {
    let meshed = run.cells.iter().filter(|cell| cell.factors.meshed());
    let all: Vec<serde_json::Value> = meshed.map(|c| serde_json::to_value(&c.factors).ok()).collect::<Option<_>>()?;
    let first = all.first()?;
    let of = |factor: &Across| {
        let name = factor.to_string();
        let value = first.get(&name)?;
        let alike = all.iter().all(|other| other.get(&name) == Some(value));
        alike.then(|| format!("{name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    };
    let said = across.iter().map(of).collect::<Option<Vec<String>>>()?;
    (!said.is_empty()).then(|| said.join(", "))
}

/// A name for each run, no two alike.
fn names(runs: &[&Run]) -> Vec<String> {
    let label = |run: &&Run| run.source.as_ref().and_then(|s| s.label.clone());
    let labels: Vec<String> = runs.iter().filter_map(label).collect();
    if labels.len() == runs.len() && distinct(&labels) == runs.len() {
        return labels.iter().map(|label| shortened(label)).collect();
    }
    let mut names = vec![String::new(); runs.len()];
    for of in TRAITS {
        if distinct(&names) == runs.len() {
            break;
        }
        let more: Vec<String> = names
            .iter()
            .zip(runs)
            .map(|(name, run)| match of(run) {
                Some(said) if name.is_empty() => said,
                Some(said) => format!("{name}, {said}"),
                None => name.clone(),
            })
            .collect();
        // A trait that tells nothing further apart only makes names longer.
        if distinct(&more) > distinct(&names) {
            names = more;
        }
    }
    if distinct(&names) == runs.len() && names.iter().all(|name| name.chars().count() <= LONGEST) {
        return names;
    }
    runs.iter().map(|run| run.id.clone()).collect()
}

fn distinct(names: &[String]) -> usize {
    names.iter().collect::<std::collections::BTreeSet<_>>().len()
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    let kept: String = name.chars().take(LONGEST - 1).collect();
    format!("{kept}…")
}

/// "4 × AMD EPYC 7B13".
fn machine(run: &Run) -> Option<String> {
    let Host { cpu_model, cpus_online, arch, .. } = &run.host;
    let model = cpu_model.seen().unwrap_or(arch);
    let plain = ["(R)", "(TM)", "(tm)", " CPU", " Processor"].iter().fold(model.clone(), |m, word| m.replace(word, ""));
    Some(format!("{} × {}", cpus_online.len(), plain.split_whitespace().collect::<Vec<_>>().join(" ")))
}

fn memory(run: &Run) -> Option<String> {
    run.host.memory_bytes.seen().map(|bytes| format!("{:.1} GiB", *bytes as f64 / f64::from(1 << 30)))
}

fn versions(run: &Run) -> Option<String> {
    let all: Vec<String> = run.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::example::run;

    #[test]
    fn what_differs_first_is_the_name_and_nothing_more() {
        let (mut a, mut b) = (run("a"), run("b"));
        b.host.cpus_online = vec![0, 1];
        assert_eq!(names(&[&a, &b]), ["4 × AMD EPYC 7B13", "2 × AMD EPYC 7B13"]);
        b.host = a.host.clone();
        a.versions.insert("envoy".into(), "1.38.0".into());
        b.versions.insert("envoy".into(), "1.40.0".into());
        assert_eq!(names(&[&a, &b]), ["envoy 1.38.0", "envoy 1.40.0"]);
    }

    #[test]
    fn labels_come_first_if_all_have_one_and_no_two_are_alike() {
        let labelled = |id: &str, label: Option<&str>| {
            let source = label.map(|l| record::Source { label: Some(l.into()), ..record::Source::default() });
            record::Run { source, ..run(id) }
        };
        assert_eq!(names(&[&labelled("a", Some("small")), &labelled("b", Some("large"))]), ["small", "large"]);
        let alike = [&labelled("a", Some("small")), &labelled("b", Some("small"))];
        assert_eq!(names(&alike), ["a", "b"], "nothing tells them apart but their own names");
        assert_eq!(names(&[&labelled("a", Some("small")), &labelled("b", None)]), ["a", "b"]);
    }
}
