//! A scenario in a shorter form: what is done under load keeps its place in the measured phase.

use super::length::Length;
use super::{Scenario, rules};

impl Scenario {
    /// Makes the measured phase this long, in nanoseconds. In a shorter one, changes of weights come as much sooner, and
    /// what is done again and again is done as much oftener, down to the least that its rule allows.
    pub fn measure_for(&mut self, measure_ns: u64) {
        let was_ns = self.timing.measure_ns;
        self.timing.measure_ns = measure_ns;
        if measure_ns >= was_ns {
            return;
        }
        let shorter = |ns: u64| {
            let exact = u128::from(ns) * u128::from(measure_ns) / u128::from(was_ns);
            // Whole milliseconds, as a person would write them.
            u64::try_from(exact).unwrap_or(u64::MAX) / 1_000_000 * 1_000_000
        };
        self.canary.shift.iter_mut().for_each(|change| change.at.ns = shorter(change.at.ns));
        let again = |lengths: &mut Vec<Length>, least_ms: u64| {
            for length in lengths.iter_mut().filter(|length| length.ns > 0) {
                length.ns = shorter(length.ns).max(least_ms * 1_000_000);
            }
        };
        again(&mut self.mesh.rotate, rules::LEAST_ROTATE_MS);
        again(&mut self.mesh.stats_scrape, rules::LEAST_SCRAPE_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_under_load_keeps_its_place_in_a_shorter_phase() {
        let text = "[mesh]\nrotate = [\"0s\", \"2s\"]\nstats_scrape = \"15s\"\n[canary]\nweights = \"v1=9,v2=1\"\n\
                    shift = [{at = \"5s\", v2 = 5}, {at = \"10s\", v2 = 0}]\n[trial]\nmeasure = \"20s\"\n";
        let mut scenario = Scenario::parse(text, "s.toml").unwrap();
        scenario.measure_for(1_000_000_000);
        let ms = |lengths: &[Length]| lengths.iter().map(|l| l.ns / 1_000_000).collect::<Vec<_>>();
        let shifts: Vec<u64> = scenario.canary.shift.iter().map(|c| c.at.ns / 1_000_000).collect();
        assert_eq!(shifts, [250, 500]);
        // 100 ms would be oftener than a rotation may be.
        assert_eq!((ms(&scenario.mesh.rotate), ms(&scenario.mesh.stats_scrape)), (vec![0, 200], vec![750]));
        scenario.check().unwrap();
        scenario.matrix().unwrap();
        let before = scenario.clone();
        scenario.measure_for(30_000_000_000);
        assert_eq!((scenario.canary.shift, scenario.mesh), (before.canary.shift, before.mesh));
    }
}
