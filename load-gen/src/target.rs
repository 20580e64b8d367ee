//! Where the load goes: a URL taken apart and its addresses looked up, once.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::{Error, Result};

/// A URL taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Whether it is https.
    pub(crate) tls: bool,
    /// `host:port` as it stands in the URL: the `Host` header.
    pub(crate) authority: String,
    /// The host without brackets.
    pub(crate) host: String,
    port: u16,
    /// Path and query, beginning with `/`.
    pub(crate) path: String,
}

impl Target {
    /// Takes a URL apart.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let refuse = |reason: &str| Error::Url { url: record::redacted::url(url), reason: reason.to_owned() };
        if url.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(refuse("it holds a space or a control character"));
        }
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| refuse("it does not begin with http:// or https://"))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(refuse("only http:// and https:// are supported")),
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if authority.contains('@') {
            return Err(refuse("a user name in the URL is not supported"));
        }
        let (host, port) = split_authority(authority, if tls { 443 } else { 80 }).map_err(refuse)?;
        Ok(Self { tls, authority: authority.to_owned(), host: host.to_owned(), port, path })
    }

    /// Whether connections to the one serve the other.
    pub(crate) fn same_endpoint(&self, other: &Target) -> bool {
        let Target { tls, authority: _, host, port, path: _ } = other;
        (self.tls, &self.host, self.port) == (*tls, host, *port)
    }

    /// Where to connect to: the socket, if there is one, or the addresses in the resolver's order; and how long the
    /// resolver took.
    pub(crate) fn places(&self, unix: Option<&Path>) -> Result<(Vec<Place>, u64)> {
        if let Some(path) = unix {
            return Ok((vec![Place::Unix(path.to_owned())], 0));
        }
        let before = Instant::now();
        let addresses = self.addresses()?;
        let took_ns = before.elapsed().as_nanos() as u64;
        Ok((addresses.into_iter().map(Place::Tcp).collect(), took_ns))
    }

    pub(crate) fn addresses(&self) -> Result<Vec<SocketAddr>> {
        let resolve = |said| Error::Resolve { host: self.host.clone(), said };
        let found: Vec<SocketAddr> = (self.host.as_str(), self.port).to_socket_addrs().map_err(resolve)?.collect();
        if found.is_empty() {
            return Err(resolve(std::io::ErrorKind::NotFound.into()));
        }
        Ok(found)
    }
}

/// Somewhere to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address of TCP.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

fn split_authority(authority: &str, usual: u16) -> std::result::Result<(&str, u16), &'static str> {
    let (host, rest) = if let Some(inside) = authority.strip_prefix('[') {
        let (host, rest) = inside.split_once(']').ok_or("the bracket of the IPv6 address is not closed")?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err("there is no IPv6 address between the brackets");
        }
        (host, rest)
    } else {
        let end = authority.find(':').unwrap_or(authority.len());
        authority.split_at(end)
    };
    if host.is_empty() {
        return Err("it names no host");
    }
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => usual,
        Some("") => usual,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map_err(|_| "the port is larger than 65535")?
        }
        Some(more) if more.contains(':') => return Err("an IPv6 address needs brackets, as in http://[::1]:8080/"),
        _ => return Err("what follows the host is no port"),
    };
    if port == 0 {
        return Err("port 0 cannot be connected to");
    }
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (String, String, u16, String) {
        let t = Target::parse(url).unwrap();
        (t.authority, t.host, t.port, t.path)
    }

    #[test]
    fn urls_are_taken_apart() {
        let own = |a: &str, h: &str, p, path: &str| (a.to_owned(), h.to_owned(), p, path.to_owned());
        assert_eq!(parts("http://127.0.0.1:8080/a/b?c=d"), own("127.0.0.1:8080", "127.0.0.1", 8080, "/a/b?c=d"));
        assert_eq!(parts("http://[::1]:81"), own("[::1]:81", "::1", 81, "/"));
        assert_eq!(parts("HTTP://localhost"), own("localhost", "localhost", 80, "/"));
        assert_eq!(parts("http://localhost?x=1#top"), own("localhost", "localhost", 80, "/?x=1"));
        assert_eq!(parts("https://h/x"), own("h", "h", 443, "/x"));
        assert!(Target::parse("https://h/x").unwrap().tls && !Target::parse("http://h/x").unwrap().tls);
        assert_eq!(parts("http://h:9/#f"), own("h:9", "h", 9, "/"));
    }

    #[test]
    fn what_cannot_be_loaded_is_refused_with_the_reason() {
        for (url, why) in [
            ("ftp://h/", "only http:// and https://"),
            ("h:80", "does not begin with http://"),
            ("http://", "names no host"),
            ("http://:80/", "names no host"),
            ("http://h:x/", "no port"),
            ("http://h:0/", "port 0"),
            ("http://h:65536/", "larger than 65535"),
            ("http://::1:80/", "names no host"),
            ("http://fe80::1:80/", "needs brackets"),
            ("http://[::1/", "not closed"),
            ("http://[h]/", "no IPv6 address"),
            ("http://u@h/", "user name"),
            ("http://h/a b", "space"),
            ("http://h/\r\nX: y", "space or a control"),
        ] {
            let said = Target::parse(url).unwrap_err().to_string();
            assert!(said.contains(why) && said.contains("try: "), "{url}: {said}");
        }
    }

    #[test]
    fn addresses_keep_the_port() {
        let found = Target::parse("http://[::1]:81/").unwrap().addresses().unwrap();
        assert_eq!(found, ["[::1]:81".parse().unwrap()]);
        let said = Target::parse("http://no-such-name.invalid/").unwrap().addresses().unwrap_err().to_string();
        assert!(said.contains("no-such-name.invalid"), "{said}");
    }
}
