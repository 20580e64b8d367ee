//! How many hosts of one plan a mesh needs, and what lies on each.

use crate::stats::Estimate;

use super::capacity::Capacity;
use super::prices::HostPlan;
use super::report::{Bound, Placement};

/// The mesh that is to be placed, and what is left free.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Demand {
    /// Requests a second that enter the mesh.
    pub(crate) rps: f64,
    /// Services in it.
    pub(crate) services: u32,
    /// Services that each request visits: those of the measured chain.
    pub(crate) visited: u32,
    /// Left free of every capacity.
    pub(crate) headroom: f64,
}

/// What one replica needs besides the rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Replica {
    /// Memory of a service and its sidecar, in bytes.
    pub(crate) memory_bytes: f64,
    /// Cores of a sidecar that waits.
    pub(crate) idle_cores: f64,
    /// Proxies that stood on the host when its capacity was measured.
    pub(crate) proxies_measured: usize,
}

/// Hosts, and replicas of each service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(crate) hosts: u64,
    pub(crate) replicas: u64,
    pub(crate) per_host: u64,
    pub(crate) bound_by: Bound,
}

/// More hosts than this are no answer.
const MOST_HOSTS: u64 = 100_000;

impl Demand {
    /// Requests a second that each service gets, if all get the same.
    pub(crate) fn calls_per_service(&self) -> f64 {
        self.rps * f64::from(self.visited.min(self.services)) / f64::from(self.services.max(1))
    }

    /// The fewest hosts for these capacities; an error says what cannot be.
    ///
    /// A host takes its share of the rate and of the replicas. Proxies beyond those that were measured on it take the CPU that
    /// they use while they wait from what it has for requests.
    pub(crate) fn place(
        &self,
        plan: &HostPlan,
        host_capacity: f64,
        sidecar_capacity: f64,
        replica: Replica,
    ) -> Result<Placed, String> {
        let usable = 1.0 - self.headroom;
        let (host, sidecar) = (host_capacity * usable, sidecar_capacity * usable);
        if host <= 0.0 || sidecar <= 0.0 {
            return Err("the SLO is not shown to hold at the lowest rate measured".to_owned());
        }
        let room = plan.memory_bytes.saturating_sub(plan.reserved_bytes) as f64;
        if replica.memory_bytes > room {
            let [one, room] = [replica.memory_bytes, room].map(|bytes| (bytes / f64::from(1 << 20)).ceil());
            return Err(format!("one replica needs {one} MiB of memory, and {room} MiB are free"));
        }
        let services = u64::from(self.services);
        let replicas = at_least_one(self.calls_per_service() / sidecar);
        let by_rate = at_least_one(self.rps / host);
        let (mut hosts, mut bound_by) = (by_rate, Bound::Rate);
        while hosts <= MOST_HOSTS {
            let per_host = (services * replicas).div_ceil(hosts);
            let more = per_host.saturating_sub(replica.proxies_measured as u64) as f64;
            let idle_share = more * replica.idle_cores / f64::from(plan.cores);
            // A share of the CPU is a share of the rate; and no host asks for a fraction of a request more than it has.
            if self.rps / hosts as f64 > host * (1.0 - idle_share) * (1.0 + 1e-9) {
                bound_by = Bound::IdleProxies;
            } else if per_host as f64 * replica.memory_bytes > room {
                bound_by = Bound::Memory;
            } else {
                let replicas = replicas.max(hosts.div_ceil(services.max(1)));
                let per_host = (services * replicas).div_ceil(hosts);
                return Ok(Placed { hosts, replicas, per_host, bound_by });
            }
            hosts += 1;
        }
        Err(format!("more than {MOST_HOSTS} hosts would be needed"))
    }
}

/// So many that no part is left over; a hair too much of one is not another.
fn at_least_one(parts: f64) -> u64 {
    ((parts - 1e-9).ceil() as u64).max(1)
}

/// What decides about one plan and one setup.
pub(crate) struct Candidate<'a> {
    pub(crate) plan: &'a HostPlan,
    pub(crate) setup: super::measured::Setup,
    pub(crate) host: Capacity,
    pub(crate) sidecar: Capacity,
    pub(crate) replica: Replica,
}

impl Candidate<'_> {
    /// Where everything goes, with what the ends of the intervals would ask for.
    pub(crate) fn placement(&self, demand: &Demand) -> Result<Placement, String> {
        let Self { plan, setup, host, sidecar, replica } = self;
        let taken = demand.place(plan, host.relied_on(), sidecar.relied_on(), *replica)?;
        let hosts = |host: f64, sidecar: f64| {
            demand.place(plan, host, sidecar, *replica).map_or(taken.hosts as f64, |placed| placed.hosts as f64)
        };
        let value = hosts(host.rate.value, sidecar.rate.value);
        // An open end of a capacity leaves the fewest hosts open.
        let fewest = host.rate.high.map(|most| hosts(most, sidecar.rate.high.unwrap_or(sidecar.rate.value)));
        let certain = host.rate.low.is_some() && sidecar.rate.low.is_some();
        let hosts_needed = Estimate {
            value,
            low: fewest.filter(|_| certain),
            high: certain.then_some(taken.hosts as f64),
            level: host.rate.level.min(sidecar.rate.level),
            n: host.rate.n.min(sidecar.rate.n),
        };
        let calls = demand.calls_per_service();
        Ok(Placement {
            cpu_limit: setup.limit,
            workers: setup.workers,
            hosts: taken.hosts,
            hosts_needed,
            cost_per_month: taken.hosts as f64 * plan.per_month,
            cost_needed: hosts_needed.times(plan.per_month),
            replicas: taken.replicas,
            replicas_per_host: taken.per_host,
            rps_per_host: demand.rps / taken.hosts as f64,
            rps_per_sidecar: calls / taken.replicas as f64,
            host_capacity: host.rate,
            sidecar_capacity: sidecar.rate,
            at_least: host.at_least,
            sidecar_at_least: sidecar.at_least,
            rps_per_core: host.rate.times(1.0 / f64::from(plan.cores)),
            rps_per_currency: host.rate.times(1.0 / plan.per_month),
            bound_by: taken.bound_by,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> HostPlan {
        HostPlan {
            name: "p".into(),
            cores: 4,
            memory_bytes: 4 << 30,
            reserved_bytes: 1 << 30,
            per_month: 10.0,
            runs: vec![],
            line: 1,
        }
    }

    const DEMAND: Demand = Demand { rps: 5000.0, services: 50, visited: 3, headroom: 0.2 };
    const SMALL: Replica = Replica { memory_bytes: 50e6, idle_cores: 0.0, proxies_measured: 4 };

    #[test]
    fn the_rate_is_shared_by_hosts_and_the_calls_by_replicas() {
        // 5000 of 1250 * 0.8 a host; each service gets 5000 * 3 / 50 = 300, of 200 * 0.8 a sidecar.
        let placed = DEMAND.place(&plan(), 1250.0, 200.0, SMALL).unwrap();
        assert_eq!(placed, Placed { hosts: 5, replicas: 2, per_host: 20, bound_by: Bound::Rate });
        // A hair more is asked than four hosts hold.
        assert_eq!(DEMAND.place(&plan(), 1562.0, 400.0, SMALL).unwrap().hosts, 5);
        assert_eq!(DEMAND.place(&plan(), 1562.5, 400.0, SMALL).unwrap().hosts, 4);
    }

    #[test]
    fn memory_and_waiting_proxies_ask_for_hosts_of_their_own() {
        // 50 replicas of 500 MB: six on each host of 3 GiB.
        let large = Replica { memory_bytes: 500e6, ..SMALL };
        let placed = DEMAND.place(&plan(), 1e5, 1e5, large).unwrap();
        assert_eq!((placed.hosts, placed.per_host, placed.bound_by), (9, 6, Bound::Memory));
        // 50 proxies that wait take 46 * 0.05 of 4 cores.
        let idle = Replica { idle_cores: 0.05, ..SMALL };
        let placed = DEMAND.place(&plan(), 5000.0 / 0.8, 1e5, idle).unwrap();
        assert_eq!((placed.hosts, placed.bound_by), (2, Bound::IdleProxies));
    }

    #[test]
    fn every_host_has_a_replica_at_least() {
        let one = Demand { services: 1, visited: 1, ..DEMAND };
        let placed = one.place(&plan(), 500.0, 1e6, SMALL).unwrap();
        assert_eq!((placed.hosts, placed.replicas, placed.per_host), (13, 13, 1));
    }

    #[test]
    fn what_cannot_be_says_why() {
        let huge = Replica { memory_bytes: 4e9, ..SMALL };
        assert!(DEMAND.place(&plan(), 1e5, 1e5, huge).unwrap_err().contains("3815 MiB"));
        assert!(DEMAND.place(&plan(), 0.0, 1e5, SMALL).unwrap_err().contains("lowest rate"));
        assert!(DEMAND.place(&plan(), 0.01, 1e5, SMALL).unwrap_err().contains("more than 100000"));
    }
}
