//! Who is meant by "a proxy": the process of a part of the run.

use std::time::{Duration, Instant};

use crate::live::Live;

/// The process that a row speaks of, where it is there.
pub(crate) fn find(live: &Live, target: &str) -> Option<u32> {
    // By their command lines, which have a zero after each word.
    let is = |line: &str| match target {
        "the generator" => line.contains("\0load\0"),
        "the probe" => line.contains("\0probe\0"),
        "a service" => line.contains("\0service\0"),
        "the warden" => line.contains("\0warden\0"),
        "the node proxy" => line.contains("\0node-proxy\0"),
        "a proxy's worker" => line.starts_with("nginx: worker"),
        "a proxy" => {
            let program = line.split('\0').next().unwrap_or_default();
            // One that is only asked for its version is no part.
            let asked = line.split('\0').nth(1).is_some_and(|word| ["--version", "--help", "-v"].contains(&word));
            let nginx = line.starts_with("nginx: master");
            nginx
                || line.contains("\0sidecar\0")
                || (!asked && ["/envoy", "/haproxy"].iter().any(|end| program.ends_with(end)))
        }
        _ => panic!("nobody is called '{target}'"),
    };
    if target == "the runner" {
        return Some(live.pid());
    }
    let mut found: Vec<u32> = live
        .parts()
        .into_iter()
        // One that is about to become its program is not yet what is meant.
        .filter(|(_, line)| !line.contains("\0launch\0") && is(line))
        .map(|(pid, _)| pid)
        .collect();
    found.sort_unstable();
    found.first().copied()
}

/// How long it may take to become its program: the runner goes on before that.
const BECOMING: Duration = Duration::from_secs(10);

/// The process that a row speaks of.
pub(crate) fn of(live: &Live, target: &str) -> u32 {
    let end = Instant::now() + BECOMING;
    loop {
        if let Some(pid) = find(live, target) {
            return pid;
        }
        assert!(Instant::now() < end, "{target} is not there; it said:\n{}", live.said());
        std::thread::sleep(Duration::from_millis(1));
    }
}
