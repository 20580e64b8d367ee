//! A secret that a run comes by is in no file that the run leaves.

use std::path::{Path, PathBuf};

use crate::load::Service;
use crate::program::{among_others, call, json, meshtax};

/// What is planted; nothing else has these bytes.
const SECRET: &str = "pl4nted-Zx81qQ7w-s3cret";

/// All files below, those of archives unpacked.
fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let packed = path.extension().is_some_and(|extension| extension == "zst");
            let bytes = if packed { zstd::decode_all(bytes.as_slice()).unwrap() } else { bytes };
            found.push((path, bytes));
        }
    }
    found
}

fn holds(directory: &Path, least: usize) {
    let found = files(directory);
    assert!(found.len() >= least, "{} files in {}", found.len(), directory.display());
    for (path, bytes) in found {
        let at = bytes.windows(SECRET.len()).position(|window| window == SECRET.as_bytes());
        let around = at.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(80)..at + 40]).into_owned());
        assert_eq!(around, None, "{}", path.display());
    }
}

#[test]
fn a_load_writes_down_no_header_no_body_no_query_and_no_key() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let service = Service::start();
    let out = tmp.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let place = |name: &str| out.join(name).to_str().unwrap().to_owned();
    let url = format!("{}?token={SECRET}&n=1", service.url);
    let also = format!("{}?q={SECRET}=1", service.url);
    let answer = meshtax(&["load", &url, "--rate", "50", "--duration", "400ms", "--format", "json"])
        .args(["-H", &format!("Authorization: Bearer {SECRET}"), "-H", &format!("Cookie: a={SECRET}")])
        .args(["--method", "POST", "--body", SECRET, "--also", &also])
        .args(["--record", &place("record"), "--hlog", &place("x.hlog"), "--csv", &place("x.csv")])
        .args(["--fortio", &place("x.json"), "--open-metrics", &place("x.txt")])
        .env("MESHTAX_TOKEN", SECRET)
        .output()
        .unwrap();
    let said = String::from_utf8(answer.stdout).unwrap();
    assert!(answer.status.success(), "{said}\n{}", String::from_utf8_lossy(&answer.stderr));
    assert!(said.contains("token=REDACTED&n=1") && !said.contains(SECRET), "{said}");
    holds(&out, 7);

    let user = format!("http://me:{SECRET}@127.0.0.1:1/");
    let refused = call(&["load", &user, "--rate", "1"]);
    assert!(matches!(refused.code, Some(2 | 64)) && !refused.stderr.contains(SECRET), "{}", refused.stderr);
    assert!(refused.stderr.contains("REDACTED@127.0.0.1:1"), "{}", refused.stderr);
}

#[test]
fn a_run_writes_down_nothing_of_its_environment_and_of_yaml_only_what_it_used() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let mesh = tmp.path().join("mesh");
    std::fs::create_dir(&mesh).unwrap();
    let app = format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: shop, annotations: {{note: {SECRET}}}}}
spec:
  template:
    metadata:
      labels: {{app: shop}}
      annotations: {{'example.com/token': {SECRET}}}
    spec:
      containers: [{{name: shop, image: 'shop:1', env: [{{name: PASSWORD, value: {SECRET}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop}}
spec:
  hosts: [shop]
  http:
  - headers: {{request: {{set: {{x-plain: {SECRET}}}}}}}
    route: [{{destination: {{host: shop}}}}]
"
    );
    std::fs::write(mesh.join("app.yaml"), app).unwrap();
    let out = tmp.path().join("runs");
    let answer = meshtax(&["run", "--istio", mesh.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .args(["--istio-accept", "headers", "--dataplane", "none,embedded"])
        .args(["--services", "1", "--rate", "100", "--duration", "300ms", "--warm-up", "100ms", "--repeats", "1"])
        .args(["--cpu-limit", "none", "--cpu-request", "none", "--memory-limit", "none", "--access-log", "json"])
        .env("DATABASE_PASSWORD", SECRET)
        .env("MESHTAX_SECRET", SECRET)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&answer.stdout), String::from_utf8_lossy(&answer.stderr));
    assert!(answer.status.success(), "{said}");
    assert!(!said.contains(SECRET), "{said}");
    holds(&out, 15);
    let run = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim().lines().last().unwrap());
    assert!(json(&run.join("istio.json")).to_string().contains("REDACTED"));
}
