//! The result of a load as a table for people.

use std::fmt::Write as _;
use std::time::Duration;

use record::{LoadSummary, Outcomes, Quantiles, Verdict};

use crate::duration;

/// The result as a table for people.
pub(crate) fn text(s: &LoadSummary) -> String {
    let mut out = String::new();
    // A String takes everything, so that nothing can go wrong in writing to it.
    let _ = write_head(&mut out, s);
    let _ = write_times(&mut out, s);
    let _ = write_verdict(&mut out, s);
    out
}

fn write_head(out: &mut String, s: &LoadSummary) -> std::fmt::Result {
    let length = duration::Length(Duration::from_millis(s.duration_ns / 1_000_000));
    writeln!(out, "{}", s.url)?;
    let rate = s.rate_per_second.map_or_else(|| s.observed.plan.clone(), |rate| format!("{rate}"));
    writeln!(
        out,
        "{rate} requests/s ({} arrivals, {} pace) over {} connections for {length}\n",
        s.arrival, s.pace, s.connections
    )?;
    writeln!(out, "  due {}, sent {}, answered {}", s.due, s.sent, s.answered)?;
    writeln!(out, "  outcomes   {}", outcomes(&s.outcomes, s.unsent))?;
    writeln!(out, "  achieved   {:.1} answers/s", s.achieved_per_second)?;
    writeln!(out, "  own CPU    {:.2} s\n", s.cpu_seconds)
}

fn outcomes(o: &Outcomes, unsent: u64) -> String {
    let Outcomes { answered, connect_failed, reset, timed_out, cut_by_deadline } = o;
    let mut parts: Vec<String> = answered.iter().map(|(status, n)| format!("{n} with status {status}")).collect();
    for (n, what) in [
        (*connect_failed, "found no connection"),
        (*reset, "reset"),
        (*timed_out, "timed out"),
        (*cut_by_deadline, "unanswered at the end"),
        (unsent, "never sent"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    }
    if parts.is_empty() { "none".into() } else { parts.join(", ") }
}

fn write_times(out: &mut String, s: &LoadSummary) -> std::fmt::Result {
    writeln!(out, "  {:<14}{:>10}{:>10}{:>10}{:>10}{:>10}", "in ms", "p50", "p90", "p99", "p99.9", "max")?;
    for (name, q, meaning) in [
        ("response time", &s.response_ns, "from when it was due: what a user waits"),
        ("service time", &s.service_ns, "from when it was sent: what the target took"),
        ("lag, ours", &s.lag_ns.ours, "the generator was late to send"),
        ("lag, theirs", &s.lag_ns.theirs, "no connection was free to send on"),
    ] {
        let Quantiles { p50, p90, p99, p999, max } = *q;
        write!(out, "  {name:<14}")?;
        for ns in [p50, p90, p99, p999, max] {
            write!(out, "{:>10.3}", ns as f64 / 1e6)?;
        }
        writeln!(out, "   {meaning}")?;
    }
    writeln!(out)
}

fn write_verdict(out: &mut String, s: &LoadSummary) -> std::fmt::Result {
    let says = match s.verdict {
        Verdict::Valid => "valid: the figures are the target's",
        Verdict::Suspect => "suspect: there is doubt that the figures are the target's alone",
        Verdict::Invalid => "invalid: the figures are not the target's",
    };
    writeln!(out, "  verdict    {says}")?;
    for reason in &s.reasons {
        let remedy = s.warnings.iter().find(|w| w.evidence == *reason).map(|w| w.remedy.as_str());
        writeln!(out, "    - {reason}")?;
        if let Some(remedy) = remedy {
            writeln!(out, "      try: {remedy}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
