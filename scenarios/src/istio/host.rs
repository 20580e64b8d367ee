//! Hosts as Istio's rules name them: short names belong to the namespace of the rule.

/// Where services live that are named without their cluster's domain.
const DOMAIN: &str = "svc.cluster.local";

/// The whole name of a host in a rule of this namespace: "reviews" becomes "reviews.shop.svc.cluster.local".
pub(super) fn whole(host: &str, namespace: &str) -> String {
    match host.split('.').collect::<Vec<_>>().as_slice() {
        _ if host.starts_with('*') => host.to_owned(),
        [name] => format!("{name}.{namespace}.{DOMAIN}"),
        // As Istio itself does not read "reviews.shop" as a name within the cluster, but people mean it so.
        [name, within] => format!("{name}.{within}.{DOMAIN}"),
        [name, within, "svc"] => format!("{name}.{within}.{DOMAIN}"),
        _ => host.to_owned(),
    }
}

/// Whether a host in a rule, whole, means this one; if so, how closely: the longer the closer.
pub(super) fn closeness(rule: &str, host: &str) -> Option<usize> {
    match rule.strip_prefix('*') {
        Some(end) => host.ends_with(end).then_some(end.len()),
        // A name of its own is closer than any pattern.
        None => (rule == host).then_some(usize::MAX),
    }
}

/// The first part of a host's name: "reviews".
pub(super) fn short(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_of_the_rules_own_namespace() {
        for host in ["reviews", "reviews.shop", "reviews.shop.svc", "reviews.shop.svc.cluster.local"] {
            assert_eq!(whole(host, "shop"), "reviews.shop.svc.cluster.local", "{host}");
        }
        assert_eq!(whole("api.example.com", "shop"), "api.example.com");
        assert_eq!(whole("*.local", "shop"), "*.local");
    }

    #[test]
    fn the_closest_rule_is_the_longest() {
        let host = "reviews.shop.svc.cluster.local";
        let found: Vec<_> = ["*", "*.local", "*.shop.svc.cluster.local", host].map(|rule| closeness(rule, host)).into();
        assert!(found.iter().all(Option::is_some) && found.is_sorted(), "{found:?}");
        assert_eq!(closeness("ratings.shop.svc.cluster.local", host), None);
        assert_eq!(closeness("*.example.com", host), None);
    }
}
