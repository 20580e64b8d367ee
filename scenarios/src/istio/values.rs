//! The values of an installation: the block of resources that proxies get, and what else is known of them.

use std::str::FromStr;

use super::book::Known;
use super::claims::Claims;
use super::node::Node;
use super::reader::Reader;
use super::tree::Value;

const TOP: Known = Known {
    idle: &[
        ("gateways", "gateways of the installation are not started here"),
        ("pilot", "there is no control plane here"),
        ("cni", "connections are redirected by rules of the pod itself here"),
        ("ztunnel", "there is no node proxy of Istio's here"),
        ("base", "there is no control plane here"),
        ("istiodRemote", "there is no control plane here"),
        ("istio_cni", "connections are redirected by rules of the pod itself here"),
        ("defaultRevision", "there is no control plane here"),
        ("revision", "there is no control plane here"),
        ("revisionTags", "there is no control plane here"),
        ("ownerName", "it is a name"),
        ("experimental", "there is no control plane here"),
        ("telemetry", "proxies here have no istio.stats; the run says so among what is lacking"),
    ],
    not_done: &[("sidecarInjectorWebhook", "templates of the injector's are not read")],
    harmless: &[("profile", &["default", "minimal", "empty"], "it sets more than the default profile")],
};

const GLOBAL: Known = Known {
    idle: &[
        ("hub", "it is where images are from"),
        ("tag", "it is the images' version; the proxy here is the one of --envoy"),
        ("variant", "the proxy here is the one of --envoy"),
        ("istioNamespace", "it is where the control plane is"),
        ("imagePullPolicy", "no image is pulled here"),
        ("imagePullSecrets", "no image is pulled here"),
        ("proxy_init", "the rules are set before anything is measured"),
        ("multiCluster", "there is one cluster here"),
        ("meshID", "it is a name"),
        ("network", "there is one network here"),
        ("meshNetworks", "there is one network here"),
        ("pilotCertProvider", "there is no control plane here"),
        ("istiod", "there is no control plane here"),
        ("logging", "there is no control plane here"),
        ("logAsJson", "it is the form of what the agent says"),
        ("jwtPolicy", "there is no control plane here"),
        ("sds", "certificates are files here"),
        ("sts", "there is no control plane here"),
        ("caAddress", "the authority here is the one that meshtax made"),
        ("caName", "the authority here is the one that meshtax made"),
        ("certSigners", "the authority here is the one that meshtax made"),
        ("trustBundleName", "the authority here is the one that meshtax made"),
        ("omitSidecarInjectorConfigMap", "there is no control plane here"),
        ("operatorManageWebhooks", "there is no control plane here"),
        ("configValidation", "there is no control plane here"),
        ("defaultNodeSelector", "it chooses nodes"),
        ("defaultTolerations", "it chooses nodes"),
        ("defaultPodDisruptionBudget", "nothing is moved here"),
        ("defaultResources", "they are of the control plane"),
        ("priorityClassName", "nothing is moved here"),
        ("remotePilotAddress", "there is no control plane here"),
        ("ipFamilies", "services here have IPv4"),
        ("ipFamilyPolicy", "services here have IPv4"),
        ("externalIstiod", "there is no control plane here"),
        ("configCluster", "there is no control plane here"),
        ("autoscalingv2API", "nothing is scaled here"),
        ("oneNamespace", "there is no control plane here"),
        ("mountMtlsCerts", "certificates are files here"),
        ("tracer", "a tracer does nothing until tracing is on"),
        ("waypoint", "there is no waypoint here"),
        ("platform", "it is where it is installed"),
    ],
    not_done: &[("nativeNftables", "rules are set by iptables here")],
    harmless: &[],
};

const PROXY: Known = Known {
    idle: &[
        ("autoInject", "where there are sidecars is said by the run"),
        ("clusterDomain", "no name is looked up here"),
        ("image", "the proxy here is the one of --envoy"),
        ("privileged", "it is what the proxy may do"),
        ("enableCoreDump", "it is what is left of a crash"),
        ("startupProbe", "the load begins when everything answers"),
        ("readinessInitialDelaySeconds", "the load begins when everything answers"),
        ("readinessPeriodSeconds", "the load begins when everything answers"),
        ("readinessFailureThreshold", "the load begins when everything answers"),
        ("statusPort", "it is the number of a port"),
        ("holdApplicationUntilProxyStarts", "the load begins when everything answers"),
        ("seccompProfile", "it is what the proxy may do"),
        ("tracer", "a tracer does nothing until tracing is on"),
    ],
    not_done: &[("lifecycle", "nothing is run beside a proxy here")],
    harmless: &[
        ("logLevel", &["warning", "error", "critical", "off"], "proxies here log warnings"),
        ("componentLogLevel", &["misc:error", ""], "proxies here log warnings"),
        ("outlierLogPath", &[""], "no host is ejected here"),
        ("includeIPRanges", &["*", ""], "every connection of a pod is redirected here"),
        ("excludeIPRanges", &[""], "every connection of a pod is redirected here"),
        ("includeInboundPorts", &["*", ""], "every connection to a pod is redirected here"),
        ("excludeInboundPorts", &[""], "every connection to a pod is redirected here"),
        ("includeOutboundPorts", &[""], "every connection of a pod is redirected here"),
        ("excludeOutboundPorts", &[""], "every connection of a pod is redirected here"),
    ],
};

impl<'a> Reader<'a> {
    pub(super) fn values(&mut self, node: &Node<'a>, rank: u32) {
        TOP.judge(node, &mut self.book);
        if let Some(mesh) = node.get("meshConfig") {
            self.mesh_config(&mesh, rank);
        }
        let Some(global) = node.get("global") else { return };
        GLOBAL.judge(&global, &mut self.book);
        let Some(proxy) = global.get("proxy") else { return };
        PROXY.judge(&proxy, &mut self.book);
        // Merged key by key with the chart's own; `null` takes a key away.
        for (block, entries) in proxy.get("resources").map(|r| r.entries()).unwrap_or_default() {
            for (key, node) in entries.entries() {
                let resources = &mut self.claims.installed;
                let fault = match (block, key) {
                    ("requests", "cpu") => quantity(&mut resources.cpu, rank, &node),
                    ("limits", "cpu") => quantity(&mut resources.cpu_limit, rank, &node),
                    ("requests", "memory") => quantity(&mut resources.memory, rank, &node),
                    ("limits", "memory") => quantity(&mut resources.memory_limit, rank, &node),
                    _ => None,
                };
                if let Some(problem) = fault {
                    self.book.wrong(&node, problem);
                }
            }
        }
    }
}

/// Claims an amount; 0 and nothing are no bound. What is wrong with it, if it is none.
pub(super) fn quantity<'a, T>(claims: &mut Claims<'a, Option<T>>, rank: u32, node: &Node<'a>) -> Option<String>
where
    T: FromStr + Clone + PartialEq,
    T::Err: std::fmt::Display,
{
    let text = match &node.tree.value {
        Value::Nothing => String::new(),
        _ => node.tree.text().unwrap_or_else(|| node.tree.said()),
    };
    if ["", "0", "0m"].contains(&text.trim()) {
        claims.add(rank, node, None);
        return None;
    }
    match text.trim().parse() {
        Ok(amount) => {
            claims.add(rank, node, Some(amount));
            None
        }
        Err(problem) => Some(T::Err::to_string(&problem)),
    }
}
