//! For how long a test itself was held up: a machine that others use too stops it now and then, and no bound holds for that time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use record::monotonic_ns;

/// What is shorter is no hold-up.
pub(crate) const HELD_UP_NS: u64 = 5_000_000;

/// What it returns, and for how long this process was held up meanwhile, all in all.
pub(crate) fn witnessed<T>(test: impl FnOnce() -> T) -> (T, u64) {
    let over = AtomicBool::new(false);
    // Also where the test panics: nobody would end the witness.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    std::thread::scope(|scope| {
        let witness = scope.spawn(|| held_up_ns(&over));
        let returned = {
            let _over = Over(&over);
            test()
        };
        (returned, witness.join().unwrap())
    })
}

fn held_up_ns(over: &AtomicBool) -> u64 {
    let (mut held_up_ns, mut before_ns) = (0, monotonic_ns());
    while !over.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(1));
        let now_ns = monotonic_ns();
        if now_ns - before_ns > HELD_UP_NS {
            held_up_ns += now_ns - before_ns;
        }
        before_ns = now_ns;
    }
    held_up_ns
}

/// The quantile of exact values: the smallest that so large a share does not exceed.
pub(crate) fn quantile(mut values: Vec<u64>, quantile: f64) -> u64 {
    values.sort_unstable();
    values[(quantile * values.len() as f64).ceil() as usize - 1]
}
