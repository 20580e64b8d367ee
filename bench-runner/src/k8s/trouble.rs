//! What goes wrong in clusters: each names the thing, the place and the way out.

use std::fmt::Write as _;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// There is no cluster to speak to.
    #[error(
        "no cluster is named: {why}{}\n  try: --context NAME with one of `kubectl config get-contexts`, or KUBECONFIG=FILE",
        known(contexts)
    )]
    NoContext { why: String, contexts: Vec<String> },
    /// The API server does not answer.
    #[error(
        "the API server did not answer for {seconds:.0} s ({doing}): {why}\n  try: `kubectl get --raw /readyz`; what was sealed is kept"
    )]
    Away { doing: String, seconds: f64, why: String },
    /// It does not know who we are.
    #[error(
        "the API server does not know this user ({doing}): {why}\n  try: `kubectl auth whoami` with the same context; a token may have run out"
    )]
    Unknown { doing: String, why: String },
    /// A right is missing.
    #[error(
        "forbidden: to {verb} {what}{}\n  try: give it to this user; `meshtax k8s manifests --runner` prints the ClusterRole with all that a run needs\n  the API server says: {why}",
        in_namespace(namespace)
    )]
    Forbidden { verb: String, what: String, namespace: String, why: String },
    /// The cluster does not have what a mesh is told with.
    #[error("the cluster has no {mesh}: {why}\n  try: install it, or leave it out with --mesh none")]
    NoMesh { mesh: String, why: String },
    /// A pod has no sidecar.
    #[error(
        "{pod} has no container {container}: injection is off for {namespace}\n  try: whether the mesh's webhook takes this namespace (its labels are {labels}); with revisions, label it with istio.io/rev by --namespace-label"
    )]
    NotInjected { pod: String, namespace: String, container: String, labels: String },
    /// No node takes a pod.
    #[error(
        "{pod} is pending since no node takes it: {why}\n  try: another --placement, fewer services, or nodes with room; a pod asks for 20 millicores, a load generator for 250, a sidecar for what the scenario gives it"
    )]
    Pending { pod: String, why: String },
    /// An image cannot be had.
    #[error(
        "{pod}: the image {image} cannot be pulled: {why}\n  try: --image with the name under which your registry has it; .ci/image builds one"
    )]
    NotPulled { pod: String, image: String, why: String },
    /// A webhook said no, or did not answer.
    #[error(
        "a webhook refused {what}: {why}\n  try: what the webhook asks for, or exempt the namespaces named meshtax-*"
    )]
    Webhook { what: String, why: String },
    /// A quota is used up.
    #[error(
        "a quota does not admit {what}: {why}\n  try: fewer services, or a larger ResourceQuota for the namespaces named meshtax-*"
    )]
    Quota { what: String, why: String },
    /// Pod security does not admit a pod.
    #[error(
        "the cluster's pod security does not admit {what}: {why}\n  try: an exemption for the namespaces named meshtax-*: the probe sees the node's processes, and a sidecar's init container needs NET_ADMIN unless the mesh has a CNI plugin"
    )]
    Security { what: String, why: String },
    /// A node went away under a pod.
    #[error(
        "the node {node} was lost while {pod} was on it: {why}\n  try: `kubectl describe node {node}`; the trial is not sealed, and the sealed ones are kept"
    )]
    NodeLost { node: String, pod: String, why: String },
    /// A pod is there, and nobody reaches it.
    #[error(
        "the API server did not reach {pod} on the node {node} for {seconds:.0} s ({doing}): {why}\n  try: `kubectl describe node {node}`, which may be lost; a NetworkPolicy of the cluster that lets the API server to no pod; what was sealed is kept"
    )]
    Unreached { pod: String, node: String, doing: String, seconds: f64, why: String },
    /// A pod ended, or its container did.
    #[error("{pod} ended: {why}\n  try: its log: {log}")]
    Ended { pod: String, why: String, log: String },
    /// Something did not come in time.
    #[error(
        "{what} did not come within {seconds:.0} s: {last}\n  try: --patience with more, or `kubectl get pods -n {namespace}` while it waits"
    )]
    Late { what: String, namespace: String, seconds: f64, last: String },
    /// What a trial is made of has become another.
    #[error(
        "the container {container} of {pod} is of {is}, and those of the trials before it were of {was}: trials of two programs are no one cell\n  try: a new run; what was sealed is kept. An image by its digest stays what it is, and a mesh is not upgraded while it is measured"
    )]
    OtherImage { pod: String, container: String, was: String, is: String },
    /// Another run is measuring in this cluster.
    #[error(
        "the run {run} is measuring in this cluster (until {until} at least): two would disturb one another\n  try: wait for it, or `meshtax k8s clean --run {run}` if nobody has it any more"
    )]
    Busy { run: String, until: String },
    /// A pod did not do what it was asked.
    #[error("{pod} did not {doing}: {why}\n  try: its log: {log}")]
    Disobeyed { pod: String, doing: String, why: String, log: String },
    /// The API server refused otherwise.
    #[error(
        "the API server refused to {verb} {what} ({status}): {why}\n  try: the same by hand: meshtax k8s manifests SCENARIO | kubectl apply --server-side -f -"
    )]
    Refused { verb: String, what: String, status: u16, why: String },
}

fn known(contexts: &[String]) -> String {
    if contexts.is_empty() { String::new() } else { format!(" (there are {})", contexts.join(", ")) }
}

fn in_namespace(namespace: &str) -> String {
    let mut text = String::new();
    if !namespace.is_empty() {
        let _ = write!(text, " in {namespace}");
    }
    text
}

/// What the API server refused, by its status and its words.
pub(super) fn refused(verb: &str, what: &str, namespace: &str, status: u16, why: String) -> Trouble {
    let what_there = if namespace.is_empty() { what.to_owned() } else { format!("{what} in {namespace}") };
    let says = |word: &str| why.contains(word);
    match status {
        401 => Trouble::Unknown { doing: format!("{verb} {what_there}"), why },
        _ if says("failed calling webhook") || says("admission webhook") => Trouble::Webhook { what: what_there, why },
        403 if says("exceeded quota") || says("failed quota") => Trouble::Quota { what: what_there, why },
        403 if says("violates PodSecurity") => Trouble::Security { what: what_there, why },
        403 => {
            Trouble::Forbidden { verb: verb.to_owned(), what: what.to_owned(), namespace: namespace.to_owned(), why }
        }
        _ => Trouble::Refused { verb: verb.to_owned(), what: what_there, status, why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_refuses_is_told_by_its_kind_with_the_way_out() {
        let said =
            |status, why: &str| refused("apply", "deployments s1", "meshtax-a-c1", status, why.to_owned()).to_string();
        for (status, why, want) in [
            (403, "User \"u\" cannot patch resource", "forbidden: to apply deployments s1 in meshtax-a-c1"),
            (403, "exceeded quota: small, requested: pods=1", "a quota does not admit deployments s1"),
            (403, "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\"", "pod security does not admit"),
            (401, "Unauthorized", "does not know this user"),
            (400, "admission webhook \"v.kyverno\" denied the request: no", "a webhook refused deployments s1"),
            (500, "failed calling webhook \"namespace.sidecar-injector.istio.io\"", "a webhook refused"),
            (422, "spec.replicas: Invalid value", "refused to apply deployments s1 in meshtax-a-c1 (422)"),
        ] {
            let said = said(status, why);
            assert!(said.contains(want) && said.contains(why) && said.contains("\n  try: "), "{said}");
        }
        assert!(said(403, "no").contains("k8s manifests --runner"));
    }

    #[test]
    fn every_trouble_has_a_way_out() {
        let t = || "x".to_owned();
        let all = [
            Trouble::NoContext { why: t(), contexts: vec!["kind".into()] },
            Trouble::Away { doing: t(), seconds: 61.0, why: t() },
            Trouble::NoMesh { mesh: t(), why: t() },
            Trouble::NotInjected { pod: t(), namespace: t(), container: t(), labels: t() },
            Trouble::Pending { pod: t(), why: t() },
            Trouble::NotPulled { pod: t(), image: t(), why: t() },
            Trouble::NodeLost { node: t(), pod: t(), why: t() },
            Trouble::Unreached { pod: t(), node: t(), doing: t(), seconds: 1.0, why: t() },
            Trouble::Ended { pod: t(), why: t(), log: t() },
            Trouble::Late { what: t(), namespace: t(), seconds: 1.0, last: t() },
            Trouble::OtherImage { pod: t(), container: t(), was: t(), is: t() },
            Trouble::Busy { run: t(), until: t() },
            Trouble::Disobeyed { pod: t(), doing: t(), why: t(), log: t() },
        ];
        for trouble in all {
            assert!(trouble.to_string().contains("\n  try: "), "{trouble}");
        }
        let none = Trouble::NoContext { why: t(), contexts: vec!["kind".into(), "prod".into()] };
        assert!(none.to_string().contains("(there are kind, prod)"), "{none}");
    }
}
