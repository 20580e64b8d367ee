//! A hosts.toml of any text names each host once, somebody for the chain and somebody for the load, or says what is wrong.

use std::collections::BTreeSet;

use record::HostRole;

use crate::hosts_file;

pub(crate) fn check(data: &[u8]) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("hosts.toml");
    std::fs::write(&path, data).expect("a file");
    let file = match hosts_file::read(&path) {
        Ok(file) => file,
        Err(error) => {
            let said = format!("{error:#}");
            assert!(said.starts_with(&path.display().to_string()) && said.contains("\n  try: "), "{said}");
            return;
        }
    };
    let names: BTreeSet<&str> = file.host.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names.len(), file.host.len(), "a name of its own for each");
    for role in [HostRole::Services, HostRole::Load] {
        assert!(file.host.iter().any(|host| host.has(role)), "somebody is {role:?}");
    }
    for host in &file.host {
        // It names a file here and a folder there, and stands in what is printed.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        assert!(
            !host.name.is_empty()
                && host.name.len() <= 64
                && !host.name.starts_with('.')
                && host.name.chars().all(plain)
        );
        let roles: BTreeSet<HostRole> = host.roles.iter().copied().collect();
        assert!(!roles.is_empty() && roles.len() == host.roles.len(), "each role once: {:?}", host.roles);
        assert!(
            host.serve_at.is_none_or(|at| !at.is_unspecified() && !at.is_multicast()),
            "{:?} is reached",
            host.serve_at
        );
        assert!(host.price.as_ref().is_none_or(|price| price.per_month.is_finite() && price.per_month >= 0.0));
        assert!(host.price.as_ref().is_none_or(|price| !price.currency.chars().any(char::is_control)));
    }
}
