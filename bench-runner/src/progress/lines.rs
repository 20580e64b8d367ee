//! The lines of the live view, cut to the terminal.

use record::{Quantiles, Reading};
use reports::live::{MachineNow, Now, RequestsNow};

/// The columns of stderr; 80 where they cannot be told.
pub(super) fn width() -> usize {
    let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { 80 } else { columns }
}

/// The headline, and below it what is known of the trial.
pub(super) fn of(headline: &str, now: &Now, width: usize) -> Vec<String> {
    let mut lines = vec![headline.to_owned()];
    if let Some(second) = &now.last_second {
        lines.push(format!("  last second  {}  {}", response(second), rates(second)));
    }
    if let Some(all) = &now.so_far {
        let errors = if all.errors == 0 { "no error".to_owned() } else { format!("{} errors", all.errors) };
        lines.push(format!("  so far       {}  {errors} in {:.1} s", response(all), all.length_ns as f64 / 1e9));
    }
    if let Some(machine) = &now.machine {
        lines.push(format!("  machine      {}", told(machine)));
    }
    // A line that wraps is two, and could not be written over.
    lines.into_iter().map(|line| line.chars().take(width.saturating_sub(1)).collect()).collect()
}

/// Milliseconds in three digits and one width, so that figures stay where they are.
fn ms(ns: u64) -> String {
    let ms = ns as f64 / 1e6;
    let digits = match ms {
        ..10.0 => format!("{ms:.2}"),
        ..100.0 => format!("{ms:.1}"),
        _ => format!("{ms:.0}"),
    };
    format!("{digits:>5}")
}

fn response(requests: &RequestsNow) -> String {
    match requests.response_ns {
        Some(Quantiles { p50, p99, max, .. }) => format!("p50 {}  p99 {}  max {} ms", ms(p50), ms(p99), ms(max)),
        None => "nothing has ended yet".to_owned(),
    }
}

fn rates(requests: &RequestsNow) -> String {
    let RequestsNow { due_per_second: due, answered_per_second: answered, errors, .. } = requests;
    let failed = if *errors == 0 { String::new() } else { format!(", {errors} errors") };
    format!("{answered:.0} of {due:.0}/s{failed}")
}

fn told(machine: &MachineNow) -> String {
    let share = |reading: &Reading<f64>| match reading {
        Reading::Seen(share) => format!("{:.0} %", share * 100.0),
        Reading::Absent { .. } => "n/a".to_owned(),
    };
    let mut text = format!("CPU {}  steal {}", share(&machine.cpu_busy_share), share(&machine.steal_share));
    if let Reading::Seen(cores) = machine.proxy_cores {
        text.push_str(&format!("  proxies {cores:.2} cores"));
    }
    // Without a CPU limit there is nothing to be throttled by.
    if let Reading::Seen(throttled) = machine.proxy_throttled_share {
        text.push_str(&format!(", throttled in {:.0} % of periods", throttled * 100.0));
    }
    text
}

#[cfg(test)]
mod tests {
    use record::Phase;

    use super::*;

    fn requests(errors: u64) -> RequestsNow {
        let response_ns = Some(Quantiles { p50: 174_000, p90: 1, p99: 12_345_678, p999: 2, max: 1_234_567_890 });
        RequestsNow { length_ns: 3_200_000_000, due_per_second: 500.0, answered_per_second: 498.7, errors, response_ns }
    }

    fn now() -> Now {
        let machine = MachineNow {
            cpu_busy_share: Reading::Seen(0.434),
            steal_share: Reading::absent("the kernel is not told"),
            proxy_cores: Reading::Seen(0.41),
            proxy_throttled_share: Reading::Seen(0.12),
        };
        Now {
            phase: Some(Phase::Measure),
            last_second: Some(requests(3)),
            so_far: Some(requests(0)),
            machine: Some(machine),
        }
    }

    #[test]
    fn every_line_says_what_it_is_of() {
        assert_eq!(
            of("trial 1 of 2", &now(), 120),
            [
                "trial 1 of 2",
                "  last second  p50  0.17  p99  12.3  max  1235 ms  499 of 500/s, 3 errors",
                "  so far       p50  0.17  p99  12.3  max  1235 ms  no error in 3.2 s",
                "  machine      CPU 43 %  steal n/a  proxies 0.41 cores, throttled in 12 % of periods",
            ]
        );
        assert_eq!(of("trial 1 of 2", &Now::default(), 120), ["trial 1 of 2"], "before there is a load");
    }

    #[test]
    fn no_line_wraps() {
        for width in [20, 40, 80] {
            for line in of("trial 1 of 20: envoy sidecars with a limit of half a core, measure", &now(), width) {
                assert!(line.chars().count() < width, "{width}: {line}");
            }
        }
    }
}
