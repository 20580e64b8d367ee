//! How the runner reaches a pod: by way of the API server, or straight where somebody else has started it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cluster::Cluster;
use super::pods::{Container, Seat};
use super::trouble::Trouble;
use crate::exit::Usage;
use crate::pod::words::Says;

/// How long a pod that is reached straight may take to answer; the speed of its node is measured meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// A way to the pods.
pub(super) enum Reach<'a> {
    /// The API server's proxy for pods.
    ByApiServer(&'a Cluster),
    /// Their own addresses, by pod.
    Straight(BTreeMap<String, SocketAddr>),
}

/// A pod that somebody else has started: an entry of the file of `--played`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Played {
    /// "s1", "load", "probe".
    part: String,
    /// Where it answers its runner.
    address: SocketAddr,
    /// The ids of its containers, as the container runtime has them.
    #[serde(default)]
    containers: Vec<String>,
    #[serde(default)]
    image: String,
}

/// Pods from a file, and the way to them.
pub(super) fn played(path: &Path) -> anyhow::Result<(Vec<Seat>, Reach<'static>)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let all: Vec<Played> = serde_json::from_str(&text).map_err(|e| {
        Usage(format!(
            "{}: {e}\n  try: [{{\"part\":\"s1\",\"address\":\"10.88.0.2:9469\",\"containers\":[\"ID\"]}}, ..]",
            path.display()
        ))
    })?;
    let seat = |p: &Played| Seat {
        part: p.part.clone(),
        pod: p.part.clone(),
        namespace: String::new(),
        node: "here".to_owned(),
        qos: String::new(),
        address: p.address.ip().to_string(),
        containers: p
            .containers
            .iter()
            .map(|id| Container { name: p.part.clone(), id: id.clone(), image: p.image.clone(), native_sidecar: false })
            .collect(),
    };
    let addresses = all.iter().map(|p| (p.part.clone(), p.address)).collect();
    Ok((all.iter().map(seat).collect(), Reach::Straight(addresses)))
}

impl Reach<'_> {
    /// Reads something of a pod.
    pub(super) fn get(&self, seat: &Seat, path: &str) -> anyhow::Result<Vec<u8>> {
        self.ask(seat, path, None)
    }

    /// Orders something of a pod.
    pub(super) fn order<T: DeserializeOwned>(
        &self,
        seat: &Seat,
        path: &str,
        body: &impl serde::Serialize,
    ) -> anyhow::Result<T> {
        let answer = self.ask(seat, path, Some(&serde_json::to_vec(body)?))?;
        serde_json::from_slice(&answer).map_err(|e| disobeyed(seat, path, &e.to_string()))
    }

    /// How it goes there.
    pub(super) fn says(&self, seat: &Seat) -> anyhow::Result<Says> {
        let answer = self.get(seat, crate::pod::words::STATE)?;
        serde_json::from_slice(&answer).map_err(|e| disobeyed(seat, crate::pod::words::STATE, &e.to_string()))
    }

    fn ask(&self, seat: &Seat, path: &str, body: Option<&[u8]>) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::ByApiServer(cluster) => {
                let port = scenarios::cluster::ATTEND_PORT;
                let asked = cluster.ask_pod((&seat.namespace, &seat.pod, port), path, body);
                asked.map_err(|error| told(seat, path, error))
            }
            Self::Straight(addresses) => {
                let at = addresses.get(&seat.pod).ok_or_else(|| anyhow::anyhow!("no address of {}", seat.pod))?;
                let answer = match body {
                    Some(body) => scenarios::http::ask(*at, path, body, PATIENCE),
                    None => scenarios::http::get(*at, path, PATIENCE),
                };
                let answer = answer.map_err(|e| disobeyed(seat, path, &e.to_string()))?;
                if !(200..300).contains(&answer.status) {
                    return Err(disobeyed(seat, path, &answer.text()));
                }
                Ok(answer.body)
            }
        }
    }
}

/// What the API server said, as it is with a pod.
fn told(seat: &Seat, path: &str, error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Trouble>() {
        // What the pod itself answered, not the API server.
        Ok(Trouble::Refused { why, .. }) => disobeyed(seat, path, &why),
        // The API server is there, and the pod does not answer it (apimachinery's proxy for pods says so).
        Ok(Trouble::Away { doing, seconds, why }) if why.contains("error trying to reach service") => {
            Trouble::Unreached { pod: seat.named(), node: seat.node.clone(), doing, seconds, why }.into()
        }
        Ok(other) => other.into(),
        Err(other) => other,
    }
}

fn disobeyed(seat: &Seat, path: &str, why: &str) -> anyhow::Error {
    let (pod, log) = if seat.namespace.is_empty() {
        (format!("the pod {}", seat.pod), format!("podman logs {0}-{0}", seat.pod))
    } else {
        (seat.named(), seat.log())
    };
    Trouble::Disobeyed { pod, doing: format!("do {path}"), why: why.trim().to_owned(), log }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_is_not_reached_is_told_from_an_api_server_that_is_gone() {
        let seat = Seat {
            part: "s1".into(),
            pod: "s1-x".into(),
            namespace: "n".into(),
            node: "node-a".into(),
            qos: String::new(),
            address: String::new(),
            containers: Vec::new(),
        };
        let away = |why: &str| Trouble::Away { doing: "get pods/proxy s1-x".into(), seconds: 90.0, why: why.into() };
        let said = |error: Trouble| told(&seat, "/state", error.into()).to_string();
        let lost = said(away("503 error trying to reach service: dial tcp 10.0.0.2:9469: i/o timeout"));
        assert!(lost.contains("did not reach the pod s1-x of n on the node node-a for 90 s"), "{lost}");
        assert!(lost.contains("kubectl describe node node-a") && lost.contains("NetworkPolicy"), "{lost}");
        assert!(said(away("connection refused")).contains("the API server did not answer for 90 s"));
        let refused =
            Trouble::Refused { verb: "get".into(), what: "x".into(), status: 409, why: "it is at work".into() };
        assert!(said(refused).contains("did not do /state: it is at work"));
    }

    #[test]
    fn played_pods_are_read_from_a_file_and_a_wrong_one_is_told_its_form() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pods.json");
        std::fs::write(&path, r#"[{"part":"s1","address":"10.88.0.2:9469","containers":["abc"]}]"#).unwrap();
        let (seats, _) = played(&path).unwrap();
        assert_eq!((seats[0].part.as_str(), seats[0].containers[0].id.as_str()), ("s1", "abc"));
        std::fs::write(&path, r#"[{"part":"s1"}]"#).unwrap();
        let said = played(&path).err().unwrap().to_string();
        assert!(said.contains("missing field `address`") && said.contains("try: [{"), "{said}");
    }
}
