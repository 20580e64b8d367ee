//! Pods as the API server tells of them: where they stand, what is in them, and what is wrong with them.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::trouble::Trouble;

/// How long a pod may be without a node before it is given up: autoscalers take their time, and so does a node that is
/// just being freed.
const UNSCHEDULED_PATIENCE: Duration = Duration::from_secs(60);

/// The image of a container that a webhook is to put in.
const LEFT_TO_THE_WEBHOOK: &str = "auto";

/// Between a pod and why no node takes it.
pub(super) const WITHOUT_A_NODE: &str = " is without a node: ";

/// A pod that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// "s1", "load", "load-1" for another generator.
    pub(crate) part: String,
    pub(crate) pod: String,
    pub(crate) namespace: String,
    pub(crate) node: String,
    /// "Burstable".
    pub(crate) qos: String,
    /// Its address in the cluster's network; empty while it has none.
    pub(crate) address: String,
    pub(crate) containers: Vec<Container>,
}

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) name: String,
    /// The runtime's id, without its kind: "4f3c...".
    pub(crate) id: String,
    pub(crate) image: String,
    /// An init container that goes on beside the others.
    pub(crate) native_sidecar: bool,
}

impl Seat {
    /// How to read its log.
    pub(crate) fn log(&self) -> String {
        format!("kubectl logs -n {} {} --all-containers", self.namespace, self.pod)
    }

    /// "the pod s1-7d9 of meshtax-a-c1".
    pub(crate) fn named(&self) -> String {
        named(&self.pod, &self.namespace)
    }
}

fn named(pod: &str, namespace: &str) -> String {
    format!("the pod {pod} of {namespace}")
}

fn text<'v>(value: &'v Value, at: &str) -> &'v str {
    value.pointer(at).and_then(Value::as_str).unwrap_or_default()
}

fn items<'v>(value: &'v Value, at: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(at).and_then(Value::as_array).into_iter().flatten()
}

/// What is awaited.
#[derive(Debug)]
pub(crate) struct Awaited<'a> {
    /// Parts, and how many pods each has.
    pub(crate) parts: &'a [(String, usize)],
    /// The container that the mesh injects into these parts.
    pub(crate) sidecar: Option<(&'a str, &'a [String])>,
    /// Labels of the namespace, for people.
    pub(crate) labels: &'a str,
    /// Since when they are awaited.
    pub(crate) since: Instant,
}

impl Awaited<'_> {
    /// The seats if all pods are there and ready, and what is missing if not.
    ///
    /// # Errors
    /// [`Trouble`] for what no waiting will better.
    pub(crate) fn look(&self, pods: &[Value]) -> anyhow::Result<Result<Vec<Seat>, String>> {
        let mut seats = Vec::new();
        // Pods that are on their way out belong to what was before.
        let alive = |pod: &&Value| pod.pointer("/metadata/deletionTimestamp").is_none();
        for (part, count) in self.parts {
            let of_part = |pod: &&Value| text(pod, "/metadata/labels/meshtax~1part") == part;
            let mut mine: Vec<&Value> = pods.iter().filter(alive).filter(of_part).collect();
            mine.sort_by_key(|pod| index(pod));
            for pod in &mine {
                fatal(pod)?;
                self.unscheduled(pod)?;
            }
            if mine.len() < *count {
                return Ok(Err(format!("{} of {count} pods of {part} are there", mine.len())));
            }
            for (at, pod) in mine.into_iter().enumerate() {
                self.injected(part, pod)?;
                if !is_ready(pod) {
                    return Ok(Err(format!(
                        "{} is {}",
                        named(text(pod, "/metadata/name"), text(pod, "/metadata/namespace")),
                        state(pod)
                    )));
                }
                let name = if at == 0 { part.clone() } else { format!("{part}-{at}") };
                seats.push(seat(name, pod));
            }
        }
        Ok(Ok(seats))
    }

    /// A mesh that does not inject will not do it later.
    fn injected(&self, part: &str, pod: &Value) -> anyhow::Result<()> {
        let Some((container, parts)) = self.sidecar else { return Ok(()) };
        let inside = items(pod, "/spec/containers").chain(items(pod, "/spec/initContainers"));
        // A gateway's own manifest names the container, and leaves its image to the webhook.
        let made = |c: &Value| text(c, "/name") == container && text(c, "/image") != LEFT_TO_THE_WEBHOOK;
        if !parts.iter().any(|p| p == part) || inside.into_iter().any(made) {
            return Ok(());
        }
        Err(Trouble::NotInjected {
            pod: named(text(pod, "/metadata/name"), text(pod, "/metadata/namespace")),
            namespace: text(pod, "/metadata/namespace").to_owned(),
            container: container.to_owned(),
            labels: self.labels.to_owned(),
        }
        .into())
    }

    fn unscheduled(&self, pod: &Value) -> anyhow::Result<()> {
        let no_node = |c: &&Value| text(c, "/type") == "PodScheduled" && text(c, "/status") == "False";
        let Some(why) = items(pod, "/status/conditions").find(no_node) else { return Ok(()) };
        if self.since.elapsed() < UNSCHEDULED_PATIENCE {
            return Ok(());
        }
        let pod = named(text(pod, "/metadata/name"), text(pod, "/metadata/namespace"));
        Err(Trouble::Pending { pod, why: text(why, "/message").to_owned() }.into())
    }
}

/// The place of a generator among several.
fn index(pod: &Value) -> u32 {
    text(pod, "/metadata/labels/batch.kubernetes.io~1job-completion-index").parse().unwrap_or(0)
}

/// What is wrong with a pod that no waiting will better.
///
/// # Errors
/// That.
pub(crate) fn fatal(pod: &Value) -> anyhow::Result<()> {
    let (name, namespace, node) =
        (text(pod, "/metadata/name"), text(pod, "/metadata/namespace"), text(pod, "/spec/nodeName"));
    let who = || named(name, namespace);
    let log = || format!("kubectl logs -n {namespace} {name} --all-containers --previous");
    let lost = text(pod, "/status/reason") == "NodeLost"
        || items(pod, "/status/conditions")
            .any(|c| text(c, "/type") == "DisruptionTarget" && text(c, "/reason") == "DeletionByTaintManager")
        || items(pod, "/status/conditions").any(|c| text(c, "/type") == "Ready" && text(c, "/reason") == "NodeLost");
    if lost {
        let why = [text(pod, "/status/message"), "the node no longer answers"].into_iter().find(|s| !s.is_empty());
        let why = why.unwrap_or_default().to_owned();
        return Err(Trouble::NodeLost { node: node.to_owned(), pod: who(), why }.into());
    }
    if text(pod, "/status/phase") == "Failed" {
        let why = format!("{} {}", text(pod, "/status/reason"), text(pod, "/status/message"));
        let why = if why.trim().is_empty() { "its phase is Failed".to_owned() } else { why.trim().to_owned() };
        return Err(Trouble::Ended { pod: who(), why, log: log() }.into());
    }
    for status in items(pod, "/status/containerStatuses").chain(items(pod, "/status/initContainerStatuses")) {
        let (reason, message) = (text(status, "/state/waiting/reason"), text(status, "/state/waiting/message"));
        match reason {
            "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                let (image, why) = (text(status, "/image").to_owned(), format!("{reason}: {message}"));
                return Err(Trouble::NotPulled { pod: who(), image, why }.into());
            }
            "CrashLoopBackOff" | "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                let why = format!("its container {}: {reason}: {message}", text(status, "/name"));
                return Err(Trouble::Ended { pod: who(), why, log: log() }.into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Why a pod could not be made, from the events of its namespace; none if they tell of none.
pub(crate) fn not_made(events: &[Value], namespace: &str) -> Option<Trouble> {
    let failed = events.iter().rev().find(|event| text(event, "/reason") == "FailedCreate")?;
    let what = format!("the pods of {}", text(failed, "/involvedObject/name"));
    Some(super::trouble::refused("create", &what, namespace, 403, text(failed, "/message").to_owned()))
}

fn is_ready(pod: &Value) -> bool {
    items(pod, "/status/conditions").any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True")
}

/// How far it is, for people.
fn state(pod: &Value) -> String {
    let waiting = items(pod, "/status/containerStatuses")
        .chain(items(pod, "/status/initContainerStatuses"))
        .find(|s| s.pointer("/state/waiting").is_some());
    let unscheduled =
        items(pod, "/status/conditions").find(|c| text(c, "/type") == "PodScheduled" && text(c, "/status") == "False");
    match (unscheduled, waiting) {
        (Some(why), _) => format!("{}{}", WITHOUT_A_NODE.trim_start_matches(" is "), text(why, "/message")),
        (None, Some(status)) => {
            let (name, reason) = (text(status, "/name"), text(status, "/state/waiting/reason"));
            format!("waiting for its container {name}: {reason} {}", text(status, "/state/waiting/message"))
        }
        (None, None) => "not ready yet".to_owned(),
    }
}

/// A pod that is there, as a part.
pub(crate) fn seat(part: String, pod: &Value) -> Seat {
    let statuses: Vec<&Value> =
        items(pod, "/status/containerStatuses").chain(items(pod, "/status/initContainerStatuses")).collect();
    let of = |spec: &Value, native_sidecar| {
        let name = text(spec, "/name").to_owned();
        let status = statuses.iter().find(|status| text(status, "/name") == name)?;
        let id = text(status, "/containerID").rsplit('/').next().unwrap_or_default().to_owned();
        let image = text(status, "/imageID");
        let image = if image.is_empty() { text(spec, "/image") } else { image };
        Some(Container { name, id, image: image.to_owned(), native_sidecar })
    };
    let goes_on = |c: &&Value| text(c, "/restartPolicy") == "Always";
    let ordinary = items(pod, "/spec/containers").filter_map(|c| of(c, false));
    let native = items(pod, "/spec/initContainers").filter(goes_on).filter_map(|c| of(c, true));
    Seat {
        part,
        pod: text(pod, "/metadata/name").to_owned(),
        namespace: text(pod, "/metadata/namespace").to_owned(),
        node: text(pod, "/spec/nodeName").to_owned(),
        qos: text(pod, "/status/qosClass").to_owned(),
        address: text(pod, "/status/podIP").to_owned(),
        containers: ordinary.chain(native).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(part: &str, status: Value) -> Value {
        json!({
            "metadata": {"name": format!("{part}-x"), "namespace": "n", "labels": {"meshtax/part": part}},
            "spec": {
                "nodeName": "node-a",
                "containers": [{"name": "service", "image": "meshtax:1"}],
                "initContainers": [
                    {"name": "istio-init", "image": "proxyv2"},
                    {"name": "istio-proxy", "image": "proxyv2", "restartPolicy": "Always"},
                ],
            },
            "status": status,
        })
    }

    fn ready() -> Value {
        json!({
            "phase": "Running", "qosClass": "Burstable",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "service", "containerID": "containerd://abc", "imageID": "meshtax@sha256:1"}],
            "initContainerStatuses": [{"name": "istio-proxy", "containerID": "containerd://def", "imageID": ""}],
        })
    }

    fn looked(pods: &[Value], sidecar: Option<&str>, waited: Duration) -> anyhow::Result<Result<Vec<Seat>, String>> {
        let (parts, meshed) = ([("s1".to_owned(), 1)], ["s1".to_owned()]);
        let since = Instant::now().checked_sub(waited).unwrap();
        let awaited = Awaited {
            parts: &parts,
            sidecar: sidecar.map(|s| (s, &meshed[..])),
            labels: "istio-injection=enabled",
            since,
        };
        awaited.look(pods)
    }

    #[test]
    fn a_pod_that_is_ready_has_a_seat_with_its_native_sidecar() {
        let seats = looked(&[pod("s1", ready())], Some("istio-proxy"), Duration::ZERO).unwrap().unwrap();
        let [seat] = seats.as_slice() else { panic!("{seats:?}") };
        assert_eq!((seat.node.as_str(), seat.qos.as_str()), ("node-a", "Burstable"));
        let container = |name: &str| seat.containers.iter().find(|c| c.name == name);
        let sidecar = container("istio-proxy").unwrap();
        assert_eq!((sidecar.id.as_str(), sidecar.image.as_str(), sidecar.native_sidecar), ("def", "proxyv2", true));
        assert_eq!(container("service").unwrap().id, "abc");
        // What ran once is not there any more.
        assert_eq!(container("istio-init"), None);
    }

    #[test]
    fn each_thing_that_can_be_wrong_with_a_pod_is_named() {
        let waiting = |reason: &str| json!({"containerStatuses": [{"name": "service", "image": "meshtax:1", "state": {"waiting": {"reason": reason, "message": "said"}}}]});
        for (status, want) in [
            (waiting("ImagePullBackOff"), "the image meshtax:1 cannot be pulled: ImagePullBackOff: said"),
            (waiting("CrashLoopBackOff"), "its container service: CrashLoopBackOff"),
            (
                json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}),
                "ended: Evicted low on memory",
            ),
            (
                json!({"reason": "NodeLost", "message": "gone"}),
                "the node node-a was lost while the pod s1-x of n was on it",
            ),
        ] {
            let said = looked(&[pod("s1", status)], None, Duration::ZERO).unwrap_err().to_string();
            assert!(said.contains(want) && said.contains("try:"), "{said}");
        }
        let unscheduled = json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes: Insufficient cpu"}]});
        let missing = looked(&[pod("s1", unscheduled.clone())], None, Duration::ZERO).unwrap().unwrap_err();
        assert!(missing.contains("without a node: 0/3 nodes"), "{missing}");
        let said = looked(&[pod("s1", unscheduled)], None, Duration::from_secs(61)).unwrap_err().to_string();
        assert!(said.contains("is pending since no node takes it: 0/3 nodes: Insufficient cpu"), "{said}");
        let said = looked(&[pod("s1", ready())], Some("linkerd-proxy"), Duration::ZERO).unwrap_err().to_string();
        assert!(said.contains("has no container linkerd-proxy: injection is off for n"), "{said}");
        let mut gateway = pod("s1", ready());
        gateway["spec"]["initContainers"][1]["image"] = "auto".into();
        let said = looked(&[gateway], Some("istio-proxy"), Duration::ZERO).unwrap_err().to_string();
        assert!(said.contains("injection is off for n"), "{said}");
        assert_eq!(looked(&[], None, Duration::ZERO).unwrap().unwrap_err(), "0 of 1 pods of s1 are there");
    }

    #[test]
    fn a_pod_that_could_not_be_made_is_explained_by_events() {
        let event =
            |message: &str| json!({"reason": "FailedCreate", "message": message, "involvedObject": {"name": "s1-7d9"}});
        let said = not_made(&[event("exceeded quota: small")], "n").unwrap().to_string();
        assert!(said.contains("a quota does not admit the pods of s1-7d9 in n"), "{said}");
        assert!(not_made(&[json!({"reason": "Scheduled"})], "n").is_none());
    }
}
