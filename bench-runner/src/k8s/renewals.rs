//! Certificates that a mesh renews under load: each proxy is asked now and then which one it has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use record::{Event, Proof};
use serde_json::Value;

use super::pods::Seat;
use super::proofs::{self, Unproven};
use super::reach::Reach;
use crate::pod::words::{ENVOY_ADMIN, PROXY};

/// What is asked, and said to be the source.
const CERTS: &str = "certs";

/// The least time between two looks: each is a request to the API server for each proxy.
const LEAST: Duration = Duration::from_millis(500);

/// What was seen so far.
pub(super) struct Renewals {
    /// Time from one certificate to the next, as it was asked for.
    every: Duration,
    begun: Instant,
    next: Instant,
    /// Serial numbers by proxy.
    known: BTreeMap<String, BTreeSet<String>>,
}

impl Renewals {
    /// Looks at the certificates that there are before the load.
    pub(super) fn begin(reach: &Reach<'_>, proxies: &[(String, &Seat)], every: Duration) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let mut renewals = Self { every, begun, next: begun, known: BTreeMap::new() };
        renewals.look(reach, proxies, &|| 0)?;
        Ok(renewals)
    }

    /// Looks again where it is time for it; what a proxy has now for the first time has become its own since the last look.
    pub(super) fn look(
        &mut self,
        reach: &Reach<'_>,
        proxies: &[(String, &Seat)],
        now: &dyn Fn() -> u64,
    ) -> anyhow::Result<Vec<Event>> {
        if Instant::now() < self.next {
            return Ok(Vec::new());
        }
        // Twice as often as they are renewed, so that none is missed.
        self.next = Instant::now() + (self.every / 2).max(LEAST);
        let mut events = Vec::new();
        for (part, seat) in proxies {
            let certs = reach.get(seat, &format!("{PROXY}{ENVOY_ADMIN}/{CERTS}"))?;
            let at_ns = now();
            let known = self.known.entry(part.clone()).or_default();
            for serial in serials(&certs) {
                if known.insert(serial.clone()) {
                    events.push(Event::CertificateRotated { at_ns, part: part.clone(), serial });
                }
            }
        }
        Ok(events)
    }

    /// Whether each proxy has got as many as fit into the time that was looked at: half of them, since an agent also takes
    /// its time to make a key and to be heard.
    pub(super) fn prove(&self) -> Result<Vec<Proof>, Unproven> {
        let spans = self.begun.elapsed().as_nanos() / self.every.as_nanos().max(1);
        let least = spans / 2;
        let prove = |(part, serials): (&String, &BTreeSet<String>)| {
            let renewed = serials.len().saturating_sub(1) as u128;
            let expected = format!("{least} at least");
            let holds = renewed >= least && !serials.is_empty();
            proofs::held(holds, part, "certificates renewed", &expected, &renewed.to_string(), "certs of its Envoy")
        };
        self.known.iter().map(prove).collect()
    }
}

/// The serial numbers of the workload certificates in what Envoy says of its TLS contexts: those with a SPIFFE id, since a
/// gateway has others too.
fn serials(certs: &[u8]) -> BTreeSet<String> {
    let said: Value = serde_json::from_slice(certs).unwrap_or_default();
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let of_workload = |certificate: &Value| {
        let names = list(certificate, "subject_alt_names");
        names.iter().any(|n| n.get("uri").and_then(Value::as_str).is_some_and(|uri| uri.starts_with("spiffe://")))
    };
    let chains = list(&said, "certificates").into_iter().filter_map(|c| list(&c, "cert_chain").into_iter().next());
    let own = chains.filter(of_workload);
    own.filter_map(|c| Some(c.get("serial_number")?.as_str()?.to_lowercase())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_those_of_workloads_and_not_of_a_gateways_door() {
        let certs = serde_json::json!({"certificates": [
            {"ca_cert": [{"serial_number": "aa"}], "cert_chain": [
                {"serial_number": "0A1B", "subject_alt_names": [{"uri": "spiffe://cluster.local/ns/n/sa/default"}]},
                {"serial_number": "cc", "subject_alt_names": []},
            ]},
            {"cert_chain": [{"serial_number": "dd", "subject_alt_names": [{"dns": "meshtax.test"}]}]},
            {"cert_chain": [{"serial_number": "0a1b", "subject_alt_names": [{"uri": "spiffe://cluster.local/ns/n/sa/default"}]}]},
        ]});
        assert_eq!(serials(certs.to_string().as_bytes()), ["0a1b".to_owned()].into());
        assert!(serials(b"no").is_empty());
    }

    #[test]
    fn certificates_that_stay_what_they_were_stop_the_trial() {
        let since = |seconds: u64, serials: &[&str]| {
            let begun = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
            let serials = serials.iter().map(|s| (*s).to_owned()).collect();
            let known = BTreeMap::from([("s1-sidecar".to_owned(), serials)]);
            let renewals = Renewals { every: Duration::from_secs(2), begun, next: begun, known };
            renewals.prove().map(|proofs| proofs[0].found.clone()).map_err(|e| e.to_string())
        };
        assert_eq!(since(10, &["1", "2", "3"]), Ok("2".into()));
        let said = since(10, &["1", "2"]).unwrap_err();
        assert!(said.contains("certificates renewed should be 2 at least, and 1 was found"), "{said}");
        // Where there is no time for one, one is enough; but one there must be.
        assert_eq!(since(1, &["1"]), Ok("0".into()));
        assert!(since(1, &[]).is_err());
    }
}
