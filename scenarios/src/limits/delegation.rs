//! Growing a tree in cgroup v2, where a controller must be handed down and a cgroup that hands one down may hold no
//! processes of its own (Documentation/admin-guide/cgroup-v2.rst, "No Internal Process Constraint").

use std::path::{Path, PathBuf};

use super::layout::{Hierarchy, upward};
use super::{make, remove};

/// The leaf that we move into where we must leave our cgroup.
const OUR_LEAF: &str = "runner";

/// Makes the tree's root where the controller reaches it, or at least where it counts; returns it, and why it
/// cannot limit where that is so.
pub(super) fn grow(hierarchy: &Hierarchy, name: &str, controller: &str) -> Result<(PathBuf, Option<String>), String> {
    let own = hierarchy.own.as_path();
    // Our own cgroup first: what was delegated to us is ours to divide.
    let mut reason = match hand_down(own, name, controller) {
        Ok(root) => return Ok((root, None)),
        Err(reason) => reason,
    };
    // Then the nearest one above that hands it down already; only its owner may write there.
    for place in upward(own, &hierarchy.mount).skip(1).filter(|p| handed_down(p).iter().any(|c| c == controller)) {
        match plant(place, name, controller) {
            Ok(root) => return Ok((root, None)),
            Err(e) => reason = e,
        }
    }
    // A tree without the controller still counts CPU time.
    make(&own.join(name)).map(|root| (root, Some(reason.clone()))).map_err(|_| reason)
}

/// Has a tree that has grown hand another controller down as well; says why it cannot where that is so.
pub(super) fn also(root: &Path, controller: &str) -> Result<(), String> {
    let above = root.parent().ok_or_else(|| format!("there is nothing above {}", root.display()))?;
    if !handed_down(above).iter().any(|c| c == controller) {
        divisible(above, controller)?;
        if remove::pids(above).contains(&std::process::id()) {
            enter(root, std::process::id(), above)?;
        }
        enable(above, controller)?;
    }
    enable(root, controller)
}

/// Has our own cgroup hand the controller down, if need be after moving out of it.
fn hand_down(own: &Path, name: &str, controller: &str) -> Result<PathBuf, String> {
    if handed_down(own).iter().any(|c| c == controller) {
        return plant(own, name, controller);
    }
    divisible(own, controller)?;
    let root = make(&own.join(name))?;
    let handed = enter(&root, std::process::id(), own)
        .and_then(|()| enable(own, controller))
        .and_then(|()| enable(&root, controller));
    match handed {
        Ok(()) => Ok(root),
        Err(reason) => {
            let _ = remove::remove(std::slice::from_ref(&root));
            Err(reason)
        }
    }
}

/// Whether a cgroup has a controller, and could hand it down once we have moved out of it.
fn divisible(place: &Path, controller: &str) -> Result<(), String> {
    if !words(&place.join("cgroup.controllers")).iter().any(|c| c == controller) {
        return Err(format!("the {controller} controller is not delegated to {}", place.display()));
    }
    let ourselves = std::process::id();
    let others = remove::pids(place).into_iter().filter(|pid| *pid != ourselves).count();
    // The root of all has no such file, and is the one cgroup that may hold processes and hand down.
    if place.join("cgroup.type").exists() && others > 0 {
        return Err(format!(
            "{others} other processes are in {}, which therefore cannot hand it down",
            place.display()
        ));
    }
    Ok(())
}

/// Moves us from our cgroup into a leaf of the tree, unless ours is the root of all.
fn enter(root: &Path, ourselves: u32, own: &Path) -> Result<(), String> {
    if !own.join("cgroup.type").exists() {
        return Ok(());
    }
    let leaf = make(&root.join(OUR_LEAF))?;
    let procs = leaf.join("cgroup.procs");
    std::fs::write(&procs, ourselves.to_string()).map_err(|e| format!("cannot write {}: {e}", procs.display()))
}

/// Makes the root in a cgroup that hands the controller down, and has it hand it on; proves that we may move there.
fn plant(place: &Path, name: &str, controller: &str) -> Result<PathBuf, String> {
    // To move a process one must be allowed to write to the cgroup above both its places.
    let procs = place.join("cgroup.procs");
    rustix::fs::access(&procs, rustix::fs::Access::WRITE_OK)
        .map_err(|e| format!("cannot write {}: {}", procs.display(), std::io::Error::from(e)))?;
    let root = make(&place.join(name))?;
    enable(&root, controller).map(|()| root.clone()).inspect_err(|_| {
        let _ = remove::remove(std::slice::from_ref(&root));
    })
}

fn enable(directory: &Path, controller: &str) -> Result<(), String> {
    let file = directory.join("cgroup.subtree_control");
    std::fs::write(&file, format!("+{controller}")).map_err(|e| format!("cannot write {}: {e}", file.display()))
}

fn handed_down(directory: &Path) -> Vec<String> {
    words(&directory.join("cgroup.subtree_control"))
}

fn words(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::layout::Kind;
    use super::*;

    /// A cgroup directory as the kernel shows one.
    fn cgroup(path: &Path, controllers: &str, subtree_control: &str, procs: &str) {
        std::fs::create_dir_all(path).unwrap();
        for (file, text) in
            [("cgroup.controllers", controllers), ("cgroup.subtree_control", subtree_control), ("cgroup.procs", procs)]
        {
            std::fs::write(path.join(file), text).unwrap();
        }
        std::fs::write(path.join("cgroup.type"), "domain\n").unwrap();
    }

    fn grown(mount: &Path, own: &Path) -> Result<(PathBuf, Option<String>), String> {
        let hierarchy = Hierarchy { kind: Kind::V2, mount: mount.to_owned(), own: own.to_owned() };
        grow(&hierarchy, "meshtax-1-2-t", "cpu")
    }

    fn said(file: &Path) -> String {
        std::fs::read_to_string(file).unwrap()
    }

    #[test]
    fn a_cgroup_that_hands_the_controller_down_is_where_the_tree_grows() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("delegated");
        cgroup(&own, "cpu memory\n", "cpu\n", "");
        let (root, no_limits) = grown(directory.path(), &own).unwrap();
        assert_eq!((root.as_path(), no_limits), (own.join("meshtax-1-2-t").as_path(), None));
        assert_eq!(said(&root.join("cgroup.subtree_control")), "+cpu");
        assert_eq!(said(&own.join("cgroup.subtree_control")), "cpu\n");
    }

    #[test]
    fn alone_in_a_delegated_cgroup_we_move_into_the_tree_first() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("scope");
        cgroup(&own, "cpu\n", "", &format!("{}\n", std::process::id()));
        let (root, no_limits) = grown(directory.path(), &own).unwrap();
        assert_eq!(no_limits, None);
        assert_eq!(said(&root.join(OUR_LEAF).join("cgroup.procs")), std::process::id().to_string());
        assert_eq!(said(&own.join("cgroup.subtree_control")), "+cpu");
        assert_eq!(said(&root.join("cgroup.subtree_control")), "+cpu");
    }

    #[test]
    fn where_others_are_in_our_cgroup_the_tree_grows_above_it() {
        let directory = tempfile::tempdir().unwrap();
        let slice = directory.path().join("slice");
        let own = slice.join("session");
        cgroup(&slice, "cpu\n", "cpu\n", "");
        cgroup(&own, "cpu\n", "", "1\n2\n");
        let (root, no_limits) = grown(directory.path(), &own).unwrap();
        assert_eq!((root.as_path(), no_limits), (slice.join("meshtax-1-2-t").as_path(), None));
        assert_eq!(said(&own.join("cgroup.subtree_control")), "");
    }

    #[test]
    fn without_the_controller_the_tree_still_counts_and_says_why_it_cannot_limit() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("session");
        cgroup(&own, "memory\n", "", "1\n");
        let (root, no_limits) = grown(directory.path(), &own).unwrap();
        assert_eq!(root, own.join("meshtax-1-2-t"));
        assert_eq!(no_limits, Some(format!("the cpu controller is not delegated to {}", own.display())));
        let other = directory.path().join("full");
        cgroup(&other, "cpu\n", "", "1\n2\n");
        let (_, no_limits) = grown(directory.path(), &other).unwrap();
        let others = format!("2 other processes are in {}, which therefore cannot hand it down", other.display());
        assert_eq!(no_limits, Some(others));
    }

    #[test]
    fn memory_is_handed_down_beside_the_cpu_or_the_reason_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("delegated");
        cgroup(&own, "cpu memory\n", "cpu\n", "");
        let (root, _) = grown(directory.path(), &own).unwrap();
        also(&root, "memory").unwrap();
        assert_eq!(said(&own.join("cgroup.subtree_control")), "+memory");
        assert_eq!(said(&root.join("cgroup.subtree_control")), "+memory");

        // Many distributions delegate memory to a user and the cpu not: we move out of our cgroup for it.
        let own = directory.path().join("session");
        cgroup(&own, "memory\n", "", &format!("{}\n", std::process::id()));
        let (root, no_limits) = grown(directory.path(), &own).unwrap();
        assert!(no_limits.unwrap().starts_with("the cpu controller is not delegated"));
        also(&root, "memory").unwrap();
        assert_eq!(said(&root.join(OUR_LEAF).join("cgroup.procs")), std::process::id().to_string());
        assert_eq!(said(&own.join("cgroup.subtree_control")), "+memory");

        let without = directory.path().join("without");
        cgroup(&without, "cpu\n", "cpu\n", "");
        let (root, _) = grown(directory.path(), &without).unwrap();
        let reason = also(&root, "memory").unwrap_err();
        assert_eq!(reason, format!("the memory controller is not delegated to {}", without.display()));
    }

    #[test]
    fn where_nothing_may_be_made_the_reason_is_the_first_that_matters() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("missing");
        assert_eq!(
            grown(directory.path(), &own).unwrap_err(),
            format!("the cpu controller is not delegated to {}", own.display())
        );
    }
}
