//! Names of services, looked up until they are there.

use std::net::{SocketAddr, ToSocketAddrs as _};

use crate::exit::Usage;

/// A service that is called, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Callee {
    /// Its name in the chain: "s2".
    pub(super) name: String,
    /// Where it is: "s2:8080".
    pub(super) authority: String,
}

impl std::str::FromStr for Callee {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is no callee: NAME=http://HOST:PORT/");
        let (name, url) = text.split_once('=').ok_or_else(bad)?;
        let authority = authority(url).ok_or_else(bad)?;
        if name.is_empty() {
            return Err(bad());
        }
        Ok(Self { name: name.to_owned(), authority })
    }
}

/// Host and port of an http URL without a path.
fn authority(url: &str) -> Option<String> {
    host_and_port(url.strip_prefix("http://")?)
}

fn host_and_port(rest: &str) -> Option<String> {
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = authority.rsplit_once(':')?;
    let whole = !host.is_empty() && !authority.contains(['/', '?', '#']) && port.parse::<u16>().is_ok();
    whole.then(|| authority.to_owned())
}

/// Host and port of the URL that is loaded: with TLS where a gateway is the entry, and only there.
pub(super) fn entry(url: &str, by_gateway: bool) -> anyhow::Result<String> {
    let scheme = if by_gateway { "https://" } else { "http://" };
    let authority = url.strip_prefix(scheme).and_then(host_and_port);
    authority.ok_or_else(|| Usage(format!("'{url}' is no entry of a chain\n  try: {scheme}HOST:PORT/")).into())
}

/// The first address that a name has now.
pub(super) fn look_up(authority: &str) -> Result<SocketAddr, String> {
    let mut all = authority.to_socket_addrs().map_err(|e| format!("the name {authority}: {e}"))?;
    all.next().ok_or_else(|| format!("the name {authority}, which has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callee_is_a_name_and_a_url() {
        let callee: Callee = "s2=http://s2:8080/".parse().unwrap();
        assert_eq!((callee.name.as_str(), callee.authority.as_str()), ("s2", "s2:8080"));
        for bad in
            ["", "s2", "=http://s2:8080/", "s2=https://s2:1/", "s2=http://s2/", "s2=http://s2:80/x", "s2=http://:80/"]
        {
            assert!(bad.parse::<Callee>().unwrap_err().contains("NAME=http://HOST:PORT/"), "{bad}");
        }
        assert!(entry("ftp://x", false).unwrap_err().to_string().contains("http://HOST:PORT/"));
        assert_eq!(entry("https://gateway:8443/", true).unwrap(), "gateway:8443");
        assert!(entry("http://gateway:8443/", true).unwrap_err().to_string().contains("try: https://HOST:PORT/"));
    }

    #[test]
    fn a_name_that_is_not_there_is_told() {
        assert_eq!(look_up("127.0.0.1:80").unwrap().to_string(), "127.0.0.1:80");
        assert!(look_up("no-such-name.invalid:80").unwrap_err().starts_with("the name no-such-name.invalid:80"));
    }
}
