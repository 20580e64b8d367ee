//! The configuration as text, which an Envoy takes.

use std::process::Command;

use record::{AccessLog, Protocol};

use super::super::super::Door;
use super::super::dump::{self, Dump};
use super::*;
use crate::network::Pod;

/// Keys that are nowhere.
fn nowhere() -> IdentityFiles {
    IdentityFiles { chain: "/k/chain".into(), key: "/k/key".into(), ca: "/k/ca".into() }
}

fn text(place: &Place) -> String {
    let sheet = Sheet::of(place, Path::new("/private"), secrets::write(place).unwrap()).unwrap();
    template::bootstrap(place, &sheet).unwrap()
}

/// What it says, as a running Envoy would say it.
fn dump(place: &Place) -> Dump {
    let whole: Value = serde_saphyr::from_str(&text(place)).unwrap();
    let of = |list: &str, item: &str| -> Vec<Value> {
        let all = whole["static_resources"][list].as_array().unwrap();
        all.iter().map(|one| serde_json::json!({ item: one })).collect()
    };
    Dump::read(&serde_json::json!({"configs": [
        {"@type": "x.ListenersConfigDump", "static_listeners": of("listeners", "listener")},
        {"@type": "x.ClustersConfigDump", "static_clusters": of("clusters", "cluster")},
    ]}))
}

fn in_pod(mut place: Place) -> Place {
    let pod = Pod { name: "s1".into(), address: "10.77.0.3".parse().unwrap(), namespace: "/run/netns/x".into() };
    place.stand = Stand::Pod(pod);
    if let Some(app) = &mut place.app {
        *app = App { address: "10.77.0.3:8080".parse().unwrap(), ports: vec![8080, 8081] };
    }
    for callee in &mut place.callees {
        callee.address = "10.77.0.4:8080".parse().unwrap();
    }
    place
}

fn middle(identity: Option<IdentityFiles>) -> Place {
    place("s1", Some(any()), Some(("s2", any())), identity)
}

#[test]
fn in_a_pod_connections_are_redirected_to_two_listeners_and_shared_out_from_there() {
    let mut place = in_pod(middle(Some(nowhere())));
    place.factors.port_mtls = Some(Mtls::Disable);
    let dump = dump(&place);
    // Under strict nothing in clear is let in, so that there is no HTTP to find in it.
    assert_eq!(dump.listener_filters("virtualInbound"), ["original_dst", "tls_inspector"]);
    assert_eq!(dump::mode(&dump.chains("virtualInbound", Some(8080))), Some(Mtls::Disable));
    assert_eq!(dump::mode(&dump.chains("virtualInbound", Some(8081))), Some(Mtls::Strict));
    // Strict and of unknown protocol: HTTP and anything else; and the port of interception.
    assert_eq!(dump.chains("virtualInbound", None).len(), 1 + 2 + 1 + 1);
    assert_eq!(dump.chains("virtualOutbound", None).len(), 2);
    let whole = text(&place);
    for part in [
        "use_original_dst: true",
        "bind_to_port: false",
        "port_value: 15001",
        "port_value: 15006",
        "source_address: { address: 127.0.0.6, port_value: 0 }",
        "- \"10.77.0.4\"",
        "name: \"outbound|8080||s2.meshtax.svc.cluster.local\"",
        "sni: \"outbound_.8080_._.s2.meshtax.svc.cluster.local\"",
    ] {
        assert!(whole.contains(part), "{part} is missing:\n{whole}");
    }
}

#[test]
fn on_loopback_the_kernel_chooses_every_port_and_nothing_is_redirected() {
    let whole = text(&middle(None));
    assert_eq!(whole.matches("port_value: 0 }").count(), 3, "{whole}");
    for part in
        ["original_dst", "ORIGINAL_DST", "15001", "15006", "PassthroughCluster", "transport_socket", "inspector"]
    {
        assert!(!whole.contains(part), "{part}:\n{whole}");
    }
}

#[test]
fn what_is_not_known_of_a_port_is_found_out_on_both_sides() {
    let mut place = middle(Some(nowhere()));
    place.factors.mtls = Mtls::Permissive;
    assert_eq!(dump(&place).listener_filters("virtualInbound"), ["tls_inspector"]);
    place.factors.protocol = Protocol::Auto;
    let dump = dump(&place);
    assert_eq!(dump.listener_filters("virtualInbound"), ["tls_inspector", "http_inspector"]);
    assert_eq!(dump.listener_filters("outbound_s2"), ["tls_inspector", "http_inspector"]);
    assert_eq!(dump.chains("virtualInbound", None).len(), 5);
    assert_eq!(dump::mode(&dump.chains("virtualInbound", None)), Some(Mtls::Permissive));
    assert_eq!(dump::protocol(&dump.chains("virtualInbound", None)), Protocol::Auto);
}

#[test]
fn who_a_peer_must_be_is_written_as_its_id_and_keys_by_their_paths() {
    let whole = text(&middle(Some(nowhere())));
    assert!(whole.contains("matcher: { exact: \"spiffe://cluster.local/ns/meshtax/sa/s2\" }"));
    assert!(whole.contains("matcher: { prefix: \"spiffe://cluster.local/ns/meshtax/\" }"));
    assert!(whole.contains("require_client_certificate: true"));
    assert_eq!(whole.matches("private_key: { filename: \"/k/key\" }").count(), 1);
    assert!(!whole.contains("BEGIN"), "a key in what is kept: {whole}");
}

/// Places of every kind: on each ground, in each mode, with each protocol and log, with a canary, as a gateway.
fn places(identity: &IdentityFiles, rotate_ns: u64) -> Vec<Place> {
    let mut all = Vec::new();
    for mtls in [Mtls::Disable, Mtls::Permissive, Mtls::Strict] {
        for protocol in [Protocol::Http, Protocol::Auto] {
            for access_log in [AccessLog::Off, AccessLog::Text, AccessLog::Json] {
                let files = (mtls != Mtls::Disable).then(|| identity.clone());
                let mut side = middle(files.clone());
                side.callees[0].secured = mtls != Mtls::Disable;
                let factors = &mut side.factors;
                (factors.mtls, factors.protocol, factors.access_log) = (mtls, protocol, access_log);
                (factors.retries, factors.requests_per_connection, factors.rotate_ns) = (2, 10, rotate_ns);
                let mut split = side.clone();
                let other = Subset { name: "v2".into(), weight: 10, address: any() };
                split.callees[0].subsets[0].name = "v1".into();
                split.callees[0].subsets.push(other);
                let mut gateway = Place { app: None, ..side.clone() };
                gateway.door = Some(Door { identity: identity.clone() });
                all.extend([side, split, gateway].into_iter().flat_map(|p| [in_pod(p.clone()), p]));
            }
        }
    }
    all
}

#[test]
fn every_place_has_a_configuration_that_envoy_takes_without_a_word() {
    for envoy in envoys() {
        let directory = tempfile::tempdir().unwrap();
        let folders = folders(directory.path());
        let authority = Authority::new().unwrap();
        let identity = authority.issue("s1").unwrap().write(&folders.private).unwrap();
        for (n, place) in places(&identity, 1).into_iter().chain(places(&identity, 0)).enumerate() {
            // Each takes a tenth of a second and more. Eleven has no factor in common with the lengths of the lists,
            // so that every eleventh has each of their values.
            if n % 11 != 0 {
                continue;
            }
            envoy.launch(&place, &folders).unwrap();
            let file = folders.private.join("s1-sidecar.envoy.yaml");
            let output = Command::new(&envoy.path).args(["--mode", "validate", "-c"]).arg(&file).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let whole = std::fs::read_to_string(&file).unwrap();
            assert!(output.status.success(), "{said}\n{whole}");
            // A field that is about to go would otherwise be found out by whoever has the next Envoy.
            for bad in ["deprecated", "warning", "unknown field"] {
                assert!(!said.to_lowercase().contains(bad), "{said}\n{whole}");
            }
        }
    }
}
