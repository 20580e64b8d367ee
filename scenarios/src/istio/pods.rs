//! What starts pods: the annotations that change their sidecar, and Namespace's word on whether there is one.

use super::book::Known;
use super::node::Node;
use super::reader::{ANNOTATION, MESH, NAMESPACE, Reader, SELECTED};
use super::resource::Resource;
use super::values::quantity;

const ANNOTATIONS: Known = Known {
    idle: &[
        ("sidecar.istio.io/status", "it is what the injector wrote"),
        ("sidecar.istio.io/nativeSidecar", "it is the order of the start"),
        ("sidecar.istio.io/rewriteAppHTTPProbers", "nothing probes a service here"),
        ("sidecar.istio.io/agentLogLevel", "there is no agent here"),
        ("sidecar.istio.io/proxyImageType", "the proxy here is the one of --envoy"),
        ("sidecar.istio.io/enableCoreDump", "it is what is left of a crash"),
        ("sidecar.istio.io/userVolume", "it is a volume of the pod"),
        ("sidecar.istio.io/userVolumeMount", "it is a volume of the pod"),
        ("istio.io/rev", "there is no control plane here"),
        ("readiness.status.sidecar.istio.io/initialDelaySeconds", "the load begins when everything answers"),
        ("readiness.status.sidecar.istio.io/periodSeconds", "the load begins when everything answers"),
        ("readiness.status.sidecar.istio.io/failureThreshold", "the load begins when everything answers"),
        ("readiness.status.sidecar.istio.io/applicationPorts", "the load begins when everything answers"),
        ("status.sidecar.istio.io/port", "it is the number of a port"),
    ],
    not_done: &[
        ("sidecar.istio.io/proxyImage", "the proxy here is the one of --envoy"),
        ("sidecar.istio.io/bootstrapOverride", "Envoy begins here as meshtax says"),
        ("sidecar.istio.io/statsInclusionPrefixes", "proxies here count what Envoy counts by itself"),
        ("sidecar.istio.io/statsInclusionRegexps", "proxies here count what Envoy counts by itself"),
        ("sidecar.istio.io/statsInclusionSuffixes", "proxies here count what Envoy counts by itself"),
        ("sidecar.istio.io/extraStatTags", "proxies here count what Envoy counts by itself"),
        ("sidecar.istio.io/statsHistogramBuckets", "proxies here count what Envoy counts by itself"),
        ("sidecar.istio.io/statsFlushInterval", "proxies here flush their counters as Envoy does by itself"),
        ("sidecar.istio.io/statsEvictionInterval", "counters are kept here"),
        ("sidecar.istio.io/statsCompression", "counters are not packed here"),
        ("inject.istio.io/templates", "templates of the injector's are not read"),
        ("proxy.istio.io/overrides", "templates of the injector's are not read"),
        ("ambient.istio.io/redirection", "a sidecar is what is measured: --dataplane ambient is the other"),
    ],
    harmless: &[
        ("sidecar.istio.io/logLevel", &["warning", "error", "critical", "off"], "proxies here log warnings"),
        ("sidecar.istio.io/componentLogLevel", &["misc:error", ""], "proxies here log warnings"),
        ("sidecar.istio.io/interceptionMode", &["REDIRECT"], "pods here have their connections redirected"),
        ("traffic.sidecar.istio.io/includeInboundPorts", &["*"], "every connection to a pod is redirected here"),
        ("traffic.sidecar.istio.io/excludeInboundPorts", &[""], "every connection to a pod is redirected here"),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", &["*"], "every connection of a pod is redirected here"),
        ("traffic.sidecar.istio.io/excludeOutboundIPRanges", &[""], "every connection of a pod is redirected here"),
        ("traffic.sidecar.istio.io/includeOutboundPorts", &[""], "every connection of a pod is redirected here"),
        ("traffic.sidecar.istio.io/excludeOutboundPorts", &[""], "every connection of a pod is redirected here"),
    ],
};

const INJECT: &str = "sidecar.istio.io/inject";

impl<'a> Reader<'a> {
    pub(super) fn pods(&mut self, resource: &'a Resource) {
        let root = resource.root();
        let ours = self.workload.declared.as_ref().is_some_and(|d| d.resource.at == resource.at);
        if !ours {
            for node in
                [root.get("spec"), root.get("metadata").filter(|_| resource.kind == "Pod")].into_iter().flatten()
            {
                self.book.no_effect(&node, format!("it is another workload than {}", self.workload.title));
            }
            return;
        }
        let Some(pod) = self.workload.pod() else { return };
        if resource.kind != "Pod" {
            for (key, node) in root.get("spec").map(|spec| spec.entries()).unwrap_or_default() {
                if key != "template" {
                    self.book.no_effect(&node, "one pod of it is measured");
                }
            }
        }
        for (key, node) in pod.get("metadata").map(|m| m.entries()).unwrap_or_default() {
            match key {
                "annotations" => self.annotations(&node),
                "labels" => self.labels(&node),
                _ => self.book.no_effect(&node, "it names the pod"),
            }
        }
        for (key, node) in pod.get("spec").map(|spec| spec.entries()).unwrap_or_default() {
            match key {
                "containers" | "initContainers" => self.containers(&node),
                "hostNetwork" if node.tree.text().as_deref() == Some("true") => {
                    self.book.ignored(&node, "connections of the host's network are not redirected");
                }
                _ => self.book.no_effect(&node, "it is of the pod's own; services here are meshtax's"),
            }
        }
    }

    fn containers(&mut self, list: &Node<'a>) {
        for container in list.items() {
            if container.text_of("name").as_deref() == Some("istio-proxy") {
                let why = "a proxy's container that is written out is not read; annotations and values are";
                self.book.ignored(&container, why);
            } else {
                self.book.no_effect(&container, "it is the program's own; services here are meshtax's");
            }
        }
    }

    fn labels(&mut self, labels: &Node<'a>) {
        for (key, node) in labels.entries() {
            match (key, node.tree.text().as_deref()) {
                (INJECT, Some(said)) => self.claims.injected.add(SELECTED, &node, said == "true"),
                ("istio.io/dataplane-mode", Some("none")) => self.book.no_effect(&node, "it is the default"),
                ("istio.io/dataplane-mode" | "istio.io/use-waypoint", _) => {
                    self.book.ignored(&node, "a sidecar is what is measured: --dataplane ambient is the other");
                }
                _ => self.book.no_effect(&node, "rules choose by it"),
            }
        }
    }

    fn annotations(&mut self, annotations: &Node<'a>) {
        ANNOTATIONS.judge(annotations, &mut self.book);
        for (key, node) in annotations.entries() {
            let resources = &mut self.claims.annotated;
            let fault = match key {
                "sidecar.istio.io/proxyCPU" => quantity(&mut resources.cpu, ANNOTATION, &node),
                "sidecar.istio.io/proxyCPULimit" => quantity(&mut resources.cpu_limit, ANNOTATION, &node),
                "sidecar.istio.io/proxyMemory" => quantity(&mut resources.memory, ANNOTATION, &node),
                "sidecar.istio.io/proxyMemoryLimit" => quantity(&mut resources.memory_limit, ANNOTATION, &node),
                "proxy.istio.io/config" => {
                    self.proxy_config(&node, ANNOTATION);
                    None
                }
                INJECT => {
                    let inject = node.tree.text().as_deref() == Some("true");
                    self.claims.injected.add(ANNOTATION, &node, inject);
                    None
                }
                _ => {
                    if !of_istio(key) {
                        self.book.no_effect(&node, "it is not of the mesh");
                    }
                    None
                }
            };
            if let Some(problem) = fault {
                self.book.wrong(&node, problem);
            }
        }
    }

    /// A namespace says by a label whether its pods get sidecars.
    pub(super) fn namespace(&mut self, resource: &'a Resource) {
        let root = resource.root();
        if resource.name == self.workload.namespace {
            for (key, node) in root.far(&["metadata", "labels"]).map(|l| l.entries()).unwrap_or_default() {
                match (key, node.tree.text().as_deref()) {
                    ("istio-injection", Some(said)) => self.claims.injected.add(NAMESPACE, &node, said == "enabled"),
                    ("istio.io/rev", _) => self.claims.injected.add(MESH, &node, true),
                    ("istio.io/dataplane-mode", Some("ambient")) => {
                        self.book.ignored(&node, "a sidecar is what is measured: --dataplane ambient is the other");
                    }
                    _ => {}
                }
            }
        }
        if let Some(spec) = root.get("spec") {
            self.book.no_effect(&spec, "it is not of the mesh");
        }
    }
}

/// Whether Istio, or what it grew out of, reads an annotation of this name.
fn of_istio(key: &str) -> bool {
    key.split('/').next().is_some_and(|domain| domain == "istio.io" || domain.ends_with(".istio.io"))
}
