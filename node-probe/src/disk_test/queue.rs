//! Many operations in flight by one thread: the loop around the ring.

use std::sync::atomic::{AtomicBool, Ordering};

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use record::DISK_BLOCK_BYTES;
use rustix::io::Errno;

use super::buffer;
use super::frame::Frame;
use super::recorder::Recorder;
use super::ring::Ring;
use super::run_delay::RunDelay;
use crate::{Error, Result};

/// How the thread waits for operations to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Asleep, as programs do.
    Asleep,
    /// Asking again and again: a thread that does not sleep is not woken late.
    Awake,
}

/// An operation in flight.
#[derive(Clone, Copy, Debug, Default)]
struct Flight {
    begun_ns: u64,
    /// The run delay of the thread until then.
    delay_ns: u64,
}

/// Keeps all slots of a ring busy until the end of the frame.
///
/// # Errors
/// When descriptors are used up, or the ring itself fails. A disk that fails is no error: that is counted.
pub(super) fn drive(
    ring: &mut Ring,
    blocks: u64,
    writes: bool,
    seed: u64,
    frame: Frame,
    waiting: Waiting,
    stop: &AtomicBool,
) -> Result<Recorder> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for slot in 0..ring.depth() {
        ring.block(slot).into_iter().for_each(|block| random.fill_bytes(block));
    }
    let mut recorder = Recorder::new(frame);
    let mut delay = RunDelay::of_this_thread()?;
    let mut delay_ns = 0;
    let mut flights = vec![Flight::default(); ring.depth()];
    let mut free: Vec<usize> = (0..ring.depth()).collect();
    let mut count = 0;
    let mut over = false;
    loop {
        over |= record::monotonic_ns() >= frame.end_ns || stop.load(Ordering::Relaxed);
        if over {
            // The last wait may have come after the last operation.
            let now = record::monotonic_ns();
            recorder.waited(now, delay.look(now));
            break;
        }
        // Each is handed over on its own, as by callers that know nothing of one another, and as fio does it. All at
        // once would be fewer calls, but on a virtio disk a quarter fewer operations: the disk waits for the batch, and
        // this CPU halts meanwhile.
        for slot in free.drain(..) {
            count += 1;
            if writes {
                ring.block(slot).into_iter().for_each(|block| buffer::mark(block, count));
            }
            let offset = random.random_range(0..blocks) * DISK_BLOCK_BYTES;
            ring.queue(slot, writes, offset).map_err(|source| Error::Ring { source })?;
            flights[slot] = Flight { begun_ns: record::monotonic_ns(), delay_ns };
            ring.enter(0).map_err(|source| Error::Ring { source })?;
        }
        if ring.nothing_ended() {
            ring.enter(usize::from(waiting == Waiting::Asleep)).map_err(|source| Error::Ring { source })?;
        }
        let ended_ns = record::monotonic_ns();
        let waited_ns = delay.since(ended_ns);
        recorder.waited(ended_ns, waited_ns);
        delay_ns += waited_ns;
        ring.reap(|slot, result| {
            free.push(slot);
            let Flight { begun_ns, delay_ns: before_ns } = flights[slot];
            match result {
                Ok(bytes) if bytes as u64 == DISK_BLOCK_BYTES => {
                    recorder.operation(ended_ns, ended_ns - begun_ns, delay_ns - before_ns);
                }
                Ok(_) => over |= recorder.failed(Errno::IO),
                Err(errno) => over |= recorder.failed(errno),
            }
        });
    }
    while ring.in_flight() > 0 {
        ring.enter(1).map_err(|source| Error::Ring { source })?;
        let ended_ns = record::monotonic_ns();
        ring.reap(|slot, _| recorder.unfinished(ended_ns - flights[slot].begun_ns));
    }
    recorder.no_delay = delay.reason().map(str::to_owned);
    Ok(recorder)
}
