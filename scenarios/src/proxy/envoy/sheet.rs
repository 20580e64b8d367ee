//! What the templates of an Envoy's configuration are filled with.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use record::{AccessLog, Protocol, Weights};
use serde::Serialize;

use super::chains::{Chain, Inspector, chains, http_inspector, tls_inspector};
use super::log::{self, Field};
use super::names;
use super::secrets::Secrets;
use super::template;
use crate::Result;
use crate::certs::{GATEWAY_NAME, SPIFFE_PREFIX, spiffe_id};
use crate::network::{INBOUND_PORT, OUTBOUND_PORT, PASSTHROUGH_SOURCE};
use crate::proxy::{ADMIN_PORT, App, Callee, DOOR_PORT, Place, Stand};

/// A socket's address; port 0 is the kernel's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Address {
    host: IpAddr,
    port: u16,
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip(), port: address.port() }
    }
}

fn wildcard(port: u16) -> Address {
    Address { host: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port }
}

/// All that a configuration depends on.
#[derive(Debug, Serialize)]
pub(super) struct Sheet {
    service: String,
    /// Whether the pod's rules send it what it is to see.
    redirected: bool,
    auto: bool,
    admin_port: u16,
    outbound_port: u16,
    passthrough_source: String,
    /// What the SPIFFE id of a peer begins with.
    peers: &'static str,
    retries: u32,
    requests_per_connection: u32,
    access_log: String,
    log_line: String,
    log_fields: Vec<Field>,
    identity: Option<Secrets>,
    door: Option<Door>,
    inbound: Option<Inbound>,
    outbound: Vec<Way>,
    clusters: Vec<Cluster>,
}

/// What a gateway shows.
#[derive(Debug, Serialize)]
struct Door {
    name: &'static str,
    chain: String,
    key: String,
}

/// The way in.
#[derive(Debug, Serialize)]
struct Inbound {
    listen: Address,
    tls_inspector: Option<Inspector>,
    http_inspector: Option<Inspector>,
    ports: Vec<Port>,
}

/// A port of the service, or what becomes of all others.
#[derive(Debug, Serialize)]
struct Port {
    /// The port that a connection was going to; none takes what no other chain takes.
    matched: Option<u16>,
    /// The service; none for what is passed on to wherever it was going.
    app: Option<Address>,
    http_name: String,
    tcp_name: String,
    stat_prefix: String,
    /// That of chains in clear, so that what came in clear is told from what came with mTLS.
    clear_stat_prefix: String,
    cluster: String,
    chains: Vec<Chain>,
}

/// A way out.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Way {
    name: String,
    listen: Address,
    pub(super) stat_prefix: String,
    pub(super) routes: Routes,
}

/// Its route table.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Routes {
    pub(super) name: String,
    pub(super) table: String,
    /// The file of the table, where its weights may change.
    watched: Option<PathBuf>,
}

impl Routes {
    /// The name of that file.
    pub(super) fn file(&self) -> Option<String> {
        Some(self.watched.as_ref()?.file_name()?.to_string_lossy().into_owned())
    }
}

/// A callee as its callers name it.
#[derive(Clone, Debug, Serialize)]
struct Host {
    name: String,
    domains: Vec<String>,
    split: Vec<Part>,
}

/// A subset's share of the requests to a callee.
#[derive(Clone, Debug, Serialize)]
struct Part {
    cluster: String,
    weight: u32,
}

/// Where connections to a subset go.
#[derive(Debug, Serialize)]
struct Cluster {
    name: String,
    sni: String,
    address: Address,
    /// The SPIFFE id that must be there; none speaks in clear.
    peer: Option<String>,
}

/// What a route table is filled with.
#[derive(Debug, Serialize)]
pub(super) struct TableSheet<'a> {
    name: &'a str,
    hosts: Vec<Host>,
    redirected: bool,
    retries: u32,
}

impl Sheet {
    /// Of a place, whose files the proxy reads in `private`.
    pub(super) fn of(place: &Place, private: &Path, identity: Option<Secrets>) -> Result<Self> {
        let factors = &place.factors;
        let path = |p: &Path| p.display().to_string();
        Ok(Self {
            service: place.service.clone(),
            redirected: redirected(place),
            auto: factors.protocol == Protocol::Auto,
            admin_port: match place.stand {
                Stand::Loopback => 0,
                Stand::Pod(_) => ADMIN_PORT,
            },
            outbound_port: OUTBOUND_PORT,
            passthrough_source: PASSTHROUGH_SOURCE.to_string(),
            peers: SPIFFE_PREFIX,
            retries: factors.retries,
            requests_per_connection: factors.requests_per_connection,
            access_log: factors.access_log.to_string(),
            log_line: if factors.access_log == AccessLog::Text { log::line() } else { String::new() },
            log_fields: if factors.access_log == AccessLog::Json { log::FIELDS.to_vec() } else { Vec::new() },
            identity,
            door: place.door.as_ref().map(|door| Door {
                name: GATEWAY_NAME,
                chain: path(&door.identity.chain),
                key: path(&door.identity.key),
            }),
            inbound: place.app.as_ref().map(|app| inbound(place, app)),
            outbound: ways(place, private, None)?,
            clusters: place.callees.iter().flat_map(clusters).collect(),
        })
    }
}

/// Whether a pod's rules send a proxy what it is to see; nothing is redirected to a gateway.
pub(super) fn redirected(place: &Place) -> bool {
    matches!(place.stand, Stand::Pod(_)) && place.door.is_none()
}

fn inbound(place: &Place, app: &App) -> Inbound {
    let factors = &place.factors;
    let pod = redirected(place);
    let own = |port: u16| {
        let mode = if port == app.address.port() { place.mode() } else { factors.mtls };
        Port {
            matched: pod.then_some(port),
            app: Some(Address::from(SocketAddr::new(app.address.ip(), port))),
            http_name: format!("0.0.0.0_{port}"),
            tcp_name: format!("0.0.0.0_{port}"),
            stat_prefix: names::inbound_http(port),
            clear_stat_prefix: names::inbound_http_clear(port),
            cluster: names::inbound_cluster(port),
            chains: chains(mode, factors.protocol),
        }
    };
    // What no service of the pod has declared is let through to where it was going.
    let others = || Port {
        matched: None,
        app: None,
        http_name: "virtualInbound-catchall-http".to_owned(),
        tcp_name: names::INBOUND.to_owned(),
        stat_prefix: "InboundPassthroughCluster".to_owned(),
        clear_stat_prefix: "InboundPassthroughCluster".to_owned(),
        cluster: "InboundPassthroughCluster".to_owned(),
        chains: chains(factors.mtls, Protocol::Auto),
    };
    let ports: Vec<Port> = if pod {
        std::iter::once(others()).chain(app.ports.iter().copied().map(own)).collect()
    } else {
        vec![own(app.address.port())]
    };
    let mut looked_at: Vec<(u16, &[Chain])> =
        ports.iter().map(|port| (port.matched.unwrap_or(0), port.chains.as_slice())).collect();
    if pod {
        looked_at.push((INBOUND_PORT, &[]));
    }
    Inbound {
        listen: if pod { wildcard(INBOUND_PORT) } else { Address { host: place.reached_at, port: 0 } },
        tls_inspector: tls_inspector(&looked_at),
        http_inspector: http_inspector(&looked_at),
        ports,
    }
}

fn clusters(callee: &Callee) -> impl Iterator<Item = Cluster> {
    callee.subsets.iter().map(|subset| Cluster {
        name: names::cluster(callee, subset),
        sni: names::sni(callee, subset),
        address: subset.address.into(),
        peer: callee.secured.then(|| spiffe_id(&callee.service)),
    })
}

/// The ways out of a place, with their callees; `weights` are those of a canary that replace the first ones.
pub(super) fn ways(place: &Place, private: &Path, weights: Option<&Weights>) -> Result<Vec<Way>> {
    let mut grouped: BTreeMap<String, Vec<&Callee>> = BTreeMap::new();
    for callee in &place.callees {
        grouped.entry(names::way(place, callee)).or_default().push(callee);
    }
    let one = |(name, callees): (String, Vec<&Callee>)| {
        let listen = match (&place.stand, &place.door) {
            (Stand::Loopback, _) => Address { host: place.taken_at, port: 0 },
            (Stand::Pod(_), Some(_)) => wildcard(DOOR_PORT),
            (Stand::Pod(_), None) => wildcard(callees.first().map_or(0, |callee| callee.address.port())),
        };
        // A watch is dear: see the secrets.
        let split = callees.iter().any(|callee| callee.subsets.len() > 1);
        let table = TableSheet {
            name: names::routes(&name),
            hosts: callees.into_iter().map(|callee| host(place, callee, weights)).collect(),
            redirected: redirected(place),
            retries: place.factors.retries,
        };
        let routes = Routes {
            name: table.name.to_owned(),
            table: template::table(place, &table)?,
            watched: split.then(|| private.join(names::routes_file(place, &name))),
        };
        Ok(Way { listen, stat_prefix: names::way_http(&name), routes, name })
    };
    grouped.into_iter().map(one).collect()
}

fn host(place: &Place, callee: &Callee, weights: Option<&Weights>) -> Host {
    // Where a listener serves one callee alone, whatever a request calls it is meant for it.
    let domains = if redirected(place) {
        let short = &callee.service;
        let names = ["", ".meshtax", ".meshtax.svc", ".meshtax.svc.cluster.local"];
        let names = names.iter().map(|rest| format!("{short}{rest}"));
        names.chain([callee.address.ip().to_string()]).collect()
    } else {
        vec!["*".to_owned()]
    };
    let weight = |name: &str, first: u32| {
        let new = weights.filter(|_| callee.subsets.len() > 1).map(Weights::subsets).unwrap_or_default();
        new.iter().find(|(subset, _)| subset == name).map_or(first, |(_, weight)| *weight)
    };
    let part = |subset: &crate::proxy::Subset| Part {
        cluster: names::cluster(callee, subset),
        weight: weight(&subset.name, subset.weight),
    };
    Host {
        name: format!("{}:{}", names::host(&callee.service), callee.address.port()),
        domains,
        split: callee.subsets.iter().map(part).collect(),
    }
}
