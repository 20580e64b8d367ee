//! Every manifest of every mesh and every scenario of the library, against the types of Kubernetes and the schemas of Istio.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{answer, meshtax};

const MESHES: [&str; 4] = ["none", "istio-sidecar", "istio-ambient", "linkerd"];

/// The documents of a text of YAML.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let whole = text.split("---\n").filter(|one| one.lines().any(|l| !l.trim().is_empty() && !l.starts_with('#')));
    whole.map(|one| serde_saphyr::from_str(one).unwrap_or_else(|e| panic!("{e}\n{one}"))).collect()
}

fn printed(args: &[&str]) -> String {
    let said = answer(&mut meshtax(&[&["k8s", "manifests"], args].concat()));
    assert_eq!(said.code, Some(0), "{args:?}: {}", said.stderr);
    said.stdout
}

/// Checks an object against its kind; says what is wrong.
fn wrong(object: &Value, crds: &BTreeMap<String, Value>) -> Option<String> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let api = object["apiVersion"].as_str().unwrap_or_default();
    match (api, kind) {
        ("v1", "Namespace") => typed::<Namespace>(object),
        ("v1", "Service") => typed::<Service>(object),
        ("v1", "ServiceAccount") => typed::<ServiceAccount>(object),
        ("v1", "ConfigMap") => typed::<ConfigMap>(object),
        ("v1", "Secret") => typed::<Secret>(object),
        ("v1", "PersistentVolumeClaim") => typed::<PersistentVolumeClaim>(object),
        ("v1", "Pod") => typed::<Pod>(object),
        ("apps/v1", "Deployment") => typed::<Deployment>(object),
        ("apps/v1", "DaemonSet") => typed::<DaemonSet>(object),
        ("batch/v1", "Job") => typed::<Job>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => typed::<ClusterRole>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => typed::<ClusterRoleBinding>(object),
        _ => match crds.get(&format!("{api} {kind}")) {
            Some(schema) => by_schema(object, schema),
            None => Some(format!("nobody knows {api} {kind}")),
        },
    }
}

/// Through the struct and back: a field that the struct does not know is gone then.
fn typed<T: DeserializeOwned + Serialize>(object: &Value) -> Option<String> {
    let read: T = match serde_json::from_value(object.clone()) {
        Ok(read) => read,
        Err(error) => return Some(format!("{error}: {object}")),
    };
    let again = serde_json::to_value(read).unwrap();
    lost(object, &again, "")
}

/// The first thing that is in the one and not in the other.
fn lost(one: &Value, other: &Value, at: &str) -> Option<String> {
    match (one, other) {
        (Value::Object(fields), Value::Object(others)) => {
            fields.iter().find_map(|(key, value)| match others.get(key) {
                Some(other) => lost(value, other, &format!("{at}/{key}")),
                // An empty map or list is as good as none.
                None if value.as_object().is_some_and(serde_json::Map::is_empty) => None,
                None if value.is_null() => None,
                None => Some(format!("{at}/{key} is unknown")),
            })
        }
        (Value::Array(all), Value::Array(others)) if all.len() == others.len() => {
            all.iter().zip(others).enumerate().find_map(|(k, (a, b))| lost(a, b, &format!("{at}/{k}")))
        }
        _ if one == other => None,
        _ => Some(format!("{at}: {one} became {other}")),
    }
}

fn by_schema(object: &Value, schema: &Value) -> Option<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    // What the API server checks of every object is no part of a custom resource's schema.
    let body = json!({"spec": object["spec"]});
    validator.iter_errors(&body).next().map(|error| format!("{}: {error}", error.instance_path))
}

/// The schemas of Istio's resources, made strict: a field that none of them knows is wrong.
fn crds() -> BTreeMap<String, Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/istio/crds.json");
    let mut all: BTreeMap<String, Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    all.values_mut().for_each(strict);
    all
}

fn strict(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    let open = fields.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    // Alternatives name fields whose schemas stand beside them, not in them.
    if fields.contains_key("properties") && fields.contains_key("type") && !open {
        fields.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    for (key, value) in fields.iter_mut() {
        match key.as_str() {
            "properties" => value.as_object_mut().unwrap().values_mut().for_each(strict),
            "items" | "additionalProperties" => strict(value),
            _ => {}
        }
    }
}

#[test]
fn all_manifests_of_all_meshes_and_scenarios_are_valid_to_the_last_field() {
    let crds = crds();
    let (mut kinds, mut cells) = (BTreeSet::new(), 0);
    let listed = answer(&mut meshtax(&["scenarios"])).stdout;
    let scenarios: Vec<&str> =
        listed.lines().take_while(|l| !l.is_empty()).filter_map(|l| l.split_whitespace().next()).collect();
    assert!(scenarios.len() >= 18, "{listed}");
    for scenario in scenarios {
        for mesh in MESHES {
            let said = answer(&mut meshtax(&["k8s", "manifests", scenario, "--mesh", mesh]));
            if said.code == Some(64) && said.stderr.contains("none of its cells can be") {
                continue;
            }
            assert_eq!(said.code, Some(0), "{scenario} {mesh}: {}", said.stderr);
            for object in documents(&said.stdout) {
                if let Some(problem) = wrong(&object, &crds) {
                    panic!("{scenario}, {mesh}: {} {}: {problem}", object["kind"], object["metadata"]["name"]);
                }
                kinds.insert(object["kind"].as_str().unwrap().to_owned());
                cells += usize::from(object["kind"] == "Job");
            }
        }
    }
    for kind in [
        "Namespace",
        "Service",
        "Deployment",
        "DaemonSet",
        "Job",
        "PeerAuthentication",
        "DestinationRule",
        "VirtualService",
        "Telemetry",
        "EnvoyFilter",
        "Gateway",
        "Secret",
    ] {
        assert!(kinds.contains(kind), "{kind} is in none of {kinds:?}");
    }
    assert!(cells > 60, "{cells} cells");
}

#[test]
fn a_check_that_knows_every_field_finds_one_that_is_not_there() {
    let crds = crds();
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {
        "selector": {}, "template": {"spec": {"containers": [{"name": "c", "imagePolicy": "Always"}]}}}});
    assert!(wrong(&deployment, &crds).unwrap().ends_with("/imagePolicy is unknown"));
    let peer = |spec: Value| json!({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "spec": spec});
    assert_eq!(wrong(&peer(json!({"mtls": {"mode": "STRICT"}})), &crds), None);
    assert!(wrong(&peer(json!({"mtls": {"mode": "VERY"}})), &crds).is_some());
    assert!(wrong(&peer(json!({"mtls": {"modus": "STRICT"}})), &crds).is_some());
    assert!(wrong(&json!({"apiVersion": "v1", "kind": "Endpoints"}), &crds).unwrap().contains("nobody knows"));
}

#[test]
fn the_runner_is_valid_too_and_so_are_bare_pods() {
    let crds = crds();
    let runner = documents(&printed(&["first-look", "--runner", "--mesh", "none,istio-sidecar"]));
    let kinds: Vec<&str> = runner.iter().map(|o| o["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "Namespace",
            "ServiceAccount",
            "ClusterRole",
            "ClusterRoleBinding",
            "ConfigMap",
            "PersistentVolumeClaim",
            "Job"
        ]
    );
    let pods = documents(&printed(&["quick", "--mesh", "none", "--pods"]));
    let names: Vec<&str> = pods.iter().map(|o| o["metadata"]["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"probe") && names.contains(&"s1") && names.contains(&"load"), "{names:?}");
    for object in runner.iter().chain(&pods) {
        assert_eq!(wrong(object, &crds), None, "{object}");
    }
    // The scenario inside of the runner is the one that was asked for.
    let scenario = runner[4]["data"]["scenario.toml"].as_str().unwrap();
    assert!(scenario.contains("platform = \"kubernetes\"") && scenario.contains("\"istio-sidecar\""), "{scenario}");
}

/// The same with what is drawn anew each time left out: certificates and keys.
fn without_keys(text: &str) -> String {
    let masked = |line: &str| match line.split_once(": \"-----BEGIN ") {
        Some((key, rest)) => format!("{key}: \"-----BEGIN {}\"", rest.split_once("-----").unwrap().0),
        None => line.to_owned(),
    };
    text.lines().map(|line| masked(line) + "\n").collect()
}

#[test]
fn a_gateways_certificate_is_its_own_each_time_and_its_clients_get_no_key() {
    let args = ["quick", "--services", "2", "--mesh", "istio-sidecar", "--entry", "gateway"];
    let (once, again) = (documents(&printed(&args)), documents(&printed(&args)));
    let of = |all: &[Value], kind: &str, name: &str| {
        all.iter().find(|o| o["kind"] == kind && o["metadata"]["name"] == name).unwrap().clone()
    };
    let key = |all: &[Value]| of(all, "Secret", "gateway")["stringData"]["tls.key"].as_str().unwrap().to_owned();
    assert!(key(&once).starts_with("-----BEGIN PRIVATE KEY-----") && key(&once) != key(&again));
    let load = &of(&once, "Job", "load")["spec"]["template"]["spec"];
    assert_eq!(load["volumes"][1]["secret"]["items"], json!([{"key": "ca.crt", "path": "ca.crt"}]));
    let told: Vec<&str> =
        load["containers"][0]["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    assert!(told.contains(&"https://gateway:8443/") && told.contains(&"/gateway/ca.crt"), "{told:?}");
    // Where the load enters otherwise, there is none of it.
    let sidecar = documents(&printed(&args[..5]));
    assert!(!sidecar.iter().any(|o| ["Secret", "Gateway"].contains(&o["kind"].as_str().unwrap())));
}

/// The kept manifests, which show what a mesh is told.
#[test]
fn golden_files_show_what_is_applied() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let golden = |name: &str, args: &[&str]| {
        let (path, now) = (folder.join(name), without_keys(&printed(args)));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            now, kept,
            "{name} is other than it was; look at it, then: UPDATE_GOLDEN=1 cargo test -p bench-runner --test k8s golden"
        );
    };
    for mesh in MESHES {
        golden(
            &format!("{mesh}.yaml"),
            &["quick", "--services", "2", "--mesh", mesh, "--image", "example.com/meshtax:1"],
        );
    }
    let limits =
        ["--cpu-limit", "500m", "--memory-limit", "64Mi", "--access-log", "text", "--requests-per-connection", "10"];
    let canary =
        ["canary-90-10", "--mesh", "istio-sidecar", "--image", "example.com/meshtax:1", "--placement", "load-apart"];
    golden("istio-sidecar-canary.yaml", &[&canary[..], &limits].concat());
    let gateway = [
        "quick",
        "--services",
        "2",
        "--mesh",
        "istio-sidecar",
        "--image",
        "example.com/meshtax:1",
        "--entry",
        "gateway",
    ];
    let more = ["--access-log", "json", "--rotate", "2s", "--stats-scrape", "15s", "--cpu-limit", "500m"];
    golden("istio-sidecar-gateway.yaml", &[&gateway[..], &more].concat());
    golden("runner.yaml", &["quick", "--runner", "--mesh", "none,istio-sidecar", "--image", "example.com/meshtax:1"]);
}

#[test]
fn what_a_mesh_cannot_be_is_left_out_with_the_reason() {
    let said = answer(&mut meshtax(&["k8s", "manifests", "mtls-modes", "--mesh", "istio-ambient,linkerd"]));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("ambient has no mode disable"), "{}", said.stderr);
    assert!(said.stderr.contains("Linkerd has no mode disable"), "{}", said.stderr);
    let flags = ["--entry", "sidecar,gateway", "--rotate", "0s,2s", "--mesh", "istio-ambient,linkerd"];
    let said = answer(&mut meshtax(&[&["k8s", "manifests", "quick"], &flags[..]].concat()));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    for reason in ["a proxy of the Gateway API", "no ingress gateway of its own", "SECRET_TTL", "issuanceLifetime"] {
        assert!(said.stderr.contains(reason), "'{reason}' is not in\n{}", said.stderr);
    }
    let said = answer(&mut meshtax(&["k8s", "manifests", "quick", "--mesh", "envoy"]));
    assert_eq!(said.code, Some(64));
    assert!(said.stderr.contains("'envoy' is no mesh of a cluster: none, istio-sidecar"), "{}", said.stderr);
    let said = answer(&mut meshtax(&["run", "quick", "--dataplane", "istio-sidecar"]));
    assert_eq!(said.code, Some(64));
    assert!(said.stderr.contains("meshtax k8s run"), "{}", said.stderr);
    let said = answer(&mut meshtax(&["run", "quick", "--platform", "kubernetes", "--dataplane", "none"]));
    assert_eq!(said.code, Some(64));
    assert!(said.stderr.contains("meshtax k8s run"), "{}", said.stderr);
}
