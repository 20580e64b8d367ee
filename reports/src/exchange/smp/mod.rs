//! Files of the Service Mesh Performance specification: its four messages, and beside each result what it cannot carry.
//!
//! The messages are those of `protos/service_mesh_performance.proto`, in the JSON form of protocol buffers with the names
//! of the fields as they stand there. `reports/smp-extension.md` says what stands where, and why.

mod extension;
mod messages;

pub use extension::{Extension, ExtensionOf};

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use record::{Cell, Entry, Mtls, Reading, Role, Run, RunDirectory, Trial};

use super::files::Files;
use super::sealed;
use crate::findings::{Figure, person_name};
use crate::load::Measured;
use crate::{CellFindings, Findings, Result};
use messages::{
    Client, EnvironmentConfig, Gateway, Latency, Node, PerformanceTestConfig, PerformanceTestResult, ServiceMeshConfig,
    Sidecars, VERSION,
};

const MIB: f64 = (1u64 << 20) as f64;

/// Endings of the files.
const RESULT: &str = "result.json";
const TEST: &str = "test.json";
const MESH: &str = "mesh.json";
const EXTENSION: &str = "meshtax.json";
const ENVIRONMENT: &str = "environment";

pub(super) fn write(dir: &RunDirectory, findings: &Findings, files: &mut Files) -> Result<()> {
    let run = dir.run()?;
    let trials = sealed::trials(dir, &run)?;
    files.put_json(ENVIRONMENT, "json", &environment(&run))?;
    let mut cells: BTreeMap<&str, Measured> = BTreeMap::new();
    for trial in &trials {
        let measured = sealed::measured(dir, trial)?;
        let Some(cell) = run.cell(&trial.cell) else { continue };
        files.put_json(&trial.id, RESULT, &of_trial(&run, cell, trial, &measured))?;
        files.put_json(&trial.id, EXTENSION, &Extension::of_trial(&run, trial, &measured))?;
        sealed::add(cells.entry(&trial.cell).or_default(), &measured)?;
    }
    for cell in &run.cells {
        let found = findings.cells.iter().find(|found| found.id == cell.id);
        let (Some(found), Some(measured)) = (found, cells.get(cell.id.as_str())) else { continue };
        let of_cell: Vec<&Trial> = trials.iter().filter(|trial| trial.cell == cell.id).collect();
        let Some(first) = of_cell.first() else { continue };
        files.put_json(&cell.id, TEST, &test(&run, cell, first))?;
        if cell.factors.meshed() {
            files.put_json(&cell.id, MESH, &mesh(&run, cell, found, first))?;
        }
        files.put_json(&cell.id, RESULT, &of_cell_together(&run, cell, found, &of_cell, measured))?;
        files.put_json(&cell.id, EXTENSION, &Extension::of_cell(&run, findings, found, measured))?;
    }
    Ok(())
}

/// What each message is labelled with, so that it can be found again.
fn labels(run: &Run, cell: Option<&Cell>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        ("meshtax.run".to_owned(), run.id.clone()),
        ("meshtax.scenario".to_owned(), run.scenario.clone()),
        ("meshtax.method".to_owned(), run.method.to_string()),
    ]);
    if let Some(cell) = cell {
        labels.insert("meshtax.cell".to_owned(), cell.id.clone());
        labels.insert("meshtax.label".to_owned(), person_name(&cell.label));
        labels.insert("meshtax.dataplane".to_owned(), cell.factors.dataplane.to_string());
    }
    if let Some(commit) = run.source.as_ref().and_then(|source| source.commit.clone()) {
        labels.insert("meshtax.commit".to_owned(), commit);
    }
    labels
}

fn of_trial(run: &Run, cell: &Cell, trial: &Trial, measured: &Measured) -> PerformanceTestResult {
    let response = &measured.response;
    let some = !response.is_empty();
    let at = |quantile| some.then(|| ms(response.quantile(quantile) as f64));
    PerformanceTestResult {
        smp_version: VERSION,
        id: trial.id.clone(),
        labels: labels(run, Some(cell)),
        start_time: time(sealed::real_ns(trial.anchor, trial.load.start_ns)),
        end_time: time(sealed::real_ns(trial.anchor, trial.load.end_ns)),
        latencies_ms: Latency {
            min: sealed::least_ns(response).map(|ns| ms(ns as f64)),
            average: some.then(|| ms(response.mean())),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: at(1.0),
        },
        actual_qps: trial.load.achieved_per_second,
        details_uri: format!("{}.{EXTENSION}", trial.id),
        test_id: cell.id.clone(),
        mesh_config_id: if cell.factors.meshed() { cell.id.clone() } else { String::new() },
        env_id: run.id.clone(),
    }
}

/// The figures of a cell: quantiles and mean as in findings.json, over trials; the ends are those of all requests.
fn of_cell_together(
    run: &Run,
    cell: &Cell,
    found: &CellFindings,
    trials: &[&Trial],
    measured: &Measured,
) -> PerformanceTestResult {
    let value = |figure: &Figure| figure.seen().map(|e| ms(e.value));
    let response = &measured.response;
    let moment = |of: fn(&Trial) -> u64| trials.iter().map(move |t| sealed::real_ns(t.anchor, of(t)));
    PerformanceTestResult {
        smp_version: VERSION,
        id: cell.id.clone(),
        labels: labels(run, Some(cell)),
        start_time: time(moment(|t| t.load.start_ns).min().unwrap_or_default()),
        end_time: time(moment(|t| t.load.end_ns).max().unwrap_or_default()),
        latencies_ms: Latency {
            min: sealed::least_ns(response).map(|ns| ms(ns as f64)),
            average: value(&found.response_mean_ns),
            p50: value(&found.response_ns.p50),
            p90: value(&found.response_ns.p90),
            p99: value(&found.response_ns.p99),
            max: (!response.is_empty()).then(|| ms(response.max() as f64)),
        },
        actual_qps: found.answered_per_second.seen().map_or(0.0, |e| e.value),
        details_uri: format!("{}.{EXTENSION}", cell.id),
        test_id: cell.id.clone(),
        mesh_config_id: if cell.factors.meshed() { cell.id.clone() } else { String::new() },
        env_id: run.id.clone(),
    }
}

fn test(run: &Run, cell: &Cell, trial: &Trial) -> PerformanceTestConfig {
    let factors = &cell.factors;
    PerformanceTestConfig {
        smp_version: VERSION,
        id: cell.id.clone(),
        name: format!("{}: {}", run.scenario, person_name(&cell.label)),
        labels: labels(run, Some(cell)),
        clients: vec![Client {
            internal: true,
            load_generator: run.program.clone(),
            protocol: "PROTOCOL_HTTP",
            connections: whole(f64::from(factors.connections)),
            // A whole number there; the exact rate is among the factors of the extension.
            rps: factors.rate_per_second.round() as i64,
            endpoint_urls: vec![trial.load.url.clone()],
        }],
        duration: format!("{}s", run.timing.measure_ns as f64 / 1e9),
    }
}

fn mesh(run: &Run, cell: &Cell, found: &CellFindings, trial: &Trial) -> ServiceMeshConfig {
    let factors = &cell.factors;
    let of = |role: Role| {
        let names: Vec<&str> = trial.parts.iter().filter(|p| p.role == role).map(|p| p.name.as_str()).collect();
        let sum = |pick: fn(&crate::PartCosts) -> &Figure| -> f64 {
            let costs = names.iter().filter_map(|name| found.proxies.parts.get(*name));
            costs.filter_map(|costs| pick(costs).seen()).map(|e| e.value).sum()
        };
        (names.len(), whole(sum(|c| &c.cpu_millicores)), whole(sum(|c| &c.rss_bytes) / MIB))
    };
    let rps = whole(found.answered_per_second.seen().map_or(0.0, |e| e.value));
    let (sidecars, gateways) = (of(Role::Sidecar), of(Role::Gateway));
    // A proxy of the node has no field of its own, and is none of the sidecars: it is in the extension alone.
    let proxy = trial.parts.iter().find(|part| part.role.is_proxy());
    ServiceMeshConfig {
        smp_version: VERSION,
        id: cell.id.clone(),
        labels: labels(run, Some(cell)),
        ingress_gateway: (factors.entry == Entry::Gateway && gateways.0 > 0).then_some(Gateway {
            count: whole(gateways.0 as f64),
            cpu_mcores: gateways.1,
            mem_mb: gateways.2,
            rps,
        }),
        sidecar: (sidecars.0 > 0).then_some(Sidecars {
            count: whole(sidecars.0 as f64),
            cpu_mcores: sidecars.1,
            mem_mb: sidecars.2,
            rps,
        }),
        mtls_enabled: factors.mtls != Mtls::Disable,
        proxy_concurrency: whole(f64::from(factors.workers)),
        proxy_build: proxy.map(|part| part.program.clone()).unwrap_or_default(),
        exp_group_uuid: run.id.clone(),
    }
}

fn environment(run: &Run) -> EnvironmentConfig {
    let host = &run.host;
    let seen = |name: &str, reading: &Reading<String>| {
        reading.seen().map(|value| (format!("meshtax.host.{name}"), value.clone()))
    };
    let mut labels = labels(run, None);
    labels.insert("meshtax.host.kernel".to_owned(), host.kernel.clone());
    labels.extend(seen("virtual_machine", &host.virtual_machine));
    labels.extend(seen("distribution", &host.distribution));
    EnvironmentConfig {
        smp_version: VERSION,
        id: run.id.clone(),
        labels,
        nodes: vec![Node {
            r#type: host.cpu_model.seen().unwrap_or(&host.arch).clone(),
            cores: whole(host.cpus_online.len() as f64),
            mem_mb: host.memory_bytes.seen().map(|bytes| (*bytes as f64 / MIB).round() as i64),
        }],
    }
}

fn ms(ns: f64) -> f64 {
    ns / 1e6
}

/// The nearest whole number that an `int32` holds.
fn whole(value: f64) -> i32 {
    value.round() as i32
}

fn time(real_ns: u64) -> String {
    humantime::format_rfc3339_nanos(UNIX_EPOCH + Duration::from_nanos(real_ns)).to_string()
}
