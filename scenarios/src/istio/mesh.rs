//! The settings of the whole mesh: IstioOperator, the ConfigMaps that an installation makes, MeshConfig, ProxyConfig.

use record::AccessLog;

use super::book::Known;
use super::node::Node;
use super::reader::{MESH, Reader};
use super::resource::Resource;
use crate::scenario::Length;

const OPERATOR: Known = Known {
    idle: &[
        ("components", "control plane and gateways are not started here"),
        ("hub", "it is where images are from"),
        ("tag", "it is the images' version; the proxy here is the one of --envoy"),
        ("revision", "there is no control plane here"),
        ("namespace", "there is no control plane here"),
        ("installPackagePath", "nothing is installed here"),
        ("compatibilityVersion", "there is no control plane here"),
    ],
    not_done: &[("unvalidatedValues", "what Istio does not check is not read")],
    harmless: &[(
        "profile",
        &["default", "minimal", "empty", "openshift", "remote", "stable", "preview"],
        "it sets more than the default profile, such as samples of every trace or another data plane",
    )],
};

const MESH_CONFIG: Known = Known {
    idle: &[
        ("rootNamespace", "it is where rules for the whole mesh stand"),
        ("extensionProviders", "a provider does nothing until a Telemetry names it"),
        ("outboundTrafficPolicy", "services here call nothing outside"),
        ("trustDomain", "it is a part of the name in certificates"),
        ("trustDomainAliases", "it is a part of the name in certificates"),
        ("ingressClass", "there is no Ingress here"),
        ("ingressService", "there is no Ingress here"),
        ("ingressControllerMode", "there is no Ingress here"),
        ("ingressSelector", "there is no Ingress here"),
        ("dnsRefreshRate", "no name is looked up here"),
        ("tcpKeepalive", "a probe of an idle connection comes later than any run ends"),
        ("enablePrometheusMerge", "there is no agent to merge counters"),
        ("discoverySelectors", "there is no control plane here"),
        ("defaultServiceExportTo", "it says who sees what"),
        ("defaultVirtualServiceExportTo", "it says who sees what"),
        ("defaultDestinationRuleExportTo", "it says who sees what"),
        ("localityLbSetting", "all services here are in one place"),
        ("certificates", "there is no control plane here"),
        ("caCertificates", "the authority here is the one that meshtax made"),
        ("ca", "the authority here is the one that meshtax made"),
        ("configSources", "there is no control plane here"),
        ("serviceSettings", "there is one cluster here"),
        ("proxyListenPort", "it is the number of a port"),
        ("proxyInboundListenPort", "it is the number of a port"),
        ("proxyHttpPort", "it is the number of a port"),
        ("inboundClusterStatName", "it is a name of counters"),
        ("outboundClusterStatName", "it is a name of counters"),
    ],
    not_done: &[
        ("connectTimeout", "connects are not given up here, and a starved proxy may take long for one"),
        ("meshMTLS", "TLS 1.3 is what two sidecars agree on here"),
        ("tlsDefaults", "TLS 1.3 is what two sidecars agree on here"),
        ("pathNormalization", "Istio's default normalization is what is known"),
    ],
    harmless: &[
        ("enableTracing", &["false"], "no trace is sent here"),
        ("enableEnvoyAccessLogService", &["false"], "no line is sent to a service here"),
        ("disableEnvoyListenerLog", &["false"], "listeners log nothing here"),
        ("protocolDetectionTimeout", &["0s", "0ms"], "a connection's first bytes are waited for without end here"),
        ("h2UpgradePolicy", &["DEFAULT", "DO_NOT_UPGRADE"], "HTTP/1.1 is not made HTTP/2 here"),
        ("verifyCertificateAtClient", &["true", "false"], ""),
        ("enableAutoSni", &["true", "false"], ""),
    ],
};

const PROXY_CONFIG: Known = Known {
    idle: &[
        ("holdApplicationUntilProxyStarts", "the load begins when everything answers"),
        ("terminationDrainDuration", "nothing is drained while it is measured"),
        ("drainDuration", "nothing is drained while it is measured"),
        ("parentShutdownDuration", "nothing is drained while it is measured"),
        ("discoveryAddress", "there is no control plane here"),
        ("configPath", "it is a path of the proxy's own"),
        ("binaryPath", "the proxy here is the one of --envoy"),
        ("serviceCluster", "it is a name"),
        ("controlPlaneAuthPolicy", "there is no control plane here"),
        ("proxyAdminPort", "it is the number of a port"),
        ("statusPort", "it is the number of a port"),
        ("readinessProbe", "the load begins when everything answers"),
        ("caCertificatesPem", "the authority here is the one that meshtax made"),
        ("image", "the proxy here is the one of --envoy"),
        ("availabilityZone", "all services here are in one place"),
        ("statNameLength", "it is the length of names"),
        ("gatewayTopology", "no proxy stands before the gateway here"),
        ("selector", "it chooses workloads"),
    ],
    not_done: &[
        ("privateKeyProvider", "keys are held by the proxy here"),
        ("proxyStatsMatcher", "proxies here count what Envoy counts by itself"),
        ("extraStatTags", "proxies here count what Envoy counts by itself"),
        ("envoyAccessLogService", "no line is sent to a service here"),
        ("envoyMetricsService", "counters are not sent here; --stats-scrape asks for them"),
        ("runtimeValues", "Envoy's runtime values are its defaults here"),
        ("proxyHeaders", "the headers that proxies add are Istio's default ones"),
        ("proxyMetadata", "the agent that reads it is not here"),
        ("environmentVariables", "the agent that reads them is not here"),
        ("zipkinAddress", "no trace is sent here"),
        ("statsEvictionInterval", "counters are kept here"),
    ],
    harmless: &[("interceptionMode", &["REDIRECT"], "pods here have their connections redirected")],
};

impl<'a> Reader<'a> {
    pub(super) fn operator(&mut self, resource: &'a Resource) {
        let Some(spec) = resource.root().get("spec") else { return };
        OPERATOR.judge(&spec, &mut self.book);
        if let Some(values) = spec.get("values") {
            self.values(&values, MESH);
        }
        if let Some(mesh) = spec.get("meshConfig") {
            self.mesh_config(&mesh, MESH + 1);
        }
    }

    /// What an installation left in the cluster is what runs there, and wins over what it was made from.
    pub(super) fn config_map(&mut self, resource: &'a Resource) {
        let root = resource.root();
        let named = |start: &str| resource.name == start || resource.name.starts_with(&format!("{start}-"));
        let (injector, mesh) = (named("istio-sidecar-injector"), resource.name == "istio" || is_revision(resource));
        for (key, node) in root.entries() {
            match key {
                "data" if injector || mesh => {
                    for (key, node) in node.entries() {
                        match key {
                            "mesh" if mesh => self.mesh_config(&node, MESH + 2),
                            "values" if injector => self.values(&node, MESH + 2),
                            "meshNetworks" => self.book.no_effect(&node, "there is one network here"),
                            "config" if injector => {
                                self.book.no_effect(&node, "it is the injector's template; its values are read");
                            }
                            _ => {}
                        }
                    }
                }
                "data" | "binaryData" | "immutable" => self.book.no_effect(&node, "it is not of the mesh"),
                _ => {}
            }
        }
    }

    pub(super) fn mesh_config(&mut self, node: &Node<'a>, rank: u32) {
        MESH_CONFIG.judge(node, &mut self.book);
        for (key, field) in node.entries() {
            let Some(text) = field.tree.text() else {
                match key {
                    "defaultConfig" => self.proxy_config(&field, rank),
                    "defaultHttpRetryPolicy" => self.retries(&field, rank),
                    "defaultProviders" => self.default_providers(&field, rank),
                    _ => {}
                }
                continue;
            };
            match key {
                "accessLogFile" => self.claims.log_file.add(rank, &field, text),
                "accessLogEncoding" => match text.as_str() {
                    "TEXT" => self.claims.log_encoding.add(rank, &field, AccessLog::Text),
                    "JSON" => self.claims.log_encoding.add(rank, &field, AccessLog::Json),
                    _ => self.book.wrong(&field, "an encoding is TEXT or JSON"),
                },
                "accessLogFormat" if text.is_empty() => self.book.no_effect(&field, "it is Istio's default format"),
                "accessLogFormat" => {
                    self.book.ignored(&field, "lines here have Istio's default fields");
                }
                "enableAutoMtls" => match text.as_str() {
                    "true" => self.claims.auto_mtls.add(rank, &field, true),
                    "false" => self.claims.auto_mtls.add(rank, &field, false),
                    _ => self.book.wrong(&field, "true or false"),
                },
                _ => {}
            }
        }
    }

    fn default_providers(&mut self, node: &Node<'a>, rank: u32) {
        for (key, list) in node.entries() {
            match key {
                "metrics" => {
                    self.book
                        .no_effect(&list, "proxies here have no istio.stats; the run says so among what is lacking");
                }
                "accessLogging" => self.providers(&list, rank),
                _ => {}
            }
        }
    }

    /// What a proxy is told at its start: for the mesh, by an annotation, or by a resource of its own.
    pub(super) fn proxy_config(&mut self, node: &Node<'a>, rank: u32) {
        PROXY_CONFIG.judge(node, &mut self.book);
        if let Some(field) = node.get("concurrency")
            && let Some(threads) = self.whole(&field)
        {
            self.claims.concurrency.add(rank, &field, threads);
        }
        if let Some(field) = node.get("fileFlushInterval") {
            match field.tree.text().as_deref().and_then(Length::parse).filter(|length| length.ns > 0) {
                Some(length) => self.claims.flush.add(rank, &field, length),
                None => self.book.wrong(&field, "a length of time is expected, such as 1s"),
            }
        }
        if let Some(field) = node.get("fileFlushMinSizeKb")
            && let Some(kb) = self.whole(&field)
        {
            self.claims.flush_kb.add(rank, &field, kb);
        }
        if let Some(tracing) = node.get("tracing") {
            let sampled = tracing.text_of("sampling").and_then(|text| text.parse::<f64>().ok());
            if sampled == Some(0.0) {
                self.book.no_effect(&tracing, "nothing is sampled, and no trace is sent here");
            } else {
                self.book.ignored(&tracing, "no trace is sent here");
            }
        }
    }

    pub(super) fn proxy_config_resource(&mut self, resource: &'a Resource) {
        let Some(spec) = resource.root().get("spec") else { return };
        if let Some(rank) = self.scope(resource, &spec) {
            // Above what the mesh says by itself.
            self.proxy_config(&spec, rank + 5);
        }
    }
}

fn is_revision(resource: &Resource) -> bool {
    resource.name.starts_with("istio-") && resource.root().far(&["data", "mesh"]).is_some()
}
