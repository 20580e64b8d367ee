//! Pairs of trials, one after another, until the gate is settled or its budget is spent.

use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use record::{Cell, Run, RunDirectory};
use reports::gate::{Asked, CellTrials, GateVerdict, Judged, TrialFigures, change_text, judge};

use super::halves::{Halves, keep_to};
use super::side::Side;
use crate::interrupt::{Interrupt, Stopped};
use crate::lab::Lab;
use crate::meeting::{Meeting, OtherFailed};
use crate::progress::{Progress, say};
use crate::trial::{self, Beside, Conditions};

/// A side that is being measured.
pub(crate) struct Measured<'a> {
    pub(crate) side: &'a Side,
    pub(crate) lab: &'a Lab,
    pub(crate) directory: &'a RunDirectory,
    pub(crate) run: &'a Run,
}

/// What holds for all pairs.
pub(crate) struct Sitting<'a> {
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) candidate: Measured<'a>,
    pub(crate) baseline: Measured<'a>,
    /// The candidate's cell and the baseline's, for each that is judged.
    pub(crate) cells: Vec<(Cell, Cell)>,
    pub(crate) asked: &'a Asked,
    /// No pair is begun that would end beyond it.
    pub(crate) time: Option<Duration>,
    /// Whether all pairs are made, settled or not.
    pub(crate) all: bool,
    /// The CPUs of either trial of a pair, where both are made at the same time.
    pub(crate) duet: Option<&'a Halves>,
}

/// What came of it.
pub(crate) struct Made {
    pub(crate) judged: Judged,
    pub(crate) cells: Vec<CellTrials>,
    /// Pairs that were begun and ended, also those that do not count.
    pub(crate) pairs: usize,
    pub(crate) doubts: Vec<String>,
    /// What a pair took, on average.
    pub(crate) pair_ns: Option<u64>,
    /// Whether time ended it.
    pub(crate) out_of_time: bool,
}

impl Sitting<'_> {
    /// Makes pairs. Sealed trials are kept however it ends.
    pub(crate) fn execute(&self) -> anyhow::Result<Made> {
        let began = Instant::now();
        let mut order = ChaCha8Rng::seed_from_u64(self.candidate.run.seed ^ ORDER);
        let trial = self.candidate.run.timing.trial_ns();
        let pairs_max = self.asked.pairs_max;
        // Of a pair whose trials are made at the same time, both are one step.
        let steps = if self.duet.is_some() { 1 } else { 2 };
        let mut progress = Progress::new(steps * self.cells.len() * pairs_max, Duration::from_nanos(trial));
        let mut not_counted = Vec::new();
        let mut made = Made {
            judged: Judged { metrics: Vec::new(), verdict: GateVerdict::Inconclusive, settled: false },
            cells: self.cells.iter().map(|(cell, baseline)| empty(cell, baseline)).collect(),
            pairs: 0,
            doubts: Vec::new(),
            pair_ns: None,
            out_of_time: false,
        };
        let planned = planned(pairs_max);
        for pair in 1..=planned {
            let each = made.pair_ns.map_or(Duration::ZERO, Duration::from_nanos);
            if self.time.is_some_and(|time| began.elapsed() + each > time) {
                made.out_of_time = true;
                break;
            }
            self.pair(pair, &mut order, &mut progress, &mut made.cells)?;
            made.pairs = pair;
            made.pair_ns = u64::try_from(began.elapsed().as_nanos()).ok().map(|ns| ns / pair as u64);
            progress.clear();
            for cell in &mut made.cells {
                let left_out = cell.without_invalid();
                left_out.iter().for_each(|said| say(&format!("{said}\n")));
                progress.more(steps * left_out.len());
                not_counted.extend(left_out);
            }
            made.judged = judge(self.asked, &made.cells);
            say(&state(pair, pairs_max + not_counted.len() / self.cells.len().max(1), &made.judged));
            let full = made.cells.iter().all(|cell| cell.candidate.len() >= pairs_max);
            if full || (made.judged.settled && !self.all) {
                break;
            }
        }
        if let Some(first) = not_counted.first() {
            let pairs = made.pairs * self.cells.len();
            made.doubts.push(format!("{} of {pairs} pairs do not count; the first: {first}", not_counted.len()));
        }
        Ok(made)
    }

    /// One trial of each side for each cell, one straight after the other, in random order.
    fn pair(
        &self,
        pair: usize,
        order: &mut ChaCha8Rng,
        progress: &mut Progress,
        trials: &mut [CellTrials],
    ) -> anyhow::Result<()> {
        let mut cells: Vec<usize> = (0..self.cells.len()).collect();
        cells.shuffle(order);
        for (nth, at) in cells.into_iter().enumerate() {
            let (Some((candidate, baseline)), Some(trials)) = (self.cells.get(at), trials.get_mut(at)) else {
                continue;
            };
            if let Some(halves) = self.duet {
                let number = (pair - 1) * self.cells.len() + nth + 1;
                progress.begin(number, &format!("both sides, {}", candidate.label));
                let (of_candidate, of_baseline) = self.duet(halves, candidate, baseline, pair, order)?;
                progress.end();
                trials.candidate.push(of_candidate);
                trials.baseline.push(of_baseline);
                continue;
            }
            let mut sides = [(&self.candidate, candidate, true), (&self.baseline, baseline, false)];
            sides.shuffle(order);
            for (place, (side, cell, of_candidate)) in sides.into_iter().enumerate() {
                let number = 2 * ((pair - 1) * self.cells.len() + nth) + place + 1;
                progress.begin(number, &format!("{} {}", side.side.name, cell.label));
                let figures = self.trial(side, cell, pair, None, progress)?;
                progress.end();
                if of_candidate { trials.candidate.push(figures) } else { trials.baseline.push(figures) }
            }
        }
        Ok(())
    }

    /// Both trials of a pair at the same time, each on CPUs of its own; chance says which side has which. Each has a thread of
    /// its own, since its parts die with the thread that started them, and run where that thread runs.
    fn duet(
        &self,
        halves: &Halves,
        candidate: &Cell,
        baseline: &Cell,
        pair: usize,
        order: &mut ChaCha8Rng,
    ) -> anyhow::Result<(TrialFigures, TrialFigures)> {
        let mut places = [&halves.first, &halves.second];
        places.shuffle(order);
        let [ours, theirs] = places;
        let meeting = Meeting::default();
        let play = |side, cell, cpus: &[u32]| {
            let beside = Beside { cpus, meeting: &meeting };
            let made = keep_to(cpus).and_then(|()| self.trial(side, cell, pair, Some(beside), &mut Progress::silent()));
            made.inspect_err(|_| meeting.call_off())
        };
        std::thread::scope(|threads| {
            let one = threads.spawn(|| play(&self.candidate, candidate, ours));
            let other = threads.spawn(|| play(&self.baseline, baseline, theirs));
            let ended = |thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<TrialFigures>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            match (ended(one), ended(other)) {
                // Of two errors the one that tells why.
                (Err(one), Err(other)) if one.is::<OtherFailed>() => Err(other),
                (one, other) => Ok((one?, other?)),
            }
        })
    }

    fn trial(
        &self,
        side: &Measured<'_>,
        cell: &Cell,
        pair: usize,
        beside: Option<Beside<'_>>,
        progress: &mut Progress,
    ) -> anyhow::Result<TrialFigures> {
        if self.interrupt.asked() {
            return Err(Stopped.into());
        }
        let planned = side.run.trials.iter().find(|t| t.cell == cell.id && t.block as usize == pair);
        let planned =
            planned.ok_or_else(|| anyhow::anyhow!("run.json plans no trial of '{}' in pair {pair}", cell.id))?;
        let conditions = Conditions {
            lab: side.lab,
            programs: &side.side.programs,
            program: &side.side.program,
            program_says: side.side.program_says(),
            run: side.run,
            scenario: &side.side.scenario,
            interrupt: self.interrupt,
            run_path: side.directory.path(),
            beside,
        };
        let directory = side.directory.begin_trial(&planned.id)?;
        trial::make(&conditions, planned, cell, directory, progress)?;
        Ok(TrialFigures::read(side.directory, side.run, &planned.id)?)
    }
}

/// How many pairs are planned so that there are so many that count: half as many again.
pub(crate) fn planned(pairs_max: usize) -> usize {
    pairs_max + pairs_max.div_ceil(2)
}

/// Keeps the order within pairs apart from the order of cells, which is drawn from the same seed.
const ORDER: u64 = 0x6761_7465;

fn empty(cell: &Cell, baseline: &Cell) -> CellTrials {
    CellTrials {
        cell: cell.id.clone(),
        baseline_cell: Some(baseline.id.clone()),
        label: cell.label.clone(),
        candidate: Vec::new(),
        baseline: Vec::new(),
    }
}

/// Where the gate stands: "pair 7 of 20: p99 +3.1 % [-2.0, +9.4]; undecided"; of more, where some did not count.
fn state(pair: usize, of: usize, judged: &Judged) -> String {
    let seen = judged.metrics.iter().map(|metric| {
        let change = metric.change.as_ref().map_or_else(|| "n/a".to_owned(), change_text);
        let verdict = match metric.verdict {
            GateVerdict::Inconclusive => String::new(),
            decided => format!(" {}", decided.word()),
        };
        format!("{} {change}{verdict}", metric.metric)
    });
    let stands = match (judged.verdict, judged.settled) {
        (GateVerdict::Inconclusive, true) => "given up",
        (GateVerdict::Inconclusive, false) => "undecided",
        (decided, _) => decided.word(),
    };
    format!("pair {pair} of {of}: {}; {stands}\n", seen.collect::<Vec<_>>().join(", "))
}
