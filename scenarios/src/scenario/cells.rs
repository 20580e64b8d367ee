//! The cells of a scenario: the product of its lists, each named by what varies.

use record::{Cell, Dataplane, Factors, Mtls, Platform};

use super::Scenario;
use crate::{Error, Result, Shape};

/// More cells than this is a slip in a list, not a plan.
const MOST_CELLS: usize = 1_000;

impl Scenario {
    /// The cells, in the order of the lists; equal ones once.
    ///
    /// Without a proxy the mesh factors mean nothing, so that there is one unmeshed cell for each load.
    ///
    /// # Errors
    /// [`Error::Value`] when a value is out of range, when there are too many cells, or when an A/A pair is asked
    /// for and there is no unmeshed cell.
    pub fn cells(&self) -> Result<Vec<Cell>> {
        self.check()?;
        let mut factors = self.product()?;
        if self.plan.aa {
            add_twins(&mut factors)?;
        }
        let varying = Varying::among(&factors);
        Ok(factors.into_iter().map(|f| Cell { id: varying.id(&f), label: varying.label(&f), factors: f }).collect())
    }

    fn product(&self) -> Result<Vec<Factors>> {
        let mut all: Vec<Factors> = Vec::new();
        for load in self.loads()? {
            for meshed in self.meshes(&load) {
                if !all.contains(&meshed) {
                    all.push(meshed);
                }
            }
            if all.len() > MOST_CELLS {
                return Err(too_many());
            }
        }
        Ok(all)
    }

    /// Every chain with every load, unmeshed.
    fn loads(&self) -> Result<Vec<Factors>> {
        let (chain, load) = (&self.chain, &self.load);
        let lengths = [
            chain.services.len(),
            chain.work_us.len(),
            chain.response_bytes.len(),
            load.rate.len(),
            load.connections.len(),
            load.arrival.len(),
            load.pace.len(),
        ];
        let count = lengths.iter().try_fold(1_usize, |product, n| product.checked_mul(*n));
        if count.is_none_or(|n| n > MOST_CELLS) {
            return Err(too_many());
        }
        let shapes: Vec<Shape> = chain.services.iter().map(|n| Shape::chain(*n)).collect();
        let mut all: Vec<Factors> = shapes.iter().map(unmeshed).collect();
        all = crossed(&all, &chain.work_us, |f, v| f.work_us = *v);
        all = crossed(&all, &chain.response_bytes, |f, v| f.response_bytes = *v);
        all = crossed(&all, &load.rate, |f, v| f.rate_per_second = *v);
        all = crossed(&all, &load.connections, |f, v| f.connections = *v);
        all = crossed(&all, &load.arrival, |f, v| f.arrival = *v);
        Ok(crossed(&all, &load.pace, |f, v| f.pace = *v))
    }

    /// One load with every mesh.
    fn meshes(&self, load: &Factors) -> Vec<Factors> {
        let mesh = &self.mesh;
        let with_proxies = |dataplane: &Dataplane| {
            let one = [Factors { dataplane: *dataplane, ..load.clone() }];
            let mut all = crossed(&one, &mesh.mtls, |f, v| f.mtls = *v);
            all = crossed(&all, &mesh.cpu_limit, |f, v| f.cpu_limit = *v);
            crossed(&all, &mesh.workers, |f, v| f.workers = *v)
        };
        let of = |dataplane: &Dataplane| match dataplane {
            Dataplane::None => vec![load.clone()],
            Dataplane::Embedded | Dataplane::Envoy => with_proxies(dataplane),
        };
        mesh.dataplane.iter().flat_map(of).collect()
    }
}

fn too_many() -> Error {
    Error::Value {
        what: "the matrix".to_owned(),
        problem: format!("the lists make more than {MOST_CELLS} cells"),
        remedy: "fewer values; every value of a list is combined with every value of the others".to_owned(),
    }
}

/// The factors of a shape before any list is applied; each of them is set by one.
fn unmeshed(shape: &Shape) -> Factors {
    Factors {
        chain: shape.name.clone(),
        services: shape.services.len() as u32,
        hops: shape.hops(),
        dataplane: Dataplane::None,
        mtls: Mtls::Disable,
        cpu_limit: None,
        workers: 0,
        work_us: 0,
        response_bytes: 0,
        rate_per_second: 0.0,
        connections: 0,
        arrival: record::Arrival::Constant,
        pace: record::Pace::Hybrid,
        platform: Platform::Processes,
        twin: 0,
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

/// Which factors take more than one value, so that a name can leave out the others.
struct Varying {
    services: bool,
    dataplane: bool,
    mtls: bool,
    cpu_limit: bool,
    workers: bool,
    work_us: bool,
    response_bytes: bool,
    rate: bool,
    connections: bool,
    arrival: bool,
    pace: bool,
}

impl Varying {
    fn among(all: &[Factors]) -> Self {
        let meshed: Vec<&Factors> = all.iter().filter(|f| f.meshed()).collect();
        let every: Vec<&Factors> = all.iter().collect();
        fn varies<T: PartialEq>(among: &[&Factors], of: impl Fn(&Factors) -> T) -> bool {
            among.first().is_some_and(|first| among.iter().any(|f| of(f) != of(first)))
        }
        Self {
            services: varies(&every, |f| f.services),
            dataplane: varies(&every, |f| f.dataplane),
            mtls: varies(&meshed, |f| f.mtls),
            cpu_limit: varies(&meshed, |f| f.cpu_limit),
            workers: varies(&meshed, |f| f.workers),
            work_us: varies(&every, |f| f.work_us),
            response_bytes: varies(&every, |f| f.response_bytes),
            rate: varies(&every, |f| f.rate_per_second),
            connections: varies(&every, |f| f.connections),
            arrival: varies(&every, |f| f.arrival),
            pace: varies(&every, |f| f.pace),
        }
    }

    /// "chain3-envoy-500m": shape, dataplane and limit always, the others where they vary.
    fn id(&self, f: &Factors) -> String {
        let meshed = f.meshed();
        let mut parts = vec![f.chain.clone(), f.dataplane.to_string()];
        let mut add = |wanted: bool, text: String| wanted.then(|| parts.push(text));
        add(f.cpu_limit.is_some(), limit_word(f));
        add(meshed && self.mtls, mtls_word(f).to_owned());
        add(meshed && self.workers, format!("{}workers", f.workers));
        add(self.work_us, format!("{}us", f.work_us));
        add(self.response_bytes, format!("{}bytes", f.response_bytes));
        add(self.rate, format!("{}rps", f.rate_per_second));
        add(self.connections, format!("{}conns", f.connections));
        add(self.arrival, f.arrival.to_string());
        add(self.pace, f.pace.to_string());
        add(f.twin > 0, "again".to_owned());
        parts.join("-")
    }

    /// "envoy, 500m": only what varies; the dataplane where nothing does.
    fn label(&self, f: &Factors) -> String {
        let meshed = f.meshed();
        let mut parts = Vec::new();
        let mut add = |wanted: bool, text: String| wanted.then(|| parts.push(text));
        add(self.services, if f.services == 1 { "1 service".into() } else { format!("{} services", f.services) });
        add(self.dataplane, f.dataplane.to_string());
        add(meshed && self.cpu_limit, limit_word(f));
        add(meshed && self.mtls, mtls_word(f).to_owned());
        add(meshed && self.workers, if f.workers == 1 { "1 worker".into() } else { format!("{} workers", f.workers) });
        add(self.work_us, format!("{} µs work", f.work_us));
        add(self.response_bytes, format!("{} bytes", f.response_bytes));
        add(self.rate, format!("{} requests/s", f.rate_per_second));
        add(self.connections, format!("{} connections", f.connections));
        add(self.arrival, f.arrival.to_string());
        add(self.pace, format!("{} pace", f.pace));
        if parts.is_empty() {
            parts.push(f.dataplane.to_string());
        }
        if f.twin > 0 {
            parts.push("again".to_owned());
        }
        parts.join(", ")
    }
}

fn limit_word(f: &Factors) -> String {
    f.cpu_limit.map_or_else(|| "no limit".to_owned(), |q| q.to_string())
}

fn mtls_word(f: &Factors) -> &'static str {
    match f.mtls {
        Mtls::Strict => "mtls",
        Mtls::Disable => "plaintext",
    }
}
