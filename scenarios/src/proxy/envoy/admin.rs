//! Asking an Envoy's admin port.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::launch::Launched;
use crate::proxy::Place;
use crate::ready::{Deadline, until};
use crate::{Error, Result};

/// How long it may take; under a small CPU limit even that waits its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The admin port of a running Envoy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admin<'a> {
    pub(super) place: &'a Place,
    pub(super) part: &'a Launched,
    pub(super) address: SocketAddr,
}

/// Counters and gauges by name.
pub(super) type Counters = BTreeMap<String, u64>;

impl Admin<'_> {
    /// Whether it says that it is ready.
    pub(super) fn ready(&self) -> bool {
        self.place.stand.get(self.address, "/ready", PATIENCE).is_ok_and(|answer| answer.status == 200)
    }

    /// What it answers to a path.
    ///
    /// # Errors
    /// [`Error::Died`] when it has ended, [`Error::Answer`] for any other status than 200.
    pub(super) fn text(&self, path: &str) -> Result<String> {
        let Self { place, part, address } = self;
        let doing = || format!("GET {path} at its admin port {address}");
        match place.stand.get(*address, path, PATIENCE) {
            Ok(answer) if answer.status == 200 => Ok(answer.text()),
            Ok(answer) => Err(part.answer(format!("{} was answered with status {}", doing(), answer.status))),
            Err(e) => {
                Err(part.expect_alive(&doing()).err().unwrap_or_else(|| part.answer(format!("{}: {e}", doing()))))
            }
        }
    }

    /// As [`Self::text`], read as JSON.
    pub(super) fn json(&self, path: &str) -> Result<Value> {
        let text = self.text(path)?;
        serde_json::from_str(&text).map_err(|e| self.part.answer(format!("its admin port's {path} is no JSON: {e}")))
    }

    /// All its counters.
    pub(super) fn counters(&self) -> Result<Counters> {
        Ok(counters(&self.text("/stats")?))
    }

    /// Waits until it has taken up a file that was replaced, by the counters `NAME.update_success` and beside it.
    ///
    /// # Errors
    /// [`Error::Answer`] when it did not like it, [`Error::NotReady`] when it does not notice.
    pub(super) fn taken(&self, name: &str, before: &Counters, patience: Duration) -> Result<()> {
        let of = |counters: &Counters, what: &str| counters.get(&format!("{name}.update_{what}")).copied().unwrap_or(0);
        until(self.part, &format!("{name}.update_success to grow"), &Deadline::after(patience), || {
            let now = self.counters()?;
            let refused = |what| of(&now, what) > of(before, what);
            if refused("rejected") || refused("failure") {
                return Err(self.refused(name));
            }
            Ok((of(&now, "success") > of(before, "success")).then_some(()))
        })
    }

    fn refused(&self, name: &str) -> Error {
        self.part.answer(format!("it refused what it was given anew for {name}"))
    }
}

/// `name: value` a line; histograms have another form and are left out.
fn counters(text: &str) -> Counters {
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

/// The address of a listener by its name, once it has one.
pub(super) fn listener(listeners: &Value, name: &str) -> Option<SocketAddr> {
    let all = listeners.get("listener_statuses")?.as_array()?;
    let found = all.iter().find(|l| l.get("name").and_then(Value::as_str) == Some(name))?;
    let address = found.get("local_address")?.get("socket_address")?;
    let ip = address.get("address")?.as_str()?.parse().ok()?;
    let port = u16::try_from(address.get("port_value")?.as_u64()?).ok().filter(|p| *p != 0)?;
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_by_name_and_histograms_are_not() {
        let text = "a.ssl.handshake: 5\nb: 7\nc: P0(nan,1) P25(nan,2)\nno counter\nd: -1\n";
        assert_eq!(counters(text), Counters::from([("a.ssl.handshake".to_owned(), 5), ("b".to_owned(), 7)]));
    }

    #[test]
    fn a_listener_has_an_address_once_the_kernel_chose_a_port() {
        let all = serde_json::json!({"listener_statuses": [
            {"name": "inbound", "local_address": {"socket_address": {"address": "127.0.0.1", "port_value": 4711}}},
            {"name": "outbound", "local_address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        ]});
        assert_eq!(listener(&all, "inbound"), "127.0.0.1:4711".parse().ok());
        assert_eq!((listener(&all, "outbound"), listener(&all, "admin")), (None, None));
    }
}
