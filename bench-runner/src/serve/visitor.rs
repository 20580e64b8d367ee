//! Who may ask: a page elsewhere whose name was made to lead here (DNS rebinding) gets nothing.

use std::net::{IpAddr, SocketAddr};

use crate::exit::Usage;

/// The names by which browsers may ask.
#[derive(Debug)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// These, besides those of the machine itself.
    ///
    /// # Errors
    /// When one is no name of a host.
    pub(super) fn new(names: Vec<String>) -> anyhow::Result<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        match names.iter().find(|name| name.is_empty() || !name.chars().all(plain)) {
            Some(bad) => {
                let said =
                    format!("--name: '{bad}' is no name of a host\n  try: --name runs.example.org, without a port");
                Err(Usage(said).into())
            }
            None => Ok(Self(names.into_iter().map(|name| name.to_ascii_lowercase()).collect())),
        }
    }

    /// Whether a request with this Host may be answered on the connection that came in at `here`.
    ///
    /// A name that somebody else owns can be made to lead to any address; an address, and a name of loopback, cannot.
    pub(super) fn admit(&self, host: &str, here: SocketAddr) -> bool {
        let host = without_port(host).to_ascii_lowercase();
        let name = host.strip_suffix('.').unwrap_or(&host);
        if name == "localhost" || name.ends_with(".localhost") || self.0.iter().any(|known| known == name) {
            return true;
        }
        let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip == here.ip().to_canonical())
    }
}

/// A Host without its port: `[::1]:80` is `[::1]`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_nobody_else_owns_are_admitted() {
        let names = Names::new(vec!["Runs.example.org".to_owned()]).unwrap();
        let here = "192.0.2.7:8321".parse().unwrap();
        for good in [
            "localhost",
            "localhost:8321",
            "LOCALHOST.:1",
            "x.localhost",
            "127.0.0.1:8321",
            "127.9.9.9",
            "[::1]:8321",
            "[::1]",
            "192.0.2.7:8321",
            "runs.example.org:8321",
            "runs.example.org.",
        ] {
            assert!(names.admit(good, here), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "evil.example:8321",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.8",
            "0.0.0.0",
            "[2001:db8::1]",
            "xlocalhost",
            "127.1",
            "example.org",
        ] {
            assert!(!names.admit(bad, here), "{bad}");
        }
    }

    #[test]
    fn a_name_is_a_name() {
        for bad in ["", "a b", "runs.example.org:80", "http://x"] {
            let said = Names::new(vec![bad.to_owned()]).unwrap_err().to_string();
            assert!(said.contains("--name") && said.contains("try:"), "{said}");
        }
    }
}
