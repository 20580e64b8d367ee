//! The fixed piece of work: integer steps that keep a core's multiplier busy, about 2 us on a server of today.
//!
//! Six chains stand beside one another so that a core has enough to do in every cycle: one alone waits for itself
//! most of the time and would leave a sibling all the room it wants. Each chain has a rotation of its own and a
//! 64-bit multiplication, which keeps a compiler from making vectors of them.

use std::hint::black_box;

/// Steps of each chain. Never change it: figures of all machines hang on it.
const STEPS: u32 = 1536;
/// An odd factor with bits all over (Steele and Vigna, 2021, table 4).
const FACTOR: u64 = 0xD134_2543_DE82_EF95;

/// Does the work once; what comes out depends on every step, and goes into the next.
#[inline(never)]
pub(crate) fn work(seed: u64) -> u64 {
    let [mut a, mut b, mut c, mut d, mut e, mut f] =
        black_box([seed, seed ^ 1, seed ^ 2, seed ^ 3, seed ^ 4, seed ^ 5]);
    for _ in 0..STEPS {
        a = a.wrapping_mul(FACTOR).rotate_left(7) ^ seed;
        b = b.wrapping_mul(FACTOR).rotate_left(11) ^ seed;
        c = c.wrapping_mul(FACTOR).rotate_left(19) ^ seed;
        d = d.wrapping_mul(FACTOR).rotate_left(29) ^ seed;
        e = e.wrapping_mul(FACTOR).rotate_left(37) ^ seed;
        f = f.wrapping_mul(FACTOR).rotate_left(53) ^ seed;
    }
    black_box(a ^ b.rotate_left(1) ^ c.rotate_left(2) ^ d.rotate_left(3) ^ e.rotate_left(4) ^ f.rotate_left(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_is_done_in_full_and_is_the_same_on_every_machine() {
        let after = (0..10).fold(1, |seed, _| work(seed));
        assert_eq!(after, CHECKSUM);
        assert_ne!(work(1), work(2));
    }

    /// Made by a program of another language.
    const CHECKSUM: u64 = 0x44AC_A2CB_5FF5_5E29;
}
