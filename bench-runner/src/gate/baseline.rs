//! Stored baselines: a run directory, a findings.json, or a folder of runs.

use std::path::Path;

use anyhow::Context as _;
use record::RunDirectory;
use reports::Findings;
use reports::HostCard;

use crate::exit::Usage;

/// Stored runs that a candidate may be compared with, the latest last.
pub(crate) struct Baseline {
    pub(crate) runs: Vec<Findings>,
    /// Whether they are of another machine, which was asked for.
    pub(crate) other_host: bool,
    /// What was not taken and why.
    pub(crate) notes: Vec<String>,
}

/// Reads what stands at a path.
///
/// One run of another method, platform or machine is refused; of a folder such runs are left out and told.
pub(crate) fn read(path: &Path, candidate: &Findings, discount_host: bool) -> anyhow::Result<Baseline> {
    let single = |findings: Findings| {
        reports::comparable(candidate, &findings)?;
        let other_host = differs(candidate, &findings);
        if let (Some(how), false) = (&other_host, discount_host) {
            let said = format!(
                "the baseline {} was measured on another machine: {how}\n  try: a baseline of this machine, side by side (--candidate and --baseline SCENARIO), or --discount-host for what little can be told",
                findings.run
            );
            return Err(Usage(said).into());
        }
        let other_host = other_host.is_some();
        Ok(Baseline { runs: vec![findings], other_host, notes: Vec::new() })
    };
    if path.is_file() {
        return single(of_file(path)?);
    }
    if path.join("run.json").is_file() {
        return single(of_run(path)?);
    }
    folder(path, candidate, discount_host)
}

fn of_file(path: &Path) -> anyhow::Result<Findings> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| {
        format!("{} is no findings.json of this version\n  try: the run directory itself", path.display())
    })
}

/// Findings as they were written, if they are of this method; made anew otherwise.
fn of_run(path: &Path) -> anyhow::Result<Findings> {
    let written = of_file(&path.join("findings.json")).ok().filter(|findings| findings.method == record::METHOD);
    match written {
        Some(findings) => Ok(findings),
        None => Ok(reports::findings(&RunDirectory::open(path)?)?),
    }
}

fn folder(path: &Path, candidate: &Findings, discount_host: bool) -> anyhow::Result<Baseline> {
    let entries = std::fs::read_dir(path).with_context(|| {
        format!(
            "cannot read the baseline {}\n  try: a run directory, a findings.json, or a folder of runs",
            path.display()
        )
    })?;
    let (mut same, mut other) = (Vec::new(), Vec::new());
    let mut notes = Vec::new();
    for entry in entries.flatten().map(|entry| entry.path()).filter(|path| path.join("run.json").is_file()) {
        let name = entry.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let findings = match of_run(&entry) {
            Ok(findings) => findings,
            Err(error) => {
                notes.push(format!("the stored run {name} was left out: {}", crate::exit::say(&error)));
                continue;
            }
        };
        if findings.run == candidate.run {
            continue;
        }
        match (reports::comparable(candidate, &findings), differs(candidate, &findings)) {
            (Err(error), _) => notes.push(format!("the stored run {name} was left out: {error}")),
            (Ok(()), None) => same.push(findings),
            (Ok(()), Some(how)) => {
                if !discount_host {
                    notes.push(format!("the stored run {name} was left out, of another machine: {how}"));
                }
                other.push(findings);
            }
        }
    }
    // One of this machine is better than any of another.
    let other_host = same.is_empty() && discount_host;
    let mut runs = if other_host { other } else { same };
    runs.sort_by(|a, b| a.started.cmp(&b.started));
    if runs.is_empty() {
        let why = if notes.is_empty() { "it holds none".to_owned() } else { notes.join("\n  ") };
        let said = format!(
            "no run in {} can be a baseline here: {why}\n  try: a run of this machine, put there by `meshtax run --out {}`",
            path.display(),
            path.display()
        );
        return Err(Usage(said).into());
    }
    Ok(Baseline { runs, other_host, notes })
}

/// In what the machines of two runs differ, in words.
fn differs(one: &Findings, other: &Findings) -> Option<String> {
    let differences = HostCard::of(&one.host).differences(&HostCard::of(&other.host));
    let said: Vec<String> =
        differences.into_iter().map(|(what, here, there)| format!("its {what} is {there}, and here {here}")).collect();
    (!said.is_empty()).then(|| said.join("; "))
}
