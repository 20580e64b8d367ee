//! The configuration that an Envoy says it runs, read from `/config_dump`.

use std::path::Path;

use record::{AccessLog, Mtls, Protocol};
use serde_json::Value;

/// Listeners, clusters and route tables as they are at work.
#[derive(Debug)]
pub(super) struct Dump {
    listeners: Vec<Value>,
    clusters: Vec<Value>,
    routes: Vec<Value>,
}

impl Dump {
    /// Of an answer to `/config_dump`.
    pub(super) fn read(dump: &Value) -> Self {
        let of = |kind: &str, list: &str, item: &str| {
            let all = items(dump, "configs").filter(|c| text(c, "@type").ends_with(kind));
            all.flat_map(|c| items(c, list)).filter_map(|one| one.get(item)).cloned().collect::<Vec<Value>>()
        };
        Self {
            listeners: of(".ListenersConfigDump", "static_listeners", "listener"),
            clusters: of(".ClustersConfigDump", "static_clusters", "cluster"),
            routes: [
                of(".RoutesConfigDump", "dynamic_route_configs", "route_config"),
                of(".RoutesConfigDump", "static_route_configs", "route_config"),
            ]
            .concat(),
        }
    }

    /// The filter chains of a listener that are for a port; all of them for none.
    pub(super) fn chains(&self, listener: &str, port: Option<u16>) -> Vec<&Value> {
        let of_port = |chain: &&Value| {
            port.is_none_or(|p| chain.pointer("/filter_chain_match/destination_port") == Some(&Value::from(p)))
        };
        named(&self.listeners, listener).into_iter().flat_map(|l| items(l, "filter_chains")).filter(of_port).collect()
    }

    /// The names of a listener's filters: "tls_inspector".
    pub(super) fn listener_filters(&self, listener: &str) -> Vec<String> {
        named(&self.listeners, listener).into_iter().flat_map(|l| items(l, "listener_filters")).map(short).collect()
    }

    /// Requests after which a cluster closes a connection; 0 is no bound.
    pub(super) fn requests_per_connection(&self, cluster: &str) -> Option<u64> {
        let options = self.cluster(cluster)?.get("typed_extension_protocol_options")?.as_object()?;
        let bound = |o: &Value| o.pointer("/common_http_protocol_options/max_requests_per_connection")?.as_u64();
        Some(options.values().find_map(bound).unwrap_or(0))
    }

    /// What a cluster offers in handshakes; none where it speaks in clear.
    pub(super) fn offers(&self, cluster: &str) -> Option<Vec<String>> {
        let context = items(self.cluster(cluster)?, "transport_socket_matches")
            .find_map(|m| m.pointer("/transport_socket/typed_config/common_tls_context"))?;
        Some(items(context, "alpn_protocols").filter_map(Value::as_str).map(str::to_owned).collect())
    }

    fn cluster(&self, name: &str) -> Option<&Value> {
        named(&self.clusters, name)
    }

    /// The route of a virtual host in a route table.
    pub(super) fn route(&self, table: &str, host: &str) -> Option<&Value> {
        route(named(&self.routes, table)?, host)
    }
}

/// The first route of a virtual host.
fn route<'a>(table: &'a Value, host: &str) -> Option<&'a Value> {
    let host = items(table, "virtual_hosts").find(|h| text(h, "name") == host)?;
    items(host, "routes").next()?.get("route")
}

/// The mode that filter chains make.
pub(super) fn mode(chains: &[&Value]) -> Option<Mtls> {
    let ends_tls = chains.iter().any(|chain| chain.get("transport_socket").is_some());
    let in_clear = chains.iter().any(|chain| text(chain, "/filter_chain_match/transport_protocol") == "raw_buffer");
    match (ends_tls, in_clear) {
        (true, true) => Some(Mtls::Permissive),
        (true, false) => Some(Mtls::Strict),
        (false, true) => Some(Mtls::Disable),
        (false, false) => None,
    }
}

/// What filter chains take for known: HTTP alone, or anything.
pub(super) fn protocol(chains: &[&Value]) -> Protocol {
    let http = chains.iter().all(|chain| manager(chain).is_some());
    if http { Protocol::Http } else { Protocol::Auto }
}

/// The HTTP connection manager of a filter chain.
pub(super) fn manager(chain: &Value) -> Option<&Value> {
    items(chain, "filters").map(|f| f.get("typed_config").unwrap_or(f)).find(|c| c.get("http_filters").is_some())
}

/// The names of its filters, in their order: "fault".
pub(super) fn http_filters(manager: &Value) -> Vec<String> {
    items(manager, "http_filters").map(short).collect()
}

/// The form of its access log.
pub(super) fn access_log(manager: &Value) -> AccessLog {
    match items(manager, "access_log").next() {
        None => AccessLog::Off,
        Some(log) if log.pointer("/typed_config/log_format/json_format").is_some() => AccessLog::Json,
        Some(_) => AccessLog::Text,
    }
}

/// The file that its routes are read from.
pub(super) fn routes_file(manager: &Value) -> Option<&Path> {
    manager.pointer("/rds/config_source/path_config_source/path")?.as_str().map(Path::new)
}

/// The route of a virtual host in such a file.
pub(super) fn route_in_file(text: &str, host: &str) -> Option<Value> {
    let file: Value = serde_saphyr::from_str(text).ok()?;
    let table = items(&file, "resources").next()?;
    route(table, host).cloned()
}

/// The route that it has in itself.
pub(super) fn own_route(manager: &Value) -> Option<&Value> {
    let table = manager.get("route_config")?;
    route(table, text(table, "name"))
}

/// How often a route tries again, and when.
pub(super) fn retries(route: &Value) -> (u64, String) {
    let Some(policy) = route.get("retry_policy") else { return (0, String::new()) };
    (policy.get("num_retries").and_then(Value::as_u64).unwrap_or(1), text(policy, "retry_on").to_owned())
}

/// The clusters of a route with their weights; one alone has weight 1.
pub(super) fn weights(route: &Value) -> Vec<(String, u64)> {
    if let Some(cluster) = route.get("cluster").and_then(Value::as_str) {
        return vec![(cluster.to_owned(), 1)];
    }
    let all = route.get("weighted_clusters").into_iter().flat_map(|w| items(w, "clusters"));
    all.map(|c| (text(c, "name").to_owned(), c.get("weight").and_then(Value::as_u64).unwrap_or(0))).collect()
}

fn named<'a>(all: &'a [Value], name: &str) -> Option<&'a Value> {
    all.iter().find(|one| text(one, "name") == name)
}

fn items<'a>(value: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    value.get(list).and_then(Value::as_array).into_iter().flatten()
}

/// A text by its name or path; empty where there is none.
fn text<'a>(value: &'a Value, at: &str) -> &'a str {
    let found = if at.starts_with('/') { value.pointer(at) } else { value.get(at) };
    found.and_then(Value::as_str).unwrap_or_default()
}

/// "envoy.filters.http.fault" is "fault".
fn short(filter: &Value) -> String {
    text(filter, "name").rsplit('.').next().unwrap_or_default().to_owned()
}
