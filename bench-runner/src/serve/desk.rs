//! What pages are made from: the shelf, the runs that are followed, and the reports made for want of a kept one.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use bytes::Bytes;
use record::RunDirectory;
use reports::live::{RunFollower, RunNow};
use reports::shelf::{Row, RunName, Shelf, State};

/// Reports kept in memory that are nowhere else.
const REPORTS: usize = 8;

/// The largest file that is handed on.
const FILE_BYTES: u64 = 64 << 20;

/// A run that nobody has asked about for so long is followed no more.
const FORGET: Duration = Duration::from_secs(60);

/// The desk. Each of its things has a lock of its own, held while it is looked at.
pub(super) struct Desk {
    folder: PathBuf,
    shelf: Mutex<Shelf>,
    /// Whether a run was being made when the runs were last looked at.
    measured: AtomicBool,
    followed: Mutex<HashMap<RunName, (RunFollower, Instant)>>,
    reports: Mutex<Vec<Report>>,
}

/// A report that was made on request.
struct Report {
    name: RunName,
    /// When its trials last changed.
    stamp: Option<SystemTime>,
    page: Bytes,
}

fn any_is_made(rows: &[Arc<Row>]) -> bool {
    rows.iter().any(|row| row.state == State::BeingMade)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// Of a folder.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of(folder: &Path) -> anyhow::Result<Self> {
        let mut shelf = Shelf::of(folder);
        let measured = any_is_made(&shelf.look()?);
        Ok(Self {
            folder: folder.to_owned(),
            shelf: Mutex::new(shelf),
            measured: AtomicBool::new(measured),
            followed: Mutex::default(),
            reports: Mutex::default(),
        })
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every run.
    pub(super) fn rows(&self) -> anyhow::Result<Vec<Arc<Row>>> {
        let rows = locked(&self.shelf).look()?;
        self.measured.store(any_is_made(&rows), Ordering::Relaxed);
        Ok(rows)
    }

    /// Whether a run is being made, as far as is known: what is done then should be in nobody's way.
    pub(super) fn is_measured_here(&self) -> bool {
        self.measured.load(Ordering::Relaxed)
    }

    /// One run.
    pub(super) fn row(&self, name: &RunName) -> Option<Arc<Row>> {
        let row = locked(&self.shelf).row(name);
        if row.as_ref().is_some_and(|row| row.state == State::BeingMade) {
            self.measured.store(true, Ordering::Relaxed);
        }
        row
    }

    fn directory(&self, name: &RunName) -> Option<PathBuf> {
        locked(&self.shelf).directory(name)
    }

    /// How a run goes; none where there is no such run.
    ///
    /// # Errors
    /// When its run.json cannot be read.
    pub(super) fn now(&self, name: &RunName) -> anyhow::Result<Option<RunNow>> {
        let Some(path) = self.directory(name) else { return Ok(None) };
        let mut followed = locked(&self.followed);
        followed.retain(|_, (_, asked)| asked.elapsed() < FORGET);
        if !followed.contains_key(name) {
            followed.insert(name.clone(), (RunFollower::of(&path)?, Instant::now()));
        }
        Ok(followed.get_mut(name).map(|(follower, asked)| {
            *asked = Instant::now();
            follower.look()
        }))
    }

    /// The report of a run that is not being made: the kept one, or one made now. None where there is no such run.
    ///
    /// # Errors
    /// When it cannot be made, as where nothing is measured yet.
    pub(super) fn report(&self, name: &RunName) -> anyhow::Result<Option<Bytes>> {
        let Some(path) = self.directory(name) else { return Ok(None) };
        if let Some(kept) = plain_file(&path.join("report.html"))? {
            return Ok(Some(kept));
        }
        let stamp = path.join("trials").metadata().and_then(|facts| facts.modified()).ok();
        let mut reports = locked(&self.reports);
        if let Some(at) = reports.iter().position(|report| report.name == *name && report.stamp == stamp) {
            // To the end: the first is the one that was asked for the longest ago.
            let report = reports.remove(at);
            let page = report.page.clone();
            reports.push(report);
            return Ok(Some(page));
        }
        // The lock stays: two who ask for one report have it made once.
        let dir = RunDirectory::open(&path)?;
        let findings = reports::findings(&dir)?;
        let page = Bytes::from(reports::html::render(&findings, &dir)?);
        reports.retain(|report| report.name != *name);
        if reports.len() >= REPORTS {
            reports.remove(0);
        }
        reports.push(Report { name: name.clone(), stamp, page: page.clone() });
        Ok(Some(page))
    }

    /// A run's findings.json, as it is kept; none where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn findings(&self, name: &RunName) -> anyhow::Result<Option<Bytes>> {
        self.directory(name).map_or(Ok(None), |path| plain_file(&path.join("findings.json")))
    }
}

/// A file that is no link; none where there is none.
fn plain_file(path: &Path) -> anyhow::Result<Option<Bytes>> {
    let no_link = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let file = match File::options().read(true).custom_flags(no_link).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let facts = file.metadata()?;
    anyhow::ensure!(facts.is_file(), "{} is no plain file", path.display());
    anyhow::ensure!(
        facts.len() <= FILE_BYTES,
        "{} is too large to be handed on: {} bytes",
        path.display(),
        facts.len()
    );
    let mut bytes = Vec::new();
    file.take(FILE_BYTES).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Some(bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("report.html"));
        std::fs::write(&real, "secret").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let said = plain_file(&link).unwrap_err().to_string();
        assert!(said.contains("report.html"), "{said}");
        assert_eq!(plain_file(&real).unwrap().as_deref(), Some(b"secret".as_slice()));
        assert_eq!(plain_file(&folder.path().join("none")).unwrap(), None);
        assert!(plain_file(folder.path()).is_err(), "a directory");
    }
}
