//! A real Envoy as the sidecar: its configuration, where it listens, and what its counters say.

mod program;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use minijinja::{Environment, UndefinedBehavior, context};
use serde_json::Value;

pub use program::{EnvoyProgram, find};

use super::{Counter, Folders, Place, Ports, Proxy, Tally, Way, keep};
use crate::certs::{SPIFFE_PREFIX, spiffe_id};
use crate::launch::{Launch, Launched};
use crate::ready::{Deadline, until};
use crate::{Error, Result, http};

/// How long its admin port may take; under a small CPU limit even that waits its turn.
const ADMIN_PATIENCE: Duration = Duration::from_secs(10);

impl Proxy for EnvoyProgram {
    fn program(&self) -> String {
        self.describe()
    }

    fn launch(&self, place: &Place, folders: &Folders) -> Result<Launch> {
        let config = folders.kept.join(format!("{}.envoy.yaml", place.name));
        keep(&config, &render(place)?)?;
        let address = folders.private.join(format!("{}.admin", place.name));
        let workers = place.workers.to_string();
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
            Ok(http::get(admin, "/ready", ADMIN_PATIENCE).ok().filter(|answer| answer.status == 200))
        })?;
        until(part, &format!("its listeners at {admin}/listeners"), &deadline, || {
            let listeners = json(part, admin, "/listeners?format=json")?;
            let (inbound, outbound) = (listener(&listeners, "inbound"), listener(&listeners, "outbound"));
            let whole = inbound.is_some() == place.app.is_some() && outbound.is_some() == place.callee.is_some();
            Ok(whole.then_some(Ports { inbound, outbound, admin }))
        })
    }

    fn tally(&self, part: &Launched, ports: &Ports) -> Result<Tally> {
        let info = json(part, ports.admin, "/server_info")?;
        let said = info.get("version").and_then(Value::as_str).unwrap_or_default();
        let version = program::parse_version(said);
        // ^(listener|cluster|http)\.(in|out)bound\.
        let path = "/stats?filter=%5E(listener%7Ccluster%7Chttp)%5C.(in%7Cout)bound%5C.";
        let stats = text(part, ports.admin, path)?;
        let counters = counters(&stats);
        Ok(Tally {
            program: version.map_or_else(|| said.to_owned(), |v| program::described(&v.version, &v.build)),
            program_source: format!("{}/server_info", ports.admin),
            inbound: ports.inbound.map(|_| way(&counters, "inbound", "listener.inbound")),
            outbound: ports.outbound.map(|_| way(&counters, "outbound", "cluster.outbound")),
        })
    }
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
        inbound => place.app.map(|app| context! { app => address(app), peers => SPIFFE_PREFIX }),
        outbound => place.callee.as_ref().map(|c| context! {
            upstream => address(c.inbound),
            callee => c.service,
            peer => spiffe_id(&c.service),
        }),
    };
    let problem = |e: minijinja::Error| Error::Config { part: place.name.clone(), problem: format!("{e:#}") };
    environment.add_template("envoy.yaml", include_str!("../../proxies/envoy.yaml.j2")).map_err(problem)?;
    environment.get_template("envoy.yaml").and_then(|t| t.render(values)).map_err(problem)
}

fn text(part: &Launched, admin: SocketAddr, path: &str) -> Result<String> {
    let doing = || format!("GET {path} at its admin port {admin}");
    match http::get(admin, path, ADMIN_PATIENCE) {
        Ok(answer) if answer.status == 200 => Ok(answer.text()),
        Ok(answer) => Err(part.answer(format!("{} was answered with status {}", doing(), answer.status))),
        Err(e) => Err(part.expect_alive(&doing()).err().unwrap_or_else(|| part.answer(format!("{}: {e}", doing())))),
    }
}

fn json(part: &Launched, admin: SocketAddr, path: &str) -> Result<Value> {
    let text = text(part, admin, path)?;
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
