//! The light form: short bursts of fixed work, counted up for whoever samples them.
//!
//! The work stands in the place of the bare clock: a gap is a piece of it that took far too long, and the median
//! piece of a burst is the speed of the CPU. A burst of 2 ms in every 100 ms takes 2.1 % of one core (measured).
//!
//! A hypervisor makes a CPU wait when it wakes up rather than 2 ms later, so what a burst lost before it began is
//! counted with it: without that, bursts in a guest that lost half of its time saw a seventh of it.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use record::{GapCounters, GapReport, monotonic_ns};
use rustix::thread::set_current_timer_slack;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

use super::board::Board;
use super::place::pin;
use super::watch::{GapWatch, watch_gaps};
use super::watcher::{Watcher, median};
use crate::host::steal::{LeftOut, told_here};
use crate::schedule::sleep_until;
use crate::speed::chunk;
use crate::{Error, Result};

/// Twice what a burst and the pause after it take by default.
const LONGEST_FAREWELL: Duration = Duration::from_millis(200);

/// What the counters of a [`GapSensor`] bend, for whoever prints them.
pub const SENSOR_BIAS: &str = "bursts of 2 ms see less of what a hypervisor takes than a thread that always runs, since one \
    that has slept is favoured when it wakes: nearly all of it on a crowded host and an eighth on one with a single \
    neighbour (measured in an emulated guest), so that little is no proof of nothing, and `--gaps` tells; the sensor \
    gives way to every other thread (SCHED_IDLE), so its own run delay is longer than that of others";

/// How long interrupts are looked at when the sensor starts.
const FIT_NS: u64 = 100_000_000;
/// The wake-ups among which the quickest says how long one takes when nothing is in the way.
const WAKE_UPS: usize = 32;
/// 2^64 over the golden ratio: multiples of it, cut to 64 bits, lie evenly wherever one stops.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// How a sensor works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensorConfig {
    /// The CPU; none leaves it to the scheduler, which puts a burst where there is room.
    pub cpu: Option<u32>,
    /// How long each burst is.
    pub burst: Duration,
    /// One burst in each time of this length, at another place in each.
    pub every: Duration,
    /// How long to spin in full before the first burst, to have a figure without the bias of short bursts; zero for
    /// not at all.
    pub calibration: Duration,
}

impl Default for SensorConfig {
    /// 2 ms in every 100 ms, anywhere, not calibrated.
    fn default() -> Self {
        Self {
            cpu: None,
            burst: Duration::from_millis(2),
            every: Duration::from_millis(100),
            calibration: Duration::ZERO,
        }
    }
}

/// A thread that counts gaps and speed in short bursts until it is dropped.
#[derive(Debug)]
pub struct GapSensor {
    board: Arc<Board>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    calibration: Option<GapReport>,
}

impl GapSensor {
    /// Starts it; returns when it is ready, after the calibration if there is one.
    ///
    /// # Errors
    /// When the CPU is not allowed, this kernel does not count run delay, or no thread can be started.
    pub fn start(config: &SensorConfig) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let calibration = if config.calibration.is_zero() {
            None
        } else {
            let watch = GapWatch { length: config.calibration, cpu: config.cpu, longest: 0 };
            Some(watch_gaps(&watch, &stop)?)
        };
        let board = Arc::new(Board::default());
        let (ready, told) = channel();
        let work = {
            let (board, stop, config) = (Arc::clone(&board), Arc::clone(&stop), config.clone());
            move || sense(&config, &board, &stop, &ready)
        };
        let failed = |reason: String| Error::Gaps { reason };
        let thread = std::thread::Builder::new().name("gap-sensor".to_owned()).spawn(work);
        let thread = thread.map_err(|e| failed(format!("no thread can be started: {e}")))?;
        let sensor = Self { board, stop, thread: Some(thread), calibration };
        told.recv().unwrap_or_else(|_| Err(failed("its thread has failed".to_owned())))?;
        Ok(sensor)
    }

    /// The counters as of the last burst. Never waits for the sensor.
    pub fn read(&self) -> GapCounters {
        self.board.read()
    }

    /// What the full spin before the first burst saw, if there was one.
    pub fn calibration(&self) -> Option<&GapReport> {
        self.calibration.as_ref()
    }
}

impl Drop for GapSensor {
    /// Ends the thread, as a rule within a burst. It is not waited for beyond `LONGEST_FAREWELL`: a thread that gives
    /// way to all others gets no CPU to end on while those take every one, and what it holds is its own.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let until = Instant::now() + LONGEST_FAREWELL;
        if let Some(thread) = self.thread.take() {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

/// On the sensor's thread.
fn sense(config: &SensorConfig, board: &Board, stop: &AtomicBool, ready: &Sender<Result<()>>) {
    let begun = config.cpu.map_or(Ok(()), pin).and_then(|()| Watcher::open(LeftOut::here(told_here().0)));
    let mut watcher = match begun {
        Ok(watcher) => watcher,
        Err(error) => {
            // Whoever waits for it is there, unless it has failed itself.
            let _ = ready.send(Err(error));
            return;
        }
    };
    watcher.fit_interrupts(FIT_NS);
    give_way();
    let mut burst = Burst::new(watcher);
    board.show(&burst.counters);
    let _ = ready.send(Ok(()));
    let (burst_ns, every_ns) = (nanoseconds(config.burst), nanoseconds(config.every).max(1));
    let room_ns = every_ns.saturating_sub(burst_ns);
    let start_ns = monotonic_ns();
    let mut number: u64 = 0;
    loop {
        let due_ns = start_ns + number.saturating_mul(every_ns) + place_in(room_ns, number);
        if !sleep_until(due_ns, stop) {
            return;
        }
        burst.run(due_ns, burst_ns);
        let next = (number + 1).max((monotonic_ns() - start_ns) / every_ns);
        burst.counters.missed_bursts += next - number - 1;
        number = next;
        board.show(&burst.counters);
    }
}

/// Where in its time a burst begins. Always at the same place, it would meet the same part of every tick and of
/// every period of a quota; so it moves by the golden ratio, which no period keeps step with.
fn place_in(room_ns: u64, number: u64) -> u64 {
    let fraction = number.wrapping_mul(GOLDEN);
    ((u128::from(room_ns) * u128::from(fraction)) >> 64) as u64
}

/// Lets every other thread go before this one: 2 ms of waiting for the sensor would be a long request.
///
/// What is refused stays as it was: then the sensor is one thread among others.
fn give_way() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    // The kernel adds up to 50 us to every sleep otherwise.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What one burst needs, and what all have counted.
struct Burst {
    watcher: Watcher,
    counters: GapCounters,
    /// The chunks of this burst.
    times_ns: Vec<u64>,
    /// What a chunk takes as a rule: the median of the burst before.
    usual_ns: u64,
    /// How late the last bursts were.
    late_ns: VecDeque<u64>,
    /// The thread's CPU time before the first burst.
    cpu_before_ns: u64,
    seed: u64,
}

impl Burst {
    fn new(watcher: Watcher) -> Self {
        let mut burst = Self {
            watcher,
            counters: GapCounters::default(),
            times_ns: Vec::new(),
            usual_ns: 0,
            late_ns: VecDeque::with_capacity(WAKE_UPS + 1),
            cpu_before_ns: 0,
            seed: 1,
        };
        let mut last_ns = monotonic_ns();
        for _ in 0..200 {
            last_ns = burst.chunk(last_ns).1;
        }
        burst.usual_ns = median(&mut burst.times_ns);
        burst.watcher.start();
        burst.cpu_before_ns = burst.watcher.cpu_ns();
        burst
    }

    /// One chunk: how long it took, and when it was done.
    fn chunk(&mut self, last_ns: u64) -> (u64, u64) {
        self.seed = chunk::work(self.seed);
        let now_ns = monotonic_ns();
        self.times_ns.push(now_ns - last_ns);
        (now_ns - last_ns, now_ns)
    }

    /// One burst that was due then.
    fn run(&mut self, due_ns: u64, length_ns: u64) {
        self.times_ns.clear();
        let lost_awake_ns = self.wake(monotonic_ns().saturating_sub(due_ns));
        let reading_before_ns = self.watcher.reading_ns;
        let start_ns = self.watcher.start();
        let end_ns = start_ns + length_ns;
        // Half the speed is speed; what goes beyond is a gap.
        let gap_from_ns = 2 * self.usual_ns + self.watcher.seen_from_ns;
        let mut last_ns = start_ns;
        while last_ns < end_ns {
            let (took_ns, now_ns) = self.chunk(last_ns);
            if took_ns <= gap_from_ns {
                last_ns = now_ns;
                continue;
            }
            self.times_ns.pop();
            let counters = &mut self.counters;
            last_ns = self.watcher.take(last_ns, took_ns - self.usual_ns, &mut |_, length_ns, parts| {
                counters.lost += parts;
                counters.gaps += 1;
                counters.longest_gap_ns = counters.longest_gap_ns.max(length_ns);
            });
        }
        let reading_ns = self.watcher.reading_ns - reading_before_ns;
        self.watcher.start();
        self.count(lost_awake_ns + (last_ns - start_ns).saturating_sub(reading_ns));
    }

    /// Takes in how late the burst began. A thread that wakes up waits like one that runs, and a hypervisor makes it
    /// wait before rather than after: of a burst this short that is the larger part. What a wake-up takes when
    /// nothing is in the way is no loss.
    fn wake(&mut self, late_ns: u64) -> u64 {
        self.late_ns.push_back(late_ns);
        if self.late_ns.len() > WAKE_UPS {
            self.late_ns.pop_front();
        }
        let quickest_ns = self.late_ns.iter().copied().min().unwrap_or(0);
        let lost_ns = late_ns - quickest_ns;
        let parts = self.watcher.woken(lost_ns);
        let counters = &mut self.counters;
        counters.late_ns += late_ns;
        counters.latest_ns = counters.latest_ns.max(late_ns);
        if lost_ns <= self.watcher.attributed_from_ns {
            return 0;
        }
        counters.lost += parts;
        counters.gaps += 1;
        counters.longest_gap_ns = counters.longest_gap_ns.max(lost_ns);
        lost_ns
    }

    fn count(&mut self, burst_ns: u64) {
        let fastest = self.times_ns.iter().copied().min();
        // A burst that was one gap from its beginning to its end says nothing of the speed: the one before stands.
        if !self.times_ns.is_empty() {
            self.usual_ns = median(&mut self.times_ns);
        }
        let counters = &mut self.counters;
        counters.bursts += 1;
        counters.burst_ns += burst_ns;
        counters.chunk_median_sum_ns += self.usual_ns;
        if let Some(fastest) = fastest {
            let best = counters.chunk_best_ns;
            counters.chunk_best_ns = if best == 0 { fastest } else { best.min(fastest) };
        }
        counters.cpu_ns = self.watcher.cpu_ns() - self.cpu_before_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_lie_evenly_and_never_twice_at_one_place() {
        let places: Vec<u64> = (0..100).map(|number| place_in(98_000_000, number)).collect();
        assert!(places.iter().all(|place| *place < 98_000_000));
        for tenth in 0..10 {
            let (from, to) = (tenth * 9_800_000, (tenth + 1) * 9_800_000);
            let count = places.iter().filter(|place| (from..to).contains(*place)).count();
            assert!((9..=11).contains(&count), "{count} in tenth {tenth}");
        }
        assert_eq!(place_in(0, 7), 0);
    }

    #[test]
    fn a_cpu_that_is_not_allowed_is_an_error_at_the_start() {
        let config = SensorConfig { cpu: Some(1023), ..SensorConfig::default() };
        assert!(matches!(GapSensor::start(&config), Err(Error::Pin { cpu: 1023, .. })));
    }
}
