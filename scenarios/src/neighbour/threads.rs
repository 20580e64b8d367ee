//! The threads of a neighbour: started, counted, looked at and ended together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{NAME, NeighbourConfig, Worked, disk, memory, refused, spin};
use crate::ready::Deadline;
use crate::{Error, Result};

/// How long all threads may take until each has worked; a disk may be slow to give room.
const FIRST_WORK: Duration = Duration::from_secs(15);

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Cpu,
    Disk,
    Memory,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Cpu, Self::Disk, Self::Memory];

    /// In words, "cpu".
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Disk => "disk",
            Self::Memory => "memory",
        }
    }

    /// What the names of its threads begin with; the kernel keeps 15 letters.
    pub(crate) fn thread(self) -> &'static str {
        match self {
            Self::Cpu => "noise-cpu:",
            Self::Disk => "noise-disk:",
            Self::Memory => "noise-mem:",
        }
    }

    /// How many threads of a kind a neighbour has.
    pub(crate) fn of(self, neighbour: record::Neighbour) -> u32 {
        let record::Neighbour { cpu, disk, memory } = neighbour;
        match self {
            Self::Cpu => cpu,
            Self::Disk => disk,
            Self::Memory => memory,
        }
    }
}

/// What a thread counts, and when it is to end.
pub(super) struct Work {
    ended: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
}

impl Work {
    /// Counts what was just done; whether there is to be more.
    pub(super) fn count(&self, amount: u64) -> bool {
        self.done.fetch_add(amount, Ordering::Relaxed);
        !self.ended.load(Ordering::Relaxed)
    }
}

struct Thread {
    kind: Kind,
    done: Arc<AtomicU64>,
    handle: JoinHandle<Result<()>>,
}

/// All of them.
pub(super) struct Threads {
    ended: Arc<AtomicBool>,
    all: Vec<Thread>,
}

impl Threads {
    pub(super) fn start(config: &NeighbourConfig) -> Result<Self> {
        let mut threads = Self { ended: Arc::default(), all: Vec::new() };
        let size = memory::Size::find(config.neighbour.memory)?;
        for kind in Kind::ALL {
            for number in 0..kind.of(config.neighbour) {
                let directory = config.directory.clone();
                threads.add(kind, number, move |work| match kind {
                    Kind::Cpu => spin::spin(&work),
                    Kind::Disk => disk::write(&work, &directory, number),
                    Kind::Memory => memory::stream(&work, size),
                })?;
            }
        }
        Ok(threads)
    }

    fn add(&mut self, kind: Kind, number: u32, body: impl FnOnce(Work) -> Result<()> + Send + 'static) -> Result<()> {
        let done = Arc::new(AtomicU64::new(0));
        let work = Work { ended: Arc::clone(&self.ended), done: Arc::clone(&done) };
        let handle =
            std::thread::Builder::new().name(format!("{}{number}", kind.thread())).spawn(move || body(work)).map_err(
                |source| Error::Thread { part: NAME.to_owned(), what: "cannot start a thread".into(), source },
            )?;
        self.all.push(Thread { kind, done, handle });
        Ok(())
    }

    /// Waits until each has done something.
    pub(super) fn wait_for_work(&self, deadline: &Deadline) -> Result<()> {
        let patience = Deadline::after(FIRST_WORK.min(deadline.left()));
        while let Some(idle) = self.all.iter().find(|thread| thread.done.load(Ordering::Relaxed) == 0) {
            if idle.handle.is_finished() {
                return Err(refused(
                    format!("its {} thread ended before it had done anything", idle.kind.word()),
                    "its log, which says why",
                ));
            }
            if patience.left().is_zero() {
                return Err(refused(
                    format!("its {} thread has done nothing in {:.0} s", idle.kind.word(), FIRST_WORK.as_secs_f64()),
                    "fewer threads, or a directory on a disk that is less busy",
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    pub(super) fn worked(&self) -> Worked {
        let of = |kind| {
            let all = self.all.iter().filter(|thread| thread.kind == kind);
            all.map(|thread| thread.done.load(Ordering::Relaxed)).collect()
        };
        Worked { cpu_rounds: of(Kind::Cpu), disk_bytes: of(Kind::Disk), memory_bytes: of(Kind::Memory) }
    }

    /// An error if a thread ended by itself.
    pub(super) fn check(&self) -> Result<()> {
        match self.all.iter().find(|thread| thread.handle.is_finished()) {
            None => Ok(()),
            Some(thread) => Err(refused(format!("a {} thread ended", thread.kind.word()), "its log, which says why")),
        }
    }

    /// Ends them, and says what went wrong in any.
    pub(super) fn end(self) -> Result<()> {
        self.ended.store(true, Ordering::Relaxed);
        let mut ended = Ok(());
        for thread in self.all {
            let joined = thread.handle.join();
            let panicked = || refused(format!("a {} thread panicked", thread.kind.word()), "its log, which says why");
            ended = ended.and(joined.unwrap_or_else(|_| Err(panicked())));
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use record::Neighbour;

    use super::*;

    #[test]
    fn threads_of_every_kind_work_are_counted_and_end() {
        // Beside this crate's build products, which are on a disk.
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let neighbour = Neighbour { cpu: 2, disk: 1, memory: 1 };
        let config =
            NeighbourConfig { neighbour, directory: directory.path().to_owned(), at_most: Duration::from_secs(60) };
        let threads = Threads::start(&config).unwrap();
        threads.wait_for_work(&Deadline::after(config.at_most)).unwrap();
        let first = threads.worked();
        assert_eq!((first.cpu_rounds.len(), first.disk_bytes.len(), first.memory_bytes.len()), (2, 1, 1));
        let all = |w: &Worked| [&w.cpu_rounds, &w.disk_bytes, &w.memory_bytes].into_iter().flatten().copied().collect();
        let before: Vec<u64> = all(&first);
        let until = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            let now: Vec<u64> = all(&threads.worked());
            if now.iter().zip(&before).all(|(now, before)| now > before) {
                break;
            }
            assert!(std::time::Instant::now() < until, "{before:?} and then {now:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        threads.check().unwrap();
        // Nothing of it can be found, and so nothing be left behind.
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        threads.end().unwrap();
    }

    #[test]
    fn a_thread_that_cannot_work_is_an_error_and_not_a_quiet_neighbour() {
        let config = NeighbourConfig {
            neighbour: Neighbour { cpu: 0, disk: 1, memory: 0 },
            directory: "/no/such/directory".into(),
            at_most: Duration::from_secs(60),
        };
        let threads = Threads::start(&config).unwrap();
        let said = threads.wait_for_work(&Deadline::after(config.at_most)).unwrap_err().to_string();
        assert!(said.contains("its disk thread ended before it had done anything"), "{said}");
        let said = threads.end().unwrap_err().to_string();
        assert!(said.contains("/no/such/directory"), "{said}");
    }
}
