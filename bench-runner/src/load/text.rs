//! The result of a load as a table for people.

use std::fmt::Write as _;
use std::time::Duration;

use load_gen::search::{Broken, Slo};
use record::{
    Balance, Gaps, LoadSummary, NoiseFloor, Observed, Outcomes, Pacing, Quantiles, Reading, Setup, Share, ThreadUse,
    Verdict,
};

use crate::duration;

/// The result as a table for people.
pub(crate) fn text(s: &LoadSummary) -> String {
    let mut out = String::new();
    // A String takes everything, so that nothing can go wrong in writing to it.
    let _ = write_head(&mut out, s);
    let _ = write_observed(&mut out, s);
    let _ = write_times(&mut out, s);
    let _ = write_split(&mut out, &s.observed);
    let _ = write_verdict(&mut out, s);
    out
}

/// Whether an SLO held, and what broke it; nothing where none was asked for.
pub(crate) fn broken(slo: Option<&Slo>, broken: &[Broken]) -> String {
    let Some(slo) = slo else { return String::new() };
    if broken.is_empty() {
        return format!("  SLO        {slo} holds\n");
    }
    let said: Vec<String> = broken.iter().map(ToString::to_string).collect();
    format!("  SLO        {slo} is broken: {}\n", said.join(", "))
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
    writeln!(out, "  own CPU    {:.2} s", s.cpu_seconds)
}

/// What came of the plan, and what the machine adds by itself.
fn write_observed(out: &mut String, s: &LoadSummary) -> std::fmt::Result {
    let o = &s.observed;
    if !o.protocol.is_empty() {
        write!(out, "  spoken     {}", o.protocol)?;
        let Setup { opened, dns: _, connect, tls } = &o.setup_ns;
        write!(out, "; {opened} connections opened, connect p50 {} p99 {}", ms(connect.p50), ms(connect.p99))?;
        if tls.max > 0 {
            write!(out, ", TLS p50 {} p99 {}", ms(tls.p50), ms(tls.p99))?;
        }
        writeln!(out, " ms")?;
    }
    if let Some(Balance { used, fewest, most }) = o.balance {
        writeln!(out, "  balance    {used} connections carried answers, from {fewest} to {most} each")?;
    }
    if let Some(Pacing { batch_ns: _, planned, sent }) = &o.pacing {
        for (name, Gaps { gap_ns, burst_share, dispersion }) in [("sent", sent), ("planned", planned)] {
            let (p50, p99, bursts) = (ms(gap_ns.p50), ms(gap_ns.p99), 100.0 * burst_share);
            writeln!(
                out,
                "  {name:<10} gaps p50 {p50} p99 {p99} ms, {bursts:.1} % in bursts, index of dispersion {dispersion:.2}"
            )?;
        }
    }
    if let Some(naps) = &o.naps_ns {
        let [p50, max] = [naps.p50, naps.max].map(ms);
        writeln!(
            out,
            "  naps       p50 {p50} max {max} ms, through which answers came: each is stamped late by no more"
        )?;
    }
    for ThreadUse { cpu, cpu_seconds, run_delay_ns, elapsed_ns } in &o.threads {
        let pinned = cpu.map_or_else(|| "a thread".to_owned(), |cpu| format!("on CPU {cpu}"));
        let share = 100.0 * cpu_seconds * 1e9 / (*elapsed_ns).max(1) as f64;
        let waited = match run_delay_ns {
            Reading::Seen(ns) => format!("waited {} ms in the run queue", ms(*ns)),
            Reading::Absent { absent } => format!("wait in the run queue n/a ({absent})"),
        };
        writeln!(out, "  generator  {pinned} used {share:.0} % of a CPU, {waited}")?;
    }
    if let Some(NoiseFloor { probes: _, wake_ns, round_trip_ns }) = &o.noise_floor {
        let [a, b, c, d] = [wake_ns.p50, wake_ns.p99, round_trip_ns.p50, round_trip_ns.p99].map(ms);
        writeln!(out, "  machine    wakes p50 {a} p99 {b} ms late; a byte over loopback and back p50 {c} p99 {d} ms")?;
    }
    writeln!(out)
}

/// Who answered, and what proxies said.
fn write_split(out: &mut String, o: &Observed) -> std::fmt::Result {
    for (name, shares) in [("answered by", &o.split), ("asked for", &o.requests)] {
        if shares.is_empty() {
            continue;
        }
        let all: u64 = shares.iter().map(|s| s.answered).sum();
        writeln!(out, "  {name:<40}{:>10}{:>9}{:>9}{:>10}{:>10}", "answers", "share", "errors", "p50 ms", "p99 ms")?;
        for Share { value, answered, errors, response_ns, service_ns: _ } in shares {
            let value = if value.is_empty() { "(without the header)" } else { value };
            let share = 100.0 * *answered as f64 / all.max(1) as f64;
            let (p50, p99) = (ms(response_ns.p50), ms(response_ns.p99));
            writeln!(out, "  {value:<40}{answered:>10}{share:>8.1}%{errors:>9}{p50:>10}{p99:>10}")?;
        }
        writeln!(out)?;
    }
    if o.retried > 0 {
        writeln!(out, "  retries    {} answers took {} tries more than one", o.retried, o.extra_attempts)?;
    }
    if o.overloaded > 0 {
        writeln!(out, "  overload   {} answers came from an overloaded proxy", o.overloaded)?;
    }
    if !o.grpc_statuses.is_empty() {
        let said: Vec<String> = o.grpc_statuses.iter().map(|(status, n)| format!("{n} with status {status}")).collect();
        writeln!(out, "  gRPC       {}; {} messages", said.join(", "), o.grpc_messages)?;
    }
    Ok(())
}

fn ms(ns: u64) -> String {
    format!("{:.3}", ns as f64 / 1e6)
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
        ("first byte", &s.observed.first_byte_ns, "from when it was sent: the answer begins"),
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
