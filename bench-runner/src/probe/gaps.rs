//! `meshtax probe --gaps`: what took the CPU from a thread that spins, for a person or a program.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use node_probe::GapWatch;
use record::{GapCause, GapReport, Host, Reading};

use crate::exit::{Exit, Usage};
use crate::report::print;

/// The shortest watch that has enough ticks in it to say what an interrupt takes here.
const SHORTEST: Duration = Duration::from_secs(1);
/// How many of the longest gaps are printed.
const LONGEST: usize = 10;

/// Arguments of the gap detector.
#[derive(clap::Args)]
#[command(next_help_heading = "Gap detector")]
pub(crate) struct GapArgs {
    /// Watch nothing else, but keep one CPU busy for this time and say what took it away: other threads, a quota,
    /// steal, interrupts, or nothing that this kernel knows of.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = crate::duration::parse,
        conflicts_with_all = ["processes", "cgroups", "duration", "output", "sensor", "serve"]
    )]
    gaps: Option<Duration>,
    /// The CPU to keep busy (otherwise the least busy one).
    #[arg(long, value_name = "N", requires = "gaps")]
    cpu: Option<u32>,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

impl GapArgs {
    /// How long to watch for gaps, if that is what was asked for.
    pub(crate) fn asked(&self) -> Option<Duration> {
        self.gaps
    }
}

/// Watches, and prints what was seen; `stop` ends it early, with what was seen until then.
pub(crate) fn execute(args: &GapArgs, length: Duration, form: Form, stop: &AtomicBool) -> anyhow::Result<ExitCode> {
    if length < SHORTEST {
        let given = crate::duration::text(length);
        return Err(Usage(format!(
            "--gaps {given} is too short to tell ticks from the rest\n  try: 1s or more; 20s is good"
        ))
        .into());
    }
    let watch = GapWatch { length, cpu: args.cpu, longest: LONGEST };
    let report = node_probe::watch_gaps(&watch, stop)?;
    match form {
        Form::Json => print(&(serde_json::to_string_pretty(&report)? + "\n"))?,
        Form::Text => print(&text(&report, &node_probe::host(Path::new("/"), Path::new("."))))?,
    }
    Ok(if report.whole { Exit::Done } else { Exit::Cut }.into())
}

fn name(cause: GapCause) -> &'static str {
    match cause {
        GapCause::OwnRunDelay => "other threads of this machine",
        GapCause::Quota => "its CPU quota",
        GapCause::KnownSteal => "steal, as told",
        GapCause::Interrupt => "interrupts",
        GapCause::Unexplained => "unexplained",
    }
}

fn text(report: &GapReport, host: &Host) -> String {
    let mut out = String::new();
    let seconds = report.wall_ns as f64 / 1e9;
    let cut = if report.whole { "" } else { ", cut off" };
    // Into a String, writing cannot fail.
    let _ = writeln!(out, "CPU {} ({}) for {seconds:.1} s{cut}", report.cpu, report.cpu_chosen);
    let _ = writeln!(out, "lost      {:.2} % of the time, in {} gaps\n", report.share * 100.0, report.gaps);
    let _ = writeln!(
        out,
        "{:<30} {:>8} {:>10} {:>8} {:>10} {:>10} {:>10}",
        "to", "share", "time", "gaps", "median", "p99", "longest"
    );
    for (cause, of) in &report.causes {
        let lengths = [of.length_ns.p50, of.length_ns.p99, of.length_ns.max].map(|ns| match of.gaps {
            0 => "-".to_owned(),
            _ => length(ns),
        });
        let [median, p99, longest] = lengths;
        let share = format!("{:.2} %", of.share * 100.0);
        let (name, lost) = (name(*cause), length(of.lost_ns));
        let _ = writeln!(out, "{name:<30} {share:>8} {lost:>10} {:>8} {median:>10} {p99:>10} {longest:>10}", of.gaps);
    }
    if !report.longest.is_empty() {
        let _ = writeln!(out, "\nlongest gaps");
    }
    for gap in &report.longest {
        let at = gap.at_ns as f64 / 1e9;
        let _ = writeln!(out, "  at {at:>8.3} s  {:>10}  {}", length(gap.length_ns), name(gap.cause));
    }
    out.push('\n');
    trust(&mut out, report, host);
    out
}

/// Whether steal can be believed here, and what the figures bend.
fn trust(out: &mut String, report: &GapReport, host: &Host) {
    let evidence = host.steal_evidence.seen().or(host.steal_evidence.reason().map(str::to_owned).as_ref()).cloned();
    let evidence = evidence.unwrap_or_default();
    let _ = match &host.steal_known {
        Reading::Seen(true) => writeln!(out, "steal     this kernel is told of it: {evidence}"),
        Reading::Seen(false) => writeln!(out, "steal     n/a, this kernel is not told of it: {evidence}"),
        Reading::Absent { absent } => writeln!(out, "steal     n/a ({absent})"),
    };
    let _ = match &report.steal_counter_ns {
        Reading::Seen(ns) => {
            writeln!(out, "          the counter of this CPU grew by {} (in ticks of 10 ms as a rule)", length(*ns))
        }
        Reading::Absent { .. } => Ok(()),
    };
    let _ = writeln!(out, "          the CPU clock of a thread leaves out: {}", report.clock_leaves_out);
    let _ = match &report.quota_watched {
        Reading::Seen(groups) => writeln!(out, "quota     {}", groups.join(", ")),
        Reading::Absent { absent } => writeln!(out, "quota     n/a ({absent})"),
    };
    let (bound, usual) = (length(report.interrupt_bound_ns), length(report.interrupt_usual_ns));
    let _ = writeln!(out, "interrupt {usual} as a rule, up to {bound}: {}", report.interrupt_bound_from);
    let _ = writeln!(
        out,
        "clock     a look every {} ns; gaps from {} are seen, from {} asked about; {} went into asking",
        report.look_ns,
        length(report.seen_from_ns),
        length(report.attributed_from_ns),
        length(report.reading_ns)
    );
    for bias in &report.bias {
        let _ = writeln!(out, "bias      {bias}");
    }
}

/// A length for people: three digits or so.
fn length(ns: u64) -> String {
    match ns {
        0 => "0".to_owned(),
        1..=999 => format!("{ns} ns"),
        1_000..=999_999 => format!("{:.1} us", ns as f64 / 1e3),
        1_000_000..=999_999_999 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.2} s", ns as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short() {
        let said = [0, 7, 15_900, 943_700, 8_070_000, 2_361_000_000].map(length);
        assert_eq!(said, ["0", "7 ns", "15.9 us", "943.7 us", "8.1 ms", "2.36 s"]);
    }

    #[test]
    fn the_text_says_what_was_lost_to_what_and_whether_steal_is_told() {
        let stop = AtomicBool::new(false);
        let watch = GapWatch { length: Duration::from_millis(300), cpu: None, longest: 3 };
        let report = node_probe::watch_gaps(&watch, &stop).unwrap();
        let mut host = node_probe::host(Path::new("/"), Path::new("."));
        host.steal_known = Reading::Seen(false);
        host.steal_evidence = Reading::Seen("QEMU TCG has no interface".into());
        let said = text(&report, &host);
        for cause in GapCause::ALL {
            assert!(said.contains(name(cause)), "{said}");
        }
        assert!(said.contains("n/a, this kernel is not told of it: QEMU TCG has no interface"), "{said}");
        assert!(said.contains("bias") && said.contains("quota"), "{said}");
        host.steal_known = Reading::absent("made by lxcfs");
        assert!(text(&report, &host).contains("steal     n/a (made by lxcfs)"));
        let cut = GapReport { whole: false, ..report };
        assert!(text(&cut, &host).lines().next().unwrap().ends_with("cut off"));
    }

    #[test]
    fn too_short_a_watch_is_refused_with_the_way_out() {
        let args = GapArgs { gaps: Some(Duration::from_millis(10)), cpu: None };
        let length = args.asked().unwrap();
        let said = execute(&args, length, Form::Text, &AtomicBool::new(false)).unwrap_err().to_string();
        assert!(said.contains("--gaps 10ms") && said.contains("1s or more"), "{said}");
    }
}
