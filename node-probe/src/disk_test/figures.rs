//! From the operations of an arm to its figures, gross and net of our own run delay.

use record::{
    DISK_BLOCK_BYTES, DiskArm, DiskArmDevice, DiskArmKind, DiskEngine, DiskWindow, DiskWindowQuantiles, Quantiles,
    Reading,
};

use super::file::RECORD_BYTES;
use super::frame::WINDOW_NS;
use super::recorder::Recorder;

/// What an arm left: at least one recorder, all of one frame.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) kind: DiskArmKind,
    pub(super) engine: DiskEngine,
    pub(super) engine_reason: Option<String>,
    pub(super) recorders: Vec<Recorder>,
    /// With io_uring: how long an operation takes in the median that no wait disturbs, or why that is not known.
    pub(super) undisturbed_ns: Reading<u64>,
    pub(super) cpu_ns: u64,
    pub(super) device: Reading<DiskArmDevice>,
}

impl Made {
    /// Its figures. None where there is no recorder.
    pub(super) fn figures(self) -> Option<DiskArm> {
        let frame = self.recorders.first()?.frame;
        let measured_ns = frame.length_ns();
        let mut gross_ns = gathered(&self.recorders, |r| &r.gross_ns);
        let operations = gross_ns.len() as u64;
        let net_ns = self.net_ns();
        let total = |times: &[u64]| times.iter().map(|ns| *ns as f64).sum::<f64>();
        let gross_total_ns = total(&gross_ns);
        let windows = self.windows();
        let flush_ns = gathered(&self.recorders, |r| &r.flush_ns);
        let late_ns = gathered(&self.recorders, |r| &r.late_ns);
        let of_one = |pick: fn(&Recorder) -> u64| self.recorders.iter().map(pick).sum::<u64>();
        Some(DiskArm {
            kind: self.kind,
            engine: self.engine,
            block_bytes: if self.kind == DiskArmKind::AppendFdatasync { RECORD_BYTES as u64 } else { DISK_BLOCK_BYTES },
            start_ns: frame.measure_ns,
            measured_ns,
            operations,
            iops: per_second(operations, measured_ns),
            iops_net: self.lost_ns().and_then(|lost| self.iops_net(operations, measured_ns, lost)),
            gross_ns: quantiles(&mut gross_ns),
            waiting_share: net_ns.clone().and_then(|net| {
                if gross_total_ns > 0.0 {
                    Reading::Seen(1.0 - total(&net) / gross_total_ns)
                } else {
                    Reading::absent("no operation ended")
                }
            }),
            net_ns: net_ns.map(|mut net| quantiles(&mut net)),
            flush_ns: some_quantiles(flush_ns),
            run_delay_ns: self.known_delay().map(|()| self.delays().sum()),
            undisturbed_ns: self.undisturbed_ns.seen().copied().filter(|_| self.engine == DiskEngine::IoUring),
            cpu_ns: self.cpu_ns,
            late_ns: some_quantiles(late_ns),
            missed: of_one(|r| r.missed),
            errors: of_one(|r| r.errors),
            first_error: self.recorders.iter().find_map(|r| r.first_error.clone()),
            unfinished: of_one(|r| r.unfinished),
            unfinished_longest_ns: self.recorders.iter().map(|r| r.unfinished_longest_ns).max().unwrap_or(0),
            thirds: thirds(&windows),
            engine_reason: self.engine_reason,
            device: self.device,
            windows,
        })
    }

    fn known_delay(&self) -> Reading<()> {
        match self.recorders.iter().find_map(|r| r.no_delay.as_ref()) {
            Some(reason) => Reading::absent(reason),
            None => Reading::Seen(()),
        }
    }

    fn delays(&self) -> impl Iterator<Item = u64> {
        self.recorders.iter().flat_map(|r| r.delays.iter().map(|(_, wait_ns)| *wait_ns))
    }

    /// What is left of each operation without the waits in it.
    fn net_ns(&self) -> Reading<Vec<u64>> {
        let at_least = match (self.engine, &self.undisturbed_ns) {
            (DiskEngine::IoUring, Reading::Seen(undisturbed_ns)) => Reading::Seen(*undisturbed_ns),
            (DiskEngine::IoUring, Reading::Absent { absent }) => Reading::absent(absent),
            // Nothing is at the disk while the thread of a blocking call waits for a CPU.
            (DiskEngine::Calls | DiskEngine::Threads, _) => Reading::Seen(0),
        };
        self.known_delay().and_then(|()| at_least).map(|at_least| {
            let mut all = Vec::new();
            for recorder in &self.recorders {
                let start = all.len();
                all.extend_from_slice(&recorder.gross_ns);
                for &(at, wait_ns) in &recorder.waits {
                    let gross_ns = recorder.gross_ns[at];
                    all[start + at] = gross_ns.saturating_sub(wait_ns).max(gross_ns.min(at_least));
                }
            }
            all
        })
    }

    /// The time in which the disk had nothing to do since we waited for a CPU.
    fn lost_ns(&self) -> Reading<u64> {
        if self.kind.is_paced() {
            return Reading::absent("operations are due by a clock, so their number says nothing of the disk");
        }
        self.known_delay().and_then(|()| match self.engine {
            DiskEngine::Calls => Reading::Seen(self.delays().sum()),
            DiskEngine::IoUring => match &self.undisturbed_ns {
                // The disk finishes what is in flight during the first part of a wait.
                Reading::Seen(flight_ns) => Reading::Seen(self.delays().map(|wait| wait.saturating_sub(*flight_ns)).sum()),
                Reading::Absent { absent } => Reading::absent(absent),
            },
            DiskEngine::Threads => Reading::absent(
                "the threads wait for one another's CPU while the disk works for others of them, so their waits are no lost time",
            ),
        })
    }

    fn iops_net(&self, operations: u64, measured_ns: u64, lost_ns: u64) -> Reading<f64> {
        match measured_ns.checked_sub(lost_ns) {
            Some(left_ns) if left_ns > 0 => Reading::Seen(per_second(operations, left_ns)),
            _ => Reading::absent("all of the time was spent waiting for a CPU"),
        }
    }

    fn windows(&self) -> Vec<DiskWindow> {
        let Some(frame) = self.recorders.first().map(|r| r.frame) else { return Vec::new() };
        let mut delays = self.known_delay().seen().map(|()| vec![0; frame.windows()]);
        if let Some(delays) = &mut delays {
            for &(window, wait_ns) in self.recorders.iter().flat_map(|r| &r.delays) {
                delays[window] += wait_ns;
            }
        }
        (0..frame.windows())
            .map(|window| {
                let mut times: Vec<u64> = self.recorders.iter().flat_map(|r| r.in_window(window)).copied().collect();
                let Quantiles { p50, p99, p999, .. } = quantiles(&mut times);
                DiskWindow {
                    offset_ns: window as u64 * WINDOW_NS,
                    operations: times.len() as u64,
                    gross_ns: (!times.is_empty()).then_some(DiskWindowQuantiles { p50, p99, p999 }),
                    run_delay_ns: delays.as_ref().map(|delays| delays[window]),
                }
            })
            .collect()
    }
}

/// The median of what is left of each operation without waits, of a frame in which hardly any had one.
pub(super) fn undisturbed_median(recorder: &Recorder) -> Option<u64> {
    let mut left = recorder.gross_ns.clone();
    for &(at, wait_ns) in &recorder.waits {
        left[at] = left[at].saturating_sub(wait_ns);
    }
    left.sort_unstable();
    quantile(&left, 0.5)
}

/// The median of the operations that had hardly a wait: at most a tenth of their time. Interrupts and what they wake
/// make every thread wait for microseconds now and then.
pub(super) fn free_median(recorder: &Recorder) -> Option<u64> {
    let mut left: Vec<Option<u64>> = recorder.gross_ns.iter().copied().map(Some).collect();
    for &(at, wait_ns) in &recorder.waits {
        let gross_ns = recorder.gross_ns[at];
        left[at] = (wait_ns <= gross_ns / 10).then(|| gross_ns - wait_ns);
    }
    let mut free: Vec<u64> = left.into_iter().flatten().collect();
    free.sort_unstable();
    quantile(&free, 0.5)
}

fn gathered(recorders: &[Recorder], pick: fn(&Recorder) -> &Vec<u64>) -> Vec<u64> {
    recorders.iter().flat_map(pick).copied().collect()
}

fn per_second(operations: u64, length_ns: u64) -> f64 {
    operations as f64 * 1e9 / length_ns as f64
}

/// Operations in the first and in the last third.
fn thirds(windows: &[DiskWindow]) -> Option<[u64; 2]> {
    let third = windows.len() / 3;
    let count = |windows: &[DiskWindow]| windows.iter().map(|w| w.operations).sum();
    (third > 0).then(|| [count(&windows[..third]), count(&windows[windows.len() - third..])])
}

fn some_quantiles(mut times: Vec<u64>) -> Option<Quantiles> {
    (!times.is_empty()).then(|| quantiles(&mut times))
}

/// All 0 where there is no time; sorts them.
fn quantiles(times: &mut [u64]) -> Quantiles {
    times.sort_unstable();
    let at = |q| quantile(times, q).unwrap_or(0);
    Quantiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1.0) }
}

/// The smallest of sorted times that so large a part of them is at or below (nearest rank).
fn quantile(sorted: &[u64], q: f64) -> Option<u64> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::super::frame::Frame;
    use super::*;

    const FRAME: Frame = Frame { begin_ns: 0, measure_ns: WINDOW_NS, end_ns: 4 * WINDOW_NS };

    /// Operations as (ended, gross, wait), waits of the thread as (when, how long).
    fn recorder(operations: &[(u64, u64, u64)], waits: &[(u64, u64)]) -> Recorder {
        let mut recorder = Recorder::new(FRAME);
        operations.iter().for_each(|(ended_ns, gross_ns, wait_ns)| {
            recorder.operation(*ended_ns, *gross_ns, *wait_ns);
        });
        waits.iter().for_each(|(at_ns, wait_ns)| recorder.waited(*at_ns, *wait_ns));
        recorder
    }

    fn figures(
        kind: DiskArmKind,
        engine: DiskEngine,
        undisturbed_ns: Reading<u64>,
        recorders: Vec<Recorder>,
    ) -> DiskArm {
        let device = Reading::absent("none");
        Made { kind, engine, engine_reason: None, recorders, undisturbed_ns, cpu_ns: 1, device }.figures().unwrap()
    }

    fn nothing<T>() -> Reading<T> {
        Reading::absent("not with blocking calls")
    }

    #[test]
    fn quantiles_are_the_nearest_rank() {
        let mut times: Vec<u64> = (1..=1000).rev().collect();
        let want = Quantiles { p50: 500, p90: 900, p99: 990, p999: 999, max: 1000 };
        assert_eq!(quantiles(&mut times), want);
        assert_eq!(quantiles(&mut [7]), Quantiles { p50: 7, p90: 7, p99: 7, p999: 7, max: 7 });
        assert_eq!(quantiles(&mut []), Quantiles::default());
    }

    #[test]
    fn one_at_a_time_net_is_gross_less_the_wait() {
        let wait = WINDOW_NS / 2;
        let ended = [WINDOW_NS + 10, WINDOW_NS + wait + 30, 2 * WINDOW_NS + 10];
        let r = recorder(&[(ended[0], 10, 0), (ended[1], wait + 20, wait), (ended[2], 30, 0)], &[(ended[1], wait)]);
        let arm = figures(DiskArmKind::ReadQd1, DiskEngine::Calls, nothing(), vec![r]);
        assert_eq!((arm.operations, arm.gross_ns.max, arm.iops), (3, wait + 20, 10.0));
        let net = arm.net_ns.seen().unwrap();
        assert_eq!((net.p50, net.max), (20, 30));
        assert_eq!(arm.iops_net, Reading::Seen(3.0 / 0.25), "half a window of three was waited");
        assert_eq!(arm.run_delay_ns, Reading::Seen(wait));
        let share = *arm.waiting_share.seen().unwrap();
        assert!((share - wait as f64 / (wait + 60) as f64).abs() < 1e-9, "{share}");
    }

    #[test]
    fn in_the_ring_a_wait_counts_less_what_was_in_flight() {
        let wait = WINDOW_NS;
        let operations =
            [(WINDOW_NS + 1, 400, 0), (2 * WINDOW_NS + 2, wait + 50, wait), (2 * WINDOW_NS + 3, wait + 900, wait)];
        let made = || vec![recorder(&operations, &[(2 * WINDOW_NS + 2, wait)])];
        let arm = figures(DiskArmKind::ReadQd32, DiskEngine::IoUring, Reading::Seen(400), made());
        let net = arm.net_ns.seen().unwrap();
        assert_eq!((net.p50, net.max), (400, 900), "one that would have been too fast takes the median");
        let lost = wait - 400;
        assert_eq!(arm.iops_net, Reading::Seen(3.0 * 1e9 / (3 * WINDOW_NS - lost) as f64));
        let unknown = figures(DiskArmKind::ReadQd32, DiskEngine::IoUring, Reading::absent("always waiting"), made());
        assert_eq!(unknown.net_ns.reason(), Some("always waiting"));
        assert_eq!(unknown.iops_net.reason(), Some("always waiting"));
    }

    #[test]
    fn threads_are_put_together_window_by_window() {
        let one = recorder(&[(WINDOW_NS + 1, 5, 0), (3 * WINDOW_NS + 1, 7, 2)], &[(3 * WINDOW_NS + 1, 2)]);
        let two = recorder(&[(WINDOW_NS + 2, 9, 0)], &[(WINDOW_NS + 4, 3)]);
        let arm = figures(DiskArmKind::WriteQd32, DiskEngine::Threads, nothing(), vec![one, two]);
        let seen: Vec<(u64, u64, Option<u64>)> =
            arm.windows.iter().map(|w| (w.offset_ns, w.operations, w.run_delay_ns)).collect();
        assert_eq!(seen, [(0, 2, Some(3)), (WINDOW_NS, 0, Some(0)), (2 * WINDOW_NS, 1, Some(2))]);
        assert_eq!(arm.windows[0].gross_ns, Some(DiskWindowQuantiles { p50: 5, p99: 9, p999: 9 }));
        assert_eq!(arm.windows[1].gross_ns, None, "a stall has no latency");
        assert_eq!((arm.thirds, arm.net_ns.seen().unwrap().p50), (Some([2, 1]), 5));
        assert!(arm.iops_net.reason().unwrap().contains("one another"));
    }

    #[test]
    fn without_schedstat_net_is_absent_and_not_gross() {
        let mut r = recorder(&[(WINDOW_NS + 1, 5, 0)], &[]);
        r.no_delay = Some("no schedstat".into());
        let arm = figures(DiskArmKind::WriteQd1, DiskEngine::Calls, nothing(), vec![r]);
        for reason in
            [arm.net_ns.reason(), arm.iops_net.reason(), arm.run_delay_ns.reason(), arm.waiting_share.reason()]
        {
            assert_eq!(reason, Some("no schedstat"));
        }
        assert_eq!(arm.windows[0].run_delay_ns, None);
    }

    #[test]
    fn the_undisturbed_median_leaves_waits_out_either_way() {
        let r = recorder(&[(WINDOW_NS, 100, 90), (WINDOW_NS, 20, 0), (WINDOW_NS, 30, 0)], &[]);
        assert_eq!((undisturbed_median(&r), free_median(&r)), (Some(20), Some(20)));
        let always = recorder(&[(WINDOW_NS, 100, 90)], &[]);
        assert_eq!((undisturbed_median(&always), free_median(&always)), (Some(10), None));
        let hardly = recorder(&[(WINDOW_NS, 100, 10), (WINDOW_NS, 100, 11)], &[]);
        assert_eq!(free_median(&hardly), Some(90));
    }

    #[test]
    fn a_paced_arm_has_no_net_count() {
        let arm =
            figures(DiskArmKind::PacedReadQd1, DiskEngine::Calls, nothing(), vec![recorder(&[(WINDOW_NS, 5, 0)], &[])]);
        assert!(arm.iops_net.reason().unwrap().contains("by a clock") && arm.net_ns.seen().is_some());
    }
}
