//! What a plan emits for a cluster, held against what Kubernetes, Istio and Linkerd publish of it (`published/`).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use k8s_openapi::api::apps::v1::Deployment;
use reports::planning::{Form, PlanReport, Workload, emit};
use serde_json::Value;

use crate::plans::{planned, swept};

fn published(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/published").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The names in a published list.
fn names(file: &str) -> BTreeSet<String> {
    published(file).lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// A plan whose recommendation has a limit, and one whose has none; made once.
static REPORTS: LazyLock<[PlanReport; 2]> = LazyLock::new(|| {
    let limited = planned(&swept(&[None, Some("200m")]), 2000.0);
    let free = planned(&swept(&[None]), 2000.0);
    assert!(limited.recommendation.as_ref().unwrap().proxy.cpu_limit.is_some());
    assert!(free.recommendation.as_ref().unwrap().proxy.cpu_limit.is_none());
    [limited, free]
});

fn reports() -> &'static [PlanReport; 2] {
    &REPORTS
}

fn emitted(report: &PlanReport, form: Form) -> String {
    emit(report, form, &Workload::new("cart", "shop", "cart:1.0").unwrap()).unwrap()
}

/// Fails unless all of one value is in another: the other may have more.
fn is_within(part: &Value, whole: &Value, at: &str) {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            for (key, value) in part {
                let found = whole.get(key).unwrap_or_else(|| panic!("{at}.{key} is not known"));
                is_within(value, found, &format!("{at}.{key}"));
            }
        }
        (Value::Array(part), Value::Array(whole)) => {
            assert_eq!(part.len(), whole.len(), "{at}");
            part.iter().zip(whole).for_each(|(a, b)| is_within(a, b, at));
        }
        _ => assert_eq!(part, whole, "{at}"),
    }
}

/// Kubernetes' own types read it and write all of it again: a field that they do not know is lost on the way.
fn is_a_deployment(value: &Value) -> Deployment {
    let read: Deployment = serde_json::from_value(value.clone()).unwrap();
    is_within(value, &serde_json::to_value(&read).unwrap(), "");
    read
}

#[test]
fn a_field_that_kubernetes_does_not_know_would_be_found() {
    let wrong = serde_json::json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"},
        "spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "x", "resource": {}}]}}}});
    assert!(std::panic::catch_unwind(|| is_a_deployment(&wrong)).is_err());
}

#[test]
fn the_deployment_is_kubernetes_and_the_proxy_config_keeps_to_istios_schema() {
    for report in reports() {
        let text = emitted(report, Form::Kubernetes);
        let (deployment, config) = text.split_once("---\n").unwrap();
        let found = is_a_deployment(&yaml(deployment));
        let recommended = report.recommendation.as_ref().unwrap();
        let spec = found.spec;
        assert_eq!(spec.replicas, Some(1));
        assert_eq!(
            spec.selector.match_labels,
            spec.template.metadata.as_ref().map(|_| [("app".to_owned(), "cart".to_owned())].into())
        );
        let pod = spec.template.spec.unwrap();
        let sidecar = pod.containers.iter().find(|c| c.name == "istio-proxy").unwrap();
        assert_eq!(sidecar.image.as_deref(), Some("auto"));
        let resources = sidecar.resources.as_ref().unwrap();
        let limits = resources.limits.as_ref().unwrap();
        let limit = recommended.proxy.cpu_limit.map(|l| l.to_string());
        assert_eq!(limits.get("cpu").map(|q| q.0.clone()), limit);
        assert_eq!(limits["memory"].0, recommended.proxy.memory_limit.to_string());
        assert_eq!(resources.requests.as_ref().unwrap()["cpu"].0, recommended.proxy.cpu_request.to_string());

        let crd = yaml(&published("proxyconfig-crd.yaml"));
        let version = &crd["spec"]["versions"][0];
        let config = yaml(config);
        let kind = format!("{}/{}", crd["spec"]["group"].as_str().unwrap(), version["name"].as_str().unwrap());
        assert_eq!((config["apiVersion"].as_str().unwrap(), config["kind"].as_str()), (&*kind, Some("ProxyConfig")));
        let schema = &version["schema"]["openAPIV3Schema"];
        let validator = jsonschema::validator_for(schema).unwrap();
        assert!(validator.is_valid(&config), "{config}");
        keeps_to(&config["spec"], &schema["properties"]["spec"], "spec");
        assert_eq!(config["spec"]["concurrency"], recommended.proxy.workers);
    }
}

/// Fails where a field is not among a schema's properties: Kubernetes would drop it without a word.
fn keeps_to(value: &Value, schema: &Value, at: &str) {
    let Some(object) = value.as_object() else { return };
    for (key, value) in object {
        let below = match (&schema["properties"][key], &schema["additionalProperties"]) {
            (Value::Null, Value::Null) => panic!("{at}.{key} is not in the schema"),
            (Value::Null, more) => more,
            (known, _) => known,
        };
        keeps_to(value, below, &format!("{at}.{key}"));
    }
}

#[test]
fn annotations_are_those_that_the_injections_read() {
    for report in reports() {
        for (form, file) in
            [(Form::IstioAnnotations, "istio-annotations.txt"), (Form::Linkerd, "linkerd-annotations.txt")]
        {
            let patch = yaml(&emitted(report, form));
            // A patch is a part of a Deployment.
            let read: Deployment = serde_json::from_value(patch.clone()).unwrap();
            is_within(&patch, &serde_json::to_value(&read).unwrap(), "");
            let known = names(file);
            let annotations = patch["spec"]["template"]["metadata"]["annotations"].as_object().unwrap().clone();
            for (key, value) in &annotations {
                assert!(known.contains(key), "{key} of {file}");
                assert!(value.is_string(), "an annotation is text: {key}: {value}");
            }
            let proxy = &report.recommendation.as_ref().unwrap().proxy;
            let limit = if form == Form::Linkerd {
                "config.linkerd.io/proxy-cpu-limit"
            } else {
                "sidecar.istio.io/proxyCPULimit"
            };
            assert_eq!(
                annotations.get(limit).and_then(Value::as_str),
                proxy.cpu_limit.map(|l| l.to_string()).as_deref()
            );
        }
        let config = yaml(&emitted(report, Form::IstioAnnotations));
        let config = config["spec"]["template"]["metadata"]["annotations"]["proxy.istio.io/config"].as_str().unwrap();
        assert_eq!(yaml(config)["concurrency"], 2);
    }
}

/// Fails unless every key stands in the chart's own values. What lies below `meshConfig` is Istio's MeshConfig, whose
/// defaultConfig has the fields of ProxyConfig.
fn are_values_of_the_chart(values: &Value) {
    let chart = yaml(&published("istiod-values.yaml"));
    let chart = &chart["_internal_defaults_do_not_set"];
    let known = |value: &Value| {
        fn walk(value: &Value, chart: &Value, at: &str) {
            let Some(object) = value.as_object() else { return };
            for (key, below) in object {
                let found = chart.get(key).unwrap_or_else(|| panic!("the chart has no {at}.{key}"));
                walk(below, found, &format!("{at}.{key}"));
            }
        }
        walk(value, chart, "");
    };
    known(&serde_json::json!({ "global": values["global"] }));
    assert!(chart.get("meshConfig").is_some());
    let crd = yaml(&published("proxyconfig-crd.yaml"));
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    keeps_to(&values["meshConfig"]["defaultConfig"], schema, "meshConfig.defaultConfig");
    assert_eq!(values["meshConfig"].as_object().unwrap().len(), 1);
}

#[test]
fn values_have_keys_of_the_chart_and_take_back_a_limit_that_it_sets() {
    for report in reports() {
        let values = yaml(&emitted(report, Form::Helm));
        are_values_of_the_chart(&values);
        let keys: Vec<&String> = values.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["global", "meshConfig"]);
        let limits = &values["global"]["proxy"]["resources"]["limits"];
        let proxy = &report.recommendation.as_ref().unwrap().proxy;
        match proxy.cpu_limit {
            Some(limit) => assert_eq!(limits["cpu"], limit.to_string()),
            // The chart's own limit of 2000m would stand otherwise.
            None => assert!(limits.as_object().unwrap()["cpu"].is_null()),
        }
    }
    let wrong = serde_json::json!({"global": {"proxy": {"resource": {}}}, "meshConfig": {"defaultConfig": {}}});
    assert!(std::panic::catch_unwind(|| are_values_of_the_chart(&wrong)).is_err(), "a wrong key would be found");
}

#[test]
fn an_istio_operator_has_fields_of_its_spec_and_values_of_the_chart() {
    for report in reports() {
        let operator = yaml(&emitted(report, Form::IstioOperator));
        assert_eq!(operator["apiVersion"], "install.istio.io/v1alpha1");
        assert_eq!(operator["kind"], "IstioOperator");
        let fields = names("istio-operator-spec.txt");
        let spec = operator["spec"].as_object().unwrap();
        assert!(spec.keys().all(|key| fields.contains(key)), "{spec:?}");
        let values = serde_json::json!({"global": spec["values"]["global"], "meshConfig": spec["meshConfig"]});
        are_values_of_the_chart(&values);
    }
}

#[test]
fn each_form_says_what_it_is_of_and_how_it_is_applied() {
    let [report, _] = reports();
    for (form, apply) in [
        (Form::Kubernetes, "kubectl apply -f"),
        (Form::IstioAnnotations, "kubectl patch deployment cart --namespace shop --patch-file"),
        (Form::IstioOperator, "istioctl install -f"),
        (Form::Helm, "helm upgrade istiod"),
        (Form::Linkerd, "kubectl patch deployment cart --namespace shop --patch-file"),
    ] {
        let text = emitted(report, form);
        assert!(text.contains(apply) && text.contains("of medium, p99=25ms,errors=0.1% at 2000 requests/s"), "{text}");
    }
    assert!(emitted(report, Form::Linkerd).contains("was not measured"));
    let mut named = report.clone();
    named.recommendation.as_mut().unwrap().plan.name = "x\nkind: Secret".into();
    assert!(!emitted(&named, Form::Helm).contains("\nkind: Secret"), "a name cannot end the comment");
}
