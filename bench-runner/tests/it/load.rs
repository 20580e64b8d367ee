//! `meshtax load` on its own, against a service of our own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::program::{alone, call, meshtax};

/// A service that answers on a port the kernel chose; ends when dropped.
pub(crate) struct Service {
    child: Child,
    pub(crate) url: String,
}

impl Service {
    pub(crate) fn start() -> Self {
        let mut child = meshtax(&["service", "--name", "s1", "--response-bytes", "100"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let url = format!("http://{}/", ready["ready"]["listen"].as_str().unwrap());
        Self { child, url }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

#[test]
fn the_contract_of_the_json_holds() {
    let _alone = alone();
    let service = Service::start();
    let answer =
        call(&["load", &service.url, "--rate", "500", "--connections", "4", "--duration", "1s", "--format", "json"])
            .done();
    let summary: Value = serde_json::from_str(&answer.stdout).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../../../reports/record/schemas/load.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.iter_errors(&summary).next().is_none(), "{summary:#}");
    assert_eq!((&summary["schema"], &summary["method"], &summary["due"]), (&1.into(), &1.into(), &500.into()));
    assert_eq!(summary["outcomes"]["answered"]["200"], 500);
    for (of, points) in [("response_ns", &summary["response_ns"]), ("lag_ns.ours", &summary["lag_ns"]["ours"])] {
        for point in ["p50", "p90", "p99", "p999", "max"] {
            assert!(points[point].is_u64(), "{of} {point}");
        }
    }
    let p = |q: &str| summary["response_ns"][q].as_u64().unwrap();
    assert!(p("p50") <= p("p90") && p("p90") <= p("p99") && p("p99") <= p("p999") && p("p999") <= p("max"));
    assert!(summary["achieved_per_second"].as_f64().unwrap() > 450.0);
}

#[test]
fn the_text_is_for_people() {
    let _alone = alone();
    let service = Service::start();
    let answer = call(&["load", &service.url, "--rate", "200", "--connections", "2", "--duration", "500ms"]).done();
    for word in ["response", "service", "p99", "ms", "100"] {
        assert!(answer.stdout.contains(word), "{word}: {}", answer.stdout);
    }
}

#[test]
fn http2_and_grpc_are_answered_by_a_service_of_our_own() {
    let _alone = alone();
    let service = Service::start();
    let load = |flags: &[&str]| -> Value {
        let fixed =
            ["load", &service.url, "--rate", "400", "--connections", "2", "--streams", "8", "--duration", "500ms"];
        let all: Vec<&str> = fixed.iter().chain(flags).chain(&["--format", "json"]).copied().collect();
        serde_json::from_str(&call(&all).done().stdout).unwrap()
    };
    let h2 = load(&["--http2"]);
    assert_eq!((&h2["outcomes"]["answered"]["200"], &h2["observed"]["protocol"]), (&200.into(), &"http/2".into()));
    let unary = load(&["--grpc", "echo", "--body", "hello"]);
    assert_eq!(
        (&unary["observed"]["grpc_statuses"]["0"], &unary["observed"]["grpc_messages"]),
        (&200.into(), &200.into())
    );
    let stream = load(&["--grpc", "echo-stream", "--header", "x-meshtax-messages: 7"]);
    assert_eq!(stream["observed"]["grpc_messages"], 1400);
    // A method that is not there has a status of its own, and counts as an error.
    let none = load(&["--grpc", "no.Such/Method"]);
    assert_eq!(
        (&none["observed"]["grpc_statuses"]["12"], &none["outcomes"]["answered"]["501"]),
        (&200.into(), &200.into())
    );
    assert_eq!(none["verdict"], "invalid");
}

#[test]
fn the_other_forms_are_written_and_agree() {
    let _alone = alone();
    let service = Service::start();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (hlog, csv, fortio, metrics) = (at("l.hlog"), at("l.csv"), at("l.json"), at("l.txt"));
    let answer = call(&[
        "load",
        &service.url,
        "--rate",
        "500",
        "--connections",
        "4",
        "--duration",
        "1s",
        "--format",
        "json",
        "--hlog",
        &hlog,
        "--csv",
        &csv,
        "--fortio",
        &fortio,
        "--open-metrics",
        &metrics,
    ])
    .done();
    let summary: Value = serde_json::from_str(&answer.stdout).unwrap();
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    assert!(read(&hlog).lines().filter(|l| l.starts_with("Tag=response,")).count() >= 10);
    let due: u64 = read(&csv).lines().skip(1).map(|l| l.split(',').nth(3).unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(due, 500, "{}", read(&csv));
    let as_fortio: Value = serde_json::from_str(&read(&fortio)).unwrap();
    assert_eq!(as_fortio["DurationHistogram"]["Count"], summary["due"]);
    assert!(read(&metrics).ends_with("# EOF\n"));
    // What was written as Fortio's is read as such.
    let imported = call(&["load", "--import-fortio", &fortio, "--effect", "1ms"]).done();
    assert!(imported.stdout.contains("500") && imported.stdout.contains("p99"), "{}", imported.stdout);
    // A place that cannot be written is found out before the load.
    let answer = call(&["load", &service.url, "--rate", "1", "--duration", "1h", "--csv", "/no/such/dir/x.csv"]);
    assert_eq!(answer.code, Some(2), "{answer:#?}");
    assert!(answer.stderr.contains("/no/such/dir/x.csv"), "{answer:#?}");
}

#[test]
fn an_slo_is_an_exit_code_and_a_search_tells_how_far_it_holds() {
    let _alone = alone();
    let service = Service::start();
    let load = |slo: &str| {
        // So few that none of them can be missed as a rate that was not reached, however late the last ones are.
        call(&["load", &service.url, "--rate", "20", "--duration", "500ms", "--connections", "4", "--slo", slo])
    };
    let holds = load("p50=5s,errors=1%");
    assert_eq!((holds.code, holds.stdout.contains("holds")), (Some(0), true), "{holds:#?}");
    let broken = load("p50=1ns");
    assert_eq!((broken.code, broken.stdout.contains("is broken")), (Some(1), true), "{broken:#?}");

    let search = ["load", &service.url, "--find-max", "--connections", "4", "--step", "200ms", "--confirm", "300ms"];
    let found = |flags: &[&str]| call(&search.iter().chain(flags).copied().collect::<Vec<_>>());
    let always = found(&["--slo", "p50=5s", "--from", "5", "--to", "10", "--format", "json"]).done();
    let always: Value = serde_json::from_str(&always.stdout).unwrap();
    assert_eq!((&always["end"], &always["rate_per_second"]), (&"always_held".into(), &10.0.into()), "{always:#}");
    let never = found(&["--slo", "p50=1ns", "--from", "5", "--to", "10"]);
    assert_eq!(never.code, Some(1), "{never:#?}");
    let ladder = call(&[
        "load",
        &service.url,
        "--ladder",
        "50,100",
        "--repeats",
        "2",
        "--step",
        "200ms",
        "--connections",
        "4",
        "--format",
        "json",
    ])
    .done();
    let ladder: Value = serde_json::from_str(&ladder.stdout).unwrap();
    assert_eq!(ladder["rungs"].as_array().unwrap().len(), 2, "{ladder:#}");
}

#[test]
fn a_mix_of_requests_and_the_way_in_by_csv() {
    let _alone = alone();
    let service = Service::start();
    let dir = tempfile::tempdir().unwrap();
    let (mix, moments) = (dir.path().join("mix.toml"), dir.path().join("moments.csv"));
    std::fs::write(
        &mix,
        "[[request]]\npath = \"/a\"\nweight = 3\n[[request]]\npath = \"/b\"\nmethod = \"POST\"\nbody_bytes = 100\n",
    )
    .unwrap();
    std::fs::write(&moments, "offset_ms\n0\n1\n1\n250\n").unwrap();
    let (mix, moments) = (mix.to_str().unwrap(), moments.to_str().unwrap());
    let load = |flags: &[&str]| -> Value {
        let fixed = ["load", &service.url, "--connections", "2", "--requests", mix, "--format", "json"];
        serde_json::from_str(&call(&fixed.iter().chain(flags).copied().collect::<Vec<_>>()).done().stdout).unwrap()
    };
    let replayed = load(&["--replay", moments]);
    assert_eq!((&replayed["due"], &replayed["arrival"]), (&4.into(), &"replay".into()));
    assert_eq!(replayed["duration_ns"], 250_000_001, "it lasts as long as its moments");
    let steps = load(&["--rate", "100x200ms,300x200ms"]);
    assert_eq!((&steps["due"], &steps["observed"]["plan"]), (&80.into(), &"100x0.2s,300x0.2s".into()));
    let max = load(&["--rate", "max", "--duration", "300ms"]);
    assert_eq!((&max["arrival"], &max["rate_per_second"]), (&"closed".into(), &Value::Null));
    assert!(max["answered"].as_u64().unwrap() > 100 && max["due"] == max["answered"], "{max:#}");
}
