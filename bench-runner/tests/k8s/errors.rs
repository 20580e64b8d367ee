//! Errors as they happen in clusters, each with its way out, and nothing left behind.

use hyper::Method;
use serde_json::json;

use crate::api::{Api, What};
use crate::run::run;
use crate::{answer, meshtax};

/// A run that fails so, says so, and leaves nothing.
fn fails(api: &Api, more: &[&str], says: &[&str]) {
    let (said, _folder) = run(api, more);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    for words in says.iter().chain(&["try: "]) {
        assert!(said.stderr.contains(words), "'{words}' is not in\n{}", said.stderr);
    }
    let state = api.lock();
    let left = state.namespaces();
    assert!(left.is_empty() && state.kubelet.is_empty(), "{left:?}");
}

#[test]
fn an_image_that_cannot_be_pulled_is_named() {
    let api = Api::start(40);
    let status = json!({"containerStatuses": [{"name": "service", "image": "meshtax:0", "state": {"waiting": {
        "reason": "ImagePullBackOff", "message": "Back-off pulling image"}}}]});
    api.lock().kubelet.mood.status.insert("s1".into(), status);
    fails(&api, &[], &["the image meshtax:0 cannot be pulled: ImagePullBackOff", "--image"]);
}

#[test]
fn a_quota_is_found_in_the_events() {
    let api = Api::start(41);
    api.lock().kubelet.mood.not_made = Some("pods \"x\" is forbidden: exceeded quota: small, requested: pods=1".into());
    fails(&api, &["--patience", "10s"], &["a quota does not admit", "exceeded quota: small"]);
}

#[test]
fn a_webhook_that_refuses_is_named() {
    let api = Api::start(42);
    let why = "admission webhook \"policy.example.com\" denied the request: no images without a digest";
    api.fault(Method::PATCH, "deployments/s1", 1, What::Refuse(400, why, None));
    fails(&api, &[], &["a webhook refused deployments s1", "no images without a digest"]);
    api.fault(
        Method::PATCH,
        "jobs/load",
        1,
        What::Refuse(500, "failed calling webhook \"namespace.sidecar-injector.istio.io\": refused", None),
    );
    fails(&api, &[], &["a webhook refused jobs load", "failed calling webhook"]);
}

#[test]
fn a_right_that_is_missing_is_named_by_verb_and_kind() {
    let api = Api::start(43);
    api.fault(
        Method::PATCH,
        "daemonsets/probe",
        1,
        What::Refuse(403, "User \"dev\" cannot patch resource \"daemonsets\"", None),
    );
    fails(&api, &[], &["forbidden: to apply daemonsets probe in meshtax-", "cannot patch resource"]);
}

#[test]
fn a_mesh_that_is_not_there_is_told_from_one_that_does_not_inject() {
    let api = Api::start(44);
    api.fault(
        Method::PATCH,
        "peerauthentications",
        9,
        What::Refuse(404, "the server could not find the requested resource", None),
    );
    fails(
        &api,
        &["--mesh", "istio-sidecar"],
        &["the cluster has no istio-sidecar: it does not know peerauthentications", "--mesh none"],
    );
    // Its resources are there, and its webhook does not take the namespace.
    let api = Api::start(45);
    fails(&api, &["--mesh", "istio-sidecar"], &["has no container istio-proxy: injection is off", "--namespace-label"]);
    let api = Api::start(46);
    fails(&api, &["--mesh", "linkerd"], &["has no container linkerd-proxy: injection is off"]);
}

#[test]
fn pods_that_no_node_takes_are_pending_with_the_schedulers_words() {
    let api = Api::start(47);
    let status = json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: 3 Insufficient cpu."}]});
    api.lock().kubelet.mood.status.insert("s2".into(), status);
    fails(
        &api,
        &["--patience", "6s"],
        &["is pending since no node takes it: 0/3 nodes are available: 3 Insufficient cpu."],
    );
}

#[test]
fn a_node_that_is_lost_under_load_ends_the_trial_and_the_run() {
    let api = Api::start(48);
    api.fault(
        Method::POST,
        "proxy/go",
        1,
        What::Pod("s2", r#"{"reason": "NodeLost", "message": "Node node-a which was running pod s2 is unresponsive"}"#),
    );
    fails(&api, &["--duration", "5s"], &["the node node-a was lost while the pod s2-", "is unresponsive"]);
}

#[test]
fn an_api_server_that_is_gone_for_a_while_is_waited_for() {
    let api = Api::start(49);
    api.fault(Method::GET, "/api/v1/namespaces?", 6, What::Disconnect);
    api.fault(Method::PATCH, "services/s1", 4, What::Disconnect);
    let (said, _folder) = run(&api, &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
}

#[test]
fn an_api_server_that_is_gone_under_load_costs_no_trial() {
    let api = Api::start(52);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&api, &["--duration", "3s"]).0);
        api.until_the_load_goes(|| running.is_finished());
        // Nobody is heard for some seconds, in which the load goes on.
        api.fault(Method::GET, "", 4, What::Disconnect);
        let said = running.join().unwrap();
        assert_eq!(said.code, Some(0), "{}", said.stderr);
    });
    assert_eq!(api.lock().faults[0].times, 0);
}

#[test]
fn a_level_of_pod_security_that_admits_no_probe_is_named() {
    let api = Api::start(53);
    let why = "pods \"probe-x\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostPID=true)";
    api.fault(Method::PATCH, "daemonsets/probe", 1, What::Refuse(403, why, None));
    fails(&api, &[], &["pod security does not admit daemonsets probe", "hostPID=true", "exemption for the namespaces"]);
}

#[test]
fn two_runs_at_a_time_would_disturb_one_another() {
    let api = Api::start(50);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "meshtax-x",
        "annotations": {"meshtax/alive-until": "2999-01-01T00:00:00Z"},
        "labels": {"app.kubernetes.io/managed-by": "meshtax", "meshtax/run": "x"}}});
    api.lock().store.put("/api/v1/namespaces/meshtax-x", namespace);
    let (said, _folder) = run(&api, &[]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("the run x is measuring in this cluster") && said.stderr.contains("k8s clean --run x"),
        "{}",
        said.stderr
    );
    // What is dead is swept at the start.
    api.lock().store.put(
        "/api/v1/namespaces/meshtax-x",
        json!({"metadata": {"name": "meshtax-x", "annotations": {"meshtax/alive-until": "2001-01-01T00:00:00Z"},
        "labels": {"app.kubernetes.io/managed-by": "meshtax", "meshtax/run": "x"}}}),
    );
    let (said, _folder) = run(&api, &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("removed what an earlier run left: meshtax-x"), "{}", said.stderr);
}

#[test]
fn a_run_that_is_stopped_leaves_nothing() {
    let api = Api::start(51);
    let folder = tempfile::tempdir().unwrap();
    let mut command =
        meshtax(&["k8s", "run", "quick", "--services", "2", "--mesh", "none", "--duration", "30s", "--out"]);
    let mut child = command
        .arg(folder.path())
        .env("KUBECONFIG", api.kubeconfig())
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    api.until_the_load_goes(|| child.try_wait().unwrap().is_some());
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let said = child.wait_with_output().unwrap();
    assert_eq!(said.status.code(), Some(130), "{}", String::from_utf8_lossy(&said.stderr));
    let state = api.lock();
    assert_eq!(state.namespaces(), Vec::<&String>::new());
    assert!(state.kubelet.is_empty());
}

#[test]
fn a_plan_that_cannot_be_shared_is_refused_before_anything_is_asked() {
    let said = answer(&mut meshtax(&["k8s", "run", "quick", "--generators", "9", "--connections", "8"]));
    assert_eq!(said.code, Some(64));
    assert!(said.stderr.contains("9 generators cannot share 8 connections\n  try: --connections"), "{}", said.stderr);
}
