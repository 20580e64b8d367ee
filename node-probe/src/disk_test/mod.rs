//! The active test of a disk: what it does for one caller, gross as any tool would see it, and net of the time that
//! the test itself waited for a CPU.
//!
//! Most of what a busy machine shows as disk latency is its own run queue: the thread that asked is woken and waits.
//! The kernel keeps that time for each thread, so it can be taken off. What it does not keep for us is the waiting of
//! the kernel's own threads (the journal's, for one), nor what a hypervisor took; both are still in net.

mod buffer;
mod calls;
mod device;
mod figures;
mod file;
mod frame;
mod ground;
mod queue;
mod recorder;
mod ring;
mod run_delay;

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use record::{DiskArm, DiskArmKind, DiskEngine, DiskTest, DiskTestFile, METHOD, Reading, SCHEMA, Warning, WarningKind};
use rustix::io::Errno;

use calls::{Deed, Hand};
use device::Before;
use figures::Made;
use file::{Log, TestFile};
use frame::Frame;
use ground::{Ground, refused};
use queue::Waiting;
use recorder::Recorder;
use ring::Ring;

use crate::Result;

/// How operations of depth 32 are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// By io_uring, or by threads where it is blocked.
    #[default]
    Auto,
    /// By io_uring; an error where it is blocked.
    IoUring,
    /// By threads.
    Threads,
}

/// What to test, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// A directory on the disk, or a file in one.
    pub path: PathBuf,
    /// The size of the test's file in bytes; none takes 1 GiB, or less where a tenth of the free space is less.
    pub size_bytes: Option<u64>,
    /// How long each arm is measured, in whole tenths of a second. A fifth of it, and at most 1 s, goes before.
    pub length: Duration,
    /// What is done; the order is drawn.
    pub arms: Vec<DiskArmKind>,
    /// The seed of everything that is drawn; none draws one.
    pub seed: Option<u64>,
    /// How operations of depth 32 are made.
    pub engine: Engine,
}

impl Config {
    /// Every arm for 5 s.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            size_bytes: None,
            length: Duration::from_secs(5),
            arms: DiskArmKind::ALL.to_vec(),
            seed: None,
            engine: Engine::Auto,
        }
    }
}

/// Where a test is.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// The file is being written.
    Writing {
        /// Bytes written.
        written: u64,
        /// Bytes in all.
        of: u64,
    },
    /// An arm begins.
    Arm {
        /// Which.
        kind: DiskArmKind,
        /// Its place in the order, from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// An arm was made.
    Made(&'a DiskArm),
}

/// The ramp is at most so long.
const LONGEST_RAMP_NS: u64 = 1_000_000_000;

/// Up to this share of the time spent waiting for a CPU, a measurement is taken for undisturbed.
const CALM_SHARE: f64 = 0.05;

/// Tests a disk. Whatever ends it, no file is left.
///
/// `stop` ends it after the operation in flight; what was made until then is the result. `progress` is called between
/// arms and writes, never while something is measured.
///
/// # Errors
/// When the place is no disk, is not writable or too full, does not take O_DIRECT, or descriptors, threads or a
/// forced io_uring are not to be had. A disk that fails while it is measured is no error: the failures are counted.
pub fn run(config: &Config, stop: &AtomicBool, mut progress: impl FnMut(Progress<'_>)) -> Result<DiskTest> {
    let began_realtime_ns = record::realtime_ns();
    let began_ns = record::monotonic_ns();
    let ground = Ground::look(&config.path)?;
    let (bytes, log_bytes) = ground::sizes(config.size_bytes, ground.free_bytes)
        .map_err(|(problem, remedy)| refused(&config.path, problem, &remedy))?;
    let file = TestFile::create(&ground, bytes)?;
    let seed = config.seed.unwrap_or_else(rand::random);
    let mut order = config.arms.clone();
    order.sort_unstable();
    order.dedup();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let length_ns = frame::whole_windows_ns(config.length);
    let ramp_ns = (length_ns / 5).min(LONGEST_RAMP_NS);
    let bench = Bench { ground: &ground, file: &file, engine: config.engine, log_bytes, ramp_ns, length_ns, stop };

    let filling_ns = record::monotonic_ns();
    let filled = file.fill(&ground, seed, stop, |written, of| progress(Progress::Writing { written, of }))?;
    let written_in_ns = filled.then(|| record::monotonic_ns() - filling_ns);
    let mut arms: Vec<DiskArm> = Vec::new();
    for (at, kind) in order.iter().copied().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        progress(Progress::Arm { kind, number: at + 1, of: order.len() });
        // Each arm goes its own ways, whichever others there are.
        let own_seed = seed.wrapping_add(1 + kind as u64);
        // One that was cut off is none.
        let Some(arm) = bench.arm(kind, own_seed)?.filter(|_| !stop.load(Ordering::Relaxed)) else { break };
        progress(Progress::Made(&arm));
        arms.push(arm);
    }
    let cut_off = arms.len() < order.len();
    Ok(DiskTest {
        schema: SCHEMA,
        method: METHOD,
        path: ground.path.display().to_string(),
        began_realtime_ns,
        took_ns: record::monotonic_ns() - began_ns,
        seed,
        warnings: doubts(&ground, bytes, &arms),
        disk: ground.disk,
        filesystem: ground.filesystem,
        file: DiskTestFile { bytes, written_in_ns, free_bytes: ground.free_bytes },
        length_ns,
        ramp_ns,
        arms,
        cut_off,
    })
}

/// Everything an arm needs.
struct Bench<'t> {
    ground: &'t Ground,
    file: &'t TestFile,
    engine: Engine,
    log_bytes: u64,
    ramp_ns: u64,
    length_ns: u64,
    stop: &'t AtomicBool,
}

impl Bench<'_> {
    fn arm(&self, kind: DiskArmKind, seed: u64) -> Result<Option<DiskArm>> {
        let before = Before::read(&self.ground.counters);
        let mut made = match kind {
            DiskArmKind::ReadQd32 | DiskArmKind::WriteQd32 => self.deep(kind, seed)?,
            _ => self.one_at_a_time(kind, seed)?,
        };
        made.device = before.since();
        if kind.writes()
            && let Err(errno) = self.file.settle()
            && let Some(recorder) = made.recorders.first_mut()
        {
            recorder.failed(errno);
        }
        Ok(made.figures())
    }

    fn frame(&self) -> Frame {
        Frame::from_now(self.ramp_ns, self.length_ns)
    }

    fn one_at_a_time(&self, kind: DiskArmKind, seed: u64) -> Result<Made> {
        let file = self.file.as_fd();
        let deed = match kind {
            DiskArmKind::ReadQd1 | DiskArmKind::ReadQd32 | DiskArmKind::PacedReadQd1 => Deed::Read(file),
            DiskArmKind::WriteQd1 | DiskArmKind::WriteQd32 | DiskArmKind::PacedWriteQd1 => Deed::Write(file),
            DiskArmKind::WriteFdatasync => Deed::WriteFlush(file),
            DiskArmKind::AppendFdatasync => Deed::AppendFlush(Log::create(self.ground, self.log_bytes, seed)?),
        };
        let mut hand = Hand::new(deed, self.file.blocks(), seed, 0);
        let every_ns = kind.is_paced().then_some(calls::PACE_NS);
        let cpu_ns = calls::thread_cpu_ns();
        let recorder = calls::drive(&mut hand, self.frame(), every_ns, self.stop)?;
        let cpu_ns = calls::thread_cpu_ns() - cpu_ns;
        Ok(made(kind, DiskEngine::Calls, None, vec![recorder], cpu_ns))
    }

    fn deep(&self, kind: DiskArmKind, seed: u64) -> Result<Made> {
        let ring = match self.engine {
            Engine::Threads => Err("threads were asked for".to_owned()),
            Engine::Auto | Engine::IoUring => Ring::new(self.file.as_fd(), kind.depth()).map_err(|e| blocked(&e)),
        };
        match ring {
            Ok(ring) => self.by_ring(kind, seed, ring),
            Err(reason) if self.engine == Engine::IoUring => {
                Err(refused(&self.ground.path, reason, "--engine threads, or --engine auto"))
            }
            Err(reason) => {
                let (recorders, cpu_ns) =
                    calls::drive_many(self.file, kind.writes(), kind.depth(), seed, self.frame(), self.stop)?;
                Ok(made(kind, DiskEngine::Threads, Some(reason), recorders, cpu_ns))
            }
        }
    }

    fn by_ring(&self, kind: DiskArmKind, seed: u64, mut ring: Ring) -> Result<Made> {
        let (blocks, writes) = (self.file.blocks(), kind.writes());
        let cpu_ns = calls::thread_cpu_ns();
        let recorder = queue::drive(&mut ring, blocks, writes, seed, self.frame(), Waiting::Asleep, self.stop)?;
        let cpu_ns = calls::thread_cpu_ns() - cpu_ns;
        let waited_ns: u64 = recorder.delays.iter().map(|(_, wait_ns)| wait_ns).sum();
        let undisturbed_ns = if waited_ns as f64 <= self.length_ns as f64 * CALM_SHARE {
            figures::undisturbed_median(&recorder)
        } else {
            // Where nearly every operation was disturbed, they do not tell how long one takes. A thread that stays
            // awake is not woken late: between two of its time slices its operations are as on a quiet machine.
            let frame = Frame::from_now(0, self.length_ns.min(LONGEST_RAMP_NS));
            let awake = queue::drive(&mut ring, blocks, writes, seed ^ 1, frame, Waiting::Awake, self.stop)?;
            figures::free_median(&awake)
        };
        let undisturbed_ns =
            undisturbed_ns.map_or_else(|| Reading::absent("no operation was free of waiting for a CPU"), Reading::Seen);
        let made = made(kind, DiskEngine::IoUring, None, vec![recorder], cpu_ns);
        Ok(Made { undisturbed_ns, ..made })
    }
}

fn made(
    kind: DiskArmKind,
    engine: DiskEngine,
    engine_reason: Option<String>,
    recorders: Vec<Recorder>,
    cpu_ns: u64,
) -> Made {
    let undisturbed_ns = Reading::absent("only io_uring needs it");
    Made { kind, engine, engine_reason, recorders, undisturbed_ns, cpu_ns, device: Reading::default() }
}

/// Why there is no io_uring.
fn blocked(error: &std::io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM) => {
            "io_uring is not permitted (kernel.io_uring_disabled, or a container's seccomp filter)".to_owned()
        }
        Some(Errno::NOSYS) => "this kernel has no io_uring, or a container's seccomp filter hides it".to_owned(),
        _ => format!("io_uring cannot be set up: {error}"),
    }
}

/// A wait for CPUs that makes up this share of an arm's latency is said.
const BUSY_SHARE: f64 = 0.2;
/// A last third with fewer operations than this part of the first is said.
const FALLEN: f64 = 0.7;
/// A disk that did fewer than this part of what it was asked for was not asked.
const REACHED: f64 = 0.9;

fn doubts(ground: &Ground, bytes: u64, arms: &[DiskArm]) -> Vec<Warning> {
    let mut doubts = Vec::new();
    let mut doubt = |kind, evidence: String, remedy: &str| doubts.push(Warning::new(kind, evidence, remedy));
    if let Some(reason) = ground.disk.reason() {
        let evidence = format!("the disk under {} cannot be named: {reason}", ground.path.display());
        doubt(WarningKind::Unproven, evidence, "take the figures for whatever is under it, caches included");
    }
    if bytes < 256 << 20 {
        let evidence = format!("the file is of {} MiB only, and caches of disks and hosts are larger", bytes >> 20);
        doubt(WarningKind::Unproven, evidence, "--size 1GiB");
    }
    let busy: Vec<String> = arms
        .iter()
        .filter_map(|arm| arm.waiting_share.seen().filter(|share| **share > BUSY_SHARE).map(|share| (arm.kind, share)))
        .map(|(kind, share)| format!("{:.0} % of {kind}", share * 100.0))
        .collect();
    if !busy.is_empty() {
        let evidence = format!("waiting for a CPU, and not the disk, was {} (shares of the latency)", busy.join(", "));
        doubt(WarningKind::BusyMachine, evidence, "take the net figures, or test when the machine is quiet");
    }
    for arm in arms {
        let kind = arm.kind;
        let threads = if arm.engine == DiskEngine::Threads { kind.depth() } else { 1 };
        let waited = arm.run_delay_ns.seen().map_or(0.0, |ns| *ns as f64 / arm.measured_ns as f64 / f64::from(threads));
        if let Some([first, last]) = arm.thirds
            && !kind.is_paced()
            && waited <= CALM_SHARE
            && (last as f64) < first as f64 * FALLEN
        {
            let evidence =
                format!("{kind}: {last} operations in the last third of the time after {first} in the first");
            let remedy = "test for longer (--seconds 60): an allowance for bursts may have been used up";
            doubt(WarningKind::NotStationary, evidence, remedy);
        }
        if let Some(reason) = arm.engine_reason.as_ref().filter(|reason| !reason.contains("asked for")) {
            let evidence = format!("{kind}: made by {} threads, as {reason}", kind.depth());
            doubt(WarningKind::NotPermitted, evidence, "the IOPS are about the same; the CPU time is not");
        }
        let device = arm.device.seen().map(|device| if kind.writes() { device.writes } else { device.reads });
        if let Some(done) = device
            && (done as f64) < arm.operations as f64 * REACHED
        {
            let evidence = format!("{kind}: of {} operations the disk did {done}", arm.operations);
            doubt(WarningKind::Unproven, evidence, "a cache or the file system answered: these are its figures");
        }
        if arm.errors > 0 {
            let first = arm.first_error.as_deref().unwrap_or("no reason given");
            let evidence = format!("{kind}: {} operations failed, the first with: {first}", arm.errors);
            doubt(WarningKind::RequestsFailed, evidence, "look at what the kernel says of the disk (dmesg)");
        }
    }
    doubts
}

#[cfg(test)]
mod tests;
