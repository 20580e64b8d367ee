//! `meshtax doctor`: what this machine permits and what bends figures here, each finding with its remedy.

mod card;
mod checks;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use crate::exit::Exit;
use crate::programs::ProgramArgs;
use crate::report::print;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    programs: ProgramArgs,
    /// Where run directories will be made.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// The form of the answer.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Tell everything about this host as well: what a run keeps of it in run.json.
    #[arg(long)]
    card: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a person.
    Text,
    /// A list of findings; with --card an object with "host" and "findings".
    Json,
}

/// How a finding bears on a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Weight {
    /// As it should be.
    Good,
    /// Something is not possible here, or bends figures.
    Note,
    /// The default run cannot work.
    Problem,
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Problem => "PROBLEM",
        })
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    /// What was looked at: "open files".
    what: &'static str,
    weight: Weight,
    /// What was found.
    found: String,
    /// What to do about it; empty when nothing.
    remedy: String,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, weight: Weight::Good, found: found.into(), remedy: String::new() }
    }

    fn note(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what, weight: Weight::Note, found: found.into(), remedy: remedy.into() }
    }

    fn problem(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what, weight: Weight::Problem, found: found.into(), remedy: remedy.into() }
    }
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let mut host = node_probe::host(Path::new("/"), &args.out);
    node_probe::measure_speed(&mut host, node_probe::Effort::Full);
    let findings = checks::all(&host, &args.programs, &args.out);
    match (args.format, args.card) {
        (Format::Text, false) => print(&text(&findings))?,
        (Format::Text, true) => print(&format!("{}\nfindings\n{}", card::text(&host), text(&findings)))?,
        (Format::Json, false) => print(&serde_json::to_string_pretty(&findings)?)?,
        (Format::Json, true) => {
            print(&serde_json::to_string_pretty(&serde_json::json!({ "host": host, "findings": findings }))?)?;
        }
    }
    let worst = findings.iter().map(|f| f.weight).max().unwrap_or(Weight::Good);
    Ok(if worst == Weight::Problem { Exit::CouldNotRun } else { Exit::Done }.into())
}

fn text(findings: &[Finding]) -> String {
    let mut lines = String::new();
    for Finding { what, weight, found, remedy } in findings {
        lines.push_str(&format!("{weight:<8}{what:<16}{found}\n"));
        if !remedy.is_empty() {
            lines.push_str(&format!("{:24}try: {remedy}\n", ""));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_that_is_not_good_has_a_way_out() {
        let host = node_probe::host(Path::new("/"), Path::new("."));
        let nowhere = |name: &str| Some(PathBuf::from("/nonexistent").join(name));
        let programs = ProgramArgs { envoy: nowhere("envoy"), haproxy: nowhere("haproxy"), nginx: nowhere("nginx") };
        let findings = checks::all(&host, &programs, Path::new("."));
        assert!(findings.len() >= 10);
        for f in &findings {
            assert_eq!(f.remedy.is_empty(), f.weight == Weight::Good, "{f:?}");
        }
        for name in ["envoy", "haproxy", "nginx"] {
            let found = findings.iter().find(|f| f.what == name).unwrap();
            let path = format!("/nonexistent/{name}");
            assert!(found.weight == Weight::Note && found.found.contains(&path), "{found:?}");
        }
        assert!(text(&findings).lines().count() > findings.len());
    }

    #[test]
    fn cpus_that_share_a_core_are_named_and_a_speed_that_varies_is_noted() {
        use record::{Reading, SiblingCheck, SiblingVerdict, SpeedCard};
        let mut host = node_probe::host(Path::new("/"), Path::new("."));
        let check = SiblingCheck {
            cpu: 0,
            other: 1,
            ratio: 1.72,
            ratio_low: 1.6,
            ratio_high: 1.8,
            pairs: 16,
            verdict: SiblingVerdict::ShareACore,
            topology_says: Reading::Seen(false),
        };
        let card = SpeedCard { best_ns: 1000, median_ns: 1100, p95_ns: 1500, variation: 0.12, windows: 40, chunks: 9 };
        let found = |host: &record::Host, what: &str| {
            let findings = checks::all(host, &ProgramArgs::default(), Path::new("."));
            findings.into_iter().find(|f| f.what == what).unwrap()
        };
        host.smt_siblings = Reading::Seen(vec![check.clone()]);
        host.speed = Reading::Seen(card);
        let siblings = found(&host, "siblings");
        assert_eq!(siblings.weight, Weight::Note);
        assert!(siblings.found.contains("CPUs 0 and 1 share a core, which the topology does not say"), "{siblings:?}");
        let speed = found(&host, "speed");
        assert!(speed.weight == Weight::Note && speed.found.contains("1.10 us (best 1.00, p95 1.50)"), "{speed:?}");
        host.smt_siblings = Reading::Seen(vec![SiblingCheck { verdict: SiblingVerdict::DoNot, ..check }]);
        host.speed = Reading::Seen(SpeedCard { variation: 0.01, ..card });
        assert_eq!((found(&host, "siblings").weight, found(&host, "speed").weight), (Weight::Good, Weight::Good));
    }
}
