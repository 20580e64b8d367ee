//! Reading a directory for one workload: each resource goes to whoever knows its kind, then the claims are settled.

use record::{AccessLog, CpuQuantity, IstioDefault, LogSink, MemoryQuantity, Mtls, Protocol, Weights};

use super::book::Book;
use super::claims::Claims;
use super::node::Node;
use super::resource::Resource;
use super::workload::Workload;
use super::{host, kinds, workload};
use crate::scenario::Length;

/// A directory as it is read for one workload.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) resources: &'a [Resource],
    pub(super) workload: &'a Workload<'a>,
    /// The namespace whose rules are for the whole mesh.
    pub(super) root: &'a str,
    pub(super) book: Book<'a>,
    pub(super) claims: AllClaims<'a>,
    pub(super) defaults: Vec<IstioDefault>,
}

/// How callers are told to speak to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientTls {
    Clear,
    Mutual,
}

/// The four settings of a proxy's resources.
#[derive(Debug, Default)]
pub(super) struct Resources<'a> {
    pub(super) cpu: Claims<'a, Option<CpuQuantity>>,
    pub(super) cpu_limit: Claims<'a, Option<CpuQuantity>>,
    pub(super) memory: Claims<'a, Option<MemoryQuantity>>,
    pub(super) memory_limit: Claims<'a, Option<MemoryQuantity>>,
}

/// What was found for each factor.
#[derive(Debug, Default)]
pub(super) struct AllClaims<'a> {
    pub(super) mode: Claims<'a, Mtls>,
    pub(super) port_mode: Claims<'a, Mtls>,
    pub(super) client: Claims<'a, ClientTls>,
    pub(super) auto_mtls: Claims<'a, bool>,
    pub(super) injected: Claims<'a, bool>,
    pub(super) protocol: Claims<'a, Protocol>,
    pub(super) retries: Claims<'a, u32>,
    pub(super) per_connection: Claims<'a, u32>,
    pub(super) weights: Claims<'a, Weights>,
    pub(super) concurrency: Claims<'a, u32>,
    pub(super) log_file: Claims<'a, String>,
    pub(super) log_encoding: Claims<'a, AccessLog>,
    pub(super) telemetry: Claims<'a, (AccessLog, LogSink)>,
    pub(super) flush: Claims<'a, Length>,
    pub(super) flush_kb: Claims<'a, u32>,
    /// By annotations of the pod.
    pub(super) annotated: Resources<'a>,
    /// By the values of the installation.
    pub(super) installed: Resources<'a>,
}

/// Whom a rule is for, the closer the larger.
pub(super) const MESH: u32 = 10;
pub(super) const NAMESPACE: u32 = 20;
pub(super) const ANNOTATION: u32 = 30;
pub(super) const SELECTED: u32 = 40;

impl<'a> Reader<'a> {
    pub(super) fn new(
        resources: &'a [Resource],
        workload: &'a Workload<'a>,
        root: &'a str,
        accepted: &'a [String],
    ) -> Self {
        let (book, claims) = (Book::new(accepted), AllClaims::default());
        Self { resources, workload, root, book, claims, defaults: Vec::new() }
    }

    /// Reads every resource.
    pub(super) fn read(&mut self) {
        for resource in self.resources {
            self.heading(resource);
            let istio = resource.group.ends_with("istio.io");
            match resource.kind.as_str() {
                "IstioOperator" if istio => self.operator(resource),
                "PeerAuthentication" if istio => self.peer_authentication(resource),
                "ProxyConfig" if istio => self.proxy_config_resource(resource),
                "Telemetry" if istio => self.telemetry(resource),
                // Which of them count is seen from all of them.
                "DestinationRule" | "VirtualService" if istio => {}
                "ConfigMap" if !istio => self.config_map(resource),
                "Namespace" if !istio => self.namespace(resource),
                "Service" if !istio => self.service(resource),
                kind if !istio && workload::KINDS.contains(&kind) => self.pods(resource),
                _ => kinds::judge(self, resource),
            }
        }
        self.destination_rules();
        self.virtual_services();
    }

    /// What has no verdict by now is not known.
    pub(super) fn close(&mut self) {
        for resource in self.resources {
            self.book.close(resource);
        }
    }

    /// What every resource begins with.
    fn heading(&mut self, resource: &'a Resource) {
        let root = resource.root();
        for (key, why) in [
            ("apiVersion", "it says what the resource is"),
            ("kind", "it says what the resource is"),
            ("status", "it is what the cluster wrote"),
        ] {
            if let Some(node) = root.get(key) {
                self.book.no_effect(&node, why);
            }
        }
        if resource.kind != "Pod"
            && let Some(node) = root.get("metadata")
        {
            let why = if workload::KINDS.contains(&resource.kind.as_str()) {
                "it names the resource; Istio reads the annotations of the pod's template"
            } else {
                "it names the resource"
            };
            self.book.no_effect(&node, why);
        }
    }

    /// How close a rule is by its namespace and its selector; none if it is for others, which is noted.
    pub(super) fn scope(&mut self, resource: &'a Resource, spec: &Node<'a>) -> Option<u32> {
        let labels = spec.far(&["selector", "matchLabels"]).map(|labels| labels.texts()).unwrap_or_default();
        let here = resource.namespace == self.workload.namespace;
        let scope = match (labels.is_empty(), here) {
            (true, _) if resource.namespace == self.root => Some(MESH),
            (true, true) => Some(NAMESPACE),
            (false, true) if self.workload.has(&labels) => Some(SELECTED),
            _ => None,
        };
        match (scope, spec.get("selector")) {
            (None, _) => self.book.no_effect(spec, format!("it is for others than {}", self.workload.title)),
            (Some(_), Some(selector)) => self.book.no_effect(&selector, "it chooses workloads, and this one too"),
            (Some(_), None) => {}
        }
        scope
    }

    /// The rules of a kind that are for the host of the workload: the closest ones, the rest being noted.
    pub(super) fn closest(&mut self, kind: &str, hosts: impl Fn(&Node<'a>) -> Vec<String>) -> Option<&'a Resource> {
        let mut found: Vec<(usize, &'a Resource)> = Vec::new();
        for resource in self.resources.iter().filter(|r| r.kind == kind && r.group.ends_with("istio.io")) {
            let Some(spec) = resource.root().get("spec") else { continue };
            let named = hosts(&spec).into_iter().map(|name| host::whole(&name, &resource.namespace));
            let close = |rule: String| self.workload.hosts.iter().filter_map(|h| host::closeness(&rule, h)).max();
            match named.filter_map(close).max() {
                Some(close) => found.push((close, resource)),
                None => {
                    self.book.no_effect(&spec, format!("it is for other hosts than that of {}", self.workload.title))
                }
            }
        }
        let (highest, winner) = found.iter().max_by_key(|(close, r)| (*close, usize::MAX - r.at)).copied()?;
        for (close, resource) in found.iter().filter(|(_, r)| r.at != winner.at) {
            let Some(spec) = resource.root().get("spec") else { continue };
            if *close < highest {
                let reason = format!("{} names the host more closely and wins", winner.title());
                self.book.no_effect(&spec, reason);
            } else {
                let reason = format!("{} is for the same host, and meshtax reads one {kind} a host", winner.title());
                self.book.ignored(&spec, reason);
            }
        }
        Some(winner)
    }

    /// A factor that no field sets.
    pub(super) fn default(&mut self, factor: &str, value: impl ToString, reason: impl Into<String>) {
        let (factor, value) = (factor.to_owned(), value.to_string());
        self.defaults.push(IstioDefault { factor, value, reason: reason.into() });
    }
}
