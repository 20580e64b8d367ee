//! A slice of a chain: the services that stand on one host, while others stand elsewhere; and who is built when.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::certs::AuthorityKey;
use crate::{Error, Result, Shape};

/// What of a chain stands on this host.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    /// The services of it that stand here.
    pub services: &'a [String],
    /// The address of this host by which the others reach them.
    pub reached_at: IpAddr,
    /// Who issues identities in all of the chain; none without mTLS.
    pub authority: Option<&'a AuthorityKey>,
}

/// A service that stands, and where its callers reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// "s2".
    pub service: String,
    /// Its processes: one, or one for each subset of a canary, the stable one first.
    pub instances: Vec<ReachedAt>,
}

/// One process of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReachedAt {
    /// Who takes the callers: "s2-sidecar", or "s2" where it has no sidecar for them.
    pub part: String,
    /// The subset; none without a canary.
    pub subset: Option<String>,
    /// Where.
    pub address: SocketAddr,
}

impl Slice<'_> {
    /// Whether a service stands here.
    pub(crate) fn has(&self, service: &str) -> bool {
        self.services.iter().any(|s| s == service)
    }

    /// Whether one that does not stand here calls this one.
    pub(crate) fn is_called_from_elsewhere(&self, shape: &Shape, service: &str) -> bool {
        shape.callers(service).any(|caller| !self.has(&caller.name))
    }
}

/// In which order slices of a chain are built: hosts by their numbers, each with the services that it can build then,
/// since all that they call stands. Few turns rather than early ones: each is a question to another host.
///
/// # Errors
/// [`Error::Config`] for services that call one another in a circle, and for one that stands on no host.
pub fn turns(shape: &Shape, stands_on: impl Fn(&str) -> Option<usize>) -> Result<Vec<(usize, Vec<String>)>> {
    let config = |problem: String| Error::Config { part: shape.name.clone(), problem };
    let order = shape.callees_first().map_err(|_| config("its services call one another in a circle".to_owned()))?;
    let mut left = Vec::new();
    for service in order.iter().filter_map(|at| shape.services.get(*at)) {
        let host = stands_on(&service.name).ok_or_else(|| config(format!("{} stands on no host", service.name)))?;
        left.push((host, service));
    }
    let mut done: Vec<&str> = Vec::new();
    let mut turns = Vec::new();
    while !left.is_empty() {
        let mut hosts: Vec<usize> = left.iter().map(|(host, _)| *host).collect();
        hosts.dedup();
        let mut best: (usize, Vec<&str>) = (0, Vec::new());
        for host in hosts {
            let mut stand: Vec<&str> = Vec::new();
            for (_, service) in left.iter().filter(|(on, _)| *on == host) {
                let mut callees = service.callees().into_iter().filter_map(|at| shape.services.get(at));
                if callees.all(|callee| done.contains(&&*callee.name) || stand.contains(&&*callee.name)) {
                    stand.push(&service.name);
                }
            }
            if stand.len() > best.1.len() {
                best = (host, stand);
            }
        }
        let (host, stand) = best;
        left.retain(|(_, service)| !stand.contains(&&*service.name));
        done.extend(&stand);
        turns.push((host, stand.into_iter().map(str::to_owned).collect()));
    }
    Ok(turns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Call, Step};

    fn said(shape: &Shape, hosts: &[usize]) -> Vec<String> {
        let on = |name: &str| hosts.get(shape.services.iter().position(|s| s.name == name)?).copied();
        turns(shape, on).unwrap().iter().map(|(host, services)| format!("{host}:{}", services.join("+"))).collect()
    }

    #[test]
    fn each_service_is_built_after_all_that_it_calls_and_in_few_turns() {
        assert_eq!(said(&Shape::chain(3), &[0, 0, 0]), ["0:s3+s2+s1"]);
        assert_eq!(said(&Shape::chain(3), &[0, 1, 0]), ["0:s3", "1:s2", "0:s1"]);
        assert_eq!(said(&Shape::chain(4), &[0, 1, 1, 2]), ["2:s4", "1:s3+s2", "0:s1"]);
        assert_eq!(said(&Shape::fan_out(5), &[0, 1, 0, 1, 1]), ["1:s2+s4+s5", "0:s3+s1"]);
    }

    #[test]
    fn a_circle_and_a_service_without_a_host_are_named() {
        let mut shape = Shape::chain(2);
        let missing = turns(&shape, |name| (name == "s1").then_some(0)).unwrap_err().to_string();
        assert!(missing.contains("s2 stands on no host"), "{missing}");
        shape.services[1].steps = vec![Step { calls: vec![Call::to(0)], sleep_ns: 0 }];
        assert!(turns(&shape, |_| Some(0)).unwrap_err().to_string().contains("in a circle"));
    }

    #[test]
    fn who_is_called_from_elsewhere_is_known_by_the_shape() {
        let (shape, here) = (Shape::chain(4), ["s1".to_owned(), "s3".to_owned(), "s4".to_owned()]);
        let slice = Slice { services: &here, reached_at: [127, 0, 0, 1].into(), authority: None };
        let from_elsewhere = |name: &&str| slice.is_called_from_elsewhere(&shape, name);
        assert_eq!(["s1", "s2", "s3", "s4"].into_iter().filter(from_elsewhere).collect::<Vec<_>>(), ["s3"]);
    }
}
