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
        for trial in of_cell {
            let shift = shift(first, trial.anchor);
            for interval in dir.intervals(&trial.id)? {
                let mut interval = interval?;
                if interval.phase == Phase::Measure {
                    interval.start_ns = interval.start_ns.saturating_add_signed(shift);
                    log.append(&interval)?;
                }
            }
        }
        files.end(log.finish()?, "")?;
    }
    Ok(())
}

/// What brings the stamps of a trial onto the clock of the first: nothing, unless the machine was restarted between them.
fn shift(first: ClockAnchor, of: ClockAnchor) -> i64 {
    let began = |anchor: ClockAnchor| i128::from(anchor.realtime_ns) - i128::from(anchor.monotonic_ns);
    let apart = began(of) - began(first);
    if apart.unsigned_abs() <= u128::from(DRIFT_NS) { 0 } else { i64::try_from(apart).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_restart_shifts_stamps() {
        let first = ClockAnchor { monotonic_ns: 50, realtime_ns: 1_000_000_000_050 };
        let later = |monotonic_ns, realtime_ns| shift(first, ClockAnchor { monotonic_ns, realtime_ns });
        assert_eq!(later(900, 1_000_000_000_900), 0);
        assert_eq!(later(900, 1_002_000_000_900), 0, "the clock was set by two seconds meanwhile");
        assert_eq!(later(10, 1_500_000_000_010), 500_000_000_000, "up again after 500 s");
    }
}
