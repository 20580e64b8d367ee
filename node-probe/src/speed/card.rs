//! The speed card: windows of chunks, wherever the scheduler puts them.

use std::time::Duration;

use record::{Reading, SpeedCard, monotonic_ns};

use super::{Effort, chunk};

/// One window and the rest after it: the rest lets the windows meet different moments of the host.
const WINDOW: Duration = Duration::from_millis(8);
const REST: Duration = Duration::from_millis(12);

impl Effort {
    fn windows(self) -> usize {
        match self {
            Self::Full => 40,
            Self::Quick => 10,
        }
    }
}

/// Takes 0.8 s, or 0.2 s when quick.
pub(super) fn measure(effort: Effort) -> Reading<SpeedCard> {
    let mut windows: Vec<Vec<u64>> = Vec::with_capacity(effort.windows());
    let mut seed = 1;
    for _ in 0..effort.windows() {
        windows.push(window(WINDOW, &mut seed));
        std::thread::sleep(REST);
    }
    summary(windows).map_or_else(|| Reading::absent("no window was long enough for a chunk"), Reading::Seen)
}

/// The times of the chunks of one window.
pub(super) fn window(length: Duration, seed: &mut u64) -> Vec<u64> {
    let length_ns = length.as_nanos() as u64;
    let start_ns = monotonic_ns();
    let (mut last_ns, mut times) = (start_ns, Vec::with_capacity(8192));
    while last_ns - start_ns < length_ns {
        *seed = chunk::work(*seed);
        let now_ns = monotonic_ns();
        times.push(now_ns - last_ns);
        last_ns = now_ns;
    }
    times
}

/// None of no chunks.
fn summary(windows: Vec<Vec<u64>>) -> Option<SpeedCard> {
    let chunks = windows.iter().map(|window| window.len() as u64).sum();
    let best_ns = windows.iter().flatten().copied().min()?;
    let mut medians: Vec<u64> = windows
        .into_iter()
        .filter_map(|mut window| {
            window.sort_unstable();
            window.get(window.len() / 2).copied()
        })
        .collect();
    medians.sort_unstable();
    let count = medians.len() as f64;
    let mean = medians.iter().sum::<u64>() as f64 / count;
    let square = medians.iter().map(|ns| (*ns as f64 - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    // The smallest that so many are at or below.
    let at = |hundredths: usize| medians.get((medians.len() * hundredths).div_ceil(100).saturating_sub(1)).copied();
    Some(SpeedCard {
        best_ns,
        median_ns: at(50)?,
        p95_ns: at(95)?,
        variation: square.sqrt() / mean,
        windows: medians.len() as u64,
        chunks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_is_made_of_the_medians_of_windows() {
        let windows = (1..=20).map(|n| vec![1_000 + n, 900_000, 1_000 + n, 1_000, 1_000 + n]).collect();
        let card = summary(windows).unwrap();
        assert_eq!((card.best_ns, card.median_ns, card.p95_ns), (1_000, 1_010, 1_019));
        assert_eq!((card.windows, card.chunks), (20, 100));
        // Of 1..20 the standard deviation is the root of 35.
        assert!((card.variation - 35f64.sqrt() / 1_010.5).abs() < 1e-9, "{card:?}");
        assert_eq!(summary(vec![]), None);
        assert_eq!(summary(vec![vec![], vec![7]]).unwrap().windows, 1);
    }

    #[test]
    fn a_quick_card_of_this_machine_is_of_this_world() {
        let card = measure(Effort::Quick);
        let card = card.seen().unwrap();
        assert!(card.best_ns > 100 && card.best_ns <= card.median_ns && card.median_ns <= card.p95_ns, "{card:?}");
        assert_eq!(card.windows, 10);
    }
}
