//! The limits of this process that a load can run into.

use std::collections::BTreeMap;

use rustix::process::{Resource, getrlimit};

/// Soft and hard: "1024/1048576".
pub(super) fn all() -> BTreeMap<String, String> {
    let word = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |n| n.to_string());
    [("nofile", Resource::Nofile), ("nproc", Resource::Nproc)]
        .into_iter()
        .map(|(name, resource)| {
            let limit = getrlimit(resource);
            (name.to_owned(), format!("{}/{}", word(limit.current), word(limit.maximum)))
        })
        .collect()
}
