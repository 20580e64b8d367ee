//! One blocking call at a time, by one thread or by many: what fio calls psync.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use record::DISK_BLOCK_BYTES;
use rustix::io::{Errno, pread, pwrite, retry_on_intr};
use rustix::time::{ClockId, clock_gettime};

use super::buffer::{self, Buffer};
use super::file::{Log, TestFile};
use super::frame::Frame;
use super::recorder::Recorder;
use super::run_delay::RunDelay;
use crate::schedule::{self, SmallSlack};
use crate::{Error, Result};

/// Time from one paced operation to the next.
pub(super) const PACE_NS: u64 = 20_000_000;

/// What is done, again and again.
#[derive(Debug)]
pub(super) enum Deed<'t> {
    Read(BorrowedFd<'t>),
    Write(BorrowedFd<'t>),
    WriteFlush(BorrowedFd<'t>),
    AppendFlush(Log<'t>),
}

/// Does it, each time somewhere else.
#[derive(Debug)]
pub(super) struct Hand<'t> {
    deed: Deed<'t>,
    blocks: u64,
    random: ChaCha8Rng,
    buffer: Buffer,
    offset: u64,
    count: u64,
}

impl<'t> Hand<'t> {
    /// Hands of one seed and different numbers go to different places.
    pub(super) fn new(deed: Deed<'t>, blocks: u64, seed: u64, number: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(number);
        let mut buffer = Buffer::new(DISK_BLOCK_BYTES as usize);
        random.fill_bytes(buffer.bytes_mut());
        Self { deed, blocks, random, buffer, offset: 0, count: number << 40 }
    }

    fn prepare(&mut self) -> Result<()> {
        self.offset = self.random.random_range(0..self.blocks) * DISK_BLOCK_BYTES;
        self.count += 1;
        match &mut self.deed {
            Deed::Read(_) => {}
            Deed::Write(_) | Deed::WriteFlush(_) => buffer::mark(self.buffer.bytes_mut(), self.count),
            Deed::AppendFlush(log) => log.prepare()?,
        }
        Ok(())
    }

    /// Does it; says when the flushing began, where there is one.
    fn perform(&mut self) -> std::result::Result<Option<u64>, Errno> {
        match &mut self.deed {
            Deed::Read(file) => {
                whole(retry_on_intr(|| pread(*file, self.buffer.bytes_mut(), self.offset))?)?;
                Ok(None)
            }
            Deed::Write(file) => {
                whole(retry_on_intr(|| pwrite(*file, self.buffer.bytes(), self.offset))?)?;
                Ok(None)
            }
            Deed::WriteFlush(file) => {
                whole(retry_on_intr(|| pwrite(*file, self.buffer.bytes(), self.offset))?)?;
                let flush_ns = record::monotonic_ns();
                retry_on_intr(|| rustix::fs::fdatasync(*file))?;
                Ok(Some(flush_ns))
            }
            Deed::AppendFlush(log) => {
                log.append()?;
                let flush_ns = record::monotonic_ns();
                log.flush()?;
                Ok(Some(flush_ns))
            }
        }
    }
}

/// A block of a file that is written whole and not cut is read and written whole.
fn whole(bytes: usize) -> std::result::Result<(), Errno> {
    if bytes as u64 == DISK_BLOCK_BYTES { Ok(()) } else { Err(Errno::IO) }
}

/// Repeats it until the end of the frame, as fast as it goes or on an absolute schedule.
///
/// # Errors
/// When descriptors are used up. A disk that fails is no error: that is counted.
pub(super) fn drive(hand: &mut Hand<'_>, frame: Frame, every_ns: Option<u64>, stop: &AtomicBool) -> Result<Recorder> {
    let _slack = every_ns.map(|_| SmallSlack::set());
    let mut recorder = Recorder::new(frame);
    let mut delay = RunDelay::of_this_thread()?;
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        hand.prepare()?;
        let mut due_ns = None;
        if let Some(every_ns) = every_ns {
            let due = frame.begin_ns + every_ns * round;
            if due >= frame.end_ns || !schedule::sleep_until(due, stop) {
                break;
            }
            // Waiting after a sleep is ours, not the disk's.
            let now = record::monotonic_ns();
            recorder.waited(now, delay.look(now));
            due_ns = Some(due);
        }
        let begun_ns = record::monotonic_ns();
        if begun_ns >= frame.end_ns {
            break;
        }
        let performed = hand.perform();
        let ended_ns = record::monotonic_ns();
        let waited_ns = if every_ns.is_some() { delay.look(ended_ns) } else { delay.since(ended_ns) };
        recorder.waited(ended_ns, waited_ns);
        match performed {
            Ok(flush_ns) => {
                let gross_ns = ended_ns - begun_ns;
                if recorder.operation(ended_ns, gross_ns, waited_ns) {
                    recorder.flush_ns.extend(flush_ns.map(|flush_ns| ended_ns - flush_ns));
                    recorder.late_ns.extend(due_ns.map(|due_ns| begun_ns - due_ns));
                }
            }
            Err(errno) if recorder.failed(errno) => break,
            Err(_) => {}
        }
        if let Some(every_ns) = every_ns {
            let next = schedule::next_round(round, frame.begin_ns, every_ns, record::monotonic_ns());
            recorder.missed += next - round - 1;
            round = next;
        }
    }
    // The last wait may have come after the last operation.
    let now = record::monotonic_ns();
    recorder.waited(now, delay.look(now));
    recorder.no_delay = delay.reason().map(str::to_owned);
    Ok(recorder)
}

/// The same by as many threads as are to be in flight; what each saw, and the CPU time they used together.
///
/// # Errors
/// When a thread cannot be started, or descriptors are used up.
pub(super) fn drive_many(
    file: &TestFile,
    writes: bool,
    depth: u32,
    seed: u64,
    frame: Frame,
    stop: &AtomicBool,
) -> Result<(Vec<Recorder>, u64)> {
    let one = |number: u32| {
        let deed = if writes { Deed::Write(file.as_fd()) } else { Deed::Read(file.as_fd()) };
        let mut hand = Hand::new(deed, file.blocks(), seed, u64::from(number) + 1);
        let recorder = drive(&mut hand, frame, None, stop)?;
        Ok::<_, Error>((recorder, thread_cpu_ns()))
    };
    thread::scope(|scope| {
        let one = &one;
        let started: Vec<_> = (0..depth)
            .map(|number| thread::Builder::new().name("disk".to_owned()).spawn_scoped(scope, move || one(number)))
            .collect();
        let mut all = (Vec::new(), 0);
        let mut failed = None;
        for thread in started {
            let joined = match thread {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(source) => Err(Error::Thread { source }),
            };
            match joined {
                Ok((recorder, cpu_ns)) => {
                    all.0.push(recorder);
                    all.1 += cpu_ns;
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(all), Err)
    })
}

/// CPU time of the calling thread.
pub(super) fn thread_cpu_ns() -> u64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}
