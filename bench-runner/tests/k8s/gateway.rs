//! An ingress gateway in front of a chain: clients come in with TLS, and what is shown to them is made for the cell.

use serde_json::json;

use crate::api::Api;
use crate::envoy::{Envoy, Issuer, door, inbound, shake_hands};
use crate::mesh::{found, trial};
use crate::run::{rights_are_those_used, run};

#[test]
fn the_load_enters_by_the_gateway_which_is_a_part_of_its_own() {
    let mut issuer = Issuer::new();
    // The kubelet gives pods their addresses in the order in which they come: the probe, s2, s1.
    let first = json!({"name": "s1", "connect_timeout": "1s", "type": "STATIC", "load_assignment": {
        "cluster_name": "s1", "endpoints": [{"lb_endpoints": [{"endpoint": {"address":
            {"socket_address": {"address": "127.88.61.3", "port_value": 8080}}}}]}]}});
    let proxies = Envoy::start(|folder| {
        let (identity, shown) = (folder.join("identity.json"), folder.join("door.json"));
        issuer.renew(&identity);
        // Something that no client trusts, until the gateway's own is mounted.
        let nothing = std::fs::read_to_string(&identity).unwrap().replace("\"default\"", "\"door\"");
        std::fs::write(&shown, nothing).unwrap();
        (json!([inbound(Some(&identity), &json!([])), door(&shown, "s1")]), json!([first]))
    });
    let Some(envoy) = proxies else { return };
    shake_hands();
    let api = Api::start(61);
    api.lock().kubelet.sidecar = Some(envoy.workers());
    api.lock().kubelet.door = Some(envoy.folder.path().join("door.json"));
    let flags = ["--mesh", "istio-sidecar", "--mtls", "strict", "--workers", "2", "--entry", "gateway"];
    let (said, _folder) = run(&api, &flags);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let (path, sealed) = trial(&said.stdout);
    assert!(sealed["load"]["answered"].as_u64().unwrap() >= 95, "{}", sealed["load"]);
    let role = |name: &str| {
        let parts = sealed["parts"].as_array().unwrap();
        parts.iter().find(|part| part["name"] == name).map(|part| part["role"].as_str().unwrap().to_owned())
    };
    assert_eq!(role("gateway").as_deref(), Some("gateway"));
    // The client knows nothing of the mesh.
    assert_eq!((role("load-sidecar"), role("load").as_deref()), (None, Some("load")));
    let found = found(&sealed);
    let of = |part: &str, claim: &str| found.get(&(part.to_owned(), claim.to_owned())).map(String::as_str);
    assert!(of("gateway", "TLS handshakes of clients").unwrap().parse::<u64>().unwrap() >= 4, "{found:?}");
    assert_eq!((of("gateway", "injected as"), of("gateway", "access log")), (Some("container"), Some("off")));
    assert_eq!(of("gateway", "worker threads"), Some("2"));
    assert!(path.join("gateway.config_dump.json").is_file());
    rights_are_those_used(&api, &["--mesh", "istio-sidecar", "--entry", "gateway"]);
    assert_eq!(api.lock().namespaces(), Vec::<&String>::new());
}
