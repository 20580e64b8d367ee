//! The configuration of an HAProxy: what stands in the holes of its template.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use minijinja::{Environment, UndefinedBehavior, Value, context};
use record::{AccessLog, Mtls, Weights};

use super::super::listens::Listens;
use super::super::{App, Callee, Folders, Place, Stand};
use crate::certs::{IdentityFiles, dns_name};
use crate::error::file_error;
use crate::network::PASSTHROUGH_SOURCE;
use crate::{Error, Result};

/// The most that a server may weigh.
const HEAVIEST: u32 = 256;

/// Envoy's default text format, with HAProxy's names for what it knows.
const TEXT: &str = r#"[%trl] "%HM %HPO %HV" %ST %tsc %U %B %Ta %Tr "%[capture.req.hdr(0)]" "%[capture.req.hdr(1)]" "%[capture.req.hdr(2)]" "%[capture.req.hdr(3)]" "%si:%sp" %b %bi:%bp %fi:%fp %ci:%cp %[ssl_fc_sni]"#;

/// The same fields as JSON.
const JSON: &str = r#"{"start_time":"%trl","method":"%HM","path":"%HPO","protocol":"%HV","response_code":%ST,"response_flags":"%tsc","bytes_received":%U,"bytes_sent":%B,"duration":%Ta,"upstream_service_time":%Tr,"x_forwarded_for":"%[capture.req.hdr(0),json(utf8s)]","user_agent":"%[capture.req.hdr(1),json(utf8s)]","request_id":"%[capture.req.hdr(2),json(utf8s)]","authority":"%[capture.req.hdr(3),json(utf8s)]","upstream_host":"%si:%sp","upstream_cluster":"%b","upstream_local_address":"%bi:%bp","downstream_local_address":"%fi:%fp","downstream_remote_address":"%ci:%cp","requested_server_name":"%[ssl_fc_sni,json(utf8s)]"}"#;

/// Where its command line is, which is a socket in the private directory.
pub(super) fn cli_socket(private: &Path, place: &Place) -> PathBuf {
    private.join(format!("{}.cli", place.name))
}

/// The file of a certificate with its key, as it reads them.
pub(super) fn pem(identity: &IdentityFiles) -> PathBuf {
    identity.chain.with_extension("haproxy.pem")
}

/// A certificate with its key in one file, as it reads them.
pub(super) fn joined(identity: &IdentityFiles) -> Result<String> {
    let read = |path: &Path| std::fs::read_to_string(path).map_err(file_error("read", path));
    Ok(read(&identity.chain)? + &read(&identity.key)?)
}

/// The name of the backend of a callee.
pub(super) fn backend(service: &str) -> String {
    format!("to_{service}")
}

/// The name of the server of a subset; of the only one where there is no canary.
pub(super) fn server(subset: &str) -> &str {
    if subset.is_empty() { "all" } else { subset }
}

/// Weights of the same shares that are small enough for it; none where there are none.
pub(super) fn scaled(weights: &[u32]) -> Option<Vec<u32>> {
    let divisor = weights.iter().fold(0, |a, b| gcd(a, *b)).max(1);
    let scaled: Vec<u32> = weights.iter().map(|weight| weight / divisor).collect();
    scaled.iter().all(|weight| *weight <= HEAVIEST).then_some(scaled)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// As [`scaled`], of a split.
pub(super) fn fits(weights: &Weights) -> Option<Vec<u32>> {
    scaled(&weights.subsets().iter().map(|(_, weight)| *weight).collect::<Vec<_>>())
}

/// Whether the first bytes of its callers' connections, or their ports, decide how it reads them.
pub(super) fn looks(place: &Place) -> bool {
    let Some(app) = &place.app else { return false };
    let modes = modes(place, app);
    modes.iter().any(|(_, mode)| *mode == Mtls::Permissive || Some(mode) != modes.first().map(|(_, first)| first))
}

/// Whether it shows its certificate to anyone.
pub(super) fn shows_certificate(place: &Place) -> bool {
    let comes_in = |app: &App| modes(place, app).iter().any(|(_, mode)| *mode != Mtls::Disable);
    place.callees.iter().any(|callee| callee.secured) || place.app.as_ref().is_some_and(comes_in)
}

/// The service's ports, the one for requests of the chain first, with their modes.
fn modes(place: &Place, app: &App) -> Vec<(u16, Mtls)> {
    let of = |(at, port): (usize, &u16)| (*port, if at == 0 { place.mode() } else { place.factors.mtls });
    app.ports.iter().enumerate().map(of).collect()
}

/// The configuration file.
pub(super) fn render(place: &Place, listens: &Listens, folders: &Folders) -> Result<String> {
    let mut environment = Environment::new();
    // A hole that nobody filled must not become an empty value.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_keep_trailing_newline(true);
    // Its strong quotes take everything but themselves.
    environment.add_filter("quoted", |text: String| format!("'{}'", text.replace('\'', r"'\''")));
    let path = |p: &Path| p.display().to_string();
    let socket = |what: &str| format!("unix@{}", folders.private.join(format!("{}.{what}", place.name)).display());
    let values = context! {
        service => place.service,
        workers => place.factors.workers,
        retries => place.factors.retries,
        cli => path(&cli_socket(&folders.private, place)),
        log => match place.factors.access_log {
            AccessLog::Off => None,
            AccessLog::Text => Some(TEXT),
            AccessLog::Json => Some(JSON),
        },
        admin => listens.admin.to_string(),
        identity => place.identity.as_ref().map(|i| context! { pem => path(&pem(i)), ca => path(&i.ca) }),
        inbound => place.app.as_ref().map(|app| context! {
            listen => listens.inbound.map(|at| at.to_string()),
            looks => looks(place),
            strict => place.mode() == Mtls::Strict,
            tls_socket => socket("tls"),
            clear_socket => socket("clear"),
            apps => apps(place, app),
            source => matches!(place.stand, Stand::Pod(_)).then(|| PASSTHROUGH_SOURCE.to_string()),
        }),
        door => place.door.as_ref().map(|door| context! {
            listen => listens.inbound.map(|at| at.to_string()),
            pem => path(&pem(&door.identity)),
        }),
        outbound => listens.outbound.map(|at| at.to_string()),
        callees => callees(place, listens)?,
    };
    let problem = |e: minijinja::Error| Error::Config { part: place.name.clone(), problem: format!("{e:#}") };
    environment.add_template("haproxy.cfg", include_str!("../../../proxies/haproxy.cfg.j2")).map_err(problem)?;
    environment.get_template("haproxy.cfg").and_then(|t| t.render(values)).map_err(problem)
}

/// The names of the backends of the service itself.
pub(super) fn backends(place: &Place, app: &App) -> Vec<String> {
    app.ports.iter().map(|port| app_backend(place, *port)).collect()
}

/// One for each port; on loopback there is one.
fn app_backend(place: &Place, port: u16) -> String {
    match place.stand {
        Stand::Loopback => "app".to_owned(),
        Stand::Pod(_) => format!("app_{port}"),
    }
}

/// Where callers' requests go. On loopback the service has one port, which its callers know as that of its proxy.
fn apps(place: &Place, app: &App) -> Vec<Value> {
    let redirected = matches!(place.stand, Stand::Pod(_));
    let of = |(port, mode): (u16, Mtls)| {
        context! {
            name => app_backend(place, port),
            port => redirected.then_some(port),
            mode => mode.word(),
            address => SocketAddr::new(app.address.ip(), port).to_string(),
        }
    };
    modes(place, app).into_iter().map(of).collect()
}

fn callees(place: &Place, listens: &Listens) -> Result<Vec<Value>> {
    let one = |(at, callee): (usize, &Callee)| {
        let weights: Vec<u32> = callee.subsets.iter().map(|subset| subset.weight).collect();
        let weights = scaled(&weights).ok_or_else(|| Error::Config {
            part: place.name.clone(),
            problem: format!("it splits by weights of at most {HEAVIEST}, and {weights:?} cannot be scaled to that"),
        })?;
        let servers = callee.subsets.iter().zip(weights).map(|(subset, weight)| {
            context! { name => server(&subset.name), address => subset.address.to_string(), weight => weight }
        });
        Ok(context! {
            name => backend(&callee.service),
            listen => listens.callees.get(at).map(|at| at.to_string()),
            host => callee.address.ip().to_string(),
            port => callee.address.port(),
            known_as => callee.secured.then(|| dns_name(&callee.service)),
            servers => servers.collect::<Vec<_>>(),
        })
    };
    place.callees.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_keep_their_shares_and_fit() {
        assert_eq!(scaled(&[90, 10]), Some(vec![9, 1]));
        assert_eq!(scaled(&[900, 0]), Some(vec![1, 0]));
        assert_eq!(scaled(&[257, 1]), None);
        assert_eq!(scaled(&[1]), Some(vec![1]));
        assert_eq!(fits(&"v1=99000,v2=1000".parse().unwrap()), Some(vec![99, 1]));
    }
}
