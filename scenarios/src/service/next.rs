//! The address of the next service, as it is given on a command line or in a line of input.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Where the next service is: `http://127.0.0.1:8080/`. An address and not a name, since resolving one is no part of
/// what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NextHop {
    /// Its address.
    pub address: SocketAddr,
}

impl FromStr for NextHop {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |problem: &str| Error::Value {
            what: format!("next hop '{text}'"),
            problem: problem.into(),
            remedy: "a URL such as http://127.0.0.1:8080/".into(),
        };
        let rest = text.strip_prefix("http://").ok_or_else(|| bad("it does not begin with http://"))?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(bad("it has a path, while the path is that of each request"));
        }
        let address: SocketAddr = authority.parse().map_err(|_| bad("its host is not an IP address with a port"))?;
        if address.port() == 0 {
            return Err(bad("nothing listens on port 0"));
        }
        Ok(Self { address })
    }
}

impl TryFrom<String> for NextHop {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<NextHop> for String {
    fn from(next: NextHop) -> Self {
        next.to_string()
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}/", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_said_alike() {
        for (text, said) in [
            ("http://127.0.0.1:80/", "http://127.0.0.1:80/"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("http://[::1]:9/", "http://[::1]:9/"),
        ] {
            assert_eq!(text.parse::<NextHop>().unwrap().to_string(), said);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_way_out() {
        for text in
            ["", "127.0.0.1:80", "https://127.0.0.1:80/", "http://a:80/", "http://127.0.0.1/", "http://1.2.3.4:0/"]
                .into_iter()
                .chain(["http://127.0.0.1:80/x", "http://127.0.0.1:80//", "http://127.0.0.1:80?q"])
        {
            let said = text.parse::<NextHop>().unwrap_err().to_string();
            assert!(said.contains(&format!("'{text}'")) && said.contains("try: a URL such as http://"), "{said}");
        }
    }
}
