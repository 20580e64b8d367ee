//! The runs of a folder, read again only where something about them has changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use record::RunDirectory;

use super::{Row, RunName, State};
use crate::{Error, Result, several};

/// A folder of run directories.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    known: BTreeMap<RunName, Known>,
}

#[derive(Debug)]
struct Known {
    stamp: Stamp,
    row: Arc<Row>,
}

/// What changes when a run does: its findings, its plan, its trials, its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp([Option<(SystemTime, u64)>; 4]);

impl Stamp {
    /// Of a run directory; none where it is none.
    fn of(path: &Path) -> Option<Self> {
        let of = |name: &str| {
            let facts = path.join(name).metadata().ok()?;
            Some((facts.modified().ok()?, facts.len()))
        };
        let stamp = Self(["findings.json", "run.json", "trials", "end.json"].map(of));
        (stamp.0[0].is_some() || stamp.0[1].is_some()).then_some(stamp)
    }
}

impl Shelf {
    /// Of a folder; it is read at the first look.
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), known: BTreeMap::new() }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every run of the folder, the last begun first. What begins with a dot, and links to elsewhere, are passed over.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn look(&mut self) -> Result<Vec<Arc<Row>>> {
        let there = self.directories()?;
        self.known.retain(|name, _| there.iter().any(|(other, ..)| other == name));
        let changed: Vec<&(RunName, PathBuf, Stamp)> =
            there.iter().filter(|(name, _, stamp)| self.known.get(name).is_none_or(|k| k.stamp != *stamp)).collect();
        let read = several::at_once(&changed, |(name, path, _)| Row::of(name, path));
        for ((name, _, stamp), row) in changed.into_iter().zip(read) {
            let row = row.unwrap_or_else(|| Row::broken(name, "reading it was broken off".to_owned()));
            self.known.insert(name.clone(), Known { stamp: *stamp, row: Arc::new(row) });
        }
        let mut rows: Vec<Arc<Row>> = self.known.values().map(|known| self.with_state(&known.row)).collect();
        rows.sort_by(|a, b| (&b.started, &b.name).cmp(&(&a.started, &a.name)));
        Ok(rows)
    }

    /// The directory of a run; none where the folder has no such run.
    pub fn directory(&self, name: &RunName) -> Option<PathBuf> {
        let path = self.folder.join(name.as_str());
        (is_directory(&path) && Stamp::of(&path).is_some()).then_some(path)
    }

    /// One run, read anew; none where the folder has no such run.
    pub fn row(&self, name: &RunName) -> Option<Arc<Row>> {
        let path = self.directory(name)?;
        Some(self.with_state(&Arc::new(Row::of(name, &path))))
    }

    fn directories(&self) -> Result<Vec<(RunName, PathBuf, Stamp)>> {
        let failed = |source| Error::Folder { path: self.folder.clone(), source };
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(name) = entry.file_name().to_str().and_then(RunName::of) else { continue };
            // Of the entry itself: a link is none, wherever it leads.
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if let Some(stamp) = Stamp::of(&entry.path()) {
                all.push((name, entry.path(), stamp));
            }
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }

    /// Whether a run is being made is no matter of its files' stamps, and is asked each time.
    fn with_state(&self, row: &Arc<Row>) -> Arc<Row> {
        // With its last trial sealed its report is still being written.
        let may_be_made = row.state == State::CutOff || (row.state == State::Ended && !row.explained);
        if !may_be_made {
            return Arc::clone(row);
        }
        let path = self.folder.join(row.name.as_str());
        let Ok(dir) = RunDirectory::open(&path) else { return Arc::clone(row) };
        if !dir.is_locked() {
            return Arc::clone(row);
        }
        // Trials are sealed below the folders that stamps are taken of.
        let sealed = dir.run().map(|run| run.trials.iter().filter(|t| dir.is_sealed(&t.id)).count());
        Arc::new(Row { state: State::BeingMade, sealed: sealed.unwrap_or(row.sealed), ..Row::clone(row) })
    }
}

fn is_directory(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|facts| facts.is_dir())
}
