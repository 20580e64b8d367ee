//! Whether this machine permits pods: tried, since permissions are hard to predict and easy to test.

use super::{Interception, Network, tools};
use crate::{Error, Result};

/// The programs a network is set up with, and the package that has them.
const PROGRAMS: [(&str, &str); 3] =
    [("ip", "iproute2"), ("iptables-restore", "iptables"), ("iptables-save", "iptables")];

/// Makes a network of a pod with all that a trial uses, and removes it.
pub(super) fn check() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(refused("only root may make them", "as root, or with --platform processes"));
    }
    for (name, package) in PROGRAMS {
        if tools::find(name).is_none() {
            let remedy = format!("install the package {package}, or use --platform processes");
            return Err(refused(format!("there is no program {name} here"), remedy));
        }
    }
    attempt().map_err(|error| {
        let said = error.to_string();
        let reason = said.lines().next().unwrap_or_default();
        refused(
            reason,
            "on a kernel with network namespaces, veth, bridge and nf_nat, and where this is a container one that is \
             privileged; or with --platform processes",
        )
    })
}

fn attempt() -> Result<()> {
    let mut network = Network::create()?;
    network.add(&["probe"])?;
    let interception = Interception { inbound: true, outbound: true };
    for pod in network.pods() {
        pod.intercept(&interception)?;
        let wanted = interception.text().lines().filter(|l| l.starts_with("-A ")).count();
        let found = pod.rules()?.len();
        if found != wanted {
            let said = format!("{found} of {wanted} rules of interception are there");
            return Err(super::failed("read back the firewall of a pod", said));
        }
    }
    network.capture()?.finish()?;
    network.remove()
}

fn refused(reason: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::NetworkNotPermitted { reason: reason.into(), remedy: remedy.into() }
}
