//! The ground under a run, taken away: its cgroups, the names of its namespaces.

use std::path::{Path, PathBuf};

use rustix::mount::UnmountFlags;

use crate::live::Live;
use crate::program::{cgroups, namespaces};

/// Moves the processes of cgroups out and removes these, as a tidy stranger would.
pub(crate) fn remove_cgroup(live: &Live, target: &str) {
    let own = format!("-{}-", live.pid());
    let roots: Vec<PathBuf> = cgroups().into_iter().filter(|root| root.to_string_lossy().contains(&own)).collect();
    assert!(!roots.is_empty(), "the run has no cgroups here");
    for root in roots {
        let leaves = std::fs::read_dir(&root).unwrap().flatten().map(|e| e.path()).filter(|path| path.is_dir());
        let wanted = leaves.filter(|leaf| {
            let name = leaf.file_name().unwrap().to_string_lossy();
            match target {
                "the generator's" => name == "load",
                "a proxy's" => name.ends_with("-sidecar"),
                "all of the run" => true,
                _ => panic!("no cgroup is called '{target}'"),
            }
        });
        let wanted: Vec<PathBuf> = wanted.collect();
        wanted.iter().for_each(|leaf| empty_and_remove(leaf, root.parent().unwrap()));
        if target == "all of the run" {
            empty_and_remove(&root, root.parent().unwrap());
        }
    }
}

fn empty_and_remove(cgroup: &Path, to: &Path) {
    // One that is about to fork may have a child in it after it was moved.
    for _ in 0..100 {
        let inside = std::fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
        inside.lines().for_each(|pid| std::fs::write(to.join("cgroup.procs"), pid).unwrap());
        if std::fs::remove_dir(cgroup).is_ok() {
            return;
        }
    }
    panic!("{} cannot be removed", cgroup.display());
}

/// Takes the name of a pod's namespace away; who is inside stays inside.
pub(crate) fn remove_namespace(live: &Live, target: &str) {
    assert_eq!(target, "a pod's", "no namespace is called so");
    let name = of_pod(live, "s1");
    rustix::mount::unmount(&name, UnmountFlags::DETACH).unwrap();
    std::fs::remove_file(&name).unwrap();
}

/// The file of a pod's namespace.
pub(crate) fn of_pod(live: &Live, pod: &str) -> PathBuf {
    let (own, end) = (format!("-{}-", live.pid()), format!("-{pod}"));
    let is = |path: &PathBuf| path.to_string_lossy().contains(&own) && path.to_string_lossy().ends_with(&end);
    namespaces().into_iter().find(is).unwrap_or_else(|| panic!("no namespace of the pod {pod}: {:?}", namespaces()))
}
