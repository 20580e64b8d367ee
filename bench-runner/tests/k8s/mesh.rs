//! A mesh of a kind: a real Envoy stands for every injected sidecar, so that what is read back of one is what Envoy says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::api::Api;
use crate::run::run;

/// An Envoy on its usual admin port, with an inbound listener of Istio's name for one port in clear.
const CONFIG: &str = r#"
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 15000}}}
static_resources:
  listeners:
  - name: virtualInbound
    address: {socket_address: {address: 127.0.0.1, port_value: 15006}}
    filter_chains:
    - filter_chain_match: {destination_port: 8080}
      filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: inbound
          cluster: none
  clusters:
  - name: none
    connect_timeout: 1s
    type: STATIC
    load_assignment: {cluster_name: none, endpoints: []}
"#;

struct Envoy {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An Envoy with two workers; none where there is no Envoy, which is said.
fn envoy() -> Option<Envoy> {
    let places = std::env::var_os("PATH").unwrap_or_default();
    let Some(program) = std::env::split_paths(&places).map(|p| p.join("envoy")).find(|p| p.is_file()) else {
        assert!(std::env::var_os("REQUIRE_PROXIES").is_none(), "there is no envoy on PATH");
        eprintln!("skipped: there is no envoy on PATH (set REQUIRE_PROXIES=1 to fail)");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("envoy.yaml");
    std::fs::write(&config, CONFIG).unwrap();
    let child = Command::new(program)
        .args(["--concurrency", "2", "--log-level", "error", "-c"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let envoy = Envoy { child, _folder: folder };
    let begun = std::time::Instant::now();
    while std::net::TcpStream::connect("127.0.0.1:15000").is_err() {
        assert!(begun.elapsed().as_secs() < 30, "Envoy does not answer");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Some(envoy)
}

#[test]
fn the_effective_configuration_is_fetched_back_and_what_is_not_as_asked_stops_the_run() {
    let Some(envoy) = envoy() else { return };
    // An Envoy from the Python wheel may start another program: the one with the workers counts.
    let api = Api::start(60);
    api.lock().kubelet.sidecar = Some(worker_of(envoy.child.id()));
    let (said, _folder) = run(&api, &["--mesh", "istio-sidecar", "--mtls", "disable", "--workers", "2"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let directory = PathBuf::from(said.stdout.lines().last().unwrap());
    let trial = std::fs::read_dir(directory.join("trials")).unwrap().next().unwrap().unwrap().path();
    let sealed: Value = serde_json::from_slice(&std::fs::read(trial.join("trial.json")).unwrap()).unwrap();
    let text = |p: &Value, key: &str| p[key].as_str().unwrap().to_owned();
    let proofs = sealed["proofs"].as_array().unwrap();
    let found: BTreeMap<(String, String), String> =
        proofs.iter().map(|p| ((text(p, "part"), text(p, "claim")), text(p, "found"))).collect();
    let of = |part: &str, claim: &str| found.get(&(part.to_owned(), claim.to_owned())).map(String::as_str);
    assert_eq!(of("s1-sidecar", "injected as"), Some("native sidecar"));
    assert_eq!(of("s1-sidecar", "worker threads"), Some("2"));
    assert_eq!(of("s1-sidecar", "CPU limit"), Some("none"));
    assert_eq!(of("s1", "mTLS of port 8080"), Some("disable"));
    assert_eq!(of("s1", "inbound mTLS handshakes"), Some("0"));
    assert!(of("s1", "program").unwrap().starts_with("envoy "));
    assert!(trial.join("s2-sidecar.config_dump.json").is_file());
    let roles: Vec<String> = sealed["parts"].as_array().unwrap().iter().map(|p| text(p, "role")).collect();
    assert_eq!(roles.iter().filter(|role| *role == "sidecar").count(), 3, "{roles:?}");
    for (wrong, says) in [
        (["--workers", "3", "--mtls", "disable"], "worker threads should be 3, and 2 was found"),
        (["--workers", "2", "--mtls", "strict"], "mTLS of port 8080 should be strict, and disable was found"),
    ] {
        let (said, _folder) = run(&api, &[&["--mesh", "istio-sidecar"], &wrong[..]].concat());
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(said.stderr.contains(says) && said.stderr.contains("try: "), "{}", said.stderr);
        assert_eq!(api.lock().store.below("/api/v1/namespaces").count(), 0);
    }
}

/// The process with Envoy's workers: this one, or one that came of it.
fn worker_of(pid: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let comm = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    if tasks.map(comm).any(|name| name.starts_with("wrk:worker_")) {
        return pid;
    }
    children.split_whitespace().next().and_then(|child| child.parse().ok()).unwrap_or(pid)
}
