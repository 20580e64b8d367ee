//! The questions on the command line: `--max-regress p99=5%`, `--slo p99=25ms,errors=0.1%`.

use reports::gate::{Asked, Metric, Question};

use crate::exit::Usage;

/// What is asked, and how sure the answer must be.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Questions")]
pub(crate) struct QuestionArgs {
    /// How much worse the candidate may be than the baseline: p99=5%,cpu=10%. Metrics: p50, p90, p99, p999, cpu, rss.
    /// The first that is named is the primary one.
    #[arg(long, value_delimiter = ',', value_parser = regress, value_name = "METRIC=SHARE")]
    max_regress: Vec<(Metric, f64)>,
    /// What the candidate must keep: p99=25ms,errors=0.1%,cpu=400m,rss=64Mi (cpu for 1000 requests a second).
    #[arg(long, value_delimiter = ',', value_parser = slo, value_name = "METRIC=BOUND")]
    slo: Vec<(Metric, f64)>,
    /// The slowdown that counts as none: to fail, more than this must be proven.
    #[arg(long, value_parser = share, default_value = "0%", value_name = "SHARE")]
    tolerance: Share,
    /// The chance to fail what is no worse than the tolerance, over all metrics.
    #[arg(long, value_parser = chance, default_value = "0.05", value_name = "CHANCE")]
    alpha: Share,
    /// The chance to pass what is as bad as a limit.
    #[arg(long, value_parser = chance, default_value = "0.05", value_name = "CHANCE")]
    beta: Share,
    /// Account for CPU that the hypervisor took, in response times, unless the candidate changes it itself. Both verdicts
    /// are shown.
    #[arg(long)]
    adjust_steal: bool,
}

/// A share, 0.05 for 5 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share(pub(crate) f64);

/// The level of the intervals of values; those of changes have the level that the gate's errors leave.
const LEVEL: f64 = 0.95;

impl QuestionArgs {
    /// The questions, with a regression of p99 by 10 % where nothing is asked and there is a baseline.
    pub(crate) fn asked(&self, with_baseline: bool, pairs_max: usize) -> anyhow::Result<Asked> {
        let mut max_regress = self.max_regress.clone();
        if max_regress.is_empty() && self.slo.is_empty() && with_baseline {
            max_regress.push((Metric::P99, 0.1));
        }
        if !max_regress.is_empty() && !with_baseline {
            let said = "--max-regress needs something to compare with\n  try: --baseline RUN, or --slo p99=25ms for a bound that needs none";
            return Err(Usage(said.to_owned()).into());
        }
        if max_regress.is_empty() && self.slo.is_empty() {
            let said = "nothing is asked\n  try: --baseline RUN --max-regress p99=5%, or --slo p99=25ms,errors=0.1%";
            return Err(Usage(said.to_owned()).into());
        }
        let Share(tolerance) = self.tolerance;
        for (metric, limit) in &max_regress {
            if *limit <= tolerance {
                let said = format!(
                    "--max-regress {metric}: the limit must be over the tolerance, or nothing could be told between them\n  try: a limit over {}",
                    reports::gate::percent_text(tolerance)
                );
                return Err(Usage(said).into());
            }
        }
        let regress = max_regress.into_iter().map(|(metric, limit)| (metric, Question::Regress { limit, tolerance }));
        let slo = self.slo.iter().map(|(metric, limit)| (*metric, Question::Slo { limit: *limit }));
        let questions: Vec<(Metric, Question)> = regress.chain(slo).collect();
        for (at, (metric, question)) in questions.iter().enumerate() {
            let same = |(other, of): &(Metric, Question)| {
                other == metric && std::mem::discriminant(of) == std::mem::discriminant(question)
            };
            if questions.iter().take(at).any(same) {
                return Err(Usage(format!("{metric} is asked about twice\n  try: one limit for it")).into());
            }
        }
        let (Share(alpha), Share(beta)) = (self.alpha, self.beta);
        Ok(Asked { questions, alpha, beta, pairs_max, level: LEVEL, adjust_steal: self.adjust_steal })
    }
}

/// `5%` or `0.05`.
pub(crate) fn share(text: &str) -> Result<Share, String> {
    let refuse = || format!("'{text}' is no share; write 5% or 0.05");
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let value: f64 = number.trim().parse().map_err(|_| refuse())?;
    if value.is_finite() && value >= 0.0 { Ok(Share(value / unit)) } else { Err(refuse()) }
}

fn chance(text: &str) -> Result<Share, String> {
    let Share(value) = share(text)?;
    if value > 0.0 && value < 0.5 {
        Ok(Share(value))
    } else {
        Err(format!("{text} is out of range; a chance of error lies between 0 and 0.5, as 0.05"))
    }
}

fn named(text: &str) -> Result<(Metric, &str), String> {
    let (metric, value) = text.split_once('=').ok_or_else(|| format!("'{text}' has no '='; write p99=5%"))?;
    Ok((metric.trim().parse()?, value.trim()))
}

fn regress(text: &str) -> Result<(Metric, f64), String> {
    let (metric, value) = named(text)?;
    if metric == Metric::Errors {
        return Err(
            "a change of a rate that is mostly 0 says nothing; bound the rate itself: --slo errors=0.1%".to_owned()
        );
    }
    let Share(limit) = share(value)?;
    if limit > 0.0 {
        Ok((metric, limit))
    } else {
        Err(format!("{metric}: a limit of nothing can never be kept; write {metric}=5%"))
    }
}

pub(crate) fn slo(text: &str) -> Result<(Metric, f64), String> {
    let (metric, value) = named(text)?;
    let bound = match metric {
        Metric::Errors => share(value)?.0,
        Metric::Cpu => f64::from(value.parse::<record::CpuQuantity>().map_err(|e| e.to_string())?.millicores()),
        Metric::Rss => value.parse::<record::MemoryQuantity>().map_err(|e| e.to_string())?.bytes() as f64,
        Metric::P50 | Metric::P90 | Metric::P99 | Metric::P999 => crate::duration::parse(value)?.as_nanos() as f64,
    };
    if bound > 0.0 {
        Ok((metric, bound))
    } else {
        Err(format!("{metric}: a bound of 0 can be broken and never be shown to be kept; give one above it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_bounds_are_read_in_their_units() {
        assert_eq!(regress("p99=5%"), Ok((Metric::P99, 0.05)));
        assert_eq!(regress("cpu = 0.1"), Ok((Metric::Cpu, 0.1)));
        for (text, metric, bound) in [
            ("p99=25ms", Metric::P99, 25e6),
            ("errors=0.1%", Metric::Errors, 0.001),
            ("cpu=400m", Metric::Cpu, 400.0),
            ("rss=64Mi", Metric::Rss, 64.0 * 1024.0 * 1024.0),
        ] {
            let read = slo(text).unwrap();
            assert!(read.0 == metric && (read.1 - bound).abs() < 1e-9, "{text}: {read:?}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_the_way_out() {
        for (said, way_out) in [
            (regress("max=5%"), "use p999"),
            (regress("errors=5%"), "--slo errors=0.1%"),
            (regress("p99=0"), "p99=5%"),
            (regress("p99"), "write p99=5%"),
            (regress("p99=fast"), "5% or 0.05"),
            (slo("p99=25"), "10s, 500ms"),
            (slo("errors=0"), "above it"),
        ] {
            let said = said.unwrap_err();
            assert!(said.contains(way_out), "{said}");
        }
        assert!(chance("0.5").is_err() && chance("0").is_err());
    }
}
