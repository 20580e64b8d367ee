//! What was found, for people: a table of 80 columns and the answer in a sentence.

use std::fmt;

use record::Quantiles;

use super::ladder::{Ladder, Rung};
use super::step::{Broken, Phase, Step};
use super::{End, Found};

const WIDTH: usize = 80;
/// Ties what a line must not be broken within; written as a plain space in the end.
const TIED: char = '\u{a0}';

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response { quantile, found_ns, limit_ns } => {
                write!(f, "{} was {}, and {} is allowed", quantile.word(), time(*found_ns), time(*limit_ns))
            }
            Self::Errors { found_percent, limit_percent } => {
                write!(f, "{found_percent:.2} % of the requests failed, and {limit_percent} % are allowed")
            }
            Self::Rate { achieved_per_second, due_per_second } => {
                let (achieved, due) = (rate(*achieved_per_second), rate(*due_per_second));
                write!(f, "answers came at {achieved}/s, and requests were due at {due}/s")
            }
            Self::NothingDue => f.write_str("no request was due"),
        }
    }
}

impl Broken {
    /// What of the SLO it is, in a word or two.
    fn name(&self) -> &'static str {
        match self {
            Self::Response { quantile, .. } => quantile.word(),
            Self::Errors { .. } => "errors",
            Self::Rate { .. } => "the rate of answers",
            Self::NothingDue => "nothing",
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        steps(f, &self.steps)?;
        writeln!(f)?;
        paragraph(f, &self.sentence())?;
        paragraph(f, &self.meaning())
    }
}

impl Found {
    /// The answer in a sentence or two.
    pub fn answer(&self) -> String {
        self.sentence().replace(TIED, " ")
    }

    fn sentence(&self) -> String {
        let slo = &self.slo;
        let Some(held) = self.rate_per_second else {
            let lowest = self.steps.iter().map(|s| s.rate_per_second).fold(f64::INFINITY, f64::min);
            let why = self.limit.map(|limit| format!(": {limit}")).unwrap_or_default();
            return match self.end {
                End::NeverHeld => format!("never holds {slo}: the lowest rate, {}/s, broke it{why}.", rate(lowest)),
                End::Generator => {
                    format!("nothing is known of {slo}: the generator itself was late at {}/s.", { rate(lowest) })
                }
                _ => format!("nothing that holds {slo} was found before the time was up{why}."),
            };
        };
        let next = match (self.broke_per_second, self.limit) {
            (Some(broke), Some(limit)) => {
                format!("; limited by {}: the next step, {}/s, broke it: {limit}", limit.name(), rate(broke))
            }
            _ => String::new(),
        };
        let held = rate(held);
        match self.end {
            End::AlwaysHeld => format!("holds {slo} at {held}/s, the highest rate that was to be tried."),
            End::Generator => format!(
                "holds {slo} at {held}/s at least. Beyond, the generator itself was late (at {}/s): what the target \
                 can take there is unknown{next}.",
                rate(self.steps.last().map_or(0.0, |s| s.rate_per_second))
            ),
            End::Budget => {
                let sure = match self.confirmations {
                    0 => "unconfirmed".to_owned(),
                    1 => "in one confirmation".to_owned(),
                    n => format!("in {n} confirmations"),
                };
                format!("the time was up: held {slo} at {held}/s, {sure}{next}.")
            }
            End::Converged | End::NeverHeld => format!("holds {slo} up to {held}/s{}{next}.", self.interval()),
        }
    }

    fn interval(&self) -> String {
        match (self.low_per_second, self.high_per_second) {
            (Some(low), Some(high)) => format!(" [{}, {}]", rate(low), rate(high)),
            _ => String::new(),
        }
    }

    /// What the interval means, and what was spent.
    fn meaning(&self) -> String {
        let spent = format!("{} steps in {:.0} s, seed {}.", self.steps.len(), self.spent_s, self.seed);
        match (self.level, self.low_per_second, self.high_per_second) {
            (Some(level), ..) => format!(
                "It held in {} of {} runs of {} s. The interval holds, at a level of {:.0} %, the rate at which half \
                 of such runs hold, if they are independent of one another. {spent}",
                self.confirmations,
                self.confirmations,
                self.confirm_s,
                level * 100.0
            ),
            (None, Some(low), Some(high)) => format!(
                "The limit is between {}/s, which held, and {}/s, which broke: a bracket, without a level. {spent}",
                rate(low),
                rate(high)
            ),
            _ => spent,
        }
    }
}

impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>9} {:>6} {:>8} {:>8} {:>18} {:>8} {:>10} {:>6}",
            "rate/s", "held", "p50", "p99", "p99 least..most", "p99.9", "achieved/s", "errors"
        )?;
        for rung in &self.rungs {
            rung_line(f, rung)?;
        }
        writeln!(f)?;
        let slo = self.slo.as_ref().map_or_else(|| "keeping up with the rate".to_owned(), ToString::to_string);
        let whole = |r: &&Rung| r.held == r.runs;
        let highest = self.rungs.iter().take_while(whole).last();
        let answer = match highest {
            Some(r) => format!("up to {}/s every run held ({slo})", rate(r.rate_per_second)),
            None => format!("not even the lowest rate held in every run ({slo})"),
        };
        let late: u32 = self.rungs.iter().map(|r| r.generator_limited).sum();
        let doubt = match late {
            0 => String::new(),
            n => format!(" In {n} runs the generator itself was late (marked *): they say nothing of the target."),
        };
        paragraph(
            f,
            &format!("{answer}.{doubt} Figures are medians over runs; order and arrivals: seed {}.", self.seed),
        )
    }
}

fn rung_line(f: &mut fmt::Formatter<'_>, rung: &Rung) -> fmt::Result {
    let Quantiles { p50, p90: _, p99, p999, max: _ } = rung.response_ns;
    let mark = if rung.generator_limited > 0 { "*" } else { "" };
    let line = format!(
        "{:>9} {:>6} {:>8} {:>8} {:>18} {:>8} {:>10} {:>6}",
        rate(rung.rate_per_second),
        format!("{}/{}{mark}", rung.held, rung.runs),
        time(p50),
        time(p99),
        format!("{}..{}", time(rung.least_ns.p99), time(rung.most_ns.p99)),
        time(p999),
        rate(rung.achieved_per_second),
        percent(rung.errors_percent)
    );
    writeln!(f, "{}", line.replace(TIED, " "))
}

fn steps(f: &mut fmt::Formatter<'_>, steps: &[Step]) -> fmt::Result {
    writeln!(
        f,
        "{:>3} {:<8} {:>10} {:>6} {:<9} {:>9} {:>9} {:>11} {:>7}",
        "", "for", "rate/s", "s", "held", "p50", "p99", "achieved/s", "errors"
    )?;
    for (i, step) in steps.iter().enumerate() {
        let held = match (step.held(), step.generator_limited) {
            (true, _) => "yes",
            (false, true) => "generator",
            (false, false) => "no",
        };
        let purpose = match step.phase {
            Phase::Probe => "probe",
            Phase::Refine => "refine",
            Phase::Confirm => "confirm",
            Phase::Rung => "rung",
        };
        let line = format!(
            "{:>3} {purpose:<8} {:>10} {:>6.2} {held:<9} {:>9} {:>9} {:>11} {:>7}",
            i + 1,
            rate(step.rate_per_second),
            step.duration_s,
            time(step.response_ns.p50),
            time(step.response_ns.p99),
            rate(step.achieved_per_second),
            percent(step.errors_percent)
        );
        writeln!(f, "{}", line.replace(TIED, " "))?;
    }
    Ok(())
}

/// Words in lines of 80 columns.
fn paragraph(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut column = 0;
    for word in text.split(' ').filter(|w| !w.is_empty()) {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            writeln!(f)?;
            column = 0;
        }
        if column > 0 {
            f.write_str(" ")?;
            column += 1;
        }
        f.write_str(&word.replace(TIED, " "))?;
        column += length;
    }
    writeln!(f)
}

/// Requests per second: whole ones, in groups of three, unless they are few.
fn rate(per_second: f64) -> String {
    if per_second < 100.0 {
        return format!("{per_second:.1}");
    }
    let digits = format!("{per_second:.0}");
    let mut text = String::with_capacity(digits.len() + 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(TIED);
        }
        text.push(digit);
    }
    text
}

/// A time to three digits or so.
fn time(ns: u64) -> String {
    let (value, unit) = match ns {
        0..1_000_000 => (ns as f64 / 1e3, "us"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let places = match value {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.places$}");
    // 25.0 ms is 25 ms; 100 is not 1.
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{TIED}{unit}")
}

fn percent(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        ..0.01 => "<0.01%".to_owned(),
        ..10.0 => format!("{value:.2}%"),
        _ => format!("{value:.0}%"),
    }
}
