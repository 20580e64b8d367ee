//! A run in the forms of other tools holds what was recorded, count for count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use record::{Histogram, Phase, RunDirectory};
use reports::exchange::{self, Form};
use reports::load::fortio_import;
use serde_json::Value;

use crate::made::{MadeRun, first_look};

/// Two trials of each of four cells, a second each: 500 requests a trial.
fn small() -> MadeRun {
    MadeRun { repeats: 2, tenths: 10, ..first_look() }
}

fn names(files: &[PathBuf]) -> BTreeSet<String> {
    files.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

fn written(form: Form) -> (tempfile::TempDir, RunDirectory, reports::Findings, PathBuf, BTreeSet<String>) {
    let parent = tempfile::tempdir().unwrap();
    let dir = small().write(parent.path());
    let findings = reports::findings(&dir).unwrap();
    let folder = parent.path().join("out");
    let files = names(&exchange::write(&dir, &findings, form, &folder).unwrap());
    (parent, dir, findings, folder, files)
}

/// The times of a trial or of a cell, as they are recorded.
fn recorded(dir: &RunDirectory, id: &str) -> (Histogram, Histogram, u64) {
    let (mut response, mut service, mut due) = (Histogram::new(), Histogram::new(), 0);
    for trial in dir.trials(&dir.run().unwrap()).unwrap().iter().filter(|t| t.id == id || t.cell == id) {
        due += trial.load.due;
        for interval in dir.intervals(&trial.id).unwrap().map(Result::unwrap).filter(|i| i.phase == Phase::Measure) {
            response.add(&interval.response).unwrap();
            service.add(&interval.service).unwrap();
        }
    }
    (response, service, due)
}

fn ids(dir: &RunDirectory) -> Vec<String> {
    let run = dir.run().unwrap();
    run.trials.iter().map(|t| t.id.clone()).chain(run.cells.iter().map(|c| c.id.clone())).collect()
}

#[test]
fn logs_hold_every_count_of_a_trial_and_of_a_cell() {
    let (_parent, dir, _, folder, files) = written(Form::Hlog);
    assert_eq!(files, ids(&dir).iter().map(|id| format!("{id}.hlog")).collect());
    for id in ids(&dir) {
        let text = std::fs::read(folder.join(format!("{id}.hlog"))).unwrap();
        let mut merged: BTreeMap<String, Histogram> = BTreeMap::new();
        let mut latest = None;
        for entry in IntervalLogIterator::new(&text) {
            let LogEntry::Interval(interval) = entry.unwrap() else { continue };
            assert!(latest <= Some(interval.start_timestamp()), "{id}: it goes back in time");
            latest = Some(interval.start_timestamp());
            let histogram = Histogram::decode(interval.encoded_histogram()).unwrap();
            merged.entry(interval.tag().unwrap().as_str().to_owned()).or_default().add(&histogram).unwrap();
        }
        let (response, service, due) = recorded(&dir, &id);
        assert_eq!((&merged["response"], &merged["service"], merged.len()), (&response, &service, 2), "{id}");
        assert_eq!(response.count(), due, "{id}");
    }
}

#[test]
fn fortios_results_hold_every_request() {
    let (_parent, dir, _, folder, files) = written(Form::Fortio);
    assert_eq!(files, ids(&dir).iter().map(|id| format!("{id}.json")).collect());
    for id in ids(&dir) {
        let path = folder.join(format!("{id}.json"));
        let result = json(&path);
        let (response, _, due) = recorded(&dir, &id);
        assert_eq!(result["DurationHistogram"]["Count"], response.count(), "{id}");
        let codes: u64 = result["RetCodes"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(codes, due, "{id}");
        let together = dir.run().unwrap().cell(&id).is_some();
        assert_eq!(result["ActualDuration"], if together { 2_000_000_000u64 } else { 1_000_000_000 }, "{id}");
        assert_eq!(result["ActualQPS"], 500.0, "{id}");
        let labels = result["Labels"].as_str().unwrap();
        assert!(labels.starts_with("first-look: ") && labels.ends_with("valid"), "{labels}");
        let text = std::fs::read_to_string(&path).unwrap();
        let imported = fortio_import::import(&text, &path, 1_000).unwrap();
        let p99 = imported.quantiles.iter().find(|q| q.percentile == 99.0).unwrap();
        assert_eq!(p99.stated_ns, Some(response.quantile(0.99)), "{id}");
    }
}

/// The fields of the specification's messages that are used, with their types in protocol buffers, as
/// `protos/service_mesh_performance.proto` has them.
fn kind_of(message: &str, field: &str) -> &'static str {
    match (message, field) {
        (_, "smp_version" | "id" | "name") => "string",
        (_, "labels") => "map",
        ("test", "clients") => "Client",
        ("test", "duration") => "string",
        ("Client", "internal") => "bool",
        ("Client", "load_generator") => "string",
        ("Client", "protocol") => "Protocol",
        ("Client", "connections") => "int32",
        ("Client", "rps") => "int64",
        ("Client", "endpoint_urls") => "strings",
        ("result", "start_time" | "end_time") => "Timestamp",
        ("result", "latencies_ms") => "Latency",
        ("result", "actual_qps") => "double",
        ("result", "details_uri" | "test_id" | "mesh_config_id" | "env_id") => "string",
        ("Latency", "min" | "average" | "p50" | "p90" | "p99" | "max") => "double",
        ("mesh", "sidecar" | "ingress_gateway") => "Sidecar",
        ("Sidecar", "count" | "cpu_mcores" | "mem_mb" | "rps") => "int32",
        ("mesh", "mtls_enabled") => "bool",
        ("mesh", "proxy_concurrency") => "int32",
        ("mesh", "proxy_build" | "exp_group_uuid") => "string",
        ("environment", "nodes") => "Node",
        ("Node", "type") => "string",
        ("Node", "cores") => "int32",
        ("Node", "mem_mb") => "int64",
        _ => panic!("{message} has no field {field}"),
    }
}

fn keeps_to(message: &str, value: &Value) {
    for (field, value) in value.as_object().unwrap_or_else(|| panic!("{message}: {value}")) {
        let right = match kind_of(message, field) {
            "string" => value.is_string(),
            "bool" => value.is_boolean(),
            "double" => value.is_f64(),
            "int32" => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            "int64" => value.is_i64(),
            "map" => value.as_object().unwrap().values().all(Value::is_string),
            "strings" => value.as_array().unwrap().iter().all(Value::is_string),
            "Timestamp" => value.as_str().unwrap().ends_with('Z'),
            "Protocol" => value == "PROTOCOL_HTTP",
            inner => {
                let several = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
                several.iter().for_each(|value| keeps_to(inner, value));
                true
            }
        };
        assert!(right, "{message}.{field} is {value}");
    }
}

#[test]
fn smp_files_are_of_its_messages_and_name_one_another() {
    let (_parent, dir, findings, folder, files) = written(Form::Smp);
    let run = dir.run().unwrap();
    keeps_to("environment", &json(&folder.join("environment.json")));
    let mut want = BTreeSet::from(["environment.json".to_owned()]);
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/smp-extension.schema.json");
    let schema = jsonschema::validator_for(&json(Path::new(schema))).unwrap();
    for id in ids(&dir) {
        let result = json(&folder.join(format!("{id}.result.json")));
        keeps_to("result", &result);
        let details = result["details_uri"].as_str().unwrap();
        want.extend([format!("{id}.result.json"), details.to_owned()]);
        let extension = json(&folder.join(details));
        let faults: Vec<String> = schema.iter_errors(&extension).map(|e| format!("{}: {e}", e.instance_path)).collect();
        assert_eq!(faults, Vec::<String>::new(), "{id}");
        let (response, service, _) = recorded(&dir, &id);
        let kept = |name: &str| Histogram::decode(extension[name].as_str().unwrap()).unwrap();
        assert_eq!((kept("response"), kept("service")), (response, service), "{id}");
        assert_eq!(
            (extension["result"].as_str(), result["env_id"].as_str()),
            (Some(id.as_str()), Some(run.id.as_str()))
        );
        let test = result["test_id"].as_str().unwrap();
        keeps_to("test", &json(&folder.join(format!("{test}.test.json"))));
        want.insert(format!("{test}.test.json"));
        if let Some(mesh) = result.get("mesh_config_id") {
            let mesh = format!("{}.mesh.json", mesh.as_str().unwrap());
            keeps_to("mesh", &json(&folder.join(&mesh)));
            want.insert(mesh);
        }
    }
    assert_eq!(files, want, "and nothing else");

    let cell = findings.cells.iter().find(|c| c.id == "chain3-envoy").unwrap();
    let result = json(&folder.join("chain3-envoy.result.json"));
    let p99 = cell.response_ns.p99.seen().unwrap().value;
    assert_eq!(result["latencies_ms"]["p99"].as_f64(), Some(p99 / 1e6), "the figure of the findings");
    let mesh = json(&folder.join("chain3-envoy.mesh.json"));
    // Four sidecars of a tenth of a core and 40 MiB each.
    let sidecar = &mesh["sidecar"];
    assert_eq!((&sidecar["count"], &sidecar["mem_mb"], &mesh["mtls_enabled"]), (&4.into(), &160.into(), &true.into()));
    assert!((sidecar["cpu_mcores"].as_i64().unwrap() - 400).abs() <= 4, "{sidecar}");
    assert!(json(&folder.join("chain3-none.result.json")).get("mesh_config_id").is_none());
    let of = &json(&folder.join("chain3-envoy.meshtax.json"))["of"]["cell"];
    assert_eq!(of["taxes"][0]["cell"], "chain3-envoy");
}

#[test]
fn open_metrics_sum_over_trials_and_bound_figures() {
    let parent = tempfile::tempdir().unwrap();
    let dir = small().write(parent.path());
    let findings = reports::findings(&dir).unwrap();
    let page = exchange::open_metrics(&dir, &findings).unwrap();
    assert!(page.ends_with("\n# EOF\n") && page.matches("# EOF").count() == 1);
    let values = |series: &str| -> Vec<f64> {
        page.lines().filter(|l| l.starts_with(series)).map(|l| l.rsplit(' ').next().unwrap().parse().unwrap()).collect()
    };
    let due: f64 = values("meshtax_run_due_requests_total{cell=\"chain3-envoy\"").iter().sum();
    assert_eq!(due, recorded(&dir, "chain3-envoy").2 as f64);
    let counts = page.lines().filter(|l| l.starts_with("meshtax_run_response_seconds_count{cell=\"chain3-envoy\""));
    assert_eq!(counts.count(), 2);
    let p99 = findings.cells[3].response_ns.p99.seen().copied().unwrap();
    for (bound, want) in [("value", Some(p99.value)), ("low", p99.low), ("high", p99.high)] {
        let series = format!(
            "meshtax_run_quantile_seconds{{cell=\"chain3-envoy\",time=\"response\",quantile=\"0.99\",bound=\"{bound}\"}}"
        );
        assert_eq!(values(&series), [want.unwrap() * 1e-9], "{series}");
    }
    let families: Vec<&str> = page.lines().filter_map(|l| l.strip_prefix("# TYPE ")).collect();
    let known: BTreeSet<&str> = families.iter().copied().collect();
    assert_eq!(known.len(), families.len(), "each family stands once, with its samples together");
}

#[test]
fn tables_have_a_row_for_each_interval_and_each_sample() {
    let parent = tempfile::tempdir().unwrap();
    let dir = small().write(parent.path());
    let run = dir.run().unwrap();
    let (mut intervals, mut samples) = (Vec::new(), Vec::new());
    exchange::intervals_csv(&dir, &mut intervals).unwrap();
    exchange::samples_csv(&dir, &mut samples).unwrap();
    for (table, of_trial) in [(intervals, 10 + 10), (samples, 10 + 25)] {
        let mut reader = csv::Reader::from_reader(table.as_slice());
        let head: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        assert_eq!(head[..3], ["trial", "cell", "block"]);
        assert_eq!(head.iter().collect::<BTreeSet<_>>().len(), head.len(), "no column twice");
        let mut rows: BTreeMap<(String, String, String), usize> = BTreeMap::new();
        for row in reader.records().map(Result::unwrap) {
            *rows.entry((row[0].to_owned(), row[1].to_owned(), row[2].to_owned())).or_default() += 1;
        }
        let want = run.trials.iter().map(|t| ((t.id.clone(), t.cell.clone(), t.block.to_string()), of_trial)).collect();
        assert_eq!(rows, want);
    }
}

#[test]
fn a_run_without_a_trial_says_how_to_go_on() {
    let parent = tempfile::tempdir().unwrap();
    let run = MadeRun { repeats: 1, ..small() };
    let dir = RunDirectory::create(&parent.path().join("empty"), &run.run()).unwrap();
    let said = exchange::intervals_csv(&dir, Vec::new()).unwrap_err().to_string();
    assert!(said.contains("no finished trial") && said.contains("meshtax resume"), "{said}");
}
