//! A table of moments of any text makes a load that falls due in its order and has an end, or says which line is wrong.

use load_gen::Arrivals;
use load_gen::schedule::{NEVER, Schedule};

use crate::rate;

/// A schedule of more is only longer.
const LOOKED_AT: usize = 10_000;

pub(crate) fn check(data: &[u8]) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("moments.csv");
    std::fs::write(&path, data).expect("a file");
    let arrivals = match rate::replay(&path) {
        Ok(arrivals) => arrivals,
        Err(error) => {
            let said = format!("{error:#}");
            assert!(said.contains(&path.display().to_string()), "{said}");
            if let Some((_, after)) = said.split_once(" line ") {
                let line: usize = after.split(':').next().and_then(|n| n.parse().ok()).expect("a line's number");
                let lines = data.split(|byte| *byte == b'\n').count();
                assert!((1..=lines).contains(&line), "line {line} of {lines}: {said}");
            }
            return;
        }
    };
    let Arrivals::Replay(offsets) = &arrivals else { panic!("{arrivals:?}") };
    assert!(!offsets.is_empty() && offsets.is_sorted() && offsets.len() <= data.len());
    let lasts = arrivals.own_duration().expect("a replay lasts as long as it says");
    assert!(lasts.as_nanos() > u128::from(offsets[offsets.len() - 1]), "the last one has a moment to be due in");
    let most = arrivals.highest().expect("it has a highest rate");
    assert!((1.0..=offsets.len() as f64).contains(&most), "{most}");
    assert!(arrivals.mean_rate(lasts).is_some_and(|rate| rate > 0.0));

    let mut schedule = Schedule::new(&arrivals, 1_000_000_000, lasts.as_nanos() as u64, 1);
    let due: Vec<u64> = (0..offsets.len().min(LOOKED_AT)).map(|_| schedule.next_offset_ns()).collect();
    assert!(due.is_sorted() && due.iter().all(|at| *at >= 1_000_000_000 && *at != NEVER));
    if offsets.len() <= LOOKED_AT {
        assert_eq!(schedule.next_offset_ns(), NEVER);
    }
}
