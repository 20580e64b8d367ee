//! Whether two CPUs share a core: the work on one, with the other spinning and not, in pairs.
//!
//! A hypervisor is free to show two threads of one core as two cores; the topology says what it wants said. Two
//! siblings that both do this work take far longer than one alone; CPUs of different cores do not notice.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use record::{Reading, SiblingCheck, SiblingVerdict};

use super::{Effort, card, chunk};
use crate::gaps::pin;
use crate::{Error, Result};

/// Work that takes so much longer is shared with somebody; less is noise.
const SHARED_FROM: f64 = 1.2;
const NOTHING_TO: f64 = 1.1;
const WINDOW: Duration = Duration::from_millis(8);

impl Effort {
    /// Pairs of CPUs, and pairs of windows for each.
    fn pairs(self) -> (usize, usize) {
        match self {
            Self::Full => (3, 16),
            Self::Quick => (1, 16),
        }
    }
}

/// Checks some pairs of the CPUs allowed (at least two).
pub(super) fn check(cpus: &[u32], effort: Effort) -> Reading<Vec<SiblingCheck>> {
    let (most, rounds) = effort.pairs();
    let checks: Result<Vec<SiblingCheck>> =
        pairs(cpus, most).into_iter().map(|(cpu, other)| check_pair(cpu, other, rounds)).collect();
    Reading::from_result(checks)
}

/// The first CPU with those that may be its sibling: the next one (as most hypervisors count) and the one half the
/// way on (as Linux counts on bare metal), and then one that should be none.
fn pairs(cpus: &[u32], most: usize) -> Vec<(u32, u32)> {
    let Some((&first, others)) = cpus.split_first() else { return Vec::new() };
    let places = [0, (cpus.len() / 2).saturating_sub(1), others.len() / 3, others.len().saturating_sub(1)];
    let mut found: Vec<(u32, u32)> = Vec::new();
    for other in places.iter().filter_map(|place| others.get(*place)) {
        if !found.contains(&(first, *other)) && found.len() < most {
            found.push((first, *other));
        }
    }
    found
}

fn check_pair(cpu: u32, other: u32, rounds: usize) -> Result<SiblingCheck> {
    let neighbour = Neighbour::default();
    let no_thread = |e: std::io::Error| Error::Gaps { reason: format!("no thread can be started: {e}") };
    let failed = |_| Error::Gaps { reason: "a thread of the check has failed".to_owned() };
    let ratios = std::thread::scope(|scope| {
        // However this is left, the other thread ends.
        let _end = EndWhenDropped(&neighbour);
        let spinner = std::thread::Builder::new().spawn_scoped(scope, || neighbour.live(other)).map_err(no_thread)?;
        let measure = || pin(cpu).map(|()| (0..rounds).map(|round| neighbour.ratio(round)).collect::<Vec<f64>>());
        let measurer = std::thread::Builder::new().spawn_scoped(scope, measure).map_err(no_thread)?;
        let ratios = measurer.join().map_err(failed)?;
        neighbour.order.store(END, Ordering::Relaxed);
        spinner.join().map_err(failed)??;
        ratios
    })?;
    let topology_says = topology(Path::new("/"), cpu, other);
    Ok(judge(cpu, other, ratios, topology_says))
}

const REST: u8 = 0;
const SPIN: u8 = 1;
const END: u8 = 2;

/// The thread on the other CPU.
#[derive(Debug, Default)]
struct Neighbour {
    /// What it shall do.
    order: AtomicU8,
    /// Whether it is at it.
    spins: AtomicBool,
}

impl Neighbour {
    /// Its life: it rests, or does the work, until it shall end.
    fn live(&self, cpu: u32) -> Result<()> {
        pin(cpu)?;
        let mut seed = 2;
        loop {
            match self.order.load(Ordering::Relaxed) {
                END => return Ok(()),
                SPIN => {
                    self.spins.store(true, Ordering::Relaxed);
                    seed = chunk::work(seed);
                }
                _ => {
                    self.spins.store(false, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_micros(500));
                }
            }
        }
    }

    /// Gives an order, and waits until it is followed; not for ever, because its CPU may have been taken away.
    fn order(&self, order: u8) {
        self.order.store(order, Ordering::Relaxed);
        for _ in 0..40 {
            std::thread::sleep(Duration::from_micros(500));
            if self.spins.load(Ordering::Relaxed) == (order == SPIN) {
                return;
            }
        }
    }

    /// The work beside it while it spins, over the same while it rests; what drifts must not always be on one side.
    fn ratio(&self, round: usize) -> f64 {
        let measure = |order| {
            self.order(order);
            median_ns(&mut 1)
        };
        if round.is_multiple_of(2) {
            let alone = measure(REST);
            measure(SPIN) / alone
        } else {
            let beside = measure(SPIN);
            beside / measure(REST)
        }
    }
}

/// Ends the other thread.
struct EndWhenDropped<'n>(&'n Neighbour);

impl Drop for EndWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.order.store(END, Ordering::Relaxed);
    }
}

/// The median chunk of one window, without its first part, in which the core comes up to speed.
fn median_ns(seed: &mut u64) -> f64 {
    let mut times = card::window(WINDOW, seed);
    let settled = times.len() / 4;
    let times = &mut times[settled..];
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, |ns| *ns as f64)
}

fn judge(cpu: u32, other: u32, mut ratios: Vec<f64>, topology_says: Reading<bool>) -> SiblingCheck {
    ratios.retain(|ratio| ratio.is_finite());
    ratios.sort_by(f64::total_cmp);
    let at = |quarter: usize| ratios.get(ratios.len() * quarter / 4).copied().unwrap_or(1.0);
    let (ratio_low, ratio, ratio_high) = (at(1), at(2), at(3));
    let verdict = if ratios.is_empty() {
        SiblingVerdict::CannotTell
    } else if ratio >= SHARED_FROM && ratio_low > NOTHING_TO {
        SiblingVerdict::ShareACore
    } else if ratio <= NOTHING_TO && ratio_high < SHARED_FROM {
        SiblingVerdict::DoNot
    } else {
        SiblingVerdict::CannotTell
    };
    SiblingCheck { cpu, other, ratio, ratio_low, ratio_high, pairs: ratios.len() as u64, verdict, topology_says }
}

/// Whether the kernel lists them as threads of one core.
fn topology(root: &Path, cpu: u32, other: u32) -> Reading<bool> {
    let path = root.join(format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"));
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) => return Reading::absent(format!("cannot read {}: {e}", path.display())),
    };
    crate::host::parse_cpu_list(text.trim()).map_or_else(
        || Reading::absent(format!("{} is not as it should be", path.display())),
        |list| Reading::Seen(list.contains(&other)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(ratios: &[f64]) -> SiblingVerdict {
        judge(0, 1, ratios.to_vec(), Reading::Seen(false)).verdict
    }

    #[test]
    fn the_verdict_needs_rounds_that_agree() {
        assert_eq!(judged(&[1.0, 1.01, 0.99, 1.02, 1.0, 1.4, 0.98, 1.0]), SiblingVerdict::DoNot, "one odd round");
        assert_eq!(judged(&[1.7, 1.8, 1.6, 1.75, 1.7, 1.0, 1.8, 1.7]), SiblingVerdict::ShareACore);
        assert_eq!(judged(&[1.0, 1.5, 1.0, 1.5, 1.0, 1.5, 1.0, 1.5]), SiblingVerdict::CannotTell);
        assert_eq!(judged(&[1.15; 8]), SiblingVerdict::CannotTell);
        assert_eq!(judged(&[]), SiblingVerdict::CannotTell);
        assert_eq!(judged(&[f64::NAN]), SiblingVerdict::CannotTell);
    }

    #[test]
    fn pairs_are_those_that_may_be_siblings_and_no_pair_twice() {
        assert_eq!(pairs(&[0, 1], 3), [(0, 1)]);
        assert_eq!(pairs(&[0, 1, 2, 3, 4, 5, 6, 7], 3), [(0, 1), (0, 4), (0, 3)]);
        assert_eq!(pairs(&[0, 1, 2, 3], 1), [(0, 1)]);
        assert_eq!(pairs(&[5], 3), []);
        assert_eq!(pairs(&[], 3), []);
    }

    #[test]
    fn a_pair_is_measured_and_its_threads_end() {
        let cpus = crate::gaps::allowed_cpus();
        let found = check(&[cpus[0], cpus[0]], Effort::Quick);
        // One CPU beside itself: the two threads take turns, and a chunk in its turn is as fast as ever.
        let checks = found.seen().unwrap();
        assert_eq!((checks.len(), checks[0].pairs), (1, 16), "{checks:?}");
        assert!(checks[0].ratio > 0.2 && checks[0].ratio_low <= checks[0].ratio_high, "{checks:?}");
        assert!(check(&[cpus[0], 1023], Effort::Quick).reason().unwrap().contains("1023"));
    }

    #[test]
    fn the_topology_is_what_the_kernel_lists() {
        let tree = tempfile::tempdir().unwrap();
        let directory = tree.path().join("sys/devices/system/cpu/cpu0/topology");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("thread_siblings_list"), "0,4\n").unwrap();
        assert_eq!(topology(tree.path(), 0, 4), Reading::Seen(true));
        assert_eq!(topology(tree.path(), 0, 1), Reading::Seen(false));
        assert!(topology(tree.path(), 1, 0).reason().is_some());
    }
}
