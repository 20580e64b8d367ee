//! Whether the figures of a load can be taken for the target's, and if not, why not.

use record::{LoadSummary, Verdict, Warning, WarningKind};

/// A lag below this is no more than a sleeping process takes to be woken on a small virtual machine; both
/// sides of a comparison have it alike.
const LAG_FLOOR_NS: u64 = 200_000;
/// A lag above this, and more than half of the figure, is the figure.
const LAG_SPOILT_NS: u64 = 1_000_000;

/// Adds verdict, reasons and warnings to a summary whose figures stand.
pub(crate) fn judge(summary: &mut LoadSummary, stopped: bool) {
    let mut worst = Verdict::Valid;
    let mut warnings = Vec::new();
    let mut reasons = Vec::new();
    let found = [
        lagged(summary).or_else(|| kept_back(summary)),
        exhausted(summary),
        not_reached(summary),
        failed(summary),
        censored(summary),
        drifted(summary),
    ];
    for (verdict, warning) in found.into_iter().flatten() {
        worst = worst.max(verdict);
        reasons.push(warning.evidence.clone());
        warnings.push(warning);
    }
    if stopped {
        worst = worst.max(Verdict::Suspect);
        reasons.push(format!("it was stopped after {:.1} s of the measured phase", summary.duration_ns as f64 / 1e9));
    }
    if summary.due == 0 {
        worst = Verdict::Invalid;
        reasons.push("no request was due in the measured phase".into());
    }
    (summary.verdict, summary.reasons, summary.warnings) = (worst, reasons, warnings);
}

type Doubt = Option<(Verdict, Warning)>;

fn doubt(verdict: Verdict, kind: WarningKind, evidence: String, remedy: &str) -> Doubt {
    Some((verdict, Warning::new(kind, evidence, remedy)))
}

fn lagged(s: &LoadSummary) -> Doubt {
    let (lag, response) = (s.lag_ns.ours.p99, s.response_ns.p99);
    // What the economy pace puts together is late by its window, as was asked for.
    let batch_ns = s.observed.pacing.as_ref().map_or(0, |p| p.batch_ns);
    if lag <= (LAG_FLOOR_NS + batch_ns).max(response / 10) {
        return None;
    }
    let spoilt = lag > LAG_SPOILT_NS.max(response / 2);
    let verdict = if spoilt { Verdict::Invalid } else { Verdict::Suspect };
    let evidence = format!(
        "the generator itself was late: its lag at p99 is {}, {:.0} % of the response time's {}; {}",
        ms(lag),
        100.0 * lag as f64 / response.max(1) as f64,
        ms(response),
        culprit(s, s.lag_ns.ours.max)
    );
    doubt(verdict, WarningKind::GeneratorLagged, evidence, FASTER)
}

const FASTER: &str = "give the generator a CPU of its own, lower the rate, or use --pace precise";

/// Lags are those of what was sent: a generator that was away to the end of all has none, and what it did not send tells.
fn kept_back(s: &LoadSummary) -> Doubt {
    let kept = s.observed.kept_back?;
    if kept.longest_ns <= LAG_FLOOR_NS || kept.requests * 1000 < s.due {
        return None;
    }
    let verdict = if kept.requests * 100 >= s.due { Verdict::Invalid } else { Verdict::Suspect };
    let evidence = format!(
        "the generator itself was late: {} of {} requests due were not sent though a connection was free, one of them for {}; {}",
        kept.requests,
        s.due,
        ms(kept.longest_ns),
        culprit(s, kept.longest_ns)
    );
    doubt(verdict, WarningKind::GeneratorLagged, evidence, FASTER)
}

/// A tick of /proc/stat, of which Linux tells user space 100 a second (USER_HZ).
const TICK_NS: u64 = 10_000_000;

/// What kept the generator, as far as it can be seen: only what is long enough to account for the longest lag.
fn culprit(s: &LoadSummary, longest: u64) -> String {
    let mut seen = Vec::new();
    let threads = &s.observed.threads;
    let waited: u64 = threads.iter().filter_map(|t| t.run_delay_ns.seen()).sum();
    if waited >= longest.max(LAG_SPOILT_NS) {
        seen.push(format!("it waited {} in the run queue, all in all", ms(waited)));
    }
    let stolen = s.observed.steal_ticks.seen().copied().unwrap_or(0).saturating_mul(TICK_NS);
    if stolen >= longest.max(TICK_NS) {
        seen.push(format!("the hypervisor took {} from this machine, all in all", ms(stolen)));
    }
    let busiest = threads.iter().map(|t| t.cpu_seconds * 1e9 / t.elapsed_ns.max(1) as f64).fold(0.0, f64::max);
    if busiest > 0.9 && s.pace != record::Pace::Precise {
        seen.push(format!("it used {:.0} % of a CPU", 100.0 * busiest));
    }
    if seen.is_empty() {
        return "it was stopped, or kept from running by something that leaves no trace".to_owned();
    }
    seen.join(", and ")
}

/// Response times that change by more than this from the first third to the last are not those of one state.
const DRIFT: f64 = 1.5;

fn drifted(s: &LoadSummary) -> Doubt {
    let change = s.observed.stationarity?;
    let (first, last) = (change.first_ns.p50, change.last_ns.p50);
    let ratio = last.max(1) as f64 / first.max(1) as f64;
    if first.abs_diff(last) <= LAG_FLOOR_NS || (1.0 / DRIFT..=DRIFT).contains(&ratio) {
        return None;
    }
    let evidence = format!(
        "the target changed while it was measured: the response time's p50 went from {} in the first third to {} in the last",
        ms(first),
        ms(last)
    );
    let remedy = "a longer warm-up, or a lower rate if a queue was growing";
    doubt(Verdict::Suspect, WarningKind::NotStationary, evidence, remedy)
}

fn exhausted(s: &LoadSummary) -> Doubt {
    let (lag, response) = (s.lag_ns.theirs.p99, s.response_ns.p99);
    if lag <= LAG_FLOOR_NS.max(response / 10) {
        return None;
    }
    let evidence = format!(
        "requests waited for a free connection: {} at p99, a part of the response time's {}",
        ms(lag),
        ms(response)
    );
    doubt(
        Verdict::Suspect,
        WarningKind::ConnectionsExhausted,
        evidence,
        "more connections, or a lower rate, unless the waiting is what is to be measured",
    )
}

fn not_reached(s: &LoadSummary) -> Doubt {
    if s.unsent > 0 {
        let evidence = format!("{} of {} requests due were never sent", s.unsent, s.due);
        let verdict = if s.unsent * 10 > s.due { Verdict::Invalid } else { Verdict::Suspect };
        return doubt(
            verdict,
            WarningKind::RateNotReached,
            evidence,
            "a lower rate, more connections or a longer --drain",
        );
    }
    let due_per_second = s.due as f64 / (s.duration_ns as f64 / 1e9).max(1e-9);
    if s.due > 0 && s.achieved_per_second < 0.98 * due_per_second && s.answered == s.due {
        let evidence = format!(
            "answers came at {:.1} a second, and requests were due at {due_per_second:.1}",
            s.achieved_per_second
        );
        return doubt(
            Verdict::Suspect,
            WarningKind::RateNotReached,
            evidence,
            "a lower rate: the target is beyond its capacity",
        );
    }
    None
}

fn failed(s: &LoadSummary) -> Doubt {
    let (failed, errors) = (s.outcomes.failed(), s.outcomes.error_statuses());
    if failed + errors == 0 {
        return None;
    }
    let mut parts = Vec::new();
    for (count, what) in [
        (s.outcomes.connect_failed, "found no connection"),
        (s.outcomes.reset, "were reset"),
        (s.outcomes.timed_out, "timed out"),
        (errors, "were answered with an error status"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let evidence = format!("of {} requests {}", s.due, parts.join(", "));
    let verdict = if (failed + errors) * 10 > s.due { Verdict::Invalid } else { Verdict::Suspect };
    // A connection that is not made may be for want of what this process may have.
    let remedy = if s.outcomes.connect_failed > 0 {
        "see whether the target listens, and whether files and ports are left here (`ulimit -n`): the figures mix answers with failures"
    } else {
        "look at the target's log: the figures mix its answers with its failures"
    };
    doubt(verdict, WarningKind::RequestsFailed, evidence, remedy)
}

fn censored(s: &LoadSummary) -> Doubt {
    if s.censored == 0 {
        return None;
    }
    let evidence =
        format!("{} of {} requests had no end before the end: they count as their age, at least", s.censored, s.due);
    let verdict = if s.censored * 10 > s.due { Verdict::Invalid } else { Verdict::Suspect };
    doubt(verdict, WarningKind::Censored, evidence, "a longer --drain, or a lower rate")
}

fn ms(ns: u64) -> String {
    format!("{:.3} ms", ns as f64 / 1e6)
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
