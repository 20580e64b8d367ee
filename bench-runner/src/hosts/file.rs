//! `hosts.toml`: which paired agents a run is made on, what each does, and what it costs.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use record::{HostPrice, HostRole};
use serde::Deserialize;

use crate::exit::Usage;

/// The file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostsFile {
    /// The hosts; generators take their portions in this order.
    pub(crate) host: Vec<HostLine>,
}

/// A host in it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostLine {
    /// The name it was paired under.
    pub(crate) name: String,
    /// What it does.
    pub(crate) roles: Vec<HostRole>,
    /// The services of the chain that stand on it, where others of the same chain stand on other hosts.
    #[serde(default)]
    pub(crate) services: Option<Vec<String>>,
    /// The address at which other hosts reach the chain on it; that of its agent if nothing is said.
    #[serde(default)]
    pub(crate) serve_at: Option<IpAddr>,
    /// What it costs.
    #[serde(default)]
    pub(crate) price: Option<HostPrice>,
}

impl HostLine {
    /// Whether it has a role.
    pub(crate) fn has(&self, role: HostRole) -> bool {
        self.roles.contains(&role)
    }

    /// What is wrong with it by itself.
    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        names_a_host(name)?;
        if self.roles.is_empty() {
            return Err(format!(
                "the host {name} does nothing\n  try: roles = [\"load\"], [\"services\"] or [\"probe\"]"
            ));
        }
        if self.roles.iter().collect::<BTreeSet<_>>().len() < self.roles.len() {
            return Err(format!("the host {name} has a role twice\n  try: each of its roles once"));
        }
        if self.services.is_some() && !self.has(HostRole::Services) {
            return Err(format!(
                "the host {name} names services and does not have the role services\n  try: roles = [\"services\"] for it"
            ));
        }
        if let Some(nobodys) = self.serve_at.filter(|at| at.is_unspecified() || at.is_multicast()) {
            return Err(format!(
                "{name} cannot be reached at {nobodys}\n  try: serve_at = the address of one of its interfaces, or nothing for that of its agent"
            ));
        }
        let bad = self.price.as_ref().is_some_and(|p| {
            let named = !p.currency.is_empty() && !p.currency.chars().any(char::is_control);
            !p.per_month.is_finite() || p.per_month < 0.0 || !named
        });
        if bad {
            return Err(format!(
                "the price of {name} is none\n  try: price = {{ per_month = 3.79, currency = \"EUR\" }}"
            ));
        }
        Ok(())
    }
}

const EXAMPLE: &str =
    "[[host]]\n  name = \"cx22\"\n  roles = [\"services\"]\n  price = { per_month = 3.79, currency = \"EUR\" }";

/// Reads it.
///
/// # Errors
/// [`Usage`] that names what is wrong.
pub(crate) fn read(path: &Path) -> anyhow::Result<HostsFile> {
    let wrong = |problem: String| Usage(format!("{}: {problem}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| {
        wrong(format!("it cannot be read: {e}\n  try: a file with a part for each host, as\n  {EXAMPLE}"))
    })?;
    parse(&text).map_err(|problem| wrong(problem).into())
}

/// Why a host cannot be called so: its name is that of a file here and of a folder there, and stands in what is printed.
pub(crate) fn names_a_host(name: &str) -> Result<(), String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.bytes().all(fits) {
        return Err(format!("'{name}' cannot name a host\n  try: letters, digits, '-', '_' and '.'"));
    }
    Ok(())
}

fn parse(text: &str) -> Result<HostsFile, String> {
    let file: HostsFile = toml::from_str(text)
        .map_err(|e| format!("{}\n  try: a part for each host, as\n  {EXAMPLE}", e.to_string().trim_end()))?;
    let mut names = BTreeSet::new();
    for line in &file.host {
        if !names.insert(&line.name) {
            return Err(format!("the host {} stands in it twice\n  try: one part with all its roles", line.name));
        }
        line.check()?;
    }
    for (role, word) in [(HostRole::Services, "services"), (HostRole::Load, "load")] {
        if !file.host.iter().any(|h| h.has(role)) {
            return Err(format!(
                "no host has the role {word}\n  try: roles = [\"load\", \"services\"] for one that has both"
            ));
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_roles_and_prices_are_read() {
        let file = parse(
            "[[host]]\nname = 'driver'\nroles = ['load']\n[[host]]\nname = 'cx22'\nroles = ['services', 'probe']\n\
             serve_at = '10.0.0.2'\nprice = { per_month = 3.79, currency = 'EUR' }\n",
        )
        .unwrap();
        assert_eq!(file.host[0].roles, [HostRole::Load]);
        assert_eq!(file.host[1].price, Some(HostPrice { per_month: 3.79, currency: "EUR".into() }));
        assert_eq!(file.host[1].serve_at, Some("10.0.0.2".parse().unwrap()));
    }

    #[test]
    fn what_is_wrong_is_named_with_a_way_out() {
        let host = |name: &str, rest: &str| format!("[[host]]\nname = '{name}'\n{rest}\n");
        let both = "roles = ['load', 'services']";
        for (text, says) in [
            (String::new(), "missing field `host`"),
            (host("a", "roles = ['cook']"), "unknown variant `cook`"),
            (host("a", both) + "colour = 1\n", "unknown field `colour`"),
            (host("a", both) + &host("a", both), "the host a stands in it twice"),
            (host("a", "roles = []"), "the host a does nothing"),
            (host("", both), "'' cannot name a host"),
            (host("../a", both), "'../a' cannot name a host"),
            (host("a", "roles = ['load', 'services', 'load']"), "the host a has a role twice"),
            (host("a", both) + "serve_at = '0.0.0.0'\n", "a cannot be reached at 0.0.0.0"),
            (host("a", both) + "serve_at = 'ff02::1'\n", "a cannot be reached at ff02::1"),
            (host("a", "roles = ['load']"), "no host has the role services"),
            (host("a", "roles = ['services']"), "no host has the role load"),
            (host("a", both) + "price = { per_month = -1.0, currency = 'EUR' }\n", "the price of a is none"),
        ] {
            let said = parse(&text).unwrap_err();
            assert!(said.contains(says) && said.contains("\n  try: "), "{said}");
        }
    }
}
