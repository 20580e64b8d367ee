//! `meshtax load` on its own, against a service of our own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::program::{alone, call, meshtax};

/// A service that answers on a port the kernel chose; ends when dropped.
struct Service {
    child: Child,
    url: String,
}

impl Service {
    fn start() -> Self {
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
