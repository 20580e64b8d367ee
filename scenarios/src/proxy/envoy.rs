//! A real Envoy as the sidecar: its configuration, where it listens, and what its counters say.

mod program;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use minijinja::{Environment, UndefinedBehavior, context};
use record::{Factors, Lack, Proof, Weights};
use serde_json::Value;

pub use program::{EnvoyProgram, find};

use super::{Counter, Folders, Place, Ports, Proxy, Tally, Way};
use crate::certs::{SPIFFE_PREFIX, spiffe_id};
use crate::launch::{Launch, Launched};
use crate::ready::{Deadline, until};
use crate::{Error, Result};

/// How long its admin port may take; under a small CPU limit even that waits its turn.
const ADMIN_PATIENCE: Duration = Duration::from_secs(10);

impl Proxy for EnvoyProgram {
    fn program(&self) -> String {
        self.describe()
    }

    fn launch(&self, place: &Place, folders: &Folders) -> Result<Launch> {
        let config = folders.config(&format!("{}.envoy.yaml", place.name), &render(place)?)?;
        let address = folders.private.join(format!("{}.admin", place.name));
        let workers = place.factors.workers.to_string();
        let mut args: Vec<std::ffi::OsString> = vec!["--config-path".into(), config.into()];
        args.extend(["--admin-address-path".into(), address.into(), "--concurrency".into(), workers.into()]);
        // Without hot restart there is no shared memory, and so no id to be unique on the machine.
        args.extend(["--disable-hot-restart", "--log-level", "warn"].map(Into::into));
        Ok(Launch {
            name: place.name.clone(),
            program: self.path.clone(),
            args,
            env: Vec::new(),
            cgroups: Vec::new(),
            netns: None,
            user: None,
            log: folders.log(&place.name),
            pipe_stdin: false,
            pipe_stdout: false,
        })
    }

    fn listening(&self, place: &Place, part: &mut Launched, folders: &Folders, patience: Duration) -> Result<Ports> {
        let deadline = Deadline::after(patience);
        let file = folders.private.join(format!("{}.admin", place.name));
        let admin = until(part, "the address of its admin port", &deadline, || {
            // The file may be there before its content is.
            Ok(std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<SocketAddr>().ok()))
        })?;
        until(part, &format!("GET /ready at {admin}"), &deadline, || {
            Ok(place.stand.get(admin, "/ready", ADMIN_PATIENCE).ok().filter(|answer| answer.status == 200))
        })?;
        until(part, &format!("its listeners at {admin}/listeners"), &deadline, || {
            let listeners = json(place, part, admin, "/listeners?format=json")?;
            let inbound = listener(&listeners, "inbound");
            let found = place.callees.iter().map(|c| Some((c.service.clone(), listener(&listeners, "outbound")?)));
            let outbound: Option<Vec<_>> = found.collect();
            let whole = inbound.is_some() == place.app.is_some();
            Ok(outbound.filter(|_| whole).map(|outbound| Ports { inbound, outbound, admin }))
        })
    }

    fn tally(&self, place: &Place, part: &Launched, ports: &Ports) -> Result<Tally> {
        let info = json(place, part, ports.admin, "/server_info")?;
        let said = info.get("version").and_then(Value::as_str).unwrap_or_default();
        let version = program::parse_version(said);
        // ^(listener|cluster|http)\.(in|out)bound\.
        let path = "/stats?filter=%5E(listener%7Ccluster%7Chttp)%5C.(in%7Cout)bound%5C.";
        let stats = text(place, part, ports.admin, path)?;
        let counters = counters(&stats);
        Ok(Tally {
            program: version.map_or_else(|| said.to_owned(), |v| program::described(&v.version, &v.build)),
            program_source: format!("{}/server_info", ports.admin),
            inbound: ports.inbound.map(|_| way(&counters, "inbound", "listener.inbound")),
            outbound: place
                .callees
                .iter()
                .map(|callee| (callee.service.clone(), way(&counters, "outbound", "cluster.outbound")))
                .collect(),
            retries: None,
        })
    }

    fn prove(&self, _: &Place, _: &Launched, _: &Ports) -> Result<Vec<Proof>> {
        Ok(Vec::new())
    }

    fn shift(&self, place: &Place, part: &mut Launched, _: &Folders, weights: &Weights) -> Result<()> {
        Err(part.answer(format!("{} has no route to shift to {weights}", place.name)))
    }

    fn renew(&self, _: &Place, _: &mut Launched, _: &Ports) -> Result<()> {
        Ok(())
    }

    fn scrape_path(&self) -> &'static str {
        "/stats/prometheus"
    }

    fn lacks(&self, _: &Factors) -> Vec<Lack> {
        Vec::new()
    }
}

/// Why it cannot be what these factors ask for.
pub(crate) fn cannot(_: &Factors) -> Option<String> {
    None
}

/// The configuration file of a sidecar.
fn render(place: &Place) -> Result<String> {
    let mut environment = Environment::new();
    // A hole that nobody filled must not become an empty value.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_keep_trailing_newline(true);
    // YAML takes JSON's strings, which carry any path unharmed.
    environment.add_filter("quoted", |text: String| Value::String(text).to_string());
    let address = |a: SocketAddr| context! { host => a.ip().to_string(), port => a.port() };
    let path = |p: &std::path::Path| p.display().to_string();
    let values = context! {
        service => place.service,
        identity => place.identity.as_ref().map(|i| context! { chain => path(&i.chain), key => path(&i.key), ca => path(&i.ca) }),
        inbound => place.app.as_ref().map(|app| context! { app => address(app.address), peers => SPIFFE_PREFIX }),
        outbound => place.callees.first().map(|c| context! {
            upstream => c.subsets.first().map(|subset| address(subset.address)),
            callee => c.service,
            peer => spiffe_id(&c.service),
        }),
    };
    let problem = |e: minijinja::Error| Error::Config { part: place.name.clone(), problem: format!("{e:#}") };
    environment.add_template("envoy.yaml", include_str!("../../proxies/envoy.yaml.j2")).map_err(problem)?;
    environment.get_template("envoy.yaml").and_then(|t| t.render(values)).map_err(problem)
}

fn text(place: &Place, part: &Launched, admin: SocketAddr, path: &str) -> Result<String> {
    let doing = || format!("GET {path} at its admin port {admin}");
    match place.stand.get(admin, path, ADMIN_PATIENCE) {
        Ok(answer) if answer.status == 200 => Ok(answer.text()),
        Ok(answer) => Err(part.answer(format!("{} was answered with status {}", doing(), answer.status))),
        Err(e) => Err(part.expect_alive(&doing()).err().unwrap_or_else(|| part.answer(format!("{}: {e}", doing())))),
    }
}

fn json(place: &Place, part: &Launched, admin: SocketAddr, path: &str) -> Result<Value> {
    let text = text(place, part, admin, path)?;
    serde_json::from_str(&text).map_err(|e| part.answer(format!("its admin port's {path} is no JSON: {e}")))
}

/// The address of a listener by its name, once it has one.
fn listener(listeners: &Value, name: &str) -> Option<SocketAddr> {
    let all = listeners.get("listener_statuses")?.as_array()?;
    let found = all.iter().find(|l| l.get("name").and_then(Value::as_str) == Some(name))?;
    let address = found.get("local_address")?.get("socket_address")?;
    let ip = address.get("address")?.as_str()?.parse().ok()?;
    let port = u16::try_from(address.get("port_value")?.as_u64()?).ok().filter(|p| *p != 0)?;
    Some(SocketAddr::new(ip, port))
}

/// `name: value` a line; histograms have another form and are left out.
fn counters(text: &str) -> BTreeMap<&str, u64> {
    text.lines().filter_map(|l| l.split_once(": ")).filter_map(|(name, v)| Some((name, v.parse().ok()?))).collect()
}

/// One direction; `tls` is the scope its TLS counters are in, which has none without TLS.
fn way(counters: &BTreeMap<&str, u64>, direction: &str, tls: &str) -> Way {
    let sum = |names: &[String]| Counter {
        value: names.iter().filter_map(|n| counters.get(n.as_str())).sum(),
        source: names.join(" + "),
    };
    let ssl = |names: &[&str]| sum(&names.iter().map(|n| format!("{tls}.ssl.{n}")).collect::<Vec<_>>());
    Way {
        requests: sum(&[format!("http.{direction}.downstream_rq_total")]),
        handshakes: ssl(&["handshake"]),
        strangers: Some(ssl(&["fail_verify_error", "fail_verify_san", "fail_verify_no_cert", "fail_verify_cert_hash"])),
        broken: Some(ssl(&["connection_error"])),
        in_clear: None,
        peers: None,
    }
}
