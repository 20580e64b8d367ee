//! What a runner and its pods say to one another, in JSON over HTTP.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How it goes: [`Says`].
pub(crate) const STATE: &str = "/state";
/// Whether it can be asked, for the kubelet.
pub(crate) const READY: &str = "/ready";
/// The load makes one request into the chain: [`Tried`].
pub(crate) const TRY: &str = "/try";
/// The load is started and held: [`Held`].
pub(crate) const HOLD: &str = "/hold";
/// The load begins.
pub(crate) const GO: &str = "/go";
/// The probe says what its node is: [`record::Host`].
pub(crate) const HOST: &str = "/host";
/// The probe begins to watch these: [`Watched`] gives [`Found`].
pub(crate) const WATCH: &str = "/watch";
/// The probe reads what of these is read before and after a load only: [`record::EdgeReadings`].
pub(crate) const EDGES: &str = "/edges";
/// The probe reads threads and limits of these anew: [`Found`].
pub(crate) const READ: &str = "/read";
/// The probe begins to ask proxies for their counters: [`Scrapes`].
pub(crate) const SCRAPE: &str = "/scrape";
/// The probe ends asking, and says what came of it: a list of [`record::Event`] on its own clock.
pub(crate) const SCRAPED: &str = "/scraped";
/// The probe ends watching.
pub(crate) const END: &str = "/end";
/// It is of no more use.
pub(crate) const LEAVE: &str = "/leave";
/// A file it recorded, by its name behind this.
pub(crate) const FILES: &str = "/files/";
/// What the proxy in this pod says, by port and path behind this.
pub(crate) const PROXY: &str = "/proxy/";

/// Envoy's admin port in Istio's sidecar, which answers inside of the pod only.
pub(crate) const ENVOY_ADMIN: u16 = 15000;
/// The port of Istio's agent.
pub(crate) const ISTIO_AGENT: u16 = 15020;
/// Linkerd's proxy's admin port.
pub(crate) const LINKERD_ADMIN: u16 = 4191;

/// How far a pod is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// It is not ready yet, since it waits for this.
    Waiting {
        /// What for.
        waits_for: String,
    },
    /// Nothing has been looked at yet.
    Starting,
    /// It can be used.
    Ready,
    /// The load runs.
    Running,
    /// The load has ended, and can be fetched.
    Done,
    /// It is of no use, for this reason.
    Failed {
        /// The reason.
        problem: String,
    },
}

/// How it goes, and what time it is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Says {
    pub(crate) role: String,
    /// The program and its version.
    pub(crate) program: String,
    #[serde(flatten)]
    pub(crate) phase: Phase,
    /// CLOCK_MONOTONIC there.
    pub(crate) monotonic_ns: u64,
    /// CLOCK_REALTIME there.
    pub(crate) realtime_ns: u64,
}

/// What came of one request into the chain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tried {
    /// The status; 0 where there was no answer.
    pub(crate) status: u16,
    /// The services that stamped it, the first one first.
    pub(crate) hops: Vec<String>,
    /// The address that the chain's name has there.
    pub(crate) address: String,
    /// The body of an answer that is no success, or why there was none.
    pub(crate) said: String,
}

/// How the load is to be drawn.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The seed of its arrivals.
    pub(crate) seed: u64,
}

/// What the probe is to watch: containers by the name of their part.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Watched {
    /// Parts, each with the ids of its containers as the container runtime has them.
    pub(crate) parts: BTreeMap<String, Vec<String>>,
}

/// Which proxies the probe is to ask for their counters, as Prometheus does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scrapes {
    /// Time from one round to the next.
    pub(crate) every_ns: u64,
    pub(crate) targets: Vec<ScrapeTarget>,
}

/// One of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ScrapeTarget {
    /// Whose counters.
    pub(crate) part: String,
    /// Where its pod answers.
    pub(crate) address: std::net::SocketAddr,
    pub(crate) path: String,
}

/// What the probe found of what it is to watch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Found {
    /// By the name of the part.
    pub(crate) parts: BTreeMap<String, FoundPart>,
}

/// A part as the kernel of its node has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FoundPart {
    /// Its processes, the one with the most threads first.
    pub(crate) pids: Vec<u32>,
    /// The directories of its cgroup.
    pub(crate) cgroups: Vec<String>,
    /// The names of its threads.
    pub(crate) threads: Vec<String>,
    /// What limits it, as the kernel's files have it: "cpu.max" -> "50000 100000".
    pub(crate) limits: BTreeMap<String, String>,
}

impl FoundPart {
    /// The CPU limit in thousandths of a CPU; none for no limit, and none where no file tells.
    pub(crate) fn cpu_millicores(&self) -> Option<u64> {
        let (quota, period) = match self.limits.get("cpu.max") {
            Some(text) => {
                let mut words = text.split_whitespace();
                (words.next()?.to_owned(), words.next()?.to_owned())
            }
            None => (self.limits.get("cpu.cfs_quota_us")?.clone(), self.limits.get("cpu.cfs_period_us")?.clone()),
        };
        let (quota, period) = (quota.parse::<i64>().ok()?, period.parse::<i64>().ok()?);
        (quota > 0 && period > 0).then(|| u64::try_from(quota * 1000 / period).unwrap_or(u64::MAX))
    }

    /// The memory limit; none for no limit.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        let text = self.limits.get("memory.max").or_else(|| self.limits.get("memory.limit_in_bytes"))?;
        // Version 1 says no limit by the largest number of whole pages.
        text.parse::<u64>().ok().filter(|bytes| *bytes < 1 << 62)
    }

    /// Whether any file told of a CPU limit or its absence.
    pub(crate) fn tells_cpu(&self) -> bool {
        self.limits.contains_key("cpu.max") || self.limits.contains_key("cpu.cfs_quota_us")
    }

    /// Worker threads by the names that Envoy and Linkerd give them.
    pub(crate) fn workers(&self) -> usize {
        self.threads.iter().filter(|name| name.starts_with("wrk:worker_")).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(files: &[(&str, &str)]) -> FoundPart {
        let limits = files.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        FoundPart { limits, ..FoundPart::default() }
    }

    #[test]
    fn limits_are_read_as_the_kernel_writes_them_in_both_versions() {
        assert_eq!(limited(&[("cpu.max", "50000 100000")]).cpu_millicores(), Some(500));
        assert_eq!(limited(&[("cpu.max", "max 100000")]).cpu_millicores(), None);
        assert_eq!(
            limited(&[("cpu.cfs_quota_us", "20000"), ("cpu.cfs_period_us", "100000")]).cpu_millicores(),
            Some(200)
        );
        assert_eq!(limited(&[("cpu.cfs_quota_us", "-1"), ("cpu.cfs_period_us", "100000")]).cpu_millicores(), None);
        assert!(!limited(&[]).tells_cpu() && limited(&[("cpu.max", "max 1")]).tells_cpu());
        assert_eq!(limited(&[("memory.max", "1048576")]).memory_bytes(), Some(1 << 20));
        assert_eq!(limited(&[("memory.max", "max")]).memory_bytes(), None);
        assert_eq!(limited(&[("memory.limit_in_bytes", "9223372036854771712")]).memory_bytes(), None);
    }

    #[test]
    fn a_phase_is_told_with_its_reason() {
        let failed = Phase::Failed { problem: "s1 ended".into() };
        let text = serde_json::to_string(&failed).unwrap();
        assert_eq!(text, r#"{"phase":"failed","problem":"s1 ended"}"#);
        assert_eq!(serde_json::from_str::<Phase>(&text).unwrap(), failed);
        assert_eq!(serde_json::to_string(&Phase::Done).unwrap(), r#"{"phase":"done"}"#);
    }

    #[test]
    fn workers_are_threads_of_envoys_name() {
        let threads = ["envoy", "wrk:worker_0", "wrk:worker_1", "dog:main_thread"].map(str::to_owned).to_vec();
        assert_eq!(FoundPart { threads, ..FoundPart::default() }.workers(), 2);
    }
}
