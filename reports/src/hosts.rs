//! The hosts of a run that were more than one: what each is, how far its clock is known, and what was lost with it.

use record::{HostPrice, HostRole, Loss, Quantiles, RunDirectory, RunHost, RunHosts, TrialHost, TrialHosts};
use serde::{Deserialize, Serialize};

use crate::clocks::{Bounded, HostClock};
use crate::figure;

/// The heading over all of this.
pub(crate) const HOSTS: &str = "The hosts and their clocks";

/// Doubt about the clocks that is borne anyhow: what waking a process takes.
const BORNE_NS: u64 = 50_000;

/// What is said of the hosts of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct HostsFindings {
    /// Each of them.
    pub hosts: Vec<HostFindings>,
    /// Sealed trials in which load and services, or services of one chain, were on different hosts.
    pub trials_apart: usize,
    /// Those of them in which the clocks are known well enough to set a stamp of any host against a stamp of any other.
    pub trials_compared: usize,
    /// The largest doubt about the clocks in any of them, in nanoseconds; none where none was apart.
    pub worst_error_ns: Option<u64>,
    /// Tries of trials that were lost; each was made again, or fetched, or is missing.
    pub losses: Vec<Loss>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct HostFindings {
    /// Its name.
    pub name: String,
    /// Where its agent listened.
    pub address: String,
    /// What it did.
    pub roles: Vec<HostRole>,
    /// The services that stood on it, where others stood on other hosts; empty for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// What it costs, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<HostPrice>,
    /// Its CPUs that are online.
    pub cpus: usize,
    /// Its clock against the runner's; none without an exchange.
    pub clock: Option<ClockFindings>,
}

/// A clock against the runner's. These are bounds and no estimates: the truth is in them if no clock jumped.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
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
    trials: &[Option<&Apart>],
) -> record::Result<Option<HostsFindings>> {
    let Some(hosts) = hosts else { return Ok(None) };
    let clocks = HostClock::of(&dir.clocks()?);
    let apart: Vec<&Apart> = trials.iter().copied().flatten().collect();
    Ok(Some(HostsFindings {
        hosts: hosts.hosts.iter().map(|host| of_host(host, &clocks)).collect(),
        trials_apart: apart.len(),
        trials_compared: apart.iter().filter(|a| a.compared()).count(),
        worst_error_ns: apart.iter().map(|a| a.error_ns()).max(),
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
        services: host.services.clone(),
        price: host.price.clone(),
        cpus: host.host.cpus_online.len(),
        clock,
    }
}

/// A trial of which load and services were not all on one host: between whose stamps there is how much doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Apart {
    /// The services of each host with services, and how well its clock is known beside that of the first, which the load
    /// enters.
    serving: Vec<(Vec<String>, u64)>,
    /// The same of the load.
    load_error_ns: u64,
    /// How much doubt is borne.
    borne_ns: u64,
}

impl Apart {
    /// Of a trial with these hosts; none where all of it was on one. Stamps of two hosts may be compared where the doubt is a
    /// tenth of the median service time at most: it would be taken for time on the way otherwise.
    pub(crate) fn of(hosts: Option<&TrialHosts>, service: &Quantiles) -> Option<Self> {
        let hosts = &hosts?.hosts;
        let serves = |h: &&TrialHost| h.roles.contains(&HostRole::Services);
        let entered = hosts.iter().find(serves)?;
        let serving: Vec<(Vec<String>, u64)> =
            hosts.iter().filter(serves).map(|h| (h.services.clone(), h.error_ns)).collect();
        let from_elsewhere = hosts.iter().filter(|h| h.roles.contains(&HostRole::Load) && h.name != entered.name);
        let load_error_ns = from_elsewhere.map(|h| h.error_ns).max();
        (serving.len() > 1 || load_error_ns.is_some()).then(|| Self {
            serving,
            load_error_ns: load_error_ns.unwrap_or(0),
            borne_ns: BORNE_NS.max(service.p50 / 10),
        })
    }

    /// How well any two clocks are known beside one another: two that are known beside a third by what both are.
    pub(crate) fn error_ns(&self) -> u64 {
        let mut errors: Vec<u64> = self.serving.iter().map(|(_, error_ns)| *error_ns).collect();
        errors.sort_unstable();
        let two: u64 = errors.iter().rev().take(2).sum();
        self.load_error_ns.max(two)
    }

    /// Whether every stamp may be set against any other.
    pub(crate) fn compared(&self) -> bool {
        self.error_ns() <= self.borne_ns
    }

    /// Whether the stamps of a caller, the load where none is named, may be set against those of a service that it calls.
    pub(crate) fn stamps_may_meet(&self, caller: Option<&str>, callee: &str) -> bool {
        let place = |service: &str| self.serving.iter().position(|(all, _)| all.iter().any(|s| s == service));
        let doubt = match caller {
            None => self.load_error_ns,
            Some(caller) => match (place(caller), place(callee)) {
                (one, other) if one == other => 0,
                (one, other) => {
                    let error = |at: Option<usize>| at.and_then(|at| self.serving.get(at)).map_or(0, |(_, ns)| *ns);
                    error(one) + error(other)
                }
            },
        };
        doubt <= self.borne_ns
    }
}

/// The lines of the section, for every form of the report; none of a run on one host.
pub(crate) fn lines(findings: Option<&HostsFindings>) -> Vec<String> {
    let Some(f) = findings else { return Vec::new() };
    let mut lines: Vec<String> = f.hosts.iter().map(line).collect();
    let entered = f.hosts.iter().find(|h| !h.services.is_empty());
    if let Some(worst) = f.worst_error_ns {
        let worst = figure::ms_bare(worst as f64);
        lines.push(match entered {
            None => format!("Load and services were on different hosts in {} trials. The load's stamps were moved to the clock of the services' host; the clocks are known to {worst} or better.", f.trials_apart),
            Some(entered) => format!("One chain stood on several hosts in {} trials. All stamps were moved to the clock of {}, which the load enters; any two clocks are known to {worst} or better.", f.trials_apart, entered.name),
        });
        lines.push(match (f.trials_apart - f.trials_compared, entered) {
            (0, _) => "In all of them that is at most 0.05 ms or a tenth of the median service time, so that stamps of the two are set against each other.".to_owned(),
            (left, None) => format!("In {left} of them that is more than 0.05 ms and a tenth of the median service time: there the way to the first service and the way back are not told apart."),
            (left, Some(_)) => format!("In {left} of them that is more than 0.05 ms and a tenth of the median service time: there the way from one host to another and the way back are not told apart."),
        });
    }
    if let Some(entered) = entered {
        lines.push(format!(
            "What is said of the machine (steal, pressure, interrupts, the disk) is of {}; of each other host there are its services and proxies.",
            entered.name
        ));
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
    let carried = match host.services.as_slice() {
        [] => String::new(),
        services => format!(" with {}", services.join(" and ")),
    };
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
    format!("{} ({}){carried}, {} CPUs{price}: {clock}", host.name, roles.join(", "), host.cpus)
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
            services: Vec::new(),
            ahead_ns: 0,
            error_ns,
        };
        let services = host("s", &[HostRole::Services], 0);
        TrialHosts { schema: 1, attempt: 1, hosts: vec![services, host("l", roles, error_ns)] }
    }

    #[test]
    fn stamps_are_compared_only_where_the_clocks_are_known_well_enough() {
        let of = |error_ns, p50| {
            let apart = Apart::of(Some(&hosts(&[HostRole::Load], error_ns)), &service(p50))?;
            Some((apart.error_ns(), apart.compared(), apart.stamps_may_meet(None, "s1")))
        };
        assert_eq!(of(50_000, 100_000), Some((50_000, true, true)));
        assert_eq!(of(60_000, 100_000), Some((60_000, false, false)));
        assert_eq!(of(60_000, 600_000), Some((60_000, true, true)));
        assert_eq!(Apart::of(None, &service(1)), None);
        let mut one = hosts(&[HostRole::Load], 0);
        one.hosts.truncate(1);
        one.hosts[0].roles.push(HostRole::Load);
        assert_eq!(Apart::of(Some(&one), &service(1)), None);
    }

    #[test]
    fn of_a_chain_on_several_hosts_each_pair_that_meets_is_judged_by_both_clocks() {
        let mut all = hosts(&[HostRole::Load], 10_000);
        let serving = |name: &str, services: &[&str], error_ns| TrialHost {
            name: name.into(),
            roles: vec![HostRole::Services],
            services: services.iter().map(|s| (*s).to_owned()).collect(),
            ahead_ns: 0,
            error_ns,
        };
        all.hosts[0].services = vec!["s1".into()];
        all.hosts.extend([serving("b", &["s2", "s3"], 30_000), serving("c", &["s4"], 40_000)]);
        let apart = Apart::of(Some(&all), &service(1)).unwrap();
        assert_eq!((apart.error_ns(), apart.compared()), (70_000, false));
        let meet = |caller, callee| apart.stamps_may_meet(Some(caller), callee);
        assert!(apart.stamps_may_meet(None, "s1") && meet("s1", "s2") && meet("s2", "s3"));
        assert!(!meet("s3", "s4"), "30 and 40 µs beside a third make 70");
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
            services: Vec::new(),
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
        f.hosts[0].services = vec!["s1".into(), "s3".into()];
        let said = lines(Some(&f)).join("\n");
        for part in [
            "cx22 (services, probe) with s1 and s3, 2 CPUs",
            "moved to the clock of cx22, which the load enters; any two clocks",
            "(steal, pressure, interrupts, the disk) is of cx22",
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
    }
}
