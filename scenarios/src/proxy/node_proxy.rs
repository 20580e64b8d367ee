//! The built-in node proxy as a part to deploy: one process for all workloads, asked over its admin port.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use record::{AccessLog, Entry, Factors, Lack, Mtls, Protocol, Sidecars};

use super::ambient::{
    InboundConfig, Listening, NodeProxyConfig, OutboundConfig, RENEW, Ready, Reply, Stats, WorkloadConfig,
};
use super::{App, Folders, Stand};
use crate::certs::{IdentityFiles, spiffe_id};
use crate::http;
use crate::launch::{Launch, Launched};
use crate::network::{HBONE_PORT, INBOUND_PORT, OUTBOUND_PORT, PROXY_USER};
use crate::{Error, Result};

/// Its name, of which there is one in a trial.
pub(crate) const NODE_PROXY: &str = "node-proxy";

/// The path at its admin address under which it tells its counters as Prometheus reads them; ztunnel's is the same.
pub(crate) const SCRAPE_PATH: &str = "/metrics";

/// How long its admin port may take; under a small CPU limit even that waits its turn.
const ADMIN_PATIENCE: Duration = Duration::from_secs(10);

/// A program that it serves.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    /// The process: "s1", and "entry" for the load generator.
    pub(crate) name: String,
    pub(crate) service: String,
    /// Where its sockets are made.
    pub(crate) stand: Stand,
    /// The program, where others call it.
    pub(crate) app: Option<App>,
    /// The services that it calls.
    pub(crate) callees: Vec<String>,
    pub(crate) identity: IdentityFiles,
}

impl Seat {
    /// The ports of its program to which callers are let in that are not in the mesh.
    pub(crate) fn clear_ports(&self, factors: &Factors) -> Vec<u16> {
        let Some(App { address, ports }) = &self.app else { return Vec::new() };
        let mode = |port: u16| if port == address.port() { factors.own_port_mtls() } else { factors.mtls };
        ports.iter().copied().filter(|port| mode(*port) != Mtls::Strict).collect()
    }
}

/// Its name and version.
pub(crate) fn program() -> String {
    format!("meshtax {}", env!("CARGO_PKG_VERSION"))
}

/// Writes its configuration and says how it is started: by our own user and outside of all pods, since it enters them
/// one by one itself, as their user.
pub(crate) fn launch(factors: &Factors, seats: &[Seat], folders: &Folders) -> Result<Launch> {
    let text = serde_json::to_string_pretty(&config(factors, seats))
        .map_err(|e| Error::Config { part: NODE_PROXY.to_owned(), problem: e.to_string() })?;
    let path = folders.config(&format!("{NODE_PROXY}.json"), &(text + "\n"))?;
    Ok(Launch {
        name: NODE_PROXY.to_owned(),
        program: folders.meshtax.clone(),
        args: vec![NODE_PROXY.into(), "--config".into(), path.into()],
        env: Vec::new(),
        cgroups: Vec::new(),
        netns: None,
        user: None,
        within: None,
        log: folders.log(NODE_PROXY),
        stdout: None,
        pipe_stdin: true,
        pipe_stdout: true,
    })
}

fn config(factors: &Factors, seats: &[Seat]) -> NodeProxyConfig {
    NodeProxyConfig {
        name: NODE_PROXY.to_owned(),
        workers: factors.workers,
        admin: loopback(0),
        user: seats.iter().any(|seat| matches!(seat.stand, Stand::Pod(_))).then_some(PROXY_USER),
        workloads: seats.iter().map(|seat| workload(factors, seat, seats)).collect(),
    }
}

fn workload(factors: &Factors, seat: &Seat, seats: &[Seat]) -> WorkloadConfig {
    let (namespace, at): (_, fn(u16) -> SocketAddr) = match &seat.stand {
        Stand::Loopback => (None, |_| loopback(0)),
        Stand::Pod(pod) => (Some(pod.namespace.clone()), |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
    };
    let redirected = namespace.is_some();
    let callees = seats.iter().filter(|other| other.app.is_some() && seat.callees.contains(&other.service));
    let call =
        |callee: &Seat| OutboundConfig { callee: callee.name.clone(), listen: (!redirected).then(|| loopback(0)) };
    WorkloadConfig {
        name: seat.name.clone(),
        id: spiffe_id(&seat.service),
        identity: seat.identity.clone(),
        namespace,
        inbound: seat.app.as_ref().map(|app| InboundConfig {
            app: app.address,
            ports: app.ports.clone(),
            tunnel: at(HBONE_PORT),
            clear: at(INBOUND_PORT),
            clear_ports: seat.clear_ports(factors),
        }),
        captured: (redirected && !seat.callees.is_empty()).then(|| at(OUTBOUND_PORT)),
        outbound: callees.map(call).collect(),
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Waits until it says where it listens.
pub(crate) fn listening(seats: &[Seat], part: &mut Launched, patience: Duration) -> Result<Listening> {
    let Ready { ready } = part.read_json(patience, "the line that says where it listens")?;
    let is_whole = |seat: &Seat| {
        let Some(places) = ready.workloads.get(&seat.name) else { return false };
        let inbound = places.tunnel.is_some() == seat.app.is_some() && places.clear.is_some() == seat.app.is_some();
        let outbound = match seat.stand {
            Stand::Loopback => places.outbound.len() == seat.callees.len(),
            Stand::Pod(_) => places.captured.is_some() != seat.callees.is_empty(),
        };
        inbound && outbound
    };
    match seats.iter().find(|seat| !is_whole(seat)) {
        Some(seat) => Err(part.answer(format!("for {} it listens otherwise than it was told: {ready:?}", seat.name))),
        None => Ok(ready),
    }
}

/// Asks what it has counted since its start.
pub(crate) fn stats(part: &Launched, admin: SocketAddr) -> Result<Stats> {
    let doing = format!("GET /stats at its admin port {admin}");
    let said = |e: String| part.expect_alive(&doing).err().unwrap_or_else(|| part.answer(format!("{doing}: {e}")));
    let answer = http::get(admin, "/stats", ADMIN_PATIENCE).map_err(|e| said(e.to_string()))?;
    serde_json::from_slice(&answer.body).map_err(|e| said(e.to_string()))
}

/// Has it take up the files of all identities, which have been replaced by rename; returns when it has.
pub(crate) fn renew(part: &mut Launched) -> Result<()> {
    part.write_line(RENEW)?;
    match part.read_json(ADMIN_PATIENCE, "the line that says it has read its identities anew")? {
        Reply::Renewed(_) => Ok(()),
        Reply::Error(problem) => Err(part.answer(format!("it did not take its new identities: {problem}"))),
    }
}

/// Why it cannot be what these factors ask for: it carries bytes, and knows nothing of requests.
pub(crate) fn cannot(factors: &Factors) -> Option<String> {
    let first = |condition: bool, reason: &str| condition.then(|| format!("ambient {reason}"));
    let clear = factors.mtls == Mtls::Disable || factors.own_port_mtls() == Mtls::Disable;
    first(clear, "has no mode disable: what is carried between its workloads is always in a tunnel with mTLS")
        .or_else(|| {
            let sides = factors.sidecars != Sidecars::Both;
            first(sides, "has no sides: its one proxy stands at both ends of every hop")
        })
        .or_else(|| {
            let gateway = factors.entry == Entry::Gateway;
            first(gateway, "has no gateway of its own: that is a proxy of another dataplane")
        })
        .or_else(|| first(factors.canary.is_some(), "splits no requests: weights need a waypoint, which reads them"))
        .or_else(|| {
            let log = factors.access_log != AccessLog::Off;
            first(log, "reads no requests, and so cannot write a line for each")
        })
        .or_else(|| {
            let bound = factors.requests_per_connection > 0;
            first(bound, "reads no requests, and so cannot bound them for each connection")
        })
        .or_else(|| {
            let auto = factors.protocol == Protocol::Auto;
            first(auto, "reads no bytes of a connection, and so has no protocol to find out")
        })
}

/// What it does not do of what ztunnel, or Istio's sidecar in its place, does with these factors.
pub(crate) fn lacks(factors: &Factors) -> Vec<Lack> {
    let lack = |what: &str, reason: &str| Lack { what: what.to_owned(), reason: reason.to_owned() };
    let retries = (factors.retries > 0).then(|| {
        lack(
            "retries",
            "it reads no requests, and neither does ztunnel: in Istio a waypoint retries, which is one more hop; a \
             request that fails here has failed",
        )
    });
    let always = [
        lack(
            "telemetry and policies",
            "ztunnel labels its counters by both workloads, looks up who may call whom and writes a line to its log \
             for each connection: a cost for each connection, none for a request",
        ),
        lack(
            "original source",
            "ztunnel connects to a program from its caller's address, this from loopback: a cost for each connection, \
             none for a request",
        ),
        lack("xDS", "what workloads there are stands in a file and never changes, where ztunnel asks istiod"),
    ];
    retries.into_iter().chain(always).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::network::Pod;

    fn seat(name: &str, stand: Stand, callees: &[&str]) -> Seat {
        let address = match &stand {
            Stand::Loopback => loopback(4000),
            Stand::Pod(pod) => SocketAddr::from((pod.address, 8080)),
        };
        Seat {
            name: name.into(),
            service: name.into(),
            stand,
            app: (name != "entry").then(|| App { address, ports: vec![address.port(), address.port() + 1] }),
            callees: callees.iter().map(|c| (*c).to_owned()).collect(),
            identity: IdentityFiles { chain: "a".into(), key: "b".into(), ca: "c".into() },
        }
    }

    fn meshed() -> Factors {
        Factors { dataplane: record::Dataplane::Ambient, mtls: Mtls::Strict, workers: 2, ..Factors::unmeshed() }
    }

    #[test]
    fn on_loopback_each_call_has_a_listener_and_no_one_is_entered() {
        let seats = [seat("entry", Stand::Loopback, &["s1"]), seat("s1", Stand::Loopback, &[])];
        let config = config(&meshed(), &seats);
        config.check().unwrap();
        assert_eq!((config.user, config.workers), (None, 2));
        let [entry, s1] = config.workloads.try_into().unwrap();
        assert_eq!((entry.inbound, entry.captured, entry.namespace), (None, None, None));
        assert_eq!(entry.outbound, [OutboundConfig { callee: "s1".into(), listen: Some(loopback(0)) }]);
        let inbound = s1.inbound.unwrap();
        assert_eq!((inbound.tunnel, inbound.clear, inbound.clear_ports), (loopback(0), loopback(0), vec![]));
    }

    #[test]
    fn in_pods_it_listens_where_istios_rules_lead() {
        let pod = |name: &str, last| {
            let namespace = PathBuf::from(format!("/run/netns/{name}"));
            Stand::Pod(Pod { name: name.into(), address: Ipv4Addr::new(10, 77, 0, last), namespace })
        };
        let seats = [seat("entry", pod("client", 1), &["s1"]), seat("s1", pod("s1", 3), &[])];
        let config = config(&Factors { mtls: Mtls::Permissive, ..meshed() }, &seats);
        config.check().unwrap();
        assert_eq!(config.user, Some(PROXY_USER));
        let [entry, s1] = config.workloads.try_into().unwrap();
        let at = |port: u16| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        assert_eq!((entry.captured, entry.outbound[0].listen), (Some(at(15001)), None));
        assert_eq!(entry.namespace, Some("/run/netns/client".into()));
        let inbound = s1.inbound.unwrap();
        assert_eq!((inbound.tunnel, inbound.clear, inbound.clear_ports), (at(15008), at(15006), vec![8080, 8081]));
        assert_eq!(s1.captured, None);
    }

    #[test]
    fn the_mode_of_the_own_port_may_be_another_than_that_of_the_workload() {
        let s1 = seat("s1", Stand::Loopback, &[]);
        let clear = |mtls, port_mtls| s1.clear_ports(&Factors { mtls, port_mtls, ..meshed() });
        assert_eq!(clear(Mtls::Strict, Some(Mtls::Permissive)), [4000]);
        assert_eq!(clear(Mtls::Permissive, Some(Mtls::Strict)), [4001]);
        assert_eq!(clear(Mtls::Permissive, None), [4000, 4001]);
    }

    #[test]
    fn what_needs_the_reading_of_requests_cannot_be() {
        assert_eq!(cannot(&meshed()), None);
        assert_eq!(cannot(&Factors { mtls: Mtls::Permissive, entry: Entry::Plain, retries: 2, ..meshed() }), None);
        for (factors, says) in [
            (Factors { mtls: Mtls::Disable, ..meshed() }, "no mode disable"),
            (Factors { port_mtls: Some(Mtls::Disable), ..meshed() }, "no mode disable"),
            (Factors { sidecars: Sidecars::Server, ..meshed() }, "no sides"),
            (Factors { entry: Entry::Gateway, ..meshed() }, "no gateway"),
            (Factors { access_log: AccessLog::Text, ..meshed() }, "a line for each"),
            (Factors { requests_per_connection: 1, ..meshed() }, "bound them"),
            (Factors { protocol: Protocol::Auto, ..meshed() }, "no protocol to find out"),
        ] {
            let said = cannot(&factors).unwrap();
            assert!(said.starts_with("ambient ") && said.contains(says), "{said}");
        }
    }

    #[test]
    fn retries_are_lacking_only_where_they_were_asked_for() {
        let whats = |retries| lacks(&Factors { retries, ..meshed() }).into_iter().map(|l| l.what).collect::<Vec<_>>();
        assert!(whats(2).contains(&"retries".to_owned()) && !whats(0).contains(&"retries".to_owned()));
    }
}
