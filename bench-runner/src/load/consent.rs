//! Whether a target may be loaded: away from this machine a load needs its owner's consent, and has a cap without it.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::net::{IpAddr, Ipv6Addr};

use load_gen::Plan;

use crate::exit::Usage;

/// Requests a second that may go to another machine without `--i-am-allowed`: a load that a small host still answers.
pub(crate) const CAP_PER_SECOND: f64 = 1000.0;

/// Where an address is, as far as a load is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// This machine.
    Here,
    /// A network that is not the internet: somebody's own, as a rule the user's.
    Private,
    /// Anywhere.
    Public,
}

/// Refuses a load that would go to somebody who may not want it. `highest` is its highest rate, none where it has no bound;
/// `allowed` is what the user said on the command line.
pub(crate) fn ask(plan: &Plan, highest: Option<f64>, allowed: bool) -> anyhow::Result<()> {
    if allowed || plan.unix.is_some() {
        return Ok(());
    }
    let addresses = plan.addresses()?;
    let Some((address, place)) =
        addresses.iter().map(|address| (address.ip(), place(address.ip()))).max_by_key(|(_, place)| *place)
    else {
        return Ok(());
    };
    if place == Place::Here {
        return Ok(());
    }
    if highest.is_none_or(|rate| rate > CAP_PER_SECOND) {
        let rate = highest.map_or_else(|| "as many as it takes".to_owned(), |rate| format!("up to {rate}"));
        let said = format!(
            "{address} is another machine, and would get {rate} requests a second: without --i-am-allowed at most {CAP_PER_SECOND}\n  try: a lower --rate (or --to), or --i-am-allowed if its owner agrees"
        );
        return Err(Usage(said).into());
    }
    if place == Place::Public && !said_yes(address) {
        let said = format!(
            "{address} is an address of the internet, and a load on what is not yours is an attack\n  try: --i-am-allowed if its owner agrees, or a target on this machine: meshtax service --name echo"
        );
        return Err(Usage(said).into());
    }
    Ok(())
}

/// Asks at the terminal; without one the answer is no.
fn said_yes(address: IpAddr) -> bool {
    let (stdin, mut stderr) = (std::io::stdin(), std::io::stderr());
    if !(stdin.is_terminal() && stderr.is_terminal()) {
        return false;
    }
    let _ = write!(stderr, "{address} is an address of the internet. Does its owner agree to this load? [yes/no] ");
    let _ = stderr.flush();
    let mut line = String::new();
    stdin.lock().read_line(&mut line).is_ok() && line.trim().eq_ignore_ascii_case("yes")
}

fn place(address: IpAddr) -> Place {
    // 127.0.0.1 written as ::ffff:127.0.0.1 is still this machine.
    let address = address.to_canonical();
    let here = address.is_loopback() || address.is_unspecified();
    let private = match address {
        IpAddr::V4(v4) => {
            v4.is_private() || v4.is_link_local() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64)
        }
        IpAddr::V6(v6) => is_unique_local(v6) || (v6.segments()[0] & 0xffc0) == 0xfe80,
    };
    match (here, private) {
        (true, _) => Place::Here,
        (false, true) => Place::Private,
        (false, false) => Place::Public,
    }
}

fn is_unique_local(address: Ipv6Addr) -> bool {
    (address.segments()[0] & 0xfe00) == 0xfc00
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn said(url: &str, highest: Option<f64>, allowed: bool) -> String {
        let plan = Plan::new(url, 1.0, 1, Duration::from_secs(1));
        ask(&plan, highest, allowed).map_or_else(|error| error.to_string(), |()| "may be".to_owned())
    }

    #[test]
    fn this_machine_may_be_loaded_as_one_likes() {
        for url in [
            "http://127.0.0.1:1/",
            "http://127.9.9.9/",
            "http://[::1]:8080/",
            "http://localhost/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            assert_eq!(said(url, None, false), "may be", "{url}");
        }
    }

    #[test]
    fn other_machines_of_ones_own_have_a_cap_until_one_may() {
        for url in [
            "http://10.1.2.3/",
            "http://192.168.1.1/",
            "http://172.31.0.1/",
            "http://100.64.0.1/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
        ] {
            assert_eq!(said(url, Some(1000.0), false), "may be", "{url}");
            assert!(said(url, Some(1001.0), false).contains("--i-am-allowed"), "{url}");
            assert!(said(url, None, false).contains("as many as it takes"), "{url}");
            assert_eq!(said(url, None, true), "may be", "{url}");
        }
    }

    // Tests have no terminal to say yes at.
    #[test]
    fn the_internet_is_refused_unless_one_may() {
        for url in ["http://192.0.2.1/", "http://172.32.0.1/", "http://100.128.0.1/", "https://[2001:db8::1]/"] {
            if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
                continue;
            }
            assert!(said(url, Some(1.0), false).contains("an address of the internet"), "{url}");
            assert_eq!(said(url, Some(1e6), true), "may be", "{url}");
        }
    }
}
