//! One trial of each cell over its time: response times above what was lost meanwhile, window by window.

use record::Reading;
use serde::{Deserialize, Serialize};

use crate::gather::{Gathered, TrialData, Window};
use crate::usage::{Span, Step};

/// Timelines beyond these would make the page and the findings heavy.
pub(crate) const TIMELINES: usize = 12;

/// The windows of a cell's most typical trial: that with the median p99. All lists are as long as `at_ns`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Timeline {
    /// The cell's id.
    pub cell: String,
    /// The trial's id.
    pub trial: String,
    /// When each window began, since the measured phase began.
    pub at_ns: Vec<u64>,
    /// Until when the last one went.
    pub end_ns: u64,
    /// Median response time of what ended in the window; 0 where nothing did.
    pub p50_ns: Vec<u64>,
    /// The same at p99.
    pub p99_ns: Vec<u64>,
    /// The longest.
    pub max_ns: Vec<u64>,
    /// Throttled time of all proxies, summed.
    pub throttled_ns: Reading<Vec<u64>>,
    /// What the hypervisor took, over all CPUs.
    pub steal_ns: Reading<Vec<u64>>,
    /// Time that threads of services and proxies waited for a CPU, summed.
    pub run_delay_ns: Reading<Vec<u64>>,
    /// What reads, writes and flushes of the run's disk took, summed.
    pub disk_ns: Reading<Vec<u64>>,
}

/// A cell's most typical trial: that with the median p99.
pub(crate) fn typical<'a>(gathered: &'a Gathered, cell: &'a str) -> Option<&'a TrialData> {
    let mut trials: Vec<&TrialData> = gathered.of_cell(cell).filter(|t| t.ended > 0).collect();
    trials.sort_by_key(|t| t.response.p99);
    trials.get(trials.len().saturating_sub(1) / 2).copied()
}

/// What steps come to in each window, spread evenly over the time that each step spans.
fn spread(steps: &[Step], windows: &[Window]) -> Vec<u64> {
    let mut sums = vec![0.0; windows.len()];
    for step in steps {
        let first = windows.partition_point(|w| w.span.end_ns <= step.span.start_ns);
        for (sum, window) in sums[first..].iter_mut().zip(&windows[first..]) {
            if window.span.start_ns >= step.span.end_ns {
                break;
            }
            *sum += step.by as f64 * step.span.share_within(&window.span);
        }
    }
    sums.into_iter().map(|sum| sum.round() as u64).collect()
}

/// Waiting for a CPU, over all services and proxies; absent where none of them was seen.
fn run_delay(trial: &TrialData) -> Reading<Vec<Step>> {
    let mut all: Reading<Vec<Step>> = Reading::absent("no service or proxy was watched");
    for part in trial.usage.held_up.values() {
        if !(part.role.is_proxy() || part.role == record::Role::Service) {
            continue;
        }
        all = match (all, part.run_delay.clone()) {
            (Reading::Seen(mut known), Reading::Seen(more)) => {
                known.extend(more);
                Reading::Seen(known)
            }
            (known @ Reading::Seen(_), Reading::Absent { .. }) => known,
            (Reading::Absent { .. }, next) => next,
        };
    }
    all
}

fn timeline(trial: &TrialData) -> Timeline {
    let windows = trial.windows.as_slice();
    let began = trial.measured.start_ns;
    let each = |pick: fn(&Window) -> u64| {
        windows.iter().map(|w| if w.response.is_empty() { 0 } else { pick(w) }).collect::<Vec<_>>()
    };
    let lost = |steps: &Reading<Vec<Step>>| steps.clone().map(|steps| spread(&steps, windows));
    let Span { end_ns, .. } = trial.measured;
    Timeline {
        cell: trial.trial.cell.clone(),
        trial: trial.trial.id.clone(),
        at_ns: windows.iter().map(|w| w.span.start_ns.saturating_sub(began)).collect(),
        end_ns: windows.iter().map(|w| w.span.end_ns).fold(end_ns, u64::max).saturating_sub(began),
        p50_ns: each(|w| w.p50_ns),
        p99_ns: each(|w| w.p99_ns),
        max_ns: each(|w| w.max_ns),
        throttled_ns: lost(&trial.usage.throttling),
        steal_ns: lost(&trial.usage.steal),
        run_delay_ns: lost(&run_delay(trial)),
        disk_ns: lost(&trial.usage.machine.disk),
    }
}

/// The timelines of the first cells.
pub(super) fn of(gathered: &Gathered) -> Vec<Timeline> {
    let cells = gathered.run.cells.iter().take(TIMELINES);
    cells.filter_map(|cell| typical(gathered, &cell.id)).map(timeline).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start_ns: u64, end_ns: u64) -> Window {
        let span = Span { start_ns, end_ns };
        Window { span, response: vec![], p50_ns: 0, p99_ns: 0, max_ns: 0, lag_ours_max_ns: 0 }
    }

    #[test]
    fn a_step_is_spread_over_the_windows_that_it_spans() {
        let windows = [window(0, 100), window(100, 200), window(200, 300)];
        let step = |start_ns, end_ns, by| Step { span: Span { start_ns, end_ns }, by };
        assert_eq!(spread(&[step(50, 150, 80)], &windows), [40, 40, 0]);
        assert_eq!(spread(&[step(0, 300, 30), step(210, 220, 7)], &windows), [10, 10, 17]);
        // What lies before the first window and after the last is in none.
        assert_eq!(spread(&[step(250, 350, 10)], &windows), [0, 0, 5]);
        assert_eq!(spread(&[], &windows), [0, 0, 0]);
    }
}
