//! The conversation with an API server that behaves and misbehaves: what passes is waited out, what does not is told.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::json;

use crate::api::{Api, What};
use crate::{Answer, answer, meshtax};

/// `meshtax k8s clean` against it, which lists, deletes and lists again.
fn clean(api: &Api, more: &[&str]) -> Answer {
    answer(meshtax(&[&["k8s", "clean"], more].concat()).env("KUBECONFIG", api.kubeconfig()))
}

fn leave(api: &Api, name: &str, until: Option<&str>) {
    let annotations = until.map(|until| json!({"meshtax/alive-until": until})).unwrap_or_else(|| json!({}));
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": annotations,
        "labels": {"app.kubernetes.io/managed-by": "meshtax", "meshtax/run": "old"}}});
    api.lock().store.put(&format!("/api/v1/namespaces/{name}"), namespace);
}

#[test]
fn clean_removes_what_a_run_left_and_nothing_else() {
    let api = Api::start(1);
    leave(&api, "meshtax-old", None);
    leave(&api, "meshtax-old-c1", None);
    let other = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {}}});
    api.lock().store.put("/api/v1/namespaces/shop", other);
    let said = clean(&api, &[]);
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (Some(0), "removed the namespace meshtax-old\nremoved the namespace meshtax-old-c1\n"),
        "{}",
        said.stderr
    );
    assert!(api.lock().store.get("/api/v1/namespaces/shop").is_some());
    assert_eq!(clean(&api, &[]).stdout, "nothing was removed\n");
}

#[test]
fn a_run_that_is_alive_is_kept_unless_it_is_named() {
    let api = Api::start(2);
    leave(&api, "meshtax-old", Some("2999-01-01T00:00:00Z"));
    let said = clean(&api, &[]);
    assert!(said.stdout.contains("kept old, which is alive until 2999-01-01T00:00:00Z"), "{said:?}");
    let said = clean(&api, &["--run", "new"]);
    assert_eq!(said.code, Some(64));
    assert!(said.stderr.contains("nothing is left of the run 'new'\n  try: one of old"), "{said:?}");
    assert_eq!(clean(&api, &["--run", "old"]).stdout, "removed the namespace meshtax-old\n");
}

#[test]
fn a_server_that_is_asked_too_often_is_left_alone_for_as_long_as_it_says() {
    let api = Api::start(3);
    leave(&api, "meshtax-old", None);
    api.fault(Method::DELETE, "meshtax-old", 1, What::Refuse(429, "too many requests", Some(("retry-after", "1"))));
    let begun = Instant::now();
    let said = clean(&api, &[]);
    assert_eq!(said.stdout, "removed the namespace meshtax-old\n", "{}", said.stderr);
    // It is told to wait a second, and does.
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn connections_that_end_conflicts_and_hiccups_are_tried_again() {
    let api = Api::start(4);
    leave(&api, "meshtax-old", None);
    api.fault(Method::GET, "/api/v1/namespaces", 2, What::Disconnect);
    api.fault(Method::DELETE, "meshtax-old", 2, What::Refuse(409, "the object has been modified", None));
    api.fault(Method::DELETE, "meshtax-old", 1, What::Refuse(503, "etcdserver: leader changed", None));
    let said = clean(&api, &[]);
    assert_eq!(said.stdout, "removed the namespace meshtax-old\n", "{}", said.stderr);
    let deletes = api.lock().heard.iter().filter(|line| line.starts_with("DELETE")).count();
    assert_eq!(deletes, 4);
}

#[test]
fn what_is_forbidden_is_named_by_verb_and_kind() {
    let api = Api::start(5);
    let why = "namespaces is forbidden: User \"dev\" cannot list resource \"namespaces\"";
    api.fault(Method::GET, "/api/v1/namespaces", 1, What::Refuse(403, why, None));
    let said = clean(&api, &[]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("forbidden: to list namespaces"), "{}", said.stderr);
    assert!(said.stderr.contains("k8s manifests --runner") && said.stderr.contains(why), "{}", said.stderr);
    api.fault(Method::GET, "/api/v1/namespaces", 1, What::Refuse(401, "Unauthorized", None));
    assert!(clean(&api, &[]).stderr.contains("does not know this user"));
}

#[test]
fn without_a_cluster_the_contexts_are_named() {
    let api = Api::start(6);
    let said = clean(&api, &["--context", "prod"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("no cluster is named") && said.stderr.contains("(there are test)"), "{}", said.stderr);
    assert!(said.stderr.contains("try: --context NAME"), "{}", said.stderr);
    let none =
        answer(meshtax(&["k8s", "clean"]).env("KUBECONFIG", "/no/such/file").env_remove("KUBERNETES_SERVICE_HOST"));
    assert!(none.stderr.contains("no cluster is named"), "{}", none.stderr);
}
