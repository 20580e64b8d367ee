//! A run at a glance: what a history and a list need of it, from its findings.json alone.
//!
//! A thousand runs must be looked at in a second or two; explaining one from its trials takes about as long. Fields that
//! are not needed are passed over, so that findings of older and of newer versions are read as well.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use record::{Factors, Reading, RunDirectory, Source};
use serde::Deserialize;

use crate::findings::{Figure, TaxKind};
use crate::stats::Estimate;
use crate::{Error, Findings, Result, several};

const FINDINGS: &str = "findings.json";

/// A run, as its findings tell it.
#[derive(Clone, Debug, Deserialize)]
pub struct Glance {
    /// Its directory.
    #[serde(skip)]
    pub path: PathBuf,
    /// The way figures are made.
    pub method: u32,
    /// The run's name.
    pub run: String,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// The program that measured.
    pub program: String,
    /// The scenario's name.
    pub scenario: String,
    /// How long each trial measures.
    #[serde(default)]
    pub measure_ns: Option<u64>,
    /// Trials planned.
    pub trials_planned: usize,
    /// Trials sealed.
    pub trials_sealed: usize,
    /// How to make the trials that are missing, if any are.
    #[serde(default)]
    pub resume: Option<String>,
    /// What was measured, as version control knows it.
    #[serde(default)]
    pub source: Option<Source>,
    /// Programs used and their versions.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    /// The answer in sentences, the most important first.
    #[serde(default)]
    pub answer: Vec<String>,
    /// What is doubted: how many things.
    #[serde(default)]
    pub warnings: Vec<WarningGlance>,
    /// The machine.
    pub host: HostGlance,
    /// The cells, in the order of the plan.
    pub cells: Vec<CellGlance>,
    /// Each cell against what it is compared with.
    #[serde(default)]
    pub taxes: Vec<TaxGlance>,
}

/// What tells one machine from another.
#[derive(Clone, Debug, Deserialize)]
pub struct HostGlance {
    /// Kernel release.
    pub kernel: String,
    /// Hardware name.
    pub arch: String,
    /// CPU model.
    pub cpu_model: Reading<String>,
    /// CPUs online.
    pub cpus_online: Vec<u32>,
    /// Memory in all.
    pub memory_bytes: Reading<u64>,
    /// The hypervisor.
    pub virtual_machine: Reading<String>,
}

/// One cell of a run.
#[derive(Clone, Debug, Deserialize)]
pub struct CellGlance {
    /// The cell's id.
    pub id: String,
    /// What it is for people.
    pub label: String,
    /// Its factors.
    pub factors: Factors,
    /// Sealed trials of it.
    pub trials: usize,
    /// Requests over all its trials.
    pub requests: RequestsGlance,
    /// Answers a second.
    pub answered_per_second: Figure,
    /// From intended to done, by the name of the quantile.
    pub response_ns: BTreeMap<String, Figure>,
    /// From sent to done, by the name of the quantile.
    pub service_ns: BTreeMap<String, Figure>,
    /// Its proxies together.
    pub all_proxies: ProxiesGlance,
}

/// How many requests went wrong.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct RequestsGlance {
    /// Of those due, 0 to 1.
    pub error_rate: f64,
}

/// What all proxies of a cell cost.
#[derive(Clone, Debug, Deserialize)]
pub struct ProxiesGlance {
    /// Thousandths of a core for 1000 requests a second.
    pub cpu_millicores_per_1000_rps: Figure,
    /// Resident memory.
    pub rss_bytes: Figure,
}

/// A doubt; what it says is in the report.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct WarningGlance {}

/// A cell against its baseline.
#[derive(Clone, Debug, Deserialize)]
pub struct TaxGlance {
    /// The cell's id.
    pub cell: String,
    /// Why they are compared.
    pub kind: TaxKind,
    /// Of the response times, by the name of the quantile.
    pub response_ns: BTreeMap<String, TaxAtGlance>,
}

/// A tax at one quantile.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct TaxAtGlance {
    /// What is added, in nanoseconds.
    pub difference: Estimate,
}

/// Runs of a folder, and what in it could not be read.
#[derive(Debug)]
pub struct Folder {
    /// The runs, the first begun first.
    pub runs: Vec<Glance>,
    /// Directories left out, each with the reason.
    pub left_out: Vec<(PathBuf, String)>,
}

impl Glance {
    /// Looks at one run: at its findings.json, or at findings made anew where that is absent or does not say enough.
    ///
    /// # Errors
    /// When there is no run, or it cannot be explained.
    pub fn of(path: &Path) -> Result<Self> {
        if let Some(kept) = Self::kept(path) {
            return Ok(kept);
        }
        let mut glance = Self::from_findings(&crate::findings(&RunDirectory::open(path)?)?)?;
        path.clone_into(&mut glance.path);
        Ok(glance)
    }

    /// What a run's findings.json says, if it is there and says enough.
    pub fn kept(path: &Path) -> Option<Self> {
        let bytes = std::fs::read(path.join(FINDINGS)).ok()?;
        let mut glance: Glance = serde_json::from_slice(&bytes).ok()?;
        path.clone_into(&mut glance.path);
        Some(glance)
    }

    fn from_findings(findings: &Findings) -> Result<Self> {
        Ok(serde_json::from_value(serde_json::to_value(findings)?)?)
    }

    /// Whether trials of its plan are missing.
    pub fn is_cut_off(&self) -> bool {
        self.resume.is_some()
    }
}

impl HostGlance {
    /// The machine in a line: what is equal for two runs that may stand in one series. Not its kernel: a kernel is
    /// replaced on a machine, and a history is to show what came of it.
    pub fn name(&self) -> String {
        const GIB: f64 = (1u64 << 30) as f64;
        let cpu = self.cpu_model.seen().unwrap_or(&self.arch);
        let memory =
            self.memory_bytes.seen().map_or_else(String::new, |bytes| format!(", {:.1} GiB", *bytes as f64 / GIB));
        let guest = self.virtual_machine.seen().filter(|kind| *kind != "none");
        let guest = guest.map_or_else(String::new, |kind| format!(", {kind} guest"));
        format!("{} × {cpu}{memory}{guest}", self.cpus_online.len())
    }
}

impl Folder {
    /// Looks at every run directory in a folder, several at a time. What begins with a dot is passed over: it is being
    /// written, or removed.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let failed = |source| Error::Folder { path: folder.to_owned(), source };
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            if !hidden && (path.join(FINDINGS).is_file() || path.join("run.json").is_file()) {
                paths.push(path);
            }
        }
        paths.sort();
        let mut all = Self { runs: Vec::new(), left_out: Vec::new() };
        for (path, glance) in paths.iter().zip(at_once(&paths)) {
            match glance {
                Ok(glance) => all.runs.push(glance),
                Err(error) => all.left_out.push((path.clone(), error.to_string())),
            }
        }
        all.runs.sort_by(|a, b| (&a.started, &a.run).cmp(&(&b.started, &b.run)));
        Ok(all)
    }
}

fn at_once(paths: &[PathBuf]) -> Vec<Result<Glance>> {
    let lost = |path: &Path| Error::ReaderLost { path: path.to_owned() };
    let read = several::at_once(paths, |path| Glance::of(path));
    read.into_iter().zip(paths).map(|(read, path)| read.unwrap_or_else(|| Err(lost(path)))).collect()
}
