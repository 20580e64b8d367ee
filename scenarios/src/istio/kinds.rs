//! Kinds of resources that are judged as a whole.

use super::reader::Reader;
use super::resource::Resource;

/// Of Istio, and without effect on the path between two sidecars.
const IDLE: [(&str, &str); 4] = [
    ("ServiceEntry", "services here call nothing outside"),
    ("Gateway", "it is for a gateway; `--entry gateway` measures one"),
    ("WorkloadEntry", "services here are processes of this host"),
    ("WorkloadGroup", "services here are processes of this host"),
];

/// Of Istio, and on that path.
const NOT_DONE: [(&str, &str); 5] = [
    ("EnvoyFilter", "proxies here have the filters of Istio's default, and no others"),
    ("WasmPlugin", "proxies here run no plug-ins"),
    ("AuthorizationPolicy", "requests are not held against rules here"),
    ("RequestAuthentication", "tokens are not looked at here"),
    ("Sidecar", "proxies here know the services that they call, and no others"),
];

/// Of Kubernetes, and not on the path of a request.
const KUBERNETES: [&str; 26] = [
    "ConfigMap",
    "CronJob",
    "CSIDriver",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Endpoints",
    "EndpointSlice",
    "Event",
    "HorizontalPodAutoscaler",
    "Ingress",
    "IngressClass",
    "Lease",
    "LimitRange",
    "MutatingWebhookConfiguration",
    "NetworkPolicy",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "PriorityClass",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "Secret",
    "ServiceAccount",
    "ValidatingWebhookConfiguration",
];

/// The verdict on a resource whose kind no other part reads.
pub(super) fn judge<'a>(reader: &mut Reader<'a>, resource: &'a Resource) {
    let root = resource.root();
    let of = |list: &[(&str, &'static str)]| list.iter().find(|(kind, _)| *kind == resource.kind).map(|(_, why)| *why);
    let istio = resource.group.ends_with("istio.io");
    if !istio && KUBERNETES.contains(&resource.kind.as_str()) {
        reader.book.no_effect(&root, "it is not of the mesh");
    } else if let Some(why) = of(&IDLE).filter(|_| istio) {
        reader.book.no_effect(&root, why);
    } else if let Some(why) = of(&NOT_DONE).filter(|_| istio) {
        if reaches(reader, resource) {
            reader.book.ignored(&root, why);
        } else {
            reader.book.no_effect(&root, format!("it is for others than {}", reader.workload.title));
        }
    } else if root.get("kind").is_none() {
        reader.book.ignored(&root, "a document without a kind is no resource");
    } else {
        reader.book.ignored(&root, "meshtax does not know this kind, and cannot tell what it changes");
    }
}

/// Whether it is for the workload; the root namespace's are for every namespace, also with a selector.
fn reaches(reader: &Reader<'_>, resource: &Resource) -> bool {
    let root = resource.root();
    let selectors: [&[&str]; 3] = [
        &["spec", "selector", "matchLabels"],
        &["spec", "workloadSelector", "labels"],
        &["spec", "selector", "labels"],
    ];
    let labels = selectors.iter().find_map(|keys| root.far(keys)).map(|l| l.texts()).unwrap_or_default();
    let within = resource.namespace == reader.root || resource.namespace == reader.workload.namespace;
    within && reader.workload.has(&labels)
}
