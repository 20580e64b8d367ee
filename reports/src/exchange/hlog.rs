//! HdrHistogram logs: one for each trial, and one for each cell with the intervals of all its trials.

use record::{ClockAnchor, Phase, RunDirectory};

use super::files::Files;
use super::sealed;
use crate::Result;
use crate::load::HlogWriter;

/// The ending of a log.
const ENDING: &str = "hlog";

/// What the two clocks may have drifted apart between two trials of one sitting; after a restart they differ by more, since
/// the monotonic one begins anew.
const DRIFT_NS: u64 = 60_000_000_000;

pub(super) fn write(dir: &RunDirectory, files: &mut Files) -> Result<()> {
    let run = dir.run()?;
    let trials = sealed::trials(dir, &run)?;
    for trial in &trials {
        let mut log = HlogWriter::new(files.create(&trial.id, ENDING)?, trial.anchor)?;
        for interval in dir.intervals(&trial.id)? {
            log.append(&interval?)?;
        }
        files.end(log.finish()?, "")?;
    }
    for cell in &run.cells {
        let mut of_cell = trials.iter().filter(|trial| trial.cell == cell.id).peekable();
        let Some(first) = of_cell.peek().map(|trial| trial.anchor) else { continue };
        let mut log = HlogWriter::new(files.create(&cell.id, ENDING)?, first)?;
        let mut after_ns = 0;
        for trial in of_cell {
            let shift = shift(first, trial.anchor, trial.load.start_ns, after_ns);
            for interval in dir.intervals(&trial.id)? {
                let mut interval = interval?;
                if interval.phase == Phase::Measure {
                    interval.start_ns = interval.start_ns.saturating_add_signed(shift);
                    after_ns = interval.start_ns + interval.length_ns;
                    log.append(&interval)?;
                }
            }
        }
        files.end(log.finish()?, "")?;
    }
    Ok(())
}

/// What brings the stamps of a trial, which are from `start_ns` on, onto the clock of the first, so that none is before
/// `after_ns`: nothing, unless the machine was restarted between them.
fn shift(first: ClockAnchor, of: ClockAnchor, start_ns: u64, after_ns: u64) -> i64 {
    let began = |anchor: ClockAnchor| i128::from(anchor.realtime_ns) - i128::from(anchor.monotonic_ns);
    let apart = began(of) - began(first);
    let restarted = apart.unsigned_abs() > u128::from(DRIFT_NS);
    let by_the_day = i64::try_from(apart).ok().filter(|_| restarted);
    let rises = |shift: &i64| start_ns.saturating_add_signed(*shift) >= after_ns;
    // Where the time of day was set back meanwhile, neither clock tells: then it comes right behind the one before.
    let behind = i64::try_from(after_ns.saturating_sub(start_ns)).unwrap_or(0);
    by_the_day.into_iter().chain([0]).find(rises).unwrap_or(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_restart_shifts_stamps_and_none_goes_back() {
        let first = ClockAnchor { monotonic_ns: 50, realtime_ns: 1_000_000_000_050 };
        let later = |monotonic_ns: u64, realtime_ns, after_ns| {
            shift(first, ClockAnchor { monotonic_ns, realtime_ns }, monotonic_ns, after_ns)
        };
        assert_eq!(later(900, 1_000_000_000_900, 800), 0);
        assert_eq!(later(900, 1_002_000_000_900, 800), 0, "the clock was set by two seconds meanwhile");
        assert_eq!(later(10, 1_500_000_000_010, 800), 500_000_000_000, "up again after 500 s");
        assert_eq!(later(900, 500_000_000_900, 800), 0, "the clock was set back by 500 s");
        assert_eq!(later(10, 500_000_000_010, 800), 790, "restarted, and set back");
    }
}
