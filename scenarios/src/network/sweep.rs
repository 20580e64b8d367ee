//! Taking away the namespaces of a network, of a process, or of processes that are gone.

use std::path::{Path, PathBuf};

use super::{NAMES, failed, namespace};
use crate::Result;
use crate::owner::Owner;

/// Removes all namespaces whose name is `prefix` or begins with it and a dash: those of a network, or with
/// [`super::own_prefix`] those of a process. What is gone already is fine.
///
/// Nobody inside is ended; as long as someone is, the namespace goes on without a name.
///
/// # Errors
/// [`crate::Error::Network`] for a prefix that is none of ours, and for a name that could not be removed; the others are
/// removed all the same.
pub fn remove(prefix: &str) -> Result<()> {
    let action = || format!("remove the network {prefix}");
    if Owner::of(Path::new(&format!("{prefix}-tag"))).is_none() {
        return Err(failed(action(), "its name is not of the form meshtax-PID-STARTTIME"));
    }
    let mut result = Ok(());
    for path in names().into_iter().filter(|path| belongs(path, prefix)) {
        let one = namespace::remove_name(&path);
        if result.is_ok() {
            result = one.map_err(|e| failed(action(), format!("{}: {e}", path.display())));
        }
    }
    result
}

/// Removes the namespaces whose owner is gone; returns what was removed.
pub fn sweep_stale() -> Vec<PathBuf> {
    let stale = |path: &PathBuf| Owner::of(path).is_some_and(|owner| !owner.lives());
    names().into_iter().filter(stale).filter(|path| namespace::remove_name(path).is_ok()).collect()
}

/// All names there are, ours and others'.
fn names() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(NAMES) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).collect()
}

/// Whether a name is of a network or process; "meshtax-1-23-1" is none of "meshtax-1-2".
fn belongs(path: &Path, prefix: &str) -> bool {
    let name = path.file_name().and_then(|n| n.to_str());
    name.and_then(|n| n.strip_prefix(prefix)).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_its_network_and_process_and_to_no_other() {
        let path = Path::new("/run/netns/meshtax-12-345-1-s1");
        for (prefix, does) in [
            ("meshtax-12-345-1", true),
            ("meshtax-12-345", true),
            ("meshtax-12-345-1-s1", true),
            ("meshtax-12-34", false),
            ("meshtax-12-345-1-s", false),
            ("meshtax-12-345-2", false),
        ] {
            assert_eq!(belongs(path, prefix), does, "{prefix}");
        }
    }

    #[test]
    fn a_prefix_that_is_none_of_ours_is_refused() {
        for prefix in ["", "meshtax", "meshtax-12", "cni", "meshtax-x-1", "/run/netns"] {
            let said = remove(prefix).unwrap_err().to_string();
            assert!(
                said.starts_with(&format!("cannot remove the network {prefix}: its name is not of the form")),
                "{said}"
            );
        }
        remove("meshtax-1-1").unwrap();
    }
}
