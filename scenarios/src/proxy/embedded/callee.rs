//! A service that is called, as one worker knows it: its subsets, each with a pool, and how requests are split.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio_rustls::TlsConnector;

use super::config::CalleeConfig;
use super::gauges::CalleeGauges;
use super::keys::ToCallee;
use super::route::Pool;
use crate::upstream::{Terms, Transport, Upstream};

/// A service that is called.
pub(super) struct Callee {
    pub(super) address: SocketAddr,
    pub(super) gauges: Arc<CalleeGauges>,
    subsets: Vec<Rc<Pool>>,
    /// Each subset's weight, in their order.
    weights: RefCell<Arc<[u32]>>,
    total: Cell<u32>,
    /// Requests are drawn by chance and not by turns, as Envoy draws them; from a seed of the system, since with one of
    /// our own every trial would draw the same.
    chance: RefCell<SmallRng>,
    keys: RefCell<Option<ToCallee>>,
}

impl Callee {
    pub(super) fn new(
        config: &CalleeConfig,
        terms: Terms,
        keys: Option<ToCallee>,
        gauges: Arc<CalleeGauges>,
    ) -> Rc<Self> {
        let pool = |(subset, gauges): (&super::SubsetConfig, &super::gauges::SubsetGauges)| {
            let transport = transport(keys.as_ref());
            let upstream = Upstream::on_terms(subset.address, transport, terms, Arc::clone(&gauges.meter));
            let cluster = format!("outbound|{}|{}|{}", config.address.port(), subset.name, config.service);
            Rc::new(Pool { upstream, meter: Arc::clone(&gauges.meter), cluster: cluster.into() })
        };
        let callee = Self {
            address: config.address,
            subsets: config.subsets.iter().zip(&gauges.subsets).map(pool).collect(),
            weights: RefCell::new(Arc::new([])),
            total: Cell::new(0),
            chance: RefCell::new(SmallRng::from_os_rng()),
            keys: RefCell::new(keys),
            gauges,
        };
        callee.weigh(&config.subsets.iter().map(|subset| subset.weight).collect());
        Rc::new(callee)
    }

    /// Splits requests by these weights from now on.
    pub(super) fn weigh(&self, weights: &Arc<[u32]>) {
        for (weight, subset) in weights.iter().zip(&self.gauges.subsets) {
            subset.weight.store(*weight, Relaxed);
        }
        self.total.set(weights.iter().sum());
        *self.weights.borrow_mut() = Arc::clone(weights);
    }

    /// Speaks by these keys on connections that are yet to be made.
    pub(super) fn speak_by(&self, keys: Option<ToCallee>) {
        for subset in &self.subsets {
            subset.upstream.speak_by(transport(keys.as_ref()));
        }
        *self.keys.borrow_mut() = keys;
    }

    /// The subset that a request or a connection goes to.
    pub(super) fn draw(&self) -> Option<&Rc<Pool>> {
        if self.subsets.len() < 2 {
            return self.subsets.first();
        }
        let at = self.chance.borrow_mut().random_range(0..self.total.get().max(1));
        self.subsets.get(chosen(&self.weights.borrow(), at))
    }

    /// With what bytes that are no HTTP are sent; none in clear.
    pub(super) fn connector_for_bytes(&self) -> Option<TlsConnector> {
        self.keys.borrow().as_ref().map(|keys| TlsConnector::from(Arc::clone(&keys.bytes)))
    }

    pub(super) fn owed(&self) -> usize {
        self.subsets.iter().map(|subset| subset.upstream.owed()).sum()
    }
}

fn transport(keys: Option<&ToCallee>) -> Transport {
    keys.map_or(Transport::Plain, |keys| Transport::Tls(TlsConnector::from(Arc::clone(&keys.http))))
}

/// The place among weights on which a number falls that is less than their sum.
fn chosen(weights: &[u32], mut at: u32) -> usize {
    for (place, weight) in weights.iter().enumerate() {
        if at < *weight {
            return place;
        }
        at -= weight;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_falls_on_one_subset_and_none_on_a_weight_of_zero() {
        let places = |weights: &[u32]| (0..weights.iter().sum()).map(|at| chosen(weights, at)).collect::<Vec<_>>();
        assert_eq!(places(&[3, 0, 2]), [0, 0, 0, 2, 2]);
        assert_eq!(places(&[0, 1]), [1]);
    }

    #[test]
    fn the_split_is_that_of_the_weights_and_changes_with_them() {
        let address = ([127, 0, 0, 1], 9).into();
        let subset = |name: &str, weight| super::super::SubsetConfig { name: name.into(), weight, address };
        let subsets = vec![subset("v1", 90), subset("v2", 10)];
        let config = CalleeConfig { service: "s2".into(), listen: None, address, peer: None, subsets };
        let callee = Callee::new(&config, Terms::default(), None, Arc::new(CalleeGauges::of(&config)));
        let share = || {
            let second = (0..20_000).filter(|_| &*callee.draw().unwrap().cluster == "outbound|9|v2|s2").count();
            second as f64 / 20_000.0
        };
        // Seven standard deviations of a binomial draw.
        assert!((share() - 0.1).abs() < 0.015);
        callee.weigh(&[1, 1].into());
        assert!((share() - 0.5).abs() < 0.025);
        callee.weigh(&[1, 0].into());
        assert_eq!(share(), 0.0);
        assert_eq!(callee.gauges.subsets[1].weight.load(Relaxed), 0);
    }
}
