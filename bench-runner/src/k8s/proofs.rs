//! What is proven of a cell in a cluster: read back from the API, the kernel of each node and the proxies.

use record::{CpuQuantity, Dataplane, Factors, Mtls, Proof, Role, Sidecars, WorkerRule};
use serde_json::Value;

use super::envoy;
use super::pods::Seat;
use super::reach::Reach;
use super::trouble::Trouble;
use crate::pod::words::{ENVOY_ADMIN, FoundPart, LINKERD_ADMIN, PROXY};

/// Whose configuration is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error(
    "{part}: {claim} should be {expected}, and {found} was found ({source_read})\n  try: what else sets it in this cluster: a policy of the whole mesh, a LimitRange, a webhook"
)]
pub(super) struct Unproven {
    part: String,
    claim: String,
    expected: String,
    found: String,
    source_read: String,
}

fn claim(part: &str, claim: &str, expected: &str, found: &str, source: &str) -> Result<Proof, Unproven> {
    held(expected == found, part, claim, expected, found, source)
}

pub(super) fn held(
    holds: bool,
    part: &str,
    claim: &str,
    expected: &str,
    found: &str,
    source: &str,
) -> Result<Proof, Unproven> {
    let text = str::to_owned;
    if holds {
        let (part, claim, expected, found, source) =
            (text(part), text(claim), text(expected), text(found), text(source));
        return Ok(Proof { part, claim, expected, found, source });
    }
    Err(Unproven {
        part: text(part),
        claim: text(claim),
        expected: text(expected),
        found: text(found),
        source_read: text(source),
    })
}

/// Something that is recorded and follows from no factor.
fn noted(part: &str, what: &str, found: &str, source: &str) -> Proof {
    let text = str::to_owned;
    Proof { part: text(part), claim: text(what), expected: text(found), found: text(found), source: text(source) }
}

/// The claim of a pod's node, and how that of a container's image begins.
pub(super) const NODE: &str = "node";
pub(super) const IMAGE_OF: &str = "image of ";

/// Where a pod stands and what runs in it; the node must be that of the block's other cells.
pub(super) fn of_seat(seat: &Seat, pinned: Option<&str>) -> anyhow::Result<Vec<Proof>> {
    let mut proofs = vec![claim(&seat.part, NODE, pinned.unwrap_or(&seat.node), &seat.node, "pod spec.nodeName")?];
    if !seat.qos.is_empty() {
        proofs.push(noted(&seat.part, "QoS class", &seat.qos, "pod status.qosClass"));
    }
    for container in &seat.containers {
        let what = format!("{IMAGE_OF}{}", container.name);
        proofs.push(noted(&seat.part, &what, &container.image, "pod status.containerStatuses"));
    }
    Ok(proofs)
}

/// Of a service: what limits it, by the kernel of its node.
pub(super) fn of_service(name: &str, limit: Option<CpuQuantity>, found: &FoundPart) -> anyhow::Result<Option<Proof>> {
    if !found.tells_cpu() {
        return Ok(None);
    }
    let word = |m: Option<u64>| m.map_or("none".to_owned(), quantity);
    let expected = word(limit.map(|limit| u64::from(limit.millicores())));
    Ok(Some(claim(name, "CPU limit", &expected, &word(found.cpu_millicores()), "its cgroup's cpu.max")?))
}

/// Of a sidecar: how it was injected, what limits it and how many workers it has, by the kernel of its node.
pub(super) fn of_sidecar(name: &str, native: bool, factors: &Factors, found: &FoundPart) -> anyhow::Result<Vec<Proof>> {
    let kind = if native { "native sidecar" } else { "container" };
    let mut proofs = vec![noted(name, "injected as", kind, "pod spec")];
    if found.tells_cpu() {
        let limit = |m: Option<u64>| m.map_or("none".to_owned(), quantity);
        let expected = limit(factors.cpu_limit.map(|limit| u64::from(limit.millicores())));
        proofs.push(claim(name, "CPU limit", &expected, &limit(found.cpu_millicores()), "its cgroup's cpu.max")?);
    }
    let memory = |bytes: Option<u64>| bytes.map_or("none".to_owned(), |bytes| bytes.to_string());
    let expected = memory(factors.memory_limit.map(|limit| limit.bytes()));
    proofs.push(claim(name, "memory limit", &expected, &memory(found.memory_bytes()), "its cgroup's memory.max")?);
    if factors.dataplane == Dataplane::IstioSidecar {
        let workers = found.workers().to_string();
        let source = "/proc/PID/task/*/comm on its node";
        // Without a limit Istio takes the CPUs of a node that the scenario does not know.
        let open = factors.worker_rule == WorkerRule::Istio && factors.cpu_limit.is_none();
        let expected = if open { workers.clone() } else { factors.workers.to_string() };
        proofs.push(claim(name, "worker threads", &expected, &workers, source)?);
    }
    Ok(proofs)
}

fn quantity(millicores: u64) -> String {
    let whole = u32::try_from(millicores).ok().and_then(|m| CpuQuantity::from_millicores(m).ok());
    whole.map_or_else(|| format!("{millicores}m"), |quantity| quantity.to_string())
}

/// A text that is kept with a trial: the file's name and what is in it.
pub(super) type Text = (String, Vec<u8>);

/// Beside whom a proxy stands, and who calls there.
#[derive(Clone, Copy)]
pub(super) struct Callee {
    pub(super) role: Role,
    /// Whether the callers have a proxy that could speak mTLS.
    pub(super) meshed_callers: bool,
}

/// What a proxy says of itself, with the texts that are kept with the trial: name and content.
pub(super) fn of_proxy(
    reach: &Reach<'_>,
    (name, seat): (&str, &Seat),
    factors: &Factors,
    callee: Callee,
) -> anyhow::Result<(Vec<Proof>, Vec<Text>)> {
    let ask = |port: u16, path: &str| reach.get(seat, &format!("{PROXY}{port}/{path}"));
    let kept = |what: &str| format!("{name}.{what}");
    match factors.dataplane {
        Dataplane::IstioSidecar => {
            let dump = ask(ENVOY_ADMIN, "config_dump")?;
            let stats = ask(ENVOY_ADMIN, "stats?filter=ssl.handshake")?;
            let server = ask(ENVOY_ADMIN, "server_info")?;
            let mut proofs = vec![version(&seat.part, &server)];
            let read: Value = serde_json::from_slice(&dump)?;
            let counted = String::from_utf8_lossy(&stats);
            match callee.role {
                Role::Service if factors.sidecars != Sidecars::Client => {
                    proofs.extend(istio_callee(&seat.part, factors, callee, &read, &counted)?);
                }
                Role::Gateway => proofs.extend(istio_gateway(name, factors, &read, &counted)?),
                _ => {}
            }
            Ok((proofs, vec![(kept("config_dump.json"), dump), (kept("stats.txt"), stats)]))
        }
        Dataplane::Linkerd => {
            let metrics = ask(LINKERD_ADMIN, "metrics")?;
            let mut proofs = Vec::new();
            if callee.role == Role::Service && callee.meshed_callers {
                proofs.push(linkerd_callee(&seat.part, &String::from_utf8_lossy(&metrics))?);
            }
            Ok((proofs, vec![(kept("metrics.txt"), metrics)]))
        }
        _ => Ok((Vec::new(), Vec::new())),
    }
}

fn version(part: &str, server_info: &[u8]) -> Proof {
    let info: Option<Value> = serde_json::from_slice(server_info).ok();
    let found = info.as_ref().and_then(|i| i.get("version")).and_then(Value::as_str).unwrap_or("unknown");
    noted(part, "program", &format!("envoy {found}"), "server_info of its sidecar")
}

/// The mode of the service's port as Envoy has it, whether it was spoken, and the form of its log.
fn istio_callee(
    part: &str,
    factors: &Factors,
    callee: Callee,
    dump: &Value,
    stats: &str,
) -> anyhow::Result<Vec<Proof>> {
    let port = scenarios::cluster::SERVICE_PORT;
    let expected = factors.own_port_mtls();
    let chains = envoy::inbound_chains(dump, port);
    let found = envoy::mode(&chains).map_or("no filter chain for it".to_owned(), |mode| mode.to_string());
    let what = format!("mTLS of port {port}");
    let mut proofs = vec![claim(part, &what, &expected.to_string(), &found, "virtualInbound in config_dump")?];
    let handshakes = envoy::handshakes(stats, 15006);
    // Callers without a sidecar are let in in clear where that is what is measured.
    let spoken = expected != Mtls::Disable && callee.meshed_callers;
    let (holds, expected) = if spoken { (handshakes > 0, "more than 0") } else { (handshakes == 0, "0") };
    let source = "listener.*_15006.ssl.handshake";
    proofs.push(held(holds, part, "inbound mTLS handshakes", expected, &handshakes.to_string(), source)?);
    proofs.push(access_log(part, factors, &chains, "virtualInbound in config_dump")?);
    Ok(proofs)
}

/// That clients came in at a gateway with TLS, and the form of its log.
fn istio_gateway(part: &str, factors: &Factors, dump: &Value, stats: &str) -> anyhow::Result<Vec<Proof>> {
    let port = scenarios::cluster::GATEWAY_PORT;
    let (handshakes, source) = (envoy::handshakes(stats, port), format!("listener.*_{port}.ssl.handshake"));
    let found = handshakes.to_string();
    let proof = held(handshakes > 0, part, "TLS handshakes of clients", "more than 0", &found, &source)?;
    let chains = envoy::gateway_chains(dump, port);
    let source = format!("the listener of port {port} in config_dump");
    Ok(vec![proof, access_log(part, factors, &chains, &source)?])
}

/// The form of the lines that a proxy writes, or that it writes none.
fn access_log(part: &str, factors: &Factors, chains: &[Value], source: &str) -> anyhow::Result<Proof> {
    Ok(claim(part, "access log", &factors.access_log.to_string(), &envoy::access_log(chains), source)?)
}

/// That a proxy's counters were asked for, and it answered.
pub(super) fn scraped(part: &str, answers: usize, source: &str) -> anyhow::Result<Proof> {
    Ok(held(answers > 0, part, "answers to questions for counters", "more than 0", &answers.to_string(), source)?)
}

fn linkerd_callee(part: &str, metrics: &str) -> anyhow::Result<Proof> {
    let secured = |line: &&str| {
        line.starts_with("response_total{") && line.contains("direction=\"inbound\"") && line.contains("tls=\"true\"")
    };
    let count = sum(metrics.lines().filter(secured));
    let source = "response_total{direction=\"inbound\",tls=\"true\"}";
    Ok(held(count > 0.0, part, "inbound mTLS responses", "more than 0", &format!("{count:.0}"), source)?)
}

/// Whether a ztunnel carried connections of a namespace in its tunnel, by its metrics.
pub(super) fn of_ztunnel(part: &str, metrics: &str, namespace: &str) -> anyhow::Result<Proof> {
    let ours = format!("destination_workload_namespace=\"{namespace}\"");
    let secured = |line: &&str| {
        line.starts_with("istio_tcp_connections_opened_total{")
            && line.contains(&ours)
            && line.contains("connection_security_policy=\"mutual_tls\"")
    };
    let count = sum(metrics.lines().filter(secured));
    let source = "istio_tcp_connections_opened_total{connection_security_policy=\"mutual_tls\"} of its ztunnel";
    Ok(held(count > 0.0, part, "connections with mTLS", "more than 0", &format!("{count:.0}"), source)?)
}

/// Of nothing it is 0, where a sum of the library would be -0.
fn sum<'l>(lines: impl Iterator<Item = &'l str>) -> f64 {
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).fold(0.0, |sum, value| sum + value)
}

/// A trial without this proof is none.
pub(super) fn missing(seat: &Seat, container: &str) -> anyhow::Error {
    Trouble::NotInjected {
        pod: seat.named(),
        namespace: seat.namespace.clone(),
        container: container.to_owned(),
        labels: "those of the namespace".to_owned(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_are_counted_and_their_want_is_told() {
        let metrics = "istio_tcp_connections_opened_total{destination_workload_namespace=\"n\",connection_security_policy=\"mutual_tls\"} 3\n\
                       istio_tcp_connections_opened_total{destination_workload_namespace=\"m\",connection_security_policy=\"mutual_tls\"} 9\n";
        assert_eq!(of_ztunnel("node-proxy", metrics, "n").unwrap().found, "3");
        let said = of_ztunnel("node-proxy", metrics, "x").unwrap_err().to_string();
        assert!(
            said.contains("connections with mTLS should be more than 0, and 0 was found") && said.contains("try:"),
            "{said}"
        );
        let linkerd = "response_total{direction=\"inbound\",tls=\"true\",status_code=\"200\"} 12\n";
        assert_eq!(linkerd_callee("s1", linkerd).unwrap().found, "12");
        assert!(linkerd_callee("s1", "").is_err());
    }

    #[test]
    fn a_limit_that_the_kernel_does_not_have_stops_the_trial() {
        let factors = Factors {
            dataplane: Dataplane::IstioSidecar,
            cpu_limit: Some("500m".parse().unwrap()),
            workers: 1,
            worker_rule: WorkerRule::Fixed(1),
            ..Factors::unmeshed()
        };
        let found = |quota: &str| FoundPart {
            threads: vec!["wrk:worker_0".into()],
            limits: [("cpu.max".to_owned(), quota.to_owned())].into(),
            ..FoundPart::default()
        };
        let proofs = of_sidecar("s1-sidecar", true, &factors, &found("50000 100000")).unwrap();
        let proof = |claim: &str| proofs.iter().find(|p| p.claim == claim).unwrap().found.clone();
        assert_eq!(
            (proof("CPU limit"), proof("worker threads"), proof("injected as")),
            ("500m".into(), "1".into(), "native sidecar".into())
        );
        let said = of_sidecar("s1-sidecar", true, &factors, &found("200000 100000")).unwrap_err().to_string();
        assert!(said.starts_with("s1-sidecar: CPU limit should be 500m, and 2 was found"), "{said}");
        let seat = Seat {
            part: "s1".into(),
            pod: "s1-x".into(),
            namespace: "n".into(),
            node: "b".into(),
            qos: String::new(),
            address: String::new(),
            containers: vec![],
        };
        let said = of_seat(&seat, Some("a")).unwrap_err().to_string();
        assert!(said.contains("node should be a, and b was found"), "{said}");
    }
}
