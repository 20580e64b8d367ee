//! What Istio's Envoy says of itself: filter chains of its `config_dump`, and counters.

use std::collections::BTreeSet;

use record::{AccessLog, Mtls};
use serde_json::Value;

fn list(value: &Value, key: &str) -> Vec<Value> {
    value.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Listeners, those that Istio gave and those of its bootstrap.
fn listeners(dump: &Value) -> Vec<Value> {
    let of = |config: Value| {
        let given =
            list(&config, "dynamic_listeners").into_iter().filter_map(|l| l.pointer("/active_state/listener").cloned());
        let fixed = list(&config, "static_listeners").into_iter().filter_map(|l| l.get("listener").cloned());
        given.chain(fixed).collect::<Vec<_>>()
    };
    list(dump, "configs").into_iter().flat_map(of).collect()
}

fn named(listener: &Value) -> &str {
    listener.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// The filter chains by which a sidecar takes what comes in for a port.
pub(super) fn inbound_chains(dump: &Value, port: u16) -> Vec<Value> {
    let inbound = listeners(dump).into_iter().filter(|listener| named(listener) == "virtualInbound");
    let of_port = |chain: &Value| {
        chain.pointer("/filter_chain_match/destination_port").and_then(Value::as_u64) == Some(port.into())
    };
    inbound.flat_map(|listener| list(&listener, "filter_chains")).filter(of_port).collect()
}

/// The filter chains of a gateway's port: its listener is named by address and port.
pub(super) fn gateway_chains(dump: &Value, port: u16) -> Vec<Value> {
    let of_port = |listener: &Value| named(listener).ends_with(&format!("_{port}"));
    listeners(dump).into_iter().filter(of_port).flat_map(|listener| list(&listener, "filter_chains")).collect()
}

/// What a port's filter chains make of callers with TLS and in clear; none without a chain.
pub(super) fn mode(chains: &[Value]) -> Option<Mtls> {
    // TLS that is not the mesh's own is handed on as bytes, and ends nowhere here.
    let ends = chains.iter().any(|chain| chain.get("transport_socket").is_some());
    let clear = chains.iter().any(|chain| {
        let word = chain.pointer("/filter_chain_match/transport_protocol").and_then(Value::as_str);
        chain.get("transport_socket").is_none() && word != Some("tls")
    });
    match (ends, clear) {
        (true, true) => Some(Mtls::Permissive),
        (true, false) => Some(Mtls::Strict),
        (false, true) => Some(Mtls::Disable),
        (false, false) => None,
    }
}

/// The form in which requests of these filter chains are logged: "off", "text", "json", or what else there is.
pub(super) fn access_log(chains: &[Value]) -> String {
    let managers = chains.iter().flat_map(|chain| list(chain, "filters")).filter_map(|filter| {
        let config = filter.get("typed_config")?.clone();
        let kind = config.get("@type").and_then(Value::as_str)?;
        kind.ends_with(".HttpConnectionManager").then_some(config)
    });
    let forms: BTreeSet<String> = managers.map(|manager| form(&list(&manager, "access_log"))).collect();
    if forms.is_empty() {
        return "no filter for HTTP".to_owned();
    }
    forms.into_iter().collect::<Vec<_>>().join(" and ")
}

fn form(logs: &[Value]) -> String {
    match logs {
        [] => AccessLog::Off.to_string(),
        [log] if log.pointer("/typed_config/log_format/json_format").is_some() => AccessLog::Json.to_string(),
        [_] => AccessLog::Text.to_string(),
        several => format!("{} logs", several.len()),
    }
}

/// TLS handshakes that were done at a listener's port.
pub(super) fn handshakes(stats: &str, port: u16) -> u64 {
    let counter = format!("_{port}.ssl.handshake:");
    let value = |line: &str| line.rsplit(':').next()?.trim().parse::<u64>().ok();
    stats.lines().filter(|line| line.contains(&counter)).filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dump(name: &str, chains: Value) -> Value {
        json!({"configs": [{"dynamic_listeners": [{"active_state": {"listener": {"name": name, "filter_chains": chains}}}]}]})
    }

    #[test]
    fn a_ports_mode_is_read_from_istios_filter_chains() {
        let chain = |protocol: Option<&str>, tls: bool, port: u16| {
            let mut chain = json!({"filter_chain_match": {"destination_port": port}});
            if let Some(protocol) = protocol {
                chain["filter_chain_match"]["transport_protocol"] = protocol.into();
            }
            if tls {
                chain["transport_socket"] = json!({"name": "tls"});
            }
            chain
        };
        let other = chain(None, true, 9);
        for (chains, expected) in [
            (
                json!([chain(Some("tls"), true, 8080), chain(Some("raw_buffer"), false, 8080), other]),
                Some(Mtls::Permissive),
            ),
            (json!([chain(Some("tls"), true, 8080)]), Some(Mtls::Strict)),
            (json!([chain(None, false, 8080)]), Some(Mtls::Disable)),
            (json!([other]), None),
        ] {
            assert_eq!(mode(&inbound_chains(&dump("virtualInbound", chains), 8080)), expected);
        }
    }

    #[test]
    fn the_form_of_a_log_is_that_of_every_filter_for_http() {
        let filter = |logs: Value| {
            json!({"filters": [{"typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "access_log": logs,
            }}]})
        };
        let text = json!({"typed_config": {"path": "/dev/stdout", "log_format": {"text_format_source": {}}}});
        let lines = json!({"typed_config": {"path": "/dev/stdout", "log_format": {"json_format": {"method": "%M%"}}}});
        let bytes = json!({"filters": [{"typed_config": {"@type": "x.TcpProxy", "access_log": [text]}}]});
        for (chains, expected) in [
            (json!([filter(json!([]))]), "off"),
            (json!([filter(json!([text])), bytes]), "text"),
            (json!([filter(json!([lines]))]), "json"),
            // The mesh's own log beside ours is two lines for each request.
            (json!([filter(json!([text, lines]))]), "2 logs"),
            (json!([filter(json!([text])), filter(json!([lines]))]), "json and text"),
            (json!([bytes]), "no filter for HTTP"),
        ] {
            let found = access_log(&gateway_chains(&dump("0.0.0.0_8443", chains), 8443));
            assert_eq!(found, expected);
        }
        assert!(gateway_chains(&dump("0.0.0.0_15021", json!([filter(json!([]))])), 8443).is_empty());
    }

    #[test]
    fn handshakes_are_those_of_one_port() {
        let stats = "listener.0.0.0.0_15006.ssl.handshake: 7\nlistener.0.0.0.0_15001.ssl.handshake: 90\n\
                     listener.[__]_15006.ssl.handshake: 1\nlistener.0.0.0.0_8443.ssl.handshake: 4\n";
        assert_eq!((handshakes(stats, 15006), handshakes(stats, 8443)), (8, 4));
        assert_eq!(handshakes("", 15006), 0);
    }
}
