//! A run on several hosts, and what is said of them: bounds, what may be compared, what was lost.

use record::{
    ClockExchange, HostPrice, HostRole, LineWriter, Loss, Phase, RunDirectory, RunHost, RunHosts, SCHEMA,
    TrialDirectory, TrialHost, TrialHosts,
};

use crate::made::{MadeRun, SECOND, first_look};

/// Puts the chain of a made run on a host that is five seconds behind, and its load on another; the clocks of one trial are
/// known to `doubt_ns` only.
pub(crate) fn on_hosts(dir: &RunDirectory, doubt_ns: u64) {
    let run = dir.run().unwrap();
    let host = |name: &str, role: HostRole, price: Option<f64>| RunHost {
        name: name.into(),
        address: "10.0.0.2:7464".into(),
        roles: vec![role],
        services: Vec::new(),
        serve_at: None,
        price: price.map(|per_month| HostPrice { per_month, currency: "EUR".into() }),
        boot: "b".into(),
        program: run.program.clone(),
        host: run.host.clone(),
    };
    let hosts = vec![host("driver", HostRole::Load, None), host("cx22", HostRole::Services, Some(3.79))];
    dir.write_hosts(&RunHosts { schema: SCHEMA, hosts }).unwrap();
    let mut clocks = LineWriter::open(&dir.clocks_path()).unwrap();
    for k in 1..60 {
        for (name, ahead) in [("driver", 0), ("cx22", -5_000_000_000_i64)] {
            let (asked_ns, there) = (k * SECOND, |ns: u64| (100 * SECOND + ns).saturating_add_signed(ahead));
            let exchange = ClockExchange {
                host: name.into(),
                boot: "b/r".into(),
                asked_ns: 100 * SECOND + asked_ns,
                received_ns: there(asked_ns + 50_000),
                answered_ns: there(asked_ns + 60_000),
                heard_ns: 100 * SECOND + asked_ns + 110_000,
                agent_realtime_ns: 1_700_000_000 * SECOND + there(asked_ns + 60_000),
                runner_realtime_ns: 1_700_000_000 * SECOND + 100 * SECOND + asked_ns + 110_000,
            };
            clocks.append(&exchange).unwrap();
        }
    }
    for (at, planned) in run.trials.iter().enumerate() {
        let of = |name: &str, role, ahead_ns, error_ns| TrialHost {
            name: name.into(),
            roles: vec![role],
            services: Vec::new(),
            ahead_ns,
            error_ns,
        };
        let error_ns = if at == 0 { doubt_ns } else { 20_000 };
        let hosts = vec![of("driver", HostRole::Load, 5_000_000_000, error_ns), of("cx22", HostRole::Services, 0, 0)];
        let trial = TrialDirectory::at(&dir.trial_path(&planned.id));
        trial.write_hosts(&TrialHosts { schema: SCHEMA, attempt: 1, hosts }).unwrap();
    }
    let loss = Loss {
        trial: run.trials[1].id.clone(),
        attempt: 1,
        host: "cx22".into(),
        phase: Phase::Measure,
        when: "2026-11-23T05:10:00Z".into(),
        what: "not heard of for 5 s".into(),
    };
    dir.write_loss(&loss).unwrap();
}

#[test]
fn every_report_names_the_hosts_their_clocks_and_what_was_lost() {
    let parent = tempfile::tempdir().unwrap();
    let dir = MadeRun { repeats: 3, ..first_look() }.write(parent.path());
    on_hosts(&dir, 30_000_000);
    let findings = reports::findings(&dir).unwrap();
    let hosts = findings.hosts.clone().unwrap();
    let trials = findings.trials_sealed;
    assert_eq!(
        (hosts.trials_apart, hosts.trials_compared, hosts.worst_error_ns),
        (trials, trials - 1, Some(30_000_000))
    );
    let clock = hosts.hosts[1].clock.unwrap();
    assert!((clock.ahead_ns.value + 5e9).abs() <= clock.ahead_ns.error && clock.ahead_ns.error < 60_000.0, "{clock:?}");
    assert!((clock.day_ahead_ns.value + 5e9).abs() <= clock.day_ahead_ns.error, "{clock:?}");
    let marked = findings.warnings.iter().filter(|w| w.kind == record::WarningKind::HostLost).count();
    assert_eq!(marked, 1);
    let html = reports::html::render(&findings, &dir).unwrap();
    let text = reports::text::render(&findings, 80, false);
    assert!(text.lines().all(|line| line.chars().count() <= 80));
    for page in [html, text, reports::markdown::render(&findings)] {
        let flat = page.split_whitespace().collect::<Vec<_>>().join(" ").replace("&#x27;", "'");
        for part in [
            "The hosts and their clocks",
            "its clock is 5.000000 s behind",
            "3.79 EUR a month",
            "In 1 of them",
            "was lost with cx22",
        ] {
            assert!(flat.contains(part), "{part}\n{flat}");
        }
    }
}

#[test]
fn a_run_on_one_host_says_nothing_of_hosts() {
    let parent = tempfile::tempdir().unwrap();
    let dir = MadeRun { repeats: 1, ..first_look() }.write(parent.path());
    let findings = reports::findings(&dir).unwrap();
    assert_eq!(findings.hosts, None);
    assert!(!reports::text::render(&findings, 80, false).contains("hosts and their clocks"));
}
