//! The cells of a scenario: the product of its lists, each named by what varies.

use record::{Canary, Cell, Dataplane, Entry, Factors, LeftOut, Mtls, Sidecars};

use super::names::Names;
use super::{Form, Scenario, possible};
use crate::{Error, Result, Shape};

/// More cells than this is a slip in a list, not a plan.
const MOST_CELLS: usize = 1_000;

/// The cells of a scenario, and what of its product cannot be.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// The cells.
    pub cells: Vec<Cell>,
    /// What was asked for and has no cell.
    pub left_out: Vec<LeftOut>,
}

impl Scenario {
    /// The cells, in the order of the lists; equal ones once.
    ///
    /// Without a proxy the mesh factors mean nothing, so that there is one unmeshed cell for each load.
    ///
    /// # Errors
    /// [`Error::Value`] when a value is out of range, when there are too many cells, when none of them can be, or when
    /// an A/A pair is asked for and there is no unmeshed cell.
    pub fn matrix(&self) -> Result<Matrix> {
        self.check()?;
        let all = self.product()?;
        let (mut factors, mut impossible) = (Vec::new(), Vec::new());
        for one in all {
            match possible::why_not(&one) {
                None => factors.push(one),
                Some(reason) => impossible.push((one, reason)),
            }
        }
        if let (true, Some((_, reason))) = (factors.is_empty(), impossible.first()) {
            return Err(Error::Value {
                what: "the matrix".to_owned(),
                problem: format!("none of its cells can be: {reason}"),
                remedy: "other values of the factors that are named".to_owned(),
            });
        }
        if self.plan.aa {
            add_twins(&mut factors)?;
        }
        let names = Names::among(factors.iter().chain(impossible.iter().map(|(f, _)| f)));
        let left_out = impossible.iter().map(|(f, reason)| LeftOut { what: names.label(f), reason: reason.clone() });
        let left_out = left_out.collect();
        let cell = |f: Factors| Cell { id: names.id(&f), label: names.label(&f), factors: f };
        Ok(Matrix { cells: factors.into_iter().map(cell).collect(), left_out })
    }

    /// The cells alone.
    ///
    /// # Errors
    /// As [`Self::matrix`].
    pub fn cells(&self) -> Result<Vec<Cell>> {
        self.matrix().map(|matrix| matrix.cells)
    }

    /// The shape of a cell of this scenario.
    ///
    /// # Errors
    /// [`Error::Value`] for a cell of another scenario.
    pub fn shape(&self, factors: &Factors) -> Result<Shape> {
        let found = self.shapes()?.into_iter().find(|shape| shape.name == factors.chain);
        found.ok_or_else(|| Error::Value {
            what: "chain".to_owned(),
            problem: format!("the scenario has no shape '{}'", factors.chain),
            remedy: "the scenario that the cell is of".to_owned(),
        })
    }

    fn shapes(&self) -> Result<Vec<Shape>> {
        if !self.chain.topology.is_empty() {
            return Ok(vec![Shape::isotope(&self.chain.topology, "the topology")?]);
        }
        let of = |form: &Form| self.chain.services.iter().map(|n| form.shape(*n)).collect::<Vec<_>>();
        Ok(self.chain.shape.iter().flat_map(of).collect())
    }

    fn product(&self) -> Result<Vec<Factors>> {
        let mut all: Vec<Factors> = Vec::new();
        for shape in self.shapes()? {
            for load in self.loads(&shape)? {
                for meshed in self.meshes(&load, &shape)? {
                    if !all.contains(&meshed) {
                        all.push(meshed);
                    }
                }
                if all.len() > MOST_CELLS {
                    return Err(too_many());
                }
            }
        }
        Ok(all)
    }

    /// A shape with every load, unmeshed.
    fn loads(&self, shape: &Shape) -> Result<Vec<Factors>> {
        let (chain, load) = (&self.chain, &self.load);
        let lengths = [
            chain.work_us.len(),
            chain.response_bytes.len(),
            chain.error_rate.len(),
            load.rate.len(),
            load.connections.len(),
            load.keepalive.len(),
            load.arrival.len(),
            load.pace.len(),
            self.host.neighbour.len(),
        ];
        few_enough(&lengths)?;
        let mut all = vec![Factors {
            chain: shape.name.clone(),
            services: shape.services.len() as u32,
            hops: shape.hops(),
            platform: self.plan.platform,
            ..Factors::unmeshed()
        }];
        all = crossed(&all, &chain.work_us, |f, v| f.work_us = *v);
        all = crossed(&all, &chain.response_bytes, |f, v| f.response_bytes = *v);
        all = crossed(&all, &chain.error_rate, |f, v| f.error_rate = *v);
        all = crossed(&all, &load.rate, |f, v| f.rate_per_second = *v);
        all = crossed(&all, &load.connections, |f, v| f.connections = *v);
        all = crossed(&all, &load.keepalive, |f, v| f.keepalive = *v);
        all = crossed(&all, &load.arrival, |f, v| f.arrival = *v);
        all = crossed(&all, &load.pace, |f, v| f.pace = *v);
        Ok(crossed(&all, &self.host.neighbour, |f, v| f.neighbour = *v))
    }

    /// One load with every mesh.
    fn meshes(&self, load: &Factors, shape: &Shape) -> Result<Vec<Factors>> {
        let mut all = Vec::new();
        for dataplane in &self.mesh.dataplane {
            match dataplane {
                Dataplane::None => all.push(load.clone()),
                proxied => all.extend(self.proxied(Factors { dataplane: *proxied, ..load.clone() }, shape)?),
            }
        }
        Ok(all)
    }

    fn proxied(&self, one: Factors, shape: &Shape) -> Result<Vec<Factors>> {
        let (mesh, canary) = (&self.mesh, &self.canary);
        let lengths = [
            mesh.mtls.len() * mesh.port_mtls.len() * mesh.entry.len() * mesh.sidecars.len(),
            mesh.protocol.len() * mesh.retries.len() * mesh.requests_per_connection.len() * mesh.rotate.len(),
            mesh.access_log.len() * mesh.access_log_to.len() * mesh.access_log_dir.len() * mesh.log_flush.len(),
            mesh.log_flush_kb.len() * mesh.stats_scrape.len() * mesh.cpu_limit.len() * mesh.cpu_request.len(),
            mesh.memory_limit.len() * mesh.workers.len(),
            canary.weights.len() * canary.work_us.len() * canary.error_rate.len(),
        ];
        few_enough(&lengths)?;
        let mut all = vec![one];
        all = crossed(&all, &mesh.mtls, |f, v| f.mtls = *v);
        all = crossed(&all, &mesh.port_mtls, |f, v| f.port_mtls = *v);
        all = crossed(&all, &mesh.entry, |f, v| f.entry = *v);
        all = crossed(&all, &mesh.sidecars, |f, v| f.sidecars = *v);
        all = crossed(&all, &mesh.protocol, |f, v| f.protocol = *v);
        all = crossed(&all, &mesh.retries, |f, v| f.retries = *v);
        all = crossed(&all, &mesh.requests_per_connection, |f, v| f.requests_per_connection = *v);
        all = crossed(&all, &mesh.rotate, |f, v| f.rotate_ns = v.ns);
        all = crossed(&all, &mesh.access_log, |f, v| f.access_log = *v);
        all = crossed(&all, &mesh.access_log_to, |f, v| f.access_log_to = *v);
        all = crossed(&all, &mesh.access_log_dir, |f, v| f.access_log_dir.clone_from(v));
        all = crossed(&all, &mesh.log_flush, |f, v| f.log_flush_ns = v.ns);
        all = crossed(&all, &mesh.log_flush_kb, |f, v| f.log_flush_kb = *v);
        all = crossed(&all, &mesh.stats_scrape, |f, v| f.stats_scrape_ns = v.ns);
        all = crossed(&all, &mesh.cpu_limit, |f, v| f.cpu_limit = *v);
        all = crossed(&all, &mesh.cpu_request, |f, v| f.cpu_request = *v);
        all = crossed(&all, &mesh.memory_limit, |f, v| f.memory_limit = *v);
        all = crossed(&all, &mesh.workers, |f, v| f.worker_rule = *v);
        all = crossed(&all, &self.canaries(shape)?, |f, v| f.canary.clone_from(v));
        let cpus = cpus();
        all.iter_mut().for_each(|f| settle(f, cpus));
        Ok(all)
    }

    fn canaries(&self, shape: &Shape) -> Result<Vec<Option<Canary>>> {
        let canary = &self.canary;
        let fault = |field: &str, problem: String, remedy: String| Error::Value {
            what: format!("canary.{field}"),
            problem,
            remedy,
        };
        let names: Vec<&str> = shape.services.iter().map(|s| s.name.as_str()).collect();
        let last = names.last().copied().unwrap_or_default();
        let service = if canary.service.is_empty() { last } else { canary.service.as_str() };
        if !names.contains(&service) {
            let remedy = format!("one of {}, or nothing for the last one", names.join(", "));
            return Err(fault("service", format!("there is no service '{service}' in {}", shape.name), remedy));
        }
        let mut all = Vec::new();
        for weights in &canary.weights {
            let Some(weights) = weights else {
                all.push(None);
                continue;
            };
            let shifts = canary.shift.iter().map(|change| change.shift(weights));
            let shifts: Vec<_> = shifts.collect::<std::result::Result<_, _>>().map_err(|problem| {
                fault("shift", problem, "subsets and weights of canary.weights, the sum unchanged".to_owned())
            })?;
            let late = shifts.iter().find(|shift| shift.at_ns >= self.timing.measure_ns);
            if let Some(late) = late {
                let problem = format!("a change at {} s is after the end", late.at_ns as f64 / 1e9);
                return Err(fault("shift", problem, "changes within trial.measure".to_owned()));
            }
            for work_us in &canary.work_us {
                all.extend(canary.error_rate.iter().map(|error_rate| {
                    Some(Canary {
                        service: service.to_owned(),
                        weights: weights.clone(),
                        work_us: *work_us,
                        error_rate: *error_rate,
                        shifts: shifts.clone(),
                    })
                }));
            }
        }
        Ok(all)
    }
}

/// Puts each factor that another one decides to what it then is, so that equal cells are seen to be equal.
fn settle(f: &mut Factors, cpus: u32) {
    let plain = Factors::unmeshed();
    f.workers = f.worker_rule.resolve(f.cpu_limit, f.cpu_request, cpus);
    // Istio asks for TLS only where the callee has a sidecar to speak it.
    if f.sidecars == Sidecars::Client {
        (f.mtls, f.port_mtls, f.rotate_ns) = (Mtls::Disable, None, 0);
    }
    if f.sidecars == Sidecars::Server && f.entry == Entry::Sidecar {
        f.entry = Entry::Plain;
    }
    crate::cluster::settle(f);
    if f.port_mtls == Some(f.mtls) {
        f.port_mtls = None;
    }
    if f.access_log == plain.access_log {
        f.access_log_to = plain.access_log_to;
        f.access_log_dir = plain.access_log_dir;
        (f.log_flush_ns, f.log_flush_kb) = (plain.log_flush_ns, plain.log_flush_kb);
    }
}

/// The CPUs that a process of ours may run on.
pub(crate) fn cpus() -> u32 {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count().max(1))
}

fn few_enough(lengths: &[usize]) -> Result<()> {
    let count = lengths.iter().try_fold(1_usize, |product, n| product.checked_mul(*n));
    if count.is_some_and(|n| n <= MOST_CELLS) { Ok(()) } else { Err(too_many()) }
}

fn too_many() -> Error {
    Error::Value {
        what: "the matrix".to_owned(),
        problem: format!("the lists make more than {MOST_CELLS} cells"),
        remedy: "fewer values; every value of a list is combined with every value of the others".to_owned(),
    }
}

fn crossed<T>(all: &[Factors], values: &[T], set: impl Fn(&mut Factors, &T)) -> Vec<Factors> {
    let with = |factors: &Factors, value: &T| {
        let mut factors = factors.clone();
        set(&mut factors, value);
        factors
    };
    all.iter().flat_map(|factors| values.iter().map(move |value| (factors, value))).map(|(f, v)| with(f, v)).collect()
}

fn add_twins(all: &mut Vec<Factors>) -> Result<()> {
    let twins: Vec<Factors> = all.iter().filter(|f| !f.meshed()).map(|f| Factors { twin: 1, ..f.clone() }).collect();
    if twins.is_empty() {
        return Err(Error::Value {
            what: "plan.aa".to_owned(),
            problem: "there is no unmeshed cell to make a twin of".to_owned(),
            remedy: "add \"none\" to mesh.dataplane, or leave aa out".to_owned(),
        });
    }
    all.extend(twins);
    Ok(())
}
