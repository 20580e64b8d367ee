//! What can go wrong while a run is explained: each error names the thing, the place and the way out.

use std::path::PathBuf;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error about the making of a report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The run directory could not be read.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// A load could not be written for another tool, or that tool's result not be read.
    #[error(transparent)]
    Load(#[from] crate::load::Error),
    /// A chart could not become a picture.
    #[error(
        "the chart {chart} cannot be drawn as a PNG picture: {message}\n  try: the page, which draws it itself: meshtax report RUN --format html"
    )]
    Picture {
        /// The chart's name.
        chart: String,
        /// What its drawing lacks.
        message: String,
    },
    /// No trial of the run is sealed.
    #[error("{} holds no finished trial of the {planned} planned\n  try: meshtax resume {}", path.display(), path.display())]
    NothingMeasured {
        /// The run directory.
        path: PathBuf,
        /// How many trials were planned.
        planned: usize,
    },
    /// Trials of one run were measured by different methods.
    #[error(
        "trial {trial} was measured by method {found}, and the run began with method {expected}: their figures do not mean the same\n  try: a new run with one version of meshtax"
    )]
    MixedMethods {
        /// The trial.
        trial: String,
        /// Its method.
        found: u32,
        /// The run's method.
        expected: u32,
    },
    /// A sealed trial is of a cell that the run does not have.
    #[error(
        "trial {trial} is of the cell '{cell}', which run.json does not have\n  the directory was mixed from two runs; restore it from where it was copied"
    )]
    UnknownCell {
        /// The trial.
        trial: String,
        /// The cell it names.
        cell: String,
    },
    /// A trial lacks the phase that is reported on.
    #[error(
        "trial {trial} has no measured phase in its trial.json\n  to go on without it, remove its directory and run `meshtax resume` on the run"
    )]
    NotMeasured {
        /// The trial.
        trial: String,
    },
    /// A trial has a window of its measured phase where there was none.
    #[error(
        "trial {trial} has a window of its measured phase that begins at {start_ns} ns, more than a day after the phase did at {measured_ns} ns: its intervals.jsonl is not what was measured\n  restore it, or remove the trial's directory and run `meshtax resume` on the run"
    )]
    Astray {
        /// The trial.
        trial: String,
        /// When the window begins, by the clock of the stamps.
        start_ns: u64,
        /// When the phase does.
        measured_ns: u64,
    },
    /// Two runs are to be compared whose figures were made in different ways.
    #[error(
        "the figures of the run {one} were made by method {method}, and those of the run {other} by method {other_method}: they do not mean the same\n  try: measure both anew with one version of meshtax"
    )]
    Methods {
        /// The one.
        one: String,
        /// Its method.
        method: u32,
        /// The other.
        other: String,
        /// The method of that.
        other_method: u32,
    },
    /// Two things are to be compared that ran on different platforms.
    #[error(
        "{one} ran on the platform '{platform}' and {other} on '{other_platform}': their paths are not the same, so that a difference says nothing of a mesh\n  try: measure both on one platform, with --platform {platform}"
    )]
    Platforms {
        /// The one.
        one: String,
        /// Where it ran.
        platform: record::Platform,
        /// The other.
        other: String,
        /// Where that ran.
        other_platform: record::Platform,
    },
    /// Runs are to be compared that should not be, and nobody said that they may.
    #[error("{why}\n  or: {flag}, to set them side by side all the same")]
    NotComparable {
        /// Why not.
        why: Box<Error>,
        /// The flag that lets it pass.
        flag: &'static str,
    },
    /// One run is to be compared with itself.
    #[error("{} and {} are the same run, {run}: a run is not compared with itself\n  try: name each run once", one.display(), other.display())]
    SameRun {
        /// Where it is named first.
        one: PathBuf,
        /// Where it is named again.
        other: PathBuf,
        /// The run.
        run: String,
    },
    /// Some cells stand in some of the runs only.
    #[error(
        "the runs do not have the same cells: {only}\n  try: --shared-cells, to compare the {shared} that all have"
    )]
    CellsDiffer {
        /// Which runs have which cells alone.
        only: String,
        /// How many all have.
        shared: usize,
    },
    /// No cell stands in all of the runs.
    #[error(
        "no cell stands in all runs: those of {first} differ from the others at least in {differ}\n  try: runs of one scenario, or --across {names} where that is what is to be compared"
    )]
    NoSharedCell {
        /// The first run.
        first: String,
        /// The factors in which the nearest cells differ, with both values.
        differ: String,
        /// The same factors, by name.
        names: String,
    },
    /// Without the factors that may differ, cells of one run cannot be told apart.
    #[error(
        "without {across} the cells {one} and {other} of the run {run} are the same, so that no cell of another run belongs to one of them\n  try: --across with fewer factors; within a run they are compared anyway"
    )]
    SeveralCells {
        /// The run.
        run: String,
        /// A cell.
        one: String,
        /// One that is the same.
        other: String,
        /// The factors that may differ.
        across: String,
    },
    /// Two trials differ in what no factor of their cells says.
    #[error(
        "{claim}: {found} in trial {trial}, and {other_found} in trial {other}, though no factor of their cells says so: what lies between them is not what was declared\n  try: a new run with one version of each program and one configuration"
    )]
    Disagree {
        /// What was read back of both.
        claim: &'static str,
        /// The one.
        trial: String,
        /// What was found in it.
        found: String,
        /// The other.
        other: String,
        /// What was found in that.
        other_found: String,
    },
    /// A value could not be written as JSON.
    #[error(
        "the findings cannot be written as JSON: {0}\n  this is a defect of meshtax; please report it with the run's findings"
    )]
    Json(#[from] serde_json::Error),
    /// A table could not be written as CSV.
    #[error(
        "the table '{table}' cannot be written as CSV: {message}\n  this is a defect of meshtax; please report it with the run's findings.json"
    )]
    Csv {
        /// The table.
        table: &'static str,
        /// What the writer said.
        message: String,
    },
    /// The page could not be made from its template.
    #[error(
        "the page cannot be made: {0}\n  this is a defect of meshtax; please report it with the run's findings.json"
    )]
    Page(#[from] minijinja::Error),
    /// A chart could not be drawn.
    #[error(
        "the chart '{chart}' cannot be drawn: {message}\n  this is a defect of meshtax; please report it with the run's findings.json"
    )]
    Chart {
        /// The chart.
        chart: &'static str,
        /// What the drawing library said.
        message: String,
    },
    /// The folder of a history could not be read.
    #[error("cannot read the folder {}: {source}\n  try: the folder that holds run directories, such as runs or baselines", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A folder holds nothing to make a history of.
    #[error("{} holds no run directory that can be read{}\n  try: the folder that holds run directories, such as runs or baselines", path.display(), said(first.as_ref()))]
    NoRuns {
        /// The folder.
        path: PathBuf,
        /// Why the first of those that are there could not be read.
        first: Option<String>,
    },
    /// No run of a history has the cell that is asked for.
    #[error("no run in {} has a cell '{cell}'\n  try: one of {known}", path.display())]
    NoSuchCell {
        /// What was asked for.
        cell: String,
        /// The folder.
        path: PathBuf,
        /// The cells there are.
        known: String,
    },
    /// A price list could not be used.
    #[error("{at}: {problem}\n  try: {remedy}")]
    Prices {
        /// The file and the line.
        at: String,
        /// What is wrong there.
        problem: String,
        /// What would be right.
        remedy: String,
    },
    /// What a plan was asked for makes none.
    #[error("{problem}\n  try: {remedy}")]
    PlanAsked {
        /// What is wrong.
        problem: String,
        /// What would be right.
        remedy: &'static str,
    },
    /// Runs do not hold what a plan needs.
    #[error("{problem}\n  try: {remedy}")]
    PlanRuns {
        /// What they lack, or in what they differ.
        problem: String,
        /// How to measure it.
        remedy: String,
    },
    /// A file or folder of an export could not be written.
    #[error("cannot write {}: {source}\n  try: another folder with --output, with room on its disk", path.display())]
    Export {
        /// The file or folder.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The id of a trial or a cell cannot be the name of a file.
    #[error(
        "the id '{id}' cannot be the name of a file, and no run of meshtax has such a one\n  try: a run directory that was not edited"
    )]
    NoFileName {
        /// The id.
        id: String,
    },
    /// A reading thread ended without a result.
    #[error("reading the trials of {} was broken off\n  this is a defect of meshtax; please report it", path.display())]
    ReaderLost {
        /// The run directory.
        path: PathBuf,
    },
}

impl From<record::HistogramError> for Error {
    fn from(error: record::HistogramError) -> Self {
        Self::Record(error.into())
    }
}

fn said(reason: Option<&String>) -> String {
    reason.map_or_else(String::new, |reason| format!("; of the first: {reason}"))
}
