//! Whose namespaces are whose: a run says by an annotation until when it is alive, and renews it while it is.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::objects::NAMESPACE;
use super::trouble::Trouble;

/// What all of ours are found by.
pub(super) const OURS: &str = "app.kubernetes.io/managed-by=meshtax";

/// The annotation of a run's own namespace.
const ALIVE_UNTIL: &str = "meshtax/alive-until";

/// How long a run counts as alive after its last word.
const LIVES_FOR: Duration = Duration::from_secs(300);

/// How long namespaces may take to be gone.
const GONE_PATIENCE: Duration = Duration::from_secs(120);

/// Says that a run is alive.
pub(super) fn renew(cluster: &Cluster, namespace: &str) -> anyhow::Result<()> {
    let until = humantime::format_rfc3339_seconds(SystemTime::now() + LIVES_FOR).to_string();
    let patch = json!({"metadata": {"annotations": {ALIVE_UNTIL: until}}});
    cluster.merge(&format!("{}/{namespace}", NAMESPACE.path(None)), &format!("namespaces {namespace}"), &patch)
}

/// The namespaces of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) namespaces: Vec<String>,
    /// Until when it counts as alive; none if it does not.
    pub(super) alive_until: Option<String>,
}

/// What there is of runs, by run.
pub(super) fn all(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, Left>> {
    Ok(sorted(&cluster.list(NAMESPACE, None, OURS)?, SystemTime::now()))
}

fn sorted(list: &Value, now: SystemTime) -> BTreeMap<String, Left> {
    let mut runs: BTreeMap<String, Left> = BTreeMap::new();
    for namespace in list.get("items").and_then(Value::as_array).into_iter().flatten() {
        let text = |at: &str| namespace.pointer(at).and_then(Value::as_str);
        let (Some(name), Some(run)) = (text("/metadata/name"), text("/metadata/labels/meshtax~1run")) else { continue };
        let left = runs.entry(run.to_owned()).or_default();
        left.namespaces.push(name.to_owned());
        if let Some(until) = text("/metadata/annotations/meshtax~1alive-until")
            && humantime::parse_rfc3339(until).is_ok_and(|until| until > now)
        {
            left.alive_until = Some(until.to_owned());
        }
    }
    runs
}

/// Removes what runs before this one have left; returns it. What `ours` has left is removed also if it seems alive: who has
/// the lock of its directory knows that its runner is gone.
///
/// # Errors
/// [`Trouble::Busy`] when one of the others is alive.
pub(super) fn sweep(cluster: &Cluster, ours: Option<&str>) -> anyhow::Result<Vec<String>> {
    let runs = all(cluster)?;
    let mut others = runs.iter().filter(|(run, _)| ours != Some(run.as_str()));
    if let Some((run, until)) = others.find_map(|(run, left)| Some((run, left.alive_until.as_ref()?))) {
        return Err(Trouble::Busy { run: run.clone(), until: until.clone() }.into());
    }
    let left: Vec<String> = runs.into_values().flat_map(|left| left.namespaces).collect();
    remove(cluster, &left)?;
    Ok(left)
}

/// Removes namespaces with all that is in them, and waits until they are gone.
pub(super) fn remove(cluster: &Cluster, namespaces: &[String]) -> anyhow::Result<()> {
    for name in namespaces {
        cluster.delete(&format!("{}/{name}", NAMESPACE.path(None)), &format!("namespaces {name}"), "")?;
    }
    let begun = std::time::Instant::now();
    while begun.elapsed() < GONE_PATIENCE {
        let there = all(cluster)?;
        let still = there.values().flat_map(|left| &left.namespaces).find(|name| namespaces.contains(name));
        let Some(still) = still.cloned() else { return Ok(()) };
        cluster.pause(Duration::from_millis(500))?;
        if begun.elapsed() + Duration::from_secs(1) > GONE_PATIENCE {
            let (what, seconds) = (format!("the end of the namespace {still}"), GONE_PATIENCE.as_secs_f64());
            let last = format!("it is still there; `kubectl describe namespace {still}` says what holds it");
            return Err(Trouble::Late { what, namespace: still, seconds, last }.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_alive_until_the_time_it_said() {
        let namespace = |name: &str, run: &str, until: Option<&str>| {
            let annotations = until.map(|until| json!({ALIVE_UNTIL: until})).unwrap_or_default();
            json!({"metadata": {"name": name, "labels": {"meshtax/run": run}, "annotations": annotations}})
        };
        let list = json!({"items": [
            namespace("meshtax-a", "a", Some("2026-11-23T05:10:00Z")),
            namespace("meshtax-a-c1", "a", None),
            namespace("meshtax-b", "b", Some("2026-11-23T05:20:00Z")),
        ]});
        let now = humantime::parse_rfc3339("2026-11-23T05:15:00Z").unwrap();
        let runs = sorted(&list, now);
        assert_eq!(runs["a"], Left { namespaces: vec!["meshtax-a".into(), "meshtax-a-c1".into()], alive_until: None });
        assert_eq!(runs["b"].alive_until.as_deref(), Some("2026-11-23T05:20:00Z"));
    }
}
