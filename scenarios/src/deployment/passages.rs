//! What proxies sent to a service and what came in at its own: of one host, or of several put together.

use record::{Mtls, Proof};
use serde::{Deserialize, Serialize};

use super::{Deployment, ProxyNode};
use crate::Result;
use crate::proxy::{Tally, proof};

/// The way to a service, as far as the proxies of one host tell of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passage {
    /// The service.
    pub service: String,
    /// Each proxy that sends requests to it, and how many it sent.
    pub sent: Vec<(String, u64)>,
    /// Its own proxies.
    pub came: Vec<Came>,
}

/// What came in at a proxy of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Came {
    /// The proxy.
    pub part: String,
    /// Requests.
    pub requests: u64,
    /// Of which so many were our own, in clear, and came from no proxy.
    pub ours: u64,
    /// Where this was read.
    pub source: String,
}

/// Proves that what proxies sent to a service came in at its own, and nothing else did; `all` may be of several hosts.
///
/// # Errors
/// [`crate::Error::Unproven`] where more came than was sent, or nothing.
pub fn prove_passages(all: &[Passage]) -> Result<Vec<Proof>> {
    let mut services: Vec<&str> = Vec::new();
    for passage in all {
        if !services.contains(&&*passage.service) {
            services.push(&passage.service);
        }
    }
    let mut proofs = Vec::new();
    for service in services {
        let of = || all.iter().filter(|p| p.service == service);
        let sent: Vec<&(String, u64)> = of().flat_map(|p| &p.sent).collect();
        let came: Vec<&Came> = of().flat_map(|p| &p.came).collect();
        let (Some(first), false) = (came.first(), sent.is_empty()) else { continue };
        let ours = came.iter().map(|c| c.ours).sum();
        let found = came.iter().map(|c| c.requests).sum::<u64>().saturating_sub(ours);
        let names: Vec<&str> = sent.iter().map(|(name, _)| name.as_str()).collect();
        let requests = sent.iter().map(|(_, requests)| requests).sum();
        proofs.push(proof::passed_on(&first.part, (&names.join(" and "), requests), found, &first.source)?);
    }
    Ok(proofs)
}

impl Deployment {
    /// The ways to all services, as far as the proxies of this host tell of them.
    pub(super) fn passages(&self, tallies: &[Tally]) -> Vec<Passage> {
        let counted = || self.proxies.iter().zip(tallies);
        let of = |service: &crate::Service| {
            let sent = |(proxy, tally): (&ProxyNode, &Tally)| {
                Some((proxy.node.part.name().to_owned(), tally.to(&service.name)?.requests.value))
            };
            let came = |(proxy, tally): (&ProxyNode, &Tally)| {
                let way = tally.inbound.as_ref()?;
                Some(Came {
                    part: proxy.node.part.name().to_owned(),
                    requests: way.requests.value,
                    // Under strict our own were refused.
                    ours: if proxy.place.mode() == Mtls::Strict { 0 } else { self.probes.get() },
                    source: way.requests.source.clone(),
                })
            };
            Passage {
                service: service.name.clone(),
                sent: counted().filter_map(sent).collect(),
                came: counted().filter(|(proxy, _)| proxy.place.service == service.name).filter_map(came).collect(),
            }
        };
        self.shape.services.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(sent: &[(&str, u64)], came: &[(&str, u64, u64)]) -> Passage {
        let came = came.iter().map(|(part, requests, ours)| Came {
            part: (*part).to_owned(),
            requests: *requests,
            ours: *ours,
            source: "inbound.rq".to_owned(),
        });
        Passage {
            service: "s2".to_owned(),
            sent: sent.iter().map(|(part, requests)| ((*part).to_owned(), *requests)).collect(),
            came: came.collect(),
        }
    }

    #[test]
    fn what_one_host_sent_and_another_got_is_one_way() {
        let proofs = prove_passages(&[passage(&[("s1-sidecar", 100)], &[]), passage(&[], &[("s2-sidecar", 100, 0)])]);
        let proofs = proofs.unwrap();
        assert_eq!((proofs.len(), proofs[0].part.as_str()), (1, "s2-sidecar"));
        assert_eq!(proofs[0].expected, "1 to 100, which s1-sidecar sent");
        // Neither alone tells anything.
        assert_eq!(prove_passages(&[passage(&[("s1-sidecar", 100)], &[])]).unwrap(), []);
        assert_eq!(prove_passages(&[passage(&[], &[("s2-sidecar", 100, 0)])]).unwrap(), []);
    }

    #[test]
    fn more_than_was_sent_is_an_error_but_for_our_own() {
        let came = |requests, ours| {
            prove_passages(&[passage(&[("s1-sidecar", 60), ("s4-sidecar", 40)], &[("s2-sidecar", requests, ours)])])
        };
        came(101, 1).unwrap();
        let said = came(101, 0).unwrap_err().to_string();
        assert!(said.contains("1 to 100, which s1-sidecar and s4-sidecar sent and is 101"), "{said}");
        came(1, 1).unwrap_err();
    }
}
