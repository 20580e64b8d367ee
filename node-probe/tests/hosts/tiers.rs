//! What the sampler reads once a second and at most five times a second on each machine, with sums made from its text.

use node_probe::{Sampler, Watch};
use record::{Sample, SlowSample};

use crate::laid::Laid;

fn sample(name: &str) -> Sample {
    let tree = Laid::tree(name);
    Sampler::new(Watch { root: tree.root(), ..Watch::default() }).unwrap().sample(record::monotonic_ns())
}

fn slow(sample: &Sample) -> &SlowSample {
    sample.slow.as_ref().unwrap()
}

/// Packets processed, dropped and cut short; what the backlog holds, where the kernel tells.
fn backlog(sample: &Sample) -> (u64, u64, u64, Option<u64>) {
    let softnet = sample.node.softnet.seen().unwrap();
    (softnet.processed, softnet.dropped, softnet.time_squeeze, softnet.backlog)
}

#[test]
fn softnet_rows_are_of_every_length_that_kernels_print() {
    assert_eq!(backlog(&sample("centos-7")), (4_295_367_706, 2, 26, None), "11 columns, together over 32 bits");
    assert_eq!(backlog(&sample("ubuntu-xen")), (38_279_979, 0, 52, None));
    assert_eq!(backlog(&sample("kubernetes-node")), (624_075_088, 3, 2340, Some(0)), "13 columns");
    assert_eq!(backlog(&sample("ubuntu-raid")), (43_585_704, 1, 142, Some(0)), "15 columns, CPUs 0, 1, 4 and 5");
    assert_eq!(backlog(&sample("micro-vm")), (228_394_837, 456, 45, Some(0)));
}

#[test]
fn soft_interrupts_are_summed_by_kind() {
    let softirqs = |name| *sample(name).node.softirqs.seen().unwrap();
    let old = softirqs("centos-7");
    assert_eq!((old.net_rx, old.timer, old.sched), (385_773, 1_107_744, 1_124_278));
    assert_eq!(
        old.other,
        940_493 + 1_540_995 + 1_118_732 + 375_655,
        "HI, BLOCK_IOPOLL as it was called, TASKLET, HRTIMER"
    );
    let new = softirqs("micro-vm");
    assert_eq!((new.net_rx, new.block, new.rcu, new.other), (227_181_711, 3_723_150, 1_493_889, 2310 + 191_492));
}

#[test]
fn waiting_for_a_cpu_is_told_where_the_kernel_counts_it() {
    let queue = *sample("kubernetes-node").node.run_queue.seen().unwrap();
    assert_eq!(
        (queue.run_ns, queue.run_delay_ns, queue.timeslices),
        (7_296_008_000_028, 1_768_016_000_196, 64_960_108)
    );
    let queue = *sample("ubuntu-raid").node.run_queue.seen().unwrap();
    assert_eq!(queue.run_delay_ns, 84_008_000_070, "the CPUs that are on");
    let without = sample("micro-vm").node.run_queue;
    assert!(without.reason().unwrap().contains("without CONFIG_SCHEDSTATS"), "{without:?}");
}

#[test]
fn tcp_and_interfaces_are_those_of_the_namespace() {
    let networks = |name| sample(name).networks["host"].clone();
    let old = networks("centos-7");
    let tcp = old.tcp.seen().unwrap();
    assert_eq!((tcp.sent_segments, tcp.retransmitted_segments, tcp.timeouts), (Some(390_112), Some(512), Some(310)));
    assert_eq!(tcp.receive_queue_drops, None, "this kernel does not count them");
    assert_eq!(old.interfaces.seen().unwrap()["eth0"].received_bytes, 812_331_001);
    let pods = networks("kubernetes-node");
    assert_eq!(pods.interfaces.seen().unwrap()["ens5"].received_bytes, 93_123_310_010);
    assert_eq!(pods.tcp.seen().unwrap().receive_queue_drops, Some(0));
    assert_eq!(networks("ubuntu-xen").tcp.seen().unwrap().listen_drops, Some(4));
}

#[test]
fn memory_and_paging_are_told_in_bytes_and_by_all_zones() {
    let xen = sample("ubuntu-xen");
    let memory = slow(&xen).memory.seen().unwrap();
    assert_eq!((memory.total_bytes, memory.available_bytes), (4_028_156 * 1024, Some(3_312_004 * 1024)));
    assert_eq!(memory.dirty_bytes, 124 * 1024);
    let vm = slow(&xen).vm.seen().unwrap();
    assert_eq!((vm.major_page_faults, vm.allocation_stalls, vm.oom_kills), (Some(4211), Some(7), Some(1)));
    let old = sample("centos-7");
    let vm = slow(&old).vm.seen().unwrap();
    assert_eq!((vm.allocation_stalls, vm.oom_kills), (Some(7), None), "one counter for all zones, and no oom_kill yet");
    let real = sample("micro-vm");
    assert_eq!(slow(&real).vm.seen().unwrap().allocation_stalls, Some(690));
}

#[test]
fn interrupts_are_summed_over_all_cpus() {
    let interrupts = |name| slow(&sample(name)).interrupts.seen().unwrap().clone();
    let real = interrupts("micro-vm");
    assert_eq!((real["LOC"], real["RES"], real["CAL"], real["ERR"]), (8_598_746, 3_200_489, 18_300_925, 0));
    let devices: u64 = real.iter().filter(|(name, _)| name.starts_with("36 ")).map(|(_, count)| count).sum();
    assert_eq!(devices, 3_723_878, "{:?}", real.keys());
    assert_eq!(interrupts("kubernetes-node")["LOC"], 3_526_411);
}

#[test]
fn a_container_without_these_files_says_which_are_missing() {
    let lxc = sample("lxc");
    assert!(lxc.node.softnet.reason().unwrap().contains("net/softnet_stat does not exist"), "{:?}", lxc.node.softnet);
    let interrupts = &slow(&lxc).interrupts;
    assert!(interrupts.reason().is_some_and(|r| r.contains("interrupts does not exist")), "{interrupts:?}");
    assert_eq!(slow(&lxc).memory.seen().unwrap().total_bytes, 2_097_152 * 1024);
    let network = &lxc.networks["host"];
    assert!(network.tcp.reason().is_some_and(|reason| reason.contains("net/snmp does not exist")), "{network:?}");
}

#[test]
fn the_groups_around_a_pod_are_read_up_to_the_top() {
    let tree = Laid::tree("kubernetes-node");
    let watch = Watch { root: tree.root(), processes: vec![("p".into(), 4711)], ..Watch::default() };
    let sample = Sampler::new(watch).unwrap().sample(record::monotonic_ns());
    let own = sample.processes["p"].cgroup.clone().unwrap();
    let mut chain = Vec::new();
    let mut next = Some(own);
    while let Some(key) = next {
        let group = &sample.cgroups[&key];
        chain.push((group.throttled_ns.seen().copied(), group.limit.seen().and_then(|limit| limit.quota_ns)));
        next = group.parent.clone();
    }
    assert_eq!(chain[0].0, Some(3_632_017_000), "the container");
    assert_eq!(chain[1].0, Some(1_120_017_000), "the pod");
    assert_eq!(chain.len(), 4, "then the class of pods and all of them: {:?}", sample.cgroups.keys());
    assert!(chain[0].1.is_some() && chain[1].1.is_some() && chain[3].1.is_none(), "{chain:?}");
}
