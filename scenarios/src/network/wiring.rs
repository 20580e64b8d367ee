//! Namespaces, bridge and links: what `ip` is told.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use super::{Pod, failed, namespace, namespace_path, tools};
use crate::{Error, Result};

/// The bridge, in the hub.
pub(super) const BRIDGE: &str = "br0";

/// All networks have the same addresses; none of them ever meets another, or the host.
const SUBNET: [u8; 2] = [10, 77];

/// Pods are set up by a few threads at once, most of whose time is the kernel's.
const THREADS: usize = 4;

/// Makes the hub and its bridge.
pub(super) fn make_hub(hub: &str) -> Result<()> {
    let action = || format!("make the network {hub}");
    tools::run(None, "ip", &["-batch", "-"], &format!("netns add {hub}\n")).map_err(|e| failed(action(), e))?;
    let wired = namespace::within(&namespace_path(hub), || {
        // Ports of a bridge have no business with IPv6; its neighbour discovery would be frames that no pod asked for.
        set("net/ipv6/conf/default/disable_ipv6", "1");
        let batch = format!("link add {BRIDGE} type bridge forward_delay 0\nlink set {BRIDGE} up\n");
        let made = tools::fed("ip", &["-batch", "-"], &batch);
        // Where the host filters bridged packets, bridges of new namespaces begin by doing so too.
        for tables in ["iptables", "ip6tables", "arptables"] {
            set(&format!("net/bridge/bridge-nf-call-{tables}"), "0");
        }
        made
    })?;
    wired.map(drop).map_err(|e| failed(action(), e))
}

/// Makes the namespaces of pods and links them; `first` is the number of the first one.
pub(super) fn add_pods(hub: &str, first: usize, pods: &[Pod]) -> Result<()> {
    let names: Vec<&str> = pods.iter().map(|p| p.name.as_str()).collect();
    let action = || format!("add the pods {}", names.join(", "));
    let (mut spaces, mut links) = (String::new(), String::new());
    for (i, pod) in pods.iter().enumerate() {
        let (name, port) = (format!("{hub}-{}", pod.name), first + i);
        let _ = writeln!(spaces, "netns add {name}");
        let _ = writeln!(links, "link add v{port} type veth peer name eth0 netns {name}");
        let _ = writeln!(links, "link set v{port} master {BRIDGE} up");
    }
    tools::run(None, "ip", &["-batch", "-"], &spaces).map_err(|e| failed(action(), e))?;
    tools::run(Some(&namespace_path(hub)), "ip", &["-batch", "-"], &links).map_err(|e| failed(action(), e))?;
    let share = pods.len().div_ceil(THREADS).max(1);
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let threads: Vec<_> = pods.chunks(share).map(|some| scope.spawn(|| some.iter().try_for_each(set_up))).collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    results.into_iter().collect()
}

/// Gives a pod its address. The calling thread stays in the pod's namespace.
fn set_up(pod: &Pod) -> Result<()> {
    namespace::enter(&pod.namespace)?;
    set("net/ipv6/conf/eth0/disable_ipv6", "1");
    let batch = format!("link set lo up\naddress add {}/16 dev eth0\nlink set eth0 up\n", pod.address);
    let done = tools::fed("ip", &["-batch", "-"], &batch);
    done.map(drop).map_err(|e| failed(format!("set up pod {}", pod.name), e))
}

/// Sets a sysctl of the namespace the calling thread is in. A kernel without the feature has no such file, which is
/// as good as having it off.
fn set(name: &str, value: &str) {
    let _ = std::fs::write(Path::new("/proc/sys").join(name), value);
}

/// The address of the pod with a number, from 1.
pub(super) fn address(number: usize) -> Result<Ipv4Addr> {
    let [a, b] = SUBNET;
    match u16::try_from(number) {
        Ok(n) if n > 0 && n < u16::MAX => {
            let [c, d] = n.to_be_bytes();
            Ok(Ipv4Addr::new(a, b, c, d))
        }
        _ => Err(Error::Value {
            what: format!("pod number {number}"),
            problem: "the network has no address left for it".to_owned(),
            remedy: format!("{} pods or fewer", u16::MAX - 1),
        }),
    }
}

/// Whether a pod may have this name.
pub(super) fn check_name(name: &str, taken: bool) -> Result<()> {
    let refused = |problem: &str| {
        Err(Error::Value {
            what: format!("the name of pod '{name}'"),
            problem: problem.to_owned(),
            remedy: "another name of lower-case letters, digits and dashes, at most 40".to_owned(),
        })
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 40 || !name.chars().all(plain) {
        return refused("it is none that a namespace may have");
    }
    if taken {
        return refused("there is such a pod already");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_count_up_through_the_subnet_and_leave_out_its_ends() {
        for (number, address_is) in
            [(1, "10.77.0.1"), (255, "10.77.0.255"), (256, "10.77.1.0"), (65534, "10.77.255.254")]
        {
            assert_eq!(address(number).unwrap().to_string(), address_is);
        }
        for number in [0, 65535, 65536, 1 << 20] {
            assert!(address(number).unwrap_err().to_string().contains("no address left"), "{number}");
        }
    }

    #[test]
    fn names_that_ip_could_take_for_something_else_are_refused() {
        for name in ["s1", "client", "gateway", "s3-v2"] {
            check_name(name, false).unwrap();
            assert!(check_name(name, true).unwrap_err().to_string().contains("there is such a pod already"));
        }
        for name in ["", "a b", "../x", "S1", "a\nnetns add b", &"x".repeat(41)] {
            assert!(check_name(name, false).is_err(), "{name}");
        }
    }
}
