//! What is done to a chain under load, on disk while it goes on: half an hour of it takes no more memory than a minute does.

use std::path::{Path, PathBuf};

use record::{Event, LineWriter, Lines};

use crate::{Error, Result};

/// So many are in memory at most.
const MOST: usize = 64;

/// Events in the order in which they were noted. Its file is removed when they are taken; that of a trial that was cut off goes with
/// the trial's directory.
#[derive(Debug)]
pub(crate) struct EventLog {
    path: PathBuf,
    file: Option<LineWriter<Event>>,
    recent: Vec<Event>,
    /// The first one. What comes after it is lost, and so is the trial.
    failed: Option<Error>,
}

impl EventLog {
    /// One without an event, in a folder that is there; files of this name are its own.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(name), file: None, recent: Vec::new(), failed: None }
    }

    /// Notes an event.
    pub(crate) fn push(&mut self, event: Event) {
        if self.failed.is_some() {
            return;
        }
        self.recent.push(event);
        if self.recent.len() >= MOST
            && let Err(error) = self.put_down()
        {
            self.failed = Some(error);
        }
    }

    fn put_down(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(LineWriter::open(&self.path)?),
        };
        self.recent.drain(..).try_for_each(|event| file.append(&event))?;
        Ok(())
    }

    /// All that was noted.
    ///
    /// # Errors
    /// When an event could not be written, or what was written cannot be read again.
    pub(crate) fn taken(self) -> Result<Vec<Event>> {
        let Self { path, file, recent, failed } = self;
        let written = file.is_some();
        drop(file);
        let read = match (failed, written) {
            (Some(error), _) => Err(error),
            (None, true) => Lines::open(&path).and_then(Iterator::collect).map_err(Error::from),
            (None, false) => Ok(Vec::new()),
        };
        if written {
            std::fs::remove_file(&path).map_err(|source| Error::File { action: "remove", path, source })?;
        }
        let mut events: Vec<Event> = read?;
        events.extend(recent);
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at_ns: u64) -> Event {
        Event::CertificateSeen { at_ns, part: "s1-sidecar".into(), serial: format!("{at_ns:040x}") }
    }

    #[test]
    fn few_and_many_come_back_as_they_were_and_nothing_is_left() {
        for many in [0, 1, MOST - 1, MOST, MOST + 1, 10 * MOST + 3] {
            let folder = tempfile::tempdir().unwrap();
            let mut log = EventLog::new(folder.path(), "events");
            let events: Vec<Event> = (0..many as u64).map(seen).collect();
            for event in &events {
                log.push(event.clone());
                assert!(log.recent.len() < MOST, "no more in memory, however many there are");
            }
            assert_eq!(log.taken().unwrap(), events);
            assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        }
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_no_shorter_list() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("no/such");
        let mut log = EventLog::new(&nowhere, "events");
        (0..2 * MOST as u64).map(seen).for_each(|event| log.push(event));
        let said = log.taken().unwrap_err().to_string();
        assert!(said.contains(nowhere.to_str().unwrap()), "{said}");
    }
}
