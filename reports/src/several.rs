//! The same for several things, as many at a time as there are CPUs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What `of` makes of each, in their order; none where the thread that was at it ended without a result.
pub(crate) fn at_once<I: Sync, T: Send>(items: &[I], of: impl Fn(&I) -> T + Sync) -> Vec<Option<T>> {
    let next = AtomicUsize::new(0);
    let slots: Vec<Mutex<Option<T>>> = items.iter().map(|_| Mutex::new(None)).collect();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let work = || {
        while let Some((item, slot)) = {
            let i = next.fetch_add(1, Ordering::Relaxed);
            items.get(i).zip(slots.get(i))
        } {
            let made = of(item);
            if let Ok(mut slot) = slot.lock() {
                *slot = Some(made);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers {
            // Where there is no thread to be had, those that there are do all of it.
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    slots.into_iter().map(|slot| slot.into_inner().ok().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_result_in_its_place() {
        let items: Vec<u64> = (0..1000).collect();
        let squares = at_once(&items, |i| i * i);
        assert!(squares.iter().zip(&items).all(|(square, i)| *square == Some(i * i)));
        assert_eq!(at_once(&[] as &[u64], |i| *i), []);
    }
}
