//! A thread that spins: arithmetic and nothing else, so that it takes a CPU and neither memory nor a disk.

use std::hint::black_box;

use super::threads::Work;
use crate::Result;

/// Steps of arithmetic in a round, some tens of microseconds: few enough to end promptly.
const STEPS: u32 = 1 << 14;

/// Spins until it is to end.
pub(super) fn spin(work: &Work) -> Result<()> {
    let mut number = 1_u64;
    loop {
        for _ in 0..STEPS {
            // Each step waits for the one before, so that no compiler makes them one.
            number = black_box(number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7));
        }
        if !work.count(1) {
            return Ok(());
        }
    }
}
