//! Where a proxy that is told its ports beforehand listens.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use super::held::HeldPort;
use super::{ADMIN_PORT, DOOR_PORT, Place, Ports, Stand};
use crate::network::{INBOUND_PORT, OUTBOUND_PORT};
use crate::{Error, Result};

/// The addresses that its configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listens {
    pub(super) admin: SocketAddr,
    /// For callers: of the service, or of a gateway.
    pub(super) inbound: Option<SocketAddr>,
    /// For its service's calls to each callee, in the order of the place; none in a pod.
    pub(super) callees: Vec<SocketAddr>,
    /// For all its service's calls; none on loopback.
    pub(super) outbound: Option<SocketAddr>,
}

/// Ports by the names of the proxies that are to listen on them.
#[derive(Debug, Default)]
pub(super) struct Allotted(Mutex<BTreeMap<String, (Listens, Vec<HeldPort>)>>);

impl Allotted {
    /// Chooses the ports of a proxy, and keeps those of loopback free until it listens.
    ///
    /// # Errors
    /// [`Error::Listen`] where there are none left.
    pub(super) fn choose(&self, place: &Place) -> Result<Listens> {
        let comes_in = place.app.is_some() || place.door.is_some();
        let mut held = Vec::new();
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listens = match &place.stand {
            Stand::Loopback => {
                let mut any = |at: IpAddr| {
                    let port = HeldPort::any(at).map_err(|source| Error::Listen {
                        part: place.name.clone(),
                        address: SocketAddr::new(at, 0),
                        source,
                    })?;
                    let address = port.address;
                    held.push(port);
                    Ok(address)
                };
                Listens {
                    admin: any(loopback)?,
                    inbound: comes_in
                        .then(|| any(if place.door.is_some() { place.taken_at } else { place.reached_at }))
                        .transpose()?,
                    callees: if place.door.is_some() {
                        Vec::new()
                    } else {
                        place.callees.iter().map(|_| any(place.taken_at)).collect::<Result<_>>()?
                    },
                    outbound: None,
                }
            }
            Stand::Pod(_) => {
                let at = |port: u16| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
                let redirected = !place.callees.is_empty() && place.door.is_none();
                Listens {
                    admin: SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT)),
                    inbound: comes_in.then(|| at(if place.door.is_some() { DOOR_PORT } else { INBOUND_PORT })),
                    callees: Vec::new(),
                    outbound: redirected.then(|| at(OUTBOUND_PORT)),
                }
            }
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(place.name.clone(), (listens.clone(), held));
        Ok(listens)
    }

    /// The ports of a proxy, whether it listens by now or not.
    pub(super) fn of(&self, place: &Place) -> Result<Listens> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.get(&place.name).map(|(listens, _)| listens.clone());
        found.ok_or_else(|| Error::Config { part: place.name.clone(), problem: "it was never launched".to_owned() })
    }

    /// Lets the ports go of a proxy that listens; returns where others find it.
    pub(super) fn listening(&self, place: &Place) -> Result<Ports> {
        let listens = self.of(place)?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, held)) = all.get_mut(&place.name) {
            held.clear();
        }
        let Listens { admin, inbound, callees, outbound: _ } = listens;
        let own = |place: &Place| match (&place.stand, &place.app) {
            // Whoever connects to the service comes in here.
            (Stand::Pod(_), Some(app)) => Some(app.address),
            // A gateway has a pod of its own.
            (Stand::Pod(pod), None) => inbound.map(|door| SocketAddr::from((pod.address, door.port()))),
            (Stand::Loopback, _) => inbound,
        };
        let outbound = match place.stand {
            Stand::Pod(_) if place.door.is_some() => Vec::new(),
            Stand::Pod(_) => place.callees.iter().map(|callee| (callee.service.clone(), callee.address)).collect(),
            Stand::Loopback => place.callees.iter().map(|callee| callee.service.clone()).zip(callees).collect(),
        };
        Ok(Ports { inbound: own(place), outbound, admin })
    }
}
