//! What a built-in sidecar is told while it is under load: weights and keys change, and no request fails by it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use record::Mtls;
use scenarios::certs::{Authority, Identity};
use scenarios::proxy::embedded::{CalleeConfig, SidecarConfig, SubsetConfig};
use scenarios::service::{SUBSET_HEADER, ServiceConfig};

use crate::caller::Caller;
use crate::embedded::{callee, config, identity, inbound, outbound};
use crate::part::{ANY, Service, Sidecar, idle_service, service, sidecar};

/// Callers that ask one request after another until they are told to stop; each says the subsets that answered, and
/// what was no answer.
struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<(Vec<String>, usize)>>,
}

impl Load {
    fn start(at: std::net::SocketAddr, callers: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let call = |_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let (mut subsets, mut failed) = (Vec::new(), 0);
                let mut caller = Caller::connect(at);
                while !stop.load(Ordering::Relaxed) {
                    let answer = caller.get("/");
                    failed += usize::from(answer.status != 200);
                    subsets.push(answer.header(SUBSET_HEADER).unwrap_or_default().to_owned());
                }
                (subsets, failed)
            })
        };
        Self { callers: (0..callers).map(call).collect(), stop }
    }

    fn end(self) -> (Vec<String>, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.callers.into_iter().map(|caller| caller.join().unwrap());
        ended.fold((Vec::new(), 0), |(mut all, failed), (some, more)| {
            all.extend(some);
            (all, failed + more)
        })
    }
}

fn subset_service(subset: &str) -> Service {
    service(ServiceConfig { subset: Some(subset.into()), ..idle_service("s2") })
}

fn split(v1: u32, v2: u32) -> (Sidecar, [Service; 2]) {
    let services = ["v1", "v2"].map(subset_service);
    let subset = |(name, weight, service): (&str, u32, &Service)| SubsetConfig {
        name: name.into(),
        weight,
        address: service.listen,
    };
    let subsets = [("v1", v1, &services[0]), ("v2", v2, &services[1])].map(subset).to_vec();
    let callees = vec![CalleeConfig { subsets, ..callee("s2", ANY, None) }];
    (sidecar(SidecarConfig { outbound: outbound(callees), ..config("s1-sidecar", None) }), services)
}

#[test]
fn three_shifts_under_load_are_in_use_when_it_says_so_and_fail_no_request() {
    let (mut from, _services) = split(100, 0);
    let load = Load::start(from.at.outbound[0], 4);
    let counts = |from: &Sidecar| from.stats().outbound[0].subsets.iter().map(|s| s.requests).collect::<Vec<_>>();
    from.stats_when(|s| s.outbound[0].requests > 200);
    assert_eq!(counts(&from)[1], 0);
    let mut shift = |text: &str, done: u64, weights: [u32; 2]| {
        from.part.say(&format!("weights {text}"));
        let stats = from.stats_when(|s| s.told.done == done);
        assert_eq!((stats.told.done, stats.told.refused), (done, 0));
        let used: Vec<_> = stats.outbound[0].subsets.iter().map(|s| s.weight.unwrap()).collect();
        assert_eq!(used, weights);
        let before = counts(&from);
        from.stats_when(|s| s.outbound[0].requests > before.iter().sum::<u64>() + 400);
        let after = counts(&from);
        (after[0] - before[0], after[1] - before[1])
    };
    let (v1, v2) = shift("v1=50,v2=50", 1, [50, 50]);
    assert!(v1 > 100 && v2 > 100, "{v1} {v2}");
    // In another order than they are known in.
    let (v1, v2) = shift("v2=90,v1=10", 2, [10, 90]);
    assert!(v1 < v2, "{v1} {v2}");
    let (v1, v2) = shift("v1=0,v2=100", 3, [0, 100]);
    // Both counts are read at one moment, and a request that was drawn is counted with its draw.
    assert_eq!(v1, 0, "{v2}");
    let (subsets, failed) = load.end();
    assert_eq!(failed, 0);
    let requests = from.stats().outbound[0].requests;
    assert_eq!(requests, subsets.len() as u64);
    assert_eq!(counts(&from)[1], subsets.iter().filter(|s| *s == "v2").count() as u64);
}

#[test]
fn what_is_not_understood_changes_nothing_and_is_said() {
    let (mut from, _services) = split(1, 1);
    for (line, why) in [
        ("weights v1=1,v3=2", "no callee has these subsets"),
        ("weights v1=1", "it takes 2 to 8"),
        ("renew all", "it is neither"),
        ("", "it is neither"),
    ] {
        let refused = from.stats().told.refused;
        from.part.say(line);
        let told = from.stats_when(|s| s.told.refused > refused).told;
        assert!(told.last_refusal.as_ref().unwrap().contains(why), "{told:?}");
    }
    let stats = from.stats();
    assert_eq!((stats.told.done, stats.outbound[0].subsets[0].weight), (0, Some(1)));
}

#[test]
fn keys_are_renewed_under_load_in_both_directions_and_fail_no_request() {
    let keys = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let [one, two] = ["s1", "s2"].map(|name| identity(&authority, name, keys.path()));
    let app = service(idle_service("s2"));
    let mut to =
        sidecar(SidecarConfig { inbound: inbound(app.listen, Mtls::Strict), ..config("s2-sidecar", Some(two)) });
    let callees = vec![callee("s2", to.at.inbound.unwrap(), Some("s2"))];
    // A connection for every fifth request, so that there are handshakes all the time.
    let mut from = sidecar(SidecarConfig {
        outbound: outbound(callees),
        requests_per_connection: 5,
        ..config("s1-sidecar", Some(one))
    });
    let load = Load::start(from.at.outbound[0], 4);
    let replace = |name: &str| -> String {
        let fresh: Identity = authority.issue(name).unwrap();
        fresh.replace(&keys.path().join("keys"), |_: &Path| Ok(())).unwrap();
        fresh.serial().unwrap()
    };
    for round in 1..=3 {
        for (sidecar, name) in [(&mut to, "s2"), (&mut from, "s1")] {
            let serial = replace(name);
            assert_ne!(sidecar.stats().serial.as_ref(), Some(&serial));
            sidecar.part.say("renew");
            let stats = sidecar.stats_when(|s| s.told.done == round);
            assert_eq!((stats.told.refused, stats.serial), (0, Some(serial)));
        }
        let handshakes = from.stats().outbound[0].tls_handshakes;
        from.stats_when(|s| s.outbound[0].tls_handshakes > handshakes + 10);
    }
    let (answers, failed) = load.end();
    assert_eq!(failed, 0);
    let (out, inn) = (from.stats().outbound.remove(0), to.stats().inbound.unwrap());
    assert_eq!((out.requests, out.tls_handshakes_failed, out.upstream_failures), (answers.len() as u64, 0, 0));
    assert_eq!(inn.tls_handshakes_failed, 0);
}

#[test]
fn keys_that_cannot_be_used_are_refused_and_the_old_ones_stay() {
    let keys = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let [one, two] = ["s1", "s2"].map(|name| identity(&authority, name, keys.path()));
    let app = service(idle_service("s2"));
    let mut to = sidecar(SidecarConfig {
        inbound: inbound(app.listen, Mtls::Strict),
        ..config("s2-sidecar", Some(two.clone()))
    });
    let serial = to.stats().serial;
    std::fs::write(&two.key, "no key").unwrap();
    to.part.say("renew");
    let stats = to.stats_when(|s| s.told.refused > 0);
    assert_eq!((stats.told.done, &stats.serial), (0, &serial));
    assert!(stats.told.last_refusal.unwrap().contains("key.pem"));
    let callees = vec![callee("s2", to.at.inbound.unwrap(), Some("s2"))];
    let from = sidecar(SidecarConfig { outbound: outbound(callees), ..config("s1-sidecar", Some(one)) });
    assert_eq!(Caller::connect(from.at.outbound[0]).get("/").status, 200);
}
