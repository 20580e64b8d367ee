//! Objects of the API by their kinds: where each is, and what to call it.

use serde_json::Value;

/// A kind that a run deals with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) api_version: &'static str,
    pub(super) name: &'static str,
    pub(super) plural: &'static str,
    namespaced: bool,
}

const fn kind(api_version: &'static str, name: &'static str, plural: &'static str, namespaced: bool) -> Kind {
    Kind { api_version, name, plural, namespaced }
}

pub(super) const NAMESPACE: Kind = kind("v1", "Namespace", "namespaces", false);
pub(super) const POD: Kind = kind("v1", "Pod", "pods", true);
pub(super) const EVENT: Kind = kind("v1", "Event", "events", true);
pub(super) const DEPLOYMENT: Kind = kind("apps/v1", "Deployment", "deployments", true);
pub(super) const JOB: Kind = kind("batch/v1", "Job", "jobs", true);

/// All of them.
const KINDS: [Kind; 14] = [
    NAMESPACE,
    POD,
    EVENT,
    DEPLOYMENT,
    JOB,
    kind("v1", "Service", "services", true),
    kind("v1", "Secret", "secrets", true),
    kind("apps/v1", "DaemonSet", "daemonsets", true),
    kind("security.istio.io/v1", "PeerAuthentication", "peerauthentications", true),
    kind("networking.istio.io/v1", "DestinationRule", "destinationrules", true),
    kind("networking.istio.io/v1", "VirtualService", "virtualservices", true),
    kind("networking.istio.io/v1", "Gateway", "gateways", true),
    kind("networking.istio.io/v1alpha3", "EnvoyFilter", "envoyfilters", true),
    kind("telemetry.istio.io/v1", "Telemetry", "telemetries", true),
];

impl Kind {
    /// Where all of it are, in a namespace or in all of them.
    pub(super) fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.api_version.contains('/') { "apis" } else { "api" };
        let within = namespace.filter(|_| self.namespaced).map(|n| format!("namespaces/{n}/")).unwrap_or_default();
        format!("/{root}/{}/{within}{}", self.api_version, self.plural)
    }
}

/// An object by what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) path: String,
    /// "deployments s1".
    pub(super) what: String,
    /// Empty for an object of no namespace.
    pub(super) namespace: String,
    /// Whether it is of a mesh.
    pub(super) of_mesh: bool,
}

/// Where an object belongs; none for a kind that no run has.
pub(super) fn address(object: &Value) -> Option<Address> {
    let text = |at: &str| object.pointer(at).and_then(Value::as_str);
    let (api_version, name) = (text("/apiVersion")?, text("/metadata/name")?);
    let kind = KINDS.iter().find(|k| Some(k.name) == text("/kind") && k.api_version == api_version)?;
    let namespace = text("/metadata/namespace").unwrap_or_default();
    let path = format!("{}/{name}", kind.path(Some(namespace).filter(|n| !n.is_empty())));
    let what = format!("{} {name}", kind.plural);
    Some(Address { path, what, namespace: namespace.to_owned(), of_mesh: api_version.contains("istio.io") })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_found_where_the_api_has_them() {
        let of = |api: &str, kind: &str, namespace: Option<&str>| {
            address(&json!({"apiVersion": api, "kind": kind, "metadata": {"name": "x", "namespace": namespace}}))
        };
        assert_eq!(of("v1", "Namespace", None).unwrap().path, "/api/v1/namespaces/x");
        assert_eq!(of("apps/v1", "Deployment", Some("n")).unwrap().path, "/apis/apps/v1/namespaces/n/deployments/x");
        let rule = of("networking.istio.io/v1", "DestinationRule", Some("n")).unwrap();
        assert_eq!(rule.path, "/apis/networking.istio.io/v1/namespaces/n/destinationrules/x");
        assert_eq!((rule.what.as_str(), rule.of_mesh), ("destinationrules x", true));
        assert_eq!(of("v1", "Endpoints", Some("n")), None);
        assert_eq!(POD.path(None), "/api/v1/pods");
    }
}
