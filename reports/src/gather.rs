//! Reads each sealed trial once, several at a time, and keeps of it what the findings and the charts need.

use std::collections::BTreeMap;

use record::{End, Histogram, Interval, IstioReading, Phase, Quantiles, Run, RunDirectory, SlowRequest, Trial};

use crate::findings::candidates;
use crate::hosts::{self, Apart, HostsFindings};
use crate::kept::{self, Kept};
use crate::stats::steal;
use crate::subsets::{self, Subsets};
use crate::usage::{Gathering, Span, Usage};
use crate::{Error, Result, several};

/// A measured phase is an hour long at most, and so is a request of it: a window that begins later than a day after it is none
/// of what was measured, and the moments up to it would fill the memory.
const FARTHEST_NS: u64 = 24 * 3_600_000_000_000;

/// One window of the measured phase, without its histograms (which would be megabytes each).
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) span: Span,
    /// Response times of the requests that ended in it: bucket values and counts, rising.
    pub(crate) response: Vec<(u64, u64)>,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) max_ns: u64,
    /// The longest that the generator itself was late.
    pub(crate) lag_ours_max_ns: u64,
}

/// A sealed trial, read.
#[derive(Clone, Debug)]
pub(crate) struct TrialData {
    pub(crate) trial: Trial,
    pub(crate) measured: Span,
    pub(crate) response: Quantiles,
    pub(crate) service: Quantiles,
    pub(crate) lag_ours: Quantiles,
    /// All response times: bucket values and counts, rising.
    pub(crate) response_buckets: Vec<(u64, u64)>,
    /// Requests with a response time.
    pub(crate) ended: u64,
    /// The mean response and service time, in nanoseconds; 0 where no request ended.
    pub(crate) response_mean_ns: f64,
    pub(crate) service_mean_ns: f64,
    /// By how much longer requests waited for a free connection with each second: 0.01 where the chain answers 1 % less than
    /// is offered.
    pub(crate) backlog_growth: f64,
    /// Answers a second that came in the measured phase.
    pub(crate) answered_per_second: f64,
    pub(crate) windows: Vec<Window>,
    /// The slowest kept request of each window, by the window's start.
    pub(crate) kept: BTreeMap<u64, Kept>,
    /// The slowest of these, whole.
    pub(crate) slowest: Vec<SlowRequest>,
    /// Where its load came from another host: how well the clocks are known.
    pub(crate) apart: Option<Apart>,
    pub(crate) usage: Usage,
    /// What its subsets answered; empty where the cell has no canary.
    pub(crate) subsets: Subsets,
}

impl TrialData {
    pub(crate) fn read(dir: &RunDirectory, run: &Run, id: &str) -> Result<Self> {
        let trial = dir.trial(id)?;
        if trial.method != run.method {
            return Err(Error::MixedMethods { trial: trial.id, found: trial.method, expected: run.method });
        }
        let Some(cell) = run.cell(&trial.cell) else {
            return Err(Error::UnknownCell { trial: trial.id, cell: trial.cell });
        };
        let Some(phase) = trial.phase(Phase::Measure) else {
            return Err(Error::NotMeasured { trial: trial.id });
        };
        let measured = Span { start_ns: phase.start_ns, end_ns: phase.end_ns };

        let (mut response, mut service, mut lag_ours) = (Histogram::new(), Histogram::new(), Histogram::new());
        let mut windows = Vec::new();
        let mut waits = Vec::new();
        let mut subsets = cell.factors.canary.is_some().then(subsets::Reader::default);
        let mut answered = 0.0;
        for interval in dir.intervals(id)? {
            let interval = interval?;
            // By when they came, whatever their phase: that is what the proxies worked on meanwhile.
            let span = Span { start_ns: interval.start_ns, end_ns: interval.start_ns + interval.length_ns };
            answered += interval.outcomes.answered_total() as f64 * span.share_within(&measured);
            if interval.phase != Phase::Measure {
                continue;
            }
            if interval.start_ns.saturating_sub(measured.start_ns) > FARTHEST_NS {
                return Err(Error::Astray {
                    trial: trial.id,
                    start_ns: interval.start_ns,
                    measured_ns: measured.start_ns,
                });
            }
            response.add(&interval.response)?;
            service.add(&interval.service)?;
            lag_ours.add(&interval.lag_ours)?;
            windows.push(Window::of(&interval));
            if !interval.lag_theirs.is_empty() {
                waits.push((interval.start_ns as f64, interval.lag_theirs.mean()));
            }
            if let Some(subsets) = &mut subsets {
                subsets.take(&interval)?;
            }
        }
        let mut gathering = Gathering::default();
        for sample in dir.samples(id)? {
            gathering.take(&sample?);
        }
        let spans: Vec<Span> = windows.iter().map(|w| w.span).collect();
        // Requests of the measured phase may end after it.
        let ended_ns = spans.iter().map(|w| w.end_ns).fold(measured.end_ns, u64::max);
        let out = Span { end_ns: ended_ns, ..measured };
        // A run whose kept requests were thrown away to save space can still be read: its delays are placed by windows alone.
        let apart = Apart::of(dir.trial_hosts(id)?.as_ref(), &Quantiles::from(&service));
        let compared = apart.as_ref().is_none_or(Apart::compared);
        let kept = dir.slow(id).map_or_else(|_| Ok(BTreeMap::new()), |slow| kept::slowest(slow, &spans))?;
        Ok(Self {
            kept: kept.iter().map(|(window, request)| (*window, Kept::of(request, apart.as_ref()))).collect(),
            // Stamps of clocks that lie apart by who knows how much are no picture of a request's way.
            slowest: if compared { candidates(kept.into_values().collect()) } else { Vec::new() },
            apart,
            measured,
            response: Quantiles::from(&response),
            service: Quantiles::from(&service),
            lag_ours: Quantiles::from(&lag_ours),
            response_buckets: response.buckets().collect(),
            ended: response.count(),
            response_mean_ns: response.mean(),
            service_mean_ns: service.mean(),
            backlog_growth: growth(&waits),
            answered_per_second: answered / (measured.end_ns.saturating_sub(measured.start_ns).max(1) as f64 / 1e9),
            windows,
            usage: gathering.finish(&trial, &run.host, measured, out),
            subsets: subsets.map(subsets::Reader::finish).unwrap_or_default(),
            trial,
        })
    }
}

/// The slope of values over times, by least squares; 0 of fewer than two times.
fn growth(values: &[(f64, f64)]) -> f64 {
    let (times, waits): (Vec<f64>, Vec<f64>) = values.iter().copied().unzip();
    steal::slope(&waits, &times).unwrap_or(0.0)
}

impl Window {
    fn of(interval: &Interval) -> Self {
        Self {
            span: Span { start_ns: interval.start_ns, end_ns: interval.start_ns + interval.length_ns },
            response: interval.response.buckets().collect(),
            p50_ns: interval.response.quantile(0.5),
            p99_ns: interval.response.quantile(0.99),
            max_ns: interval.response.max(),
            lag_ours_max_ns: interval.lag_ours.max(),
        }
    }
}

/// A run and its sealed trials, in the order of the plan.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) run: Run,
    pub(crate) trials: Vec<TrialData>,
    pub(crate) istio: Option<IstioReading>,
    /// What is said of its hosts, where they are more than one.
    pub(crate) hosts: Option<HostsFindings>,
    /// Why it ended with trials of its plan left.
    pub(crate) end: Option<End>,
}

impl Gathered {
    /// Reads all sealed trials.
    pub(crate) fn read(dir: &RunDirectory) -> Result<Self> {
        let run = dir.run()?;
        let ids: Vec<&str> = run.trials.iter().map(|t| t.id.as_str()).filter(|id| dir.is_sealed(id)).collect();
        if ids.is_empty() {
            return Err(Error::NothingMeasured { path: dir.path().to_owned(), planned: run.trials.len() });
        }
        let read = several::at_once(&ids, |id| TrialData::read(dir, &run, id));
        let lost = || Error::ReaderLost { path: dir.path().to_owned() };
        let trials: Vec<TrialData> =
            read.into_iter().map(|trial| trial.unwrap_or_else(|| Err(lost()))).collect::<Result<_>>()?;
        let apart: Vec<Option<&Apart>> = trials.iter().map(|t| t.apart.as_ref()).collect();
        let hosts = hosts::findings(dir, dir.hosts()?.as_ref(), &apart)?;
        Ok(Self { hosts, run, trials, istio: dir.istio()?, end: dir.end()? })
    }

    /// Whether what was measured could end it: its comparisons were looked at again and again.
    pub(crate) fn is_sequential(&self) -> bool {
        self.run.until.is_some_and(|until| until.ratio_within.is_some())
            || self.end.as_ref().is_some_and(|end| end.reason.is_of_figures())
    }

    /// The trials of one cell.
    pub(crate) fn of_cell<'a>(&'a self, cell: &'a str) -> impl Iterator<Item = &'a TrialData> + 'a {
        self.trials.iter().filter(move |t| t.trial.cell == cell)
    }
}
