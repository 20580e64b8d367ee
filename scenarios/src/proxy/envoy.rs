//! A real Envoy as the sidecar, configured as Istio configures it.

mod admin;
mod chains;
mod dump;
mod lacks;
pub(crate) mod log;
mod names;
mod program;
mod proofs;
mod secrets;
mod sheet;
mod stats;
mod template;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use record::{AccessLog, Factors, Lack, Proof, Weights};
use serde_json::Value;

pub(in crate::proxy) use program::answer;
pub use program::{EnvoyProgram, find};

use super::{ADMIN_PORT, DOOR_PORT, Folders, Place, Ports, Proxy, Stand, Tally, line_log};
use crate::launch::{Launch, Launched};
use crate::ready::{Deadline, until};
use crate::{Error, Result};
use admin::Admin;
use sheet::Sheet;

/// How long a running one may take to take up what it was given.
const UPDATE_PATIENCE: Duration = Duration::from_secs(10);

impl Proxy for EnvoyProgram {
    fn program(&self) -> String {
        self.describe()
    }

    fn launch(&self, place: &Place, folders: &Folders) -> Result<Launch> {
        let sheet = Sheet::of(place, &folders.private, secrets::write(place)?)?;
        let config = folders.config(&format!("{}.envoy.yaml", place.name), &template::bootstrap(place, &sheet)?)?;
        for way in sheet::ways(place, &folders.private, None)? {
            if let Some(file) = way.routes.file() {
                folders.config(&file, &template::routes(place, &way.routes.table)?)?;
            }
        }
        let address = folders.private.join(format!("{}.admin", place.name));
        let workers = place.factors.workers.to_string();
        let mut args: Vec<OsString> = vec!["--config-path".into(), config.into()];
        args.extend(["--admin-address-path".into(), address.into(), "--concurrency".into(), workers.into()]);
        // Without hot restart there is no shared memory, and so no id to be unique on the machine.
        args.extend(["--disable-hot-restart", "--log-level", "warn"].map(Into::into));
        args.extend(self.flushing(place)?);
        let (file, piped) = (line_log::file(place, folders), line_log::piped(&place.factors));
        Ok(Launch {
            name: place.name.clone(),
            program: self.path.clone(),
            args,
            env: Vec::new(),
            cgroups: Vec::new(),
            netns: None,
            user: None,
            within: None,
            log: folders.log(&place.name),
            stdout: file,
            pipe_stdin: false,
            pipe_stdout: piped,
        })
    }

    fn listening(&self, place: &Place, part: &mut Launched, folders: &Folders, patience: Duration) -> Result<Ports> {
        // Before it writes a line.
        part.drain()?;
        let deadline = Deadline::after(patience);
        let file = folders.private.join(format!("{}.admin", place.name));
        let address = until(part, "the address of its admin port", &deadline, || {
            // The file may be there before its content is.
            Ok(std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<SocketAddr>().ok()))
        })?;
        let address = match place.stand {
            Stand::Loopback => address,
            Stand::Pod(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT)),
        };
        let admin = Admin { place, part, address };
        until(part, &format!("GET /ready at {address}"), &deadline, || Ok(admin.ready().then_some(())))
            .map_err(|error| explained(error, place, folders))?;
        until(part, &format!("its listeners at {address}/listeners"), &deadline, || {
            Ok(ports(place, &admin.json("/listeners?format=json")?, address))
        })
    }

    fn tally(&self, place: &Place, part: &Launched, ports: &Ports) -> Result<Tally> {
        let admin = Admin { place, part, address: ports.admin };
        let info = admin.json("/server_info")?;
        let said = info.get("version").and_then(Value::as_str).unwrap_or_default();
        let version = program::parse_version(said);
        let counters = admin.counters()?;
        Ok(Tally {
            program: version.map_or_else(|| said.to_owned(), |v| program::described(&v.version, &v.build)),
            program_source: format!("{}/server_info", ports.admin),
            inbound: stats::inbound(place, &counters),
            outbound: place.callees.iter().map(|c| (c.service.clone(), stats::outbound(c, &counters))).collect(),
            retries: Some(stats::retries(place, &counters)),
        })
    }

    fn prove(&self, place: &Place, part: &Launched, ports: &Ports) -> Result<Vec<Proof>> {
        proofs::prove(&Admin { place, part, address: ports.admin })
    }

    fn shift(&self, place: &Place, part: &mut Launched, folders: &Folders, weights: &Weights) -> Result<()> {
        let address = self.admin_of(place, part, folders)?;
        let admin = Admin { place, part, address };
        for way in sheet::ways(place, &folders.private, Some(weights))? {
            let Some(file) = way.routes.file() else { continue };
            let before = admin.counters()?;
            folders.replace(&file, &template::routes(place, &way.routes.table)?)?;
            admin.taken(&stats::routes_updated(&way), &before, UPDATE_PATIENCE)?;
        }
        Ok(())
    }

    fn renew(&self, place: &Place, part: &mut Launched, ports: &Ports) -> Result<()> {
        let Some(identity) = &place.identity else { return Ok(()) };
        let admin = Admin { place, part, address: ports.admin };
        let before = admin.counters()?;
        secrets::write_certificate(place, identity)?;
        admin.taken(stats::CERTIFICATE_UPDATED, &before, UPDATE_PATIENCE)
    }

    fn scrape_path(&self) -> &'static str {
        "/stats/prometheus"
    }

    fn lacks(&self, factors: &Factors) -> Vec<Lack> {
        lacks::of(factors)
    }
}

impl EnvoyProgram {
    /// When it writes out what it has buffered of its log.
    fn flushing(&self, place: &Place) -> Result<Vec<OsString>> {
        let factors = &place.factors;
        let every_ms = (factors.log_flush_ns / 1_000_000).max(1);
        let mut args: Vec<OsString> = vec!["--file-flush-interval-msec".into(), every_ms.to_string().into()];
        if self.flush_size {
            args.extend(["--file-flush-min-size-kb".into(), factors.log_flush_kb.to_string().into()]);
        } else if factors.log_flush_kb != FIXED_FLUSH_KB && factors.access_log != AccessLog::Off {
            return Err(Error::Value {
                what: format!("log_flush_kb of {}", place.name),
                problem: format!("{} always buffers {FIXED_FLUSH_KB} KiB of its log", self.describe()),
                remedy: format!("{FIXED_FLUSH_KB}, or Envoy 1.37 or newer"),
            });
        }
        Ok(args)
    }

    fn admin_of(&self, place: &Place, part: &Launched, folders: &Folders) -> Result<SocketAddr> {
        if let Stand::Pod(_) = place.stand {
            return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT)));
        }
        let file = folders.private.join(format!("{}.admin", place.name));
        let said = std::fs::read_to_string(&file).map_err(crate::error::file_error("read", &file))?;
        let no = |_| part.answer(format!("it said that its admin port is at '{}'", said.trim()));
        said.trim().parse().map_err(no)
    }
}

/// How much an Envoy buffers of its log that cannot be told.
const FIXED_FLUSH_KB: u32 = 64;

/// Why it cannot be what these factors ask for.
pub(crate) fn cannot(_: &Factors) -> Option<String> {
    None
}

/// An Envoy that got no watch ends with a page of addresses, in which the one line that says so is far up.
fn explained(error: Error, place: &Place, folders: &Folders) -> Error {
    let said = std::fs::read_to_string(folders.log(&place.name)).unwrap_or_default();
    if !said.contains("fs.inotify.max_user_instances") {
        return error;
    }
    Error::Value {
        what: place.name.clone(),
        problem: "it may watch no more files for new certificates or weights: no inotify instance is left".to_owned(),
        remedy: "sysctl fs.inotify.max_user_instances=1024, or fewer services".to_owned(),
    }
}

/// Where it takes callers and its own service's calls, once all its listeners are there.
fn ports(place: &Place, listeners: &Value, admin: SocketAddr) -> Option<Ports> {
    let at = |name: &str| admin::listener(listeners, name);
    if place.door.is_some() {
        let callee = place.callees.first()?;
        let door = at(&names::way(place, callee))?;
        let inbound = match &place.stand {
            Stand::Loopback => door,
            Stand::Pod(pod) => SocketAddr::from((pod.address, DOOR_PORT)),
        };
        return Some(Ports { inbound: Some(inbound), outbound: Vec::new(), admin });
    }
    let Stand::Pod(_) = place.stand else {
        let inbound = at(names::INBOUND);
        let way = |callee: &super::Callee| Some((callee.service.clone(), at(&names::way(place, callee))?));
        let outbound: Option<Vec<_>> = place.callees.iter().map(way).collect();
        return outbound.filter(|_| inbound.is_some() == place.app.is_some()).map(|outbound| Ports {
            inbound,
            outbound,
            admin,
        });
    };
    let whole = (place.app.is_none() || at(names::INBOUND).is_some())
        && (place.callees.is_empty() || at(names::OUTBOUND).is_some());
    whole.then(|| Ports {
        inbound: place.app.as_ref().map(|app| app.address),
        outbound: place.callees.iter().map(|c| (c.service.clone(), c.address)).collect(),
        admin,
    })
}
