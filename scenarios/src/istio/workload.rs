//! The workloads of a directory: what settings can be of.

use super::host;
use super::node::Node;
use super::resource::Resource;

/// Kinds that start pods.
pub(super) const KINDS: [&str; 7] =
    ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Pod", "Job"];

/// A workload, declared or only spoken of.
#[derive(Clone, Debug)]
pub(super) struct Workload<'a> {
    /// For people: "Deployment reviews-v1 in default".
    pub(super) title: String,
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) labels: Vec<(String, String)>,
    /// What it is started from, if it is declared.
    pub(super) declared: Option<Node<'a>>,
    /// The Service that leads to it.
    pub(super) service: Option<&'a Resource>,
    /// What callers call it by, whole.
    pub(super) hosts: Vec<String>,
}

impl<'a> Workload<'a> {
    /// The pod it makes: labels, annotations and containers are in it.
    pub(super) fn pod(&self) -> Option<Node<'a>> {
        let declared = self.declared.as_ref()?;
        if declared.resource.kind == "Pod" { Some(declared.clone()) } else { declared.far(&["spec", "template"]) }
    }

    /// Whether all of these labels are on it.
    pub(super) fn has(&self, labels: &[(String, String)]) -> bool {
        labels.iter().all(|label| self.labels.contains(label))
    }

    /// Whether a user means it by this name.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let (namespace, name) = name.rsplit_once('/').map_or((None, name), |(within, name)| (Some(within), name));
        let apps = ["app", "app.kubernetes.io/name"];
        let by_label = self.labels.iter().any(|(key, value)| apps.contains(&key.as_str()) && value == name);
        let by_host = self.hosts.iter().any(|host| host::short(host) == name);
        namespace.is_none_or(|within| within == self.namespace) && (self.name == name || by_label || by_host)
    }

    fn declared(resource: &'a Resource, resources: &'a [Resource]) -> Self {
        let root = resource.root();
        let pod = if resource.kind == "Pod" { Some(root.clone()) } else { root.far(&["spec", "template"]) };
        let labels = pod.and_then(|pod| pod.far(&["metadata", "labels"])).map(|l| l.texts()).unwrap_or_default();
        let mut workload = Self {
            title: resource.title(),
            name: resource.name.clone(),
            namespace: resource.namespace.clone(),
            labels,
            declared: Some(root),
            service: None,
            hosts: Vec::new(),
        };
        let leads_here = |service: &&Resource| {
            let selector = service.root().far(&["spec", "selector"]).map(|s| s.texts()).unwrap_or_default();
            service.kind == "Service"
                && service.namespace == workload.namespace
                && !selector.is_empty()
                && workload.has(&selector)
        };
        let services: Vec<&Resource> = resources.iter().filter(leads_here).collect();
        let mut names: Vec<String> = services.iter().map(|service| service.name.clone()).collect();
        if names.is_empty() {
            names.push(workload.name.clone());
            names.extend(workload.labels.iter().filter(|(key, _)| key == "app").map(|(_, value)| value.clone()));
        }
        workload.hosts = names.iter().map(|name| host::whole(name, &workload.namespace)).collect();
        workload.service = services.first().copied();
        workload
    }

    fn spoken_of(name: &str, namespace: &str, labels: Vec<(String, String)>) -> Self {
        Self {
            title: format!("workload {name} in {namespace}"),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            labels,
            declared: None,
            service: None,
            hosts: vec![host::whole(name, namespace)],
        }
    }
}

/// The workloads that start pods.
pub(super) fn declared(resources: &[Resource]) -> Vec<Workload<'_>> {
    let pods = resources.iter().filter(|r| KINDS.contains(&r.kind.as_str()) && !r.group.ends_with("istio.io"));
    pods.map(|resource| Workload::declared(resource, resources)).collect()
}

/// The workloads that rules speak of, by their hosts and selectors; where there are none, any of each namespace with
/// a rule of its own, or any at all.
pub(super) fn spoken_of<'a>(resources: &'a [Resource], root: &str) -> Vec<Workload<'a>> {
    let mut found: Vec<Workload<'a>> = Vec::new();
    let mut add = |workload: Workload<'a>| {
        if !found.iter().any(|w| w.namespace == workload.namespace && w.name == workload.name) {
            found.push(workload);
        }
    };
    for resource in resources.iter().filter(|r| r.group.ends_with("istio.io")) {
        let spec = resource.root().get("spec");
        for host in spec.iter().flat_map(|spec| hosts(resource, spec)) {
            let whole = host::whole(&host, &resource.namespace);
            if let [name, namespace, "svc", "cluster", "local"] = whole.split('.').collect::<Vec<_>>().as_slice()
                && *name != "*"
            {
                add(Workload::spoken_of(name, namespace, vec![("app".to_owned(), (*name).to_owned())]));
            }
        }
        let labels = spec.as_ref().and_then(|spec| spec.far(&["selector", "matchLabels"])).map(|l| l.texts());
        if let Some(labels) = labels.filter(|labels| !labels.is_empty() && resource.namespace != root) {
            let name = labels.iter().find(|(key, _)| key == "app").unwrap_or(&labels[0]).1.clone();
            add(Workload::spoken_of(&name, &resource.namespace, labels));
        }
    }
    if found.is_empty() {
        let mut namespaces: Vec<&str> = resources
            .iter()
            .filter(|r| r.group.ends_with("istio.io") && r.namespace != root && r.kind != "IstioOperator")
            .map(|r| r.namespace.as_str())
            .collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        if namespaces.is_empty() {
            namespaces.push("default");
        }
        found = namespaces.iter().map(|within| Workload::spoken_of("any", within, Vec::new())).collect();
        found.iter_mut().for_each(|workload| workload.hosts.clear());
    }
    found
}

fn hosts(resource: &Resource, spec: &Node<'_>) -> Vec<String> {
    match resource.kind.as_str() {
        "DestinationRule" => spec.text_of("host").into_iter().collect(),
        "VirtualService" => {
            let named = spec.get("hosts").map(|hosts| hosts.items()).unwrap_or_default();
            named.iter().filter_map(|host| host.tree.text()).collect()
        }
        _ => Vec::new(),
    }
}
