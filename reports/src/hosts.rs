//! The hosts of a run that were more than one: what each is, how far its clock is known, and what was lost with it.

use record::{HostPrice, HostRole, Loss, Quantiles, RunDirectory, RunHost, RunHosts, TrialHosts};
use serde::{Deserialize, Serialize};

use crate::clocks::{Bounded, HostClock};
use crate::figure;

/// The heading over all of this.
pub(crate) const HOSTS: &str = "The hosts and their clocks";

/// Doubt about the clocks that is borne anyhow: what waking a process takes.
const BORNE_NS: u64 = 50_000;

/// What is said of the hosts of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HostsFindings {
    /// Each of them.
    pub hosts: Vec<HostFindings>,
    /// Sealed trials in which load and services were on different hosts.
    pub trials_apart: usize,
    /// Those of them in which the clocks are known well enough to set a stamp of the one against a stamp of the other.
    pub trials_compared: usize,
    /// The largest doubt about the clocks in any of them, in nanoseconds; none where none was apart.
    pub worst_error_ns: Option<u64>,
    /// Tries of trials that were lost; each was made again, or fetched, or is missing.
    pub losses: Vec<Loss>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HostFindings {
    /// Its name.
    pub name: String,
    /// Where its agent listened.
    pub address: String,
    /// What it did.
    pub roles: Vec<HostRole>,
    /// What it costs, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<HostPrice>,
    /// Its CPUs that are online.
    pub cpus: usize,
    /// Its clock against the runner's; none without an exchange.
    pub clock: Option<ClockFindings>,
}

/// A clock against the runner's. These are bounds and no estimates: the truth is in them if no clock jumped.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ClockFindings {
    /// How far its CLOCK_MONOTONIC was ahead in the middle of the run, in nanoseconds.
    pub ahead_ns: Bounded,
    /// How much faster it ran, in parts per million.
    pub drift_ppm: Bounded,
    /// How far its time of day was ahead at the last exchange, in nanoseconds.
    pub day_ahead_ns: Bounded,
    /// From how many exchanges.
    pub exchanges: usize,
    /// How often the host, or the runner, was started anew meanwhile.
    pub restarts: usize,
}

/// What is said of the hosts; none of a run that was made on one. `trials` has, of each sealed trial, whether its stamps may
/// be compared and how well the clocks are known.
pub(crate) fn findings(
    dir: &RunDirectory,
    hosts: Option<&RunHosts>,
    trials: &[Option<Apart>],
) -> record::Result<Option<HostsFindings>> {
    let Some(hosts) = hosts else { return Ok(None) };
    let clocks = HostClock::of(&dir.clocks()?);
    let apart: Vec<&Apart> = trials.iter().flatten().collect();
    Ok(Some(HostsFindings {
        hosts: hosts.hosts.iter().map(|host| of_host(host, &clocks)).collect(),
        trials_apart: apart.len(),
        trials_compared: apart.iter().filter(|a| a.compared).count(),
        worst_error_ns: apart.iter().map(|a| a.error_ns).max(),
        losses: dir.losses()?,
    }))
}

fn of_host(host: &RunHost, clocks: &[HostClock]) -> HostFindings {
    let of: Vec<&HostClock> = clocks.iter().filter(|c| c.host == host.name).collect();
    let clock = of.last().and_then(|last| {
        let (first_ns, last_ns) = last.span_ns()?;
        Some(ClockFindings {
            ahead_ns: last.ahead_ns(first_ns.midpoint(last_ns))?,
            drift_ppm: last.drift_ppm()?,
            day_ahead_ns: last.day_ahead_ns()?,
            exchanges: of.iter().map(|c| c.exchanges()).sum(),
            restarts: of.len() - 1,
        })
    });
    HostFindings {
        name: host.name.clone(),
        address: host.address.clone(),
        roles: host.roles.clone(),
        price: host.price.clone(),
        cpus: host.host.cpus_online.len(),
        clock,
    }
}

/// A trial whose load came from another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Apart {
    /// How well the clocks are known.
    pub(crate) error_ns: u64,
    /// Whether a stamp of the load and one of a service may be set against each other.
    pub(crate) compared: bool,
}

impl Apart {
    /// Of a trial with these hosts; none where load and services were on one. The stamps may be compared where the doubt
    /// is a tenth of the median service time at most: it would be taken for time on the way otherwise.
    pub(crate) fn of(hosts: Option<&TrialHosts>, service: &Quantiles) -> Option<Self> {
        let loads = hosts?.hosts.iter().filter(|h| h.roles.contains(&HostRole::Load));
        let error_ns = loads.filter(|h| !h.roles.contains(&HostRole::Services)).map(|h| h.error_ns).max()?;
        Some(Self { error_ns, compared: error_ns <= BORNE_NS.max(service.p50 / 10) })
    }
}

/// The lines of the section, for every form of the report; none of a run on one host.
pub(crate) fn lines(findings: Option<&HostsFindings>) -> Vec<String> {
    let Some(f) = findings else { return Vec::new() };
    let mut lines: Vec<String> = f.hosts.iter().map(line).collect();
    if let Some(worst) = f.worst_error_ns {
        lines.push(format!(
            "Load and services were on different hosts in {} trials. The load's stamps were moved to the clock of the services' host; the clocks are known to {} or better.",
            f.trials_apart,
            figure::ms_bare(worst as f64)
        ));
        lines.push(match f.trials_apart - f.trials_compared {
            0 => "In all of them that is at most 0.05 ms or a tenth of the median service time, so that stamps of the two are set against each other.".to_owned(),
            left => format!("In {left} of them that is more than 0.05 ms and a tenth of the median service time: there the way to the first service and the way back are not told apart."),
        });
    }
    for loss in &f.losses {
        lines.push(format!(
            "{} was lost with {} in the phase {}, try {}, at {}: {}",
            loss.trial,
            loss.host,
            loss.phase.word(),
            loss.attempt,
            loss.when,
            loss.what
        ));
    }
    lines
}

fn line(host: &HostFindings) -> String {
    let roles: Vec<&str> = host
        .roles
        .iter()
        .map(|role| match role {
            HostRole::Load => "load",
            HostRole::Services => "services",
            HostRole::Probe => "probe",
        })
        .collect();
    let price = host.price.as_ref().map_or_else(String::new, |p| format!(", {} {} a month", p.per_month, p.currency));
    let clock = host.clock.as_ref().map_or_else(
        || "nothing is known of its clock".to_owned(),
        |c| {
            let restarts = match c.restarts {
                0 => String::new(),
                n => format!("; started anew {n} times"),
            };
            format!(
                "against the runner's its clock is {}, runs {}, and its time of day is {} ({} exchanges{restarts})",
                ahead(c.ahead_ns),
                drift(c.drift_ppm),
                ahead(c.day_ahead_ns),
                c.exchanges
            )
        },
    );
    format!("{} ({}), {} CPUs{price}: {clock}", host.name, roles.join(", "), host.cpus)
}

/// "5.000013 s ahead ± 0.061 ms", with the digits that the bound leaves.
fn ahead(b: Bounded) -> String {
    let word = if b.value < 0.0 { "behind" } else { "ahead" };
    let (value, error) = (b.value.abs(), b.error);
    let doubt = format!("± {:.3} ms", error / 1e6);
    if value < error {
        return format!("the same to {:.3} ms", (value + error) / 1e6);
    }
    if value < 1e9 {
        format!("{:.3} ms {word} {doubt}", value / 1e6)
    } else {
        format!("{:.6} s {word} {doubt}", value / 1e9)
    }
}

fn drift(b: Bounded) -> String {
    let word = if b.value < 0.0 { "slow" } else { "fast" };
    format!("{:.1} ppm {word} ± {:.1}", b.value.abs(), b.error)
}

#[cfg(test)]
mod tests {
    use record::{Phase, TrialHost};

    use super::*;

    fn service(p50: u64) -> Quantiles {
        Quantiles { p50, p90: p50, p99: p50, p999: p50, max: p50 }
    }

    fn hosts(roles: &[HostRole], error_ns: u64) -> TrialHosts {
        let host = |name: &str, roles: &[HostRole], error_ns| TrialHost {
            name: name.into(),
            roles: roles.to_vec(),
            ahead_ns: 0,
            error_ns,
        };
        let services = host("s", &[HostRole::Services], 0);
        TrialHosts { schema: 1, attempt: 1, hosts: vec![services, host("l", roles, error_ns)] }
    }

    #[test]
    fn stamps_are_compared_only_where_the_clocks_are_known_well_enough() {
        let of = |error_ns, p50| Apart::of(Some(&hosts(&[HostRole::Load], error_ns)), &service(p50));
        assert_eq!(of(50_000, 100_000), Some(Apart { error_ns: 50_000, compared: true }));
        assert_eq!(of(60_000, 100_000), Some(Apart { error_ns: 60_000, compared: false }));
        assert_eq!(of(60_000, 600_000), Some(Apart { error_ns: 60_000, compared: true }));
        assert_eq!(Apart::of(None, &service(1)), None);
        assert_eq!(Apart::of(Some(&hosts(&[HostRole::Load, HostRole::Services], 0)), &service(1)), None);
    }

    #[test]
    fn the_lines_name_bounds_what_may_be_compared_and_what_was_lost() {
        let b = |value: f64, error: f64| Bounded { value, error };
        let clock = ClockFindings {
            ahead_ns: b(-5.0e9 + 120.0, 61_000.0),
            drift_ppm: b(100.2, 0.4),
            day_ahead_ns: b(10_000.0, 61_000.0),
            exchanges: 120,
            restarts: 0,
        };
        let host = HostFindings {
            name: "cx22".into(),
            address: "10.0.0.2:7464".into(),
            roles: vec![HostRole::Services, HostRole::Probe],
            price: Some(HostPrice { per_month: 3.79, currency: "EUR".into() }),
            cpus: 2,
            clock: Some(clock),
        };
        let loss = Loss {
            trial: "0007-x".into(),
            attempt: 1,
            host: "cx22".into(),
            phase: Phase::Measure,
            when: "2026-11-23T05:10:00Z".into(),
            what: "not heard of for 5 s".into(),
        };
        let mut f = HostsFindings {
            hosts: vec![host],
            trials_apart: 6,
            trials_compared: 4,
            worst_error_ns: Some(61_000),
            losses: vec![loss],
        };
        let said = lines(Some(&f)).join("\n");
        for part in [
            "cx22 (services, probe), 2 CPUs, 3.79 EUR a month: against the runner's its clock is 5.000000 s behind ± 0.061 ms, runs 100.2 ppm fast ± 0.4",
            "its time of day is the same to 0.071 ms (120 exchanges)",
            "different hosts in 6 trials",
            "In 2 of them that is more than",
            "0007-x was lost with cx22 in the phase measure, try 1, at 2026-11-23T05:10:00Z: not heard of for 5 s",
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
        f.trials_compared = 6;
        assert!(lines(Some(&f)).join("\n").contains("In all of them"));
        assert!(lines(None).is_empty());
    }
}
