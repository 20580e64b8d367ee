//! A mesh of a kind: what is read back of its proxies, and what is done to them under load.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::envoy::{Envoy, Issuer, inbound, shake_hands};
use crate::run::{json as read, rights_are_those_used, run};
use crate::steady;

/// The only trial of a run, with its seal.
pub(crate) fn trial(stdout: &str) -> (PathBuf, Value) {
    let directory = PathBuf::from(stdout.lines().last().unwrap());
    let trial = std::fs::read_dir(directory.join("trials")).unwrap().next().unwrap().unwrap().path();
    let sealed = read(&trial.join("trial.json"));
    (trial, sealed)
}

/// What was found, by part and claim.
pub(crate) fn found(sealed: &Value) -> BTreeMap<(String, String), String> {
    let text = |p: &Value, key: &str| p[key].as_str().unwrap().to_owned();
    let proofs = sealed["proofs"].as_array().unwrap();
    proofs.iter().map(|p| ((text(p, "part"), text(p, "claim")), text(p, "found"))).collect()
}

#[test]
fn the_effective_configuration_is_fetched_back_and_what_is_not_as_asked_stops_the_run() {
    let Some(envoy) = Envoy::start(|_| (json!([inbound(None, &json!([]))]), json!([]))) else { return };
    let api = Api::start(60);
    api.lock().kubelet.sidecar = Some(envoy.workers());
    let (said, _folder) = run(&api, &["--mesh", "istio-sidecar", "--mtls", "disable", "--workers", "2"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let (trial, sealed) = trial(&said.stdout);
    let found = found(&sealed);
    let of = |part: &str, claim: &str| found.get(&(part.to_owned(), claim.to_owned())).map(String::as_str);
    assert_eq!(of("s1-sidecar", "injected as"), Some("native sidecar"));
    assert_eq!(of("s1-sidecar", "worker threads"), Some("2"));
    assert_eq!(of("s1-sidecar", "CPU limit"), Some("none"));
    assert_eq!(of("s1", "mTLS of port 8080"), Some("disable"));
    assert_eq!(of("s1", "inbound mTLS handshakes"), Some("0"));
    assert_eq!(of("s1", "access log"), Some("off"));
    assert!(of("s1", "program").unwrap().starts_with("envoy "));
    assert!(trial.join("s2-sidecar.config_dump.json").is_file());
    let roles = sealed["parts"].as_array().unwrap().iter().filter(|part| part["role"] == "sidecar").count();
    assert_eq!(roles, 3, "{sealed}");
    rights_are_those_used(&api, &["--mesh", "istio-sidecar", "--mtls", "disable"]);
    for (wrong, says) in [
        (&["--workers", "3", "--mtls", "disable"][..], "worker threads should be 3, and 2 was found"),
        (&["--workers", "2", "--mtls", "strict"][..], "mTLS of port 8080 should be strict, and disable was found"),
        (
            &["--workers", "2", "--mtls", "disable", "--access-log", "text"][..],
            "access log should be text, and off was found",
        ),
    ] {
        let (said, _folder) = run(&api, &[&["--mesh", "istio-sidecar"], wrong].concat());
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(said.stderr.contains(says) && said.stderr.contains("try: "), "{}", said.stderr);
        assert_eq!(api.lock().namespaces(), Vec::<&String>::new());
    }
}

/// Answers at the port of Istio's agent, and counts.
fn counters() -> Arc<AtomicUsize> {
    let listener = std::net::TcpListener::bind("0.0.0.0:15020").unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 1024];
            let length = stream.read(&mut head).unwrap_or(0);
            if head[..length].starts_with(b"GET /stats/prometheus ") {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nup 1\n");
        }
    });
    asked
}

/// Renews the certificate at a path until it is dropped.
struct Renewing(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Renewing {
    fn start(mut issuer: Issuer, path: PathBuf, every: Duration) -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&goes_on);
        let renew = move || {
            while asked.load(Ordering::Relaxed) {
                std::thread::sleep(every);
                issuer.renew(&path);
            }
        };
        Self(goes_on, Some(std::thread::spawn(renew)))
    }
}

impl Drop for Renewing {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
        let _ = self.1.take().map(std::thread::JoinHandle::join);
    }
}

#[test]
fn logs_in_json_scrapes_and_renewed_certificates_are_proven() {
    let mut issuer = Issuer::new();
    let line = json!([{"name": "envoy.access_loggers.file", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": "/dev/null", "log_format": {"json_format": {"method": "%REQ(:METHOD)%"}}}}]);
    let sidecar = Envoy::start(|folder: &Path| {
        let path = folder.join("identity.json");
        issuer.renew(&path);
        (json!([inbound(Some(&path), &line)]), json!([]))
    });
    let Some(envoy) = sidecar else { return };
    let (asked, path) = (counters(), envoy.folder.path().join("identity.json"));
    shake_hands();
    let renewing = Renewing::start(issuer, path, Duration::from_millis(600));
    let api = Api::start(62);
    api.lock().kubelet.sidecar = Some(envoy.workers());
    let usual = ["--mesh", "istio-sidecar", "--mtls", "strict", "--workers", "2", "--rotate", "1s"];
    let all = [&usual[..], &["--access-log", "json", "--stats-scrape", "500ms", "--duration", "4s"]].concat();
    let (said, _folder) = run(&api, &all);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let (_, sealed) = trial(&said.stdout);
    let found = found(&sealed);
    let of = |part: &str, claim: &str| found.get(&(part.to_owned(), claim.to_owned())).map(String::as_str);
    assert_eq!((of("s1", "access log"), of("s2", "access log")), (Some("json"), Some("json")));
    let parts = ["load-sidecar", "s1-sidecar", "s2-sidecar"];
    for part in parts {
        let count = |claim: &str| of(part, claim).unwrap().parse::<usize>().unwrap();
        assert!(count("certificates renewed") >= 2, "{found:?}");
        // At once, and then every half second.
        assert!(count("answers to questions for counters") >= 7, "{found:?}");
    }
    assert!(asked.load(Ordering::Relaxed) >= 21);
    let events = sealed["events"].as_array().unwrap();
    for kind in ["certificate-rotated", "stats-scraped"] {
        let of_kind = events.iter().filter(|e| e["kind"] == kind).map(|e| e["part"].as_str().unwrap());
        assert_eq!(of_kind.collect::<BTreeSet<_>>(), parts.into(), "{kind}");
    }
    let stamps: Vec<u64> = events.iter().map(|e| e["at_ns"].as_u64().unwrap()).collect();
    assert!(stamps.is_sorted(), "{stamps:?}");
    rights_are_those_used(&api, &["--mesh", "istio-sidecar", "--access-log", "json"]);
    // A form that is not what was asked for, and certificates that stay: both stop the run.
    let (said, _folder) = run(&api, &[&usual[..], &["--access-log", "text"]].concat());
    assert!(said.stderr.contains("access log should be text, and json was found"), "{}", said.stderr);
    // A runner that is kept from looking for new ones says that it was.
    api.lock().heard.clear();
    let (said, _folder) = std::thread::scope(|scope| {
        let measured = scope.spawn(|| run(&api, &[&usual[..], &["--access-log", "json", "--duration", "4s"]].concat()));
        api.until_the_load_goes(|| measured.is_finished());
        api.fault(Method::GET, "/certs", 1, steady::BUSY);
        measured.join().unwrap()
    });
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let doubts = steady::doubts(&PathBuf::from(said.stdout.lines().last().unwrap()));
    let alone = |(kind, said): &(String, String)| {
        let (_, seconds) = said.split_once("the runner did not look after the chain for ")?;
        seconds.strip_suffix(" s")?.parse::<f64>().ok().filter(|_| kind == "runner_late")
    };
    // It was told to wait for two seconds, and waits longer on a busy machine.
    assert!(doubts.iter().filter_map(alone).any(|seconds| seconds >= 2.0), "{doubts:?}");
    drop(renewing);
    let (said, _folder) = run(&api, &[&usual[..], &["--access-log", "json", "--duration", "3s"]].concat());
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    for words in ["certificates renewed should be ", " at least, and 0 was found"] {
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
}
