//! A user's own Istio configuration: what a run takes of it, and what it refuses.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::errors::refused;
use crate::program::{Answer, among_others, call, json};

const APP: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews-v1, namespace: shop}
spec:
  template:
    metadata:
      labels: {app: reviews, version: v1}
      annotations:
        sidecar.istio.io/proxyMemory: 64Mi
        proxy.istio.io/config: |
          concurrency: 1
    spec: {containers: [{name: reviews, image: 'reviews:1'}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec:
  mtls: {mode: STRICT}
";

const FAULT: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - fault: {delay: {fixedDelay: 5s, percentage: {value: 10}}}
    retries: {attempts: 3}
    route: [{destination: {host: reviews}}]
";

/// A directory of configuration, and where runs go.
fn places(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let tmp = tempfile::tempdir().unwrap();
    let mesh = tmp.path().join("mesh");
    std::fs::create_dir(&mesh).unwrap();
    for (name, text) in files {
        std::fs::write(mesh.join(name), text).unwrap();
    }
    let out = tmp.path().join("runs");
    (tmp, mesh, out)
}

fn run(mesh: &Path, out: &Path, more: &[&str]) -> Answer {
    let places = ["run", "--istio", mesh.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let short = ["--services", "1", "--rate", "200", "--duration", "300ms", "--warm-up", "200ms", "--repeats", "1"];
    call(&[&places[..], &short, more].concat())
}

fn verdict(reading: &Value, path: &str) -> Value {
    let fields = reading["fields"].as_array().unwrap();
    let found = fields.iter().find(|field| field["path"] == path);
    found.unwrap_or_else(|| panic!("no {path}: {reading:#}"))["verdict"].clone()
}

#[test]
fn a_run_takes_its_factors_from_the_yaml_and_says_so() {
    let _seat = among_others();
    let (_tmp, mesh, out) = places(&[("app.yaml", APP), ("fault.yaml", FAULT)]);
    let told = ["--dataplane", "none,embedded", "--istio-accept", "fault", "--retries", "0"];
    let answer = run(&mesh, &out, &told).done();
    let directory = answer.run_directory();
    let cells = json(&directory.join("run.json"))["cells"].clone();
    let meshed =
        &cells.as_array().unwrap().iter().find(|c| c["factors"]["dataplane"] == "embedded").unwrap()["factors"];
    for (factor, value) in [
        ("mtls", "strict"),
        ("cpu_limit", "none"),
        ("cpu_request", "none"),
        ("memory_limit", "none"),
        ("worker_rule", "1"),
        ("access_log", "off"),
    ] {
        assert_eq!(meshed[factor], value, "{factor}: {meshed:#}");
    }
    assert_eq!((&meshed["workers"], &meshed["retries"]), (&Value::from(1), &Value::from(0)));

    let reading = json(&directory.join("istio.json"));
    assert_eq!(reading["workload"], "Deployment reviews-v1 in shop");
    assert_eq!(reading["files"], serde_json::json!(["app.yaml", "fault.yaml"]));
    let mode = verdict(&reading, "PeerAuthentication.spec.mtls.mode");
    assert_eq!(mode, serde_json::json!({"is": "used", "factors": [{"factor": "mtls", "value": "strict"}]}));
    let tries = verdict(&reading, "VirtualService.spec.http[0].retries.attempts");
    assert_eq!((&tries["is"], &tries["by"]), (&"overridden".into(), &"retries = 0".into()));
    assert_eq!(verdict(&reading, "VirtualService.spec.http[0].fault")["is"], "accepted");
    assert_eq!(verdict(&reading, "Deployment.metadata")["is"], "no_effect");

    let page = std::fs::read_to_string(directory.join("report.html")).unwrap();
    for text in [&answer.stdout, &page] {
        assert!(text.contains("mtls = strict by PeerAuthentication.spec.mtls.mode: STRICT"), "{text}");
    }
    assert!(answer.stderr.contains("used: workers = 1 by Deployment.spec.template"), "{}", answer.stderr);
}

#[test]
fn what_would_be_ignored_in_silence_is_refused() {
    let (_tmp, mesh, out) = places(&[("app.yaml", APP), ("fault.yaml", FAULT)]);
    let place = "fault.yaml:7:5: VirtualService.spec.http[0].fault: no fault is made by proxies here";
    refused(&run(&mesh, &out, &[]), 64, &[place, "try:", "--istio-accept VirtualService.spec.http.fault"]);
    let slip = run(&mesh, &out, &["--istio-accept", "fault,falt"]);
    refused(&slip, 64, &["--istio-accept falt", "no field here"]);
    refused(&run(&mesh.join("no"), &out, &[]), 64, &["--istio", "no directory", "try:"]);
    refused(&call(&["run", "--istio-accept", "fault"]), 64, &["--istio <DIR>"]);
    assert!(!out.exists(), "nothing is made of what is refused");
}

#[test]
fn workloads_that_differ_are_listed() {
    let other = APP.replace("reviews", "ratings").replace("STRICT", "DISABLE").replace("default, ", "ratings, ");
    let other = other.replace("spec:\n  mtls", "spec:\n  selector: {matchLabels: {app: ratings}}\n  mtls");
    let (_tmp, mesh, out) = places(&[("app.yaml", APP), ("other.yaml", &other)]);
    let words = ["2 workloads are set differently", "ratings-v1 in shop: mtls disable", "--istio-workload"];
    refused(&run(&mesh, &out, &[]), 64, &words);
    refused(&run(&mesh, &out, &["--istio-workload", "nobody"]), 64, &["called nobody", "reviews-v1"]);
}
