//! What is believed of the limit: a distribution over where it is and how sharp it is, changed by every run.
//!
//! A run at rate r holds with probability `lapse + (1 - lapses) / (1 + exp((ln r - limit) / width))`: the logistic
//! psychometric function, with the adaptive choice of the next point after Kontsevich and Tyler (1999).

/// A run below the limit breaks all the same: the machine had a bad moment.
const BREAKS_BY_CHANCE: f64 = 0.03;
/// A run above the limit holds all the same.
const HOLDS_BY_CHANCE: f64 = 0.01;
/// How soft the limit may be, as a share of the rate: a queue with a fixed service time breaks within a fraction of a
/// per cent, one with random arrivals and few requests over a tenth.
const WIDTHS: [f64; 4] = [0.003, 0.01, 0.03, 0.06];
/// What is believed of it at first: a wide one explains anything, so it has to be shown.
const WIDTHS_AT_FIRST: [f64; 4] = [4.0, 4.0, 2.0, 1.0];
/// The belief in a limit outside the bracket, relative to one inside: a probe may have been wrong.
const OUTSIDE: f64 = 0.05;

/// A belief, on a grid of limits and widths.
pub(super) struct Model {
    lowest_ln: f64,
    spacing: f64,
    /// One row of widths for each limit; they sum to 1.
    weights: Vec<[f64; WIDTHS.len()]>,
}

impl Model {
    /// After a rate that held and one that broke.
    pub(super) fn new(held: f64, broke: f64, resolution: f64) -> Self {
        let spacing = resolution / 4.0;
        let (lowest_ln, highest_ln) = ((held / 2.0).ln(), (broke * 2.0).ln());
        let cells = ((highest_ln - lowest_ln) / spacing).ceil().max(1.0) as usize;
        let weights = (0..cells)
            .map(|i| {
                let limit = (lowest_ln + (i as f64 + 0.5) * spacing).exp();
                let inside = if (held..broke).contains(&limit) { 1.0 } else { OUTSIDE };
                WIDTHS_AT_FIRST.map(|weight| weight * inside)
            })
            .collect();
        let mut model = Self { lowest_ln, spacing, weights };
        model.normalise();
        model
    }

    /// Takes in one run.
    pub(super) fn observe(&mut self, rate: f64, held: bool) {
        let at = rate.ln();
        for (i, row) in self.weights.iter_mut().enumerate() {
            let limit = self.lowest_ln + (i as f64 + 0.5) * self.spacing;
            for (weight, width) in row.iter_mut().zip(WIDTHS) {
                let below = 1.0 / (1.0 + ((at - limit) / width).exp());
                let holds = HOLDS_BY_CHANCE + (1.0 - HOLDS_BY_CHANCE - BREAKS_BY_CHANCE) * below;
                *weight *= if held { holds } else { 1.0 - holds };
            }
        }
        self.normalise();
    }

    fn normalise(&mut self) {
        let sum: f64 = self.weights.iter().flatten().sum();
        self.weights.iter_mut().flatten().for_each(|w| *w /= sum);
    }

    /// The rate that the limit is below with probability `p`.
    pub(super) fn quantile(&self, p: f64) -> f64 {
        let mut before = 0.0;
        for (i, row) in self.weights.iter().enumerate() {
            let here: f64 = row.iter().sum();
            if before + here >= p && here > 0.0 {
                let within = ((p - before) / here).clamp(0.0, 1.0);
                return (self.lowest_ln + (i as f64 + within) * self.spacing).exp();
            }
            before += here;
        }
        (self.lowest_ln + self.weights.len() as f64 * self.spacing).exp()
    }

    /// How soft the limit is believed to be.
    pub(super) fn width(&self) -> f64 {
        self.weights.iter().flat_map(|row| row.iter().zip(WIDTHS)).map(|(weight, width)| weight * width).sum()
    }

    /// The width of the interval that holds the limit with probability `level`, as a share of the rate.
    pub(super) fn spread(&self, level: f64) -> f64 {
        let tail = (1.0 - level) / 2.0;
        (self.quantile(1.0 - tail) / self.quantile(tail)).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharp_answers_close_in_on_the_limit_and_one_lie_does_not_mislead() {
        let mut model = Model::new(1000.0, 2000.0, 0.02);
        model.observe(1100.0, false);
        for _ in 0..12 {
            let rate = model.quantile(0.5);
            model.observe(rate, rate < 1500.0);
        }
        assert!((model.quantile(0.5) / 1500.0 - 1.0).abs() < 0.01, "{}", model.quantile(0.5));
        assert!(model.spread(0.9) < 0.1 && model.width() < 0.03, "{} {}", model.spread(0.9), model.width());
    }

    #[test]
    fn a_bracket_that_was_wrong_is_left() {
        let mut model = Model::new(500.0, 1000.0, 0.02);
        for _ in 0..12 {
            let rate = model.quantile(0.5);
            model.observe(rate, rate < 1300.0);
        }
        assert!((model.quantile(0.5) / 1300.0 - 1.0).abs() < 0.02, "{}", model.quantile(0.5));
    }
}
