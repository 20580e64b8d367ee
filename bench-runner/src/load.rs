//! `meshtax load`: makes a load on its own and says how it went.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use load_gen::Plan;
use record::{Arrival, LoadSummary, Outcomes, Pace, Quantiles, Verdict};

use crate::duration;
use crate::exit::Exit;
use crate::report::print;

/// Load a URL at a fixed rate, and report what its users would have waited.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to load: http://host:port/path.
    url: String,
    /// Requests per second, in total. They fall due whatever the target does.
    #[arg(long, value_name = "N", value_parser = rate, allow_negative_numbers = true)]
    rate: f64,
    /// Connections, in total. All are open before the first request is due.
    #[arg(long, value_name = "C", default_value = "16", value_parser = connections, allow_negative_numbers = true)]
    connections: u32,
    /// How long to load and measure.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = some_time)]
    duration: Duration,
    /// How long to load before that without counting.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = any_time)]
    warm_up: Duration,
    /// Arrivals: constant is evenly spaced, poisson is independent of one another.
    #[arg(long, default_value = "constant")]
    arrival: Arrival,
    /// How to wait for the next due time: precise takes a whole core, hybrid spins the last microseconds,
    /// economy only sleeps.
    #[arg(long, default_value = "hybrid")]
    pace: Pace,
    /// The seed of poisson arrivals: the same seed, the same due times.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The Host header, where it is to differ from the URL's.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// How long a connection may take to open.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = some_time)]
    connect_timeout: Duration,
    /// How long a request may take from when it was sent.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = some_time)]
    request_timeout: Duration,
    /// How long to wait for late answers once nothing more falls due.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = any_time)]
    drain: Duration,
    /// Requests that may wait for a connection; with more, the oldest is given up as unsent.
    #[arg(long, value_name = "N", default_value_t = Plan::BACKLOG, value_parser = clap::value_parser!(u32).range(1..))]
    backlog: u32,
    /// Slow requests to keep whole of each tenth of a second.
    #[arg(long, value_name = "K", default_value_t = Plan::KEEP_SLOW)]
    keep_slow: u32,
    /// Keep intervals.jsonl, slow.jsonl and load.json in this directory.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// How to print the result.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Begin only when a line comes on stdin: the runner starts the watching in between.
    #[arg(long, hide = true)]
    hold: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people.
    Text,
    /// One JSON document for scripts.
    Json,
}

fn rate(text: &str) -> Result<f64, String> {
    if text == "max" {
        return Err(
            "the highest rate cannot be searched for yet; give a number of requests per second, such as 500".into()
        );
    }
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 && rate <= 1e9 => Ok(rate),
        Ok(_) => Err("a rate is more than 0 and at most 1e9 requests per second, such as 500".into()),
        Err(_) => Err("that is no number; give requests per second, such as 500 or 0.5".into()),
    }
}

fn connections(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("there must be at least 1 connection, and a whole number of them, such as 16".into()),
    }
}

fn any_time(text: &str) -> Result<Duration, String> {
    let length = duration::parse(text)?;
    if length > Duration::from_secs(30 * 24 * 3600) {
        return Err("it must be at most 30 days (720h)".into());
    }
    Ok(length)
}

fn some_time(text: &str) -> Result<Duration, String> {
    match any_time(text)? {
        Duration::ZERO => Err("it must be more than 0, such as 10s".into()),
        length => Ok(length),
    }
}

impl Args {
    fn plan(self) -> Plan {
        Plan {
            host: self.host,
            warm_up: self.warm_up,
            arrival: self.arrival,
            pace: self.pace,
            seed: self.seed,
            connect_timeout: self.connect_timeout,
            request_timeout: self.request_timeout,
            drain: self.drain,
            backlog: self.backlog,
            keep_slow: self.keep_slow,
            record_to: self.record,
            ..Plan::new(self.url, self.rate, self.connections, self.duration)
        }
    }
}

/// Makes the load and prints the result; a stop by Ctrl-C or SIGTERM drains, prints and exits 130.
pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot listen for signals")?;
    }
    let format = args.format;
    if args.hold && std::io::stdin().lines().next().is_none() {
        // Whoever held us is gone, or has changed its mind.
        return Ok(Exit::Cut.into());
    }
    let summary = load_gen::run(&args.plan(), &stop)?;
    match format {
        Format::Text => print(&text(&summary))?,
        Format::Json => print(&serde_json::to_string(&summary)?)?,
    }
    Ok(if stop.load(Ordering::Relaxed) { Exit::Cut.into() } else { Exit::Done.into() })
}

/// The result as a table for people.
fn text(s: &LoadSummary) -> String {
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
    writeln!(
        out,
        "{} requests/s ({} arrivals, {} pace) over {} connections for {length}\n",
        s.rate_per_second, s.arrival, s.pace, s.connections
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
#[path = "load_tests.rs"]
mod tests;
