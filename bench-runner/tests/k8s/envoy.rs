//! A real Envoy that stands for every proxy of a mesh, so that what is read back of one is what Envoy says.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use scenarios::certs::Authority;
use serde_json::{Value, json};

/// Istio's ports are there once: tests that need them take turns.
static PORTS: Mutex<()> = Mutex::new(());

/// Where the one that is every sidecar takes what comes in.
pub(crate) const INBOUND: &str = "127.99.60.1";

pub(crate) struct Envoy {
    child: Child,
    pub(crate) folder: tempfile::TempDir,
    _ports: MutexGuard<'static, ()>,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Envoy {
    /// One with two workers on its usual admin port, with these listeners and clusters, which may name files of its folder;
    /// none where there is no Envoy, which is said.
    pub(crate) fn start(resources: impl FnOnce(&Path) -> (Value, Value)) -> Option<Self> {
        let places = std::env::var_os("PATH").unwrap_or_default();
        let Some(program) = std::env::split_paths(&places).map(|p| p.join("envoy")).find(|p| p.is_file()) else {
            assert!(std::env::var_os("REQUIRE_PROXIES").is_none(), "there is no envoy on PATH");
            eprintln!("skipped: there is no envoy on PATH (set REQUIRE_PROXIES=1 to fail)");
            return None;
        };
        let ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let (listeners, clusters) = resources(folder.path());
        let config = json!({
            "node": {"id": "sidecar", "cluster": "all"},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 15000}}},
            "static_resources": {"listeners": listeners, "clusters": clusters},
        });
        let path = folder.path().join("envoy.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let log = folder.path().join("log");
        let child = Command::new(program)
            .args(["--disable-hot-restart", "--concurrency", "2", "--log-level", "error", "-c"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut envoy = Envoy { child, folder, _ports: ports };
        let begun = std::time::Instant::now();
        while !is_live() {
            let ended = envoy.child.try_wait().unwrap();
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none() && begun.elapsed().as_secs() < 30, "Envoy does not answer: {}", said());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Some(envoy)
    }

    /// The process with its workers: an Envoy from the Python wheel starts another program.
    pub(crate) fn workers(&self) -> u32 {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let comm = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if tasks.map(comm).any(|name| name.starts_with("wrk:worker_")) {
            return pid;
        }
        children.split_whitespace().next().and_then(|child| child.parse().ok()).unwrap_or(pid)
    }
}

/// Whether it takes requests: the admin port answers before the listeners do.
fn is_live() -> bool {
    let (admin, patience) = ("127.0.0.1:15000".parse().unwrap(), std::time::Duration::from_secs(5));
    scenarios::http::get(admin, "/ready", patience).is_ok_and(|answer| answer.status == 200)
}

/// A listener as Istio has it for what comes into a sidecar at the services' port, in clear or with the certificate of a
/// file; its requests are logged by `logs`.
pub(crate) fn inbound(certificate: Option<&Path>, logs: &Value) -> Value {
    let mut chain = json!({
        "filter_chain_match": {"destination_port": 8080},
        "filters": [http(logs, &json!({"match": {"prefix": "/"}, "direct_response": {"status": 200}}))],
    });
    if let Some(path) = certificate {
        chain["transport_socket"] = tls("default", path);
    }
    json!({
        "name": "virtualInbound", "stat_prefix": "0.0.0.0_15006",
        "address": {"socket_address": {"address": INBOUND, "port_value": 8080}},
        "filter_chains": [chain],
    })
}

/// A gateway's listener, which hands all requests to a cluster.
pub(crate) fn door(certificate: &Path, cluster: &str) -> Value {
    json!({
        "name": "0.0.0.0_8443", "stat_prefix": "0.0.0.0_8443",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 8443}},
        "filter_chains": [{
            "filters": [http(&json!([]), &json!({"match": {"prefix": "/"}, "route": {"cluster": cluster}}))],
            "transport_socket": tls("door", certificate),
        }],
    })
}

fn http(logs: &Value, route: &Value) -> Value {
    json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "all",
            "access_log": logs,
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            "http_filters": [{
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }],
        },
    })
}

fn tls(name: &str, path: &Path) -> Value {
    let source = json!({"path_config_source": {"path": path}, "resource_api_version": "V3"});
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": name, "sds_config": source}]},
        },
    })
}

/// Puts a certificate where Envoy takes it from by SDS: by rename, which is what it looks for.
pub(crate) fn give(path: &Path, name: &str, chain: &str, key: &str) {
    let secret = json!({"resources": [{
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": name,
        "tls_certificate": {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key}},
    }]});
    let next = path.with_extension("next");
    std::fs::write(&next, secret.to_string()).unwrap();
    std::fs::rename(&next, path).unwrap();
}

/// Who gives out certificates of workloads, as a mesh's authority does.
pub(crate) struct Issuer {
    authority: Authority,
    folder: tempfile::TempDir,
    issued: u32,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        Self { authority: Authority::new().unwrap(), folder: tempfile::tempdir().unwrap(), issued: 0 }
    }

    /// Gives another one.
    pub(crate) fn renew(&mut self, path: &Path) {
        self.issued += 1;
        let at: PathBuf = self.folder.path().join(self.issued.to_string());
        let files = self.authority.issue("default").unwrap().write(&at).unwrap();
        let text = |path: &Path| std::fs::read_to_string(path).unwrap();
        give(path, "default", &text(&files.chain), &text(&files.key));
    }
}

/// Shakes hands with the one that is every sidecar, since pods that are processes do not.
pub(crate) fn shake_hands() {
    let url = format!("https://{INBOUND}:8080/");
    let flags = ["--insecure", "--rate", "20", "--connections", "2", "--duration", "500ms", "--format", "json"];
    let said = crate::answer(&mut crate::meshtax(&[&["load", &url], &flags[..]].concat()));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
}
