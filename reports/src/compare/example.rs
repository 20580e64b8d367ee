//! A run for the tests of what looks at its card only.

use std::collections::BTreeMap;

use record::{Host, METHOD, Run, SCHEMA, Timing};

/// A run of nothing on a machine with four CPUs.
pub(super) fn run(id: &str) -> Run {
    let host: Host = serde_json::from_str(
        r#"{"kernel":"6.1.0","arch":"x86_64","distribution":"Debian 12","cpu_model":"AMD EPYC 7B13 Processor",
        "cpus_online":[0,1,2,3],"cpus_allowed":4,"memory_bytes":8589934592,"virtual_machine":"KVM","container":"none",
        "steal_known":true,"clock_source":"tsc","clock_ticks_per_second":100,"governor":{"absent":"no cpufreq"},
        "cgroups":"v2","psi":true,"disk":{"absent":"tmpfs has no disk"},"limits":{}}"#,
    )
    .unwrap();
    Run {
        schema: SCHEMA,
        method: METHOD,
        id: id.into(),
        started: "2026-11-23T05:10:00Z".into(),
        program: "meshtax 0.1.0".into(),
        scenario: "first-look".into(),
        scenario_toml: String::new(),
        seed: 1,
        repeats: 5,
        timing: Timing { settle_ns: 0, warm_up_ns: 0, measure_ns: 5_000_000_000, cool_down_ns: 0 },
        level: 0.95,
        until: None,
        cells: vec![],
        left_out: vec![],
        trials: vec![],
        host,
        versions: BTreeMap::new(),
        source: None,
        warnings: vec![],
        sum: None,
    }
}
