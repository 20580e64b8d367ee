//! How fast this machine is: a fixed piece of work timed in short windows, and pairs of CPUs beside one another.

mod card;
pub(crate) mod chunk;
mod siblings;

use record::{Host, Reading};

use crate::gaps::allowed_cpus;

/// Said in a host card that was made without measuring.
pub(crate) const NOT_MEASURED: &str = "not measured: it takes up to two seconds of CPU";

/// How much time the measurement may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// At most 2 s.
    Full,
    /// At most 0.6 s, with wider spreads.
    Quick,
}

/// Measures the speed of this machine and whether its CPUs share cores, and puts both into its card.
///
/// It keeps two CPUs busy for a part of the time, so it belongs before a measurement and never into one.
pub fn measure_speed(host: &mut Host, effort: Effort) {
    let cpus = allowed_cpus();
    host.speed = card::measure(effort);
    host.smt_siblings = if cpus.len() < 2 {
        Reading::absent("this program may run on one CPU only: there is no pair to compare")
    } else {
        siblings::check(&cpus, effort)
    };
}
