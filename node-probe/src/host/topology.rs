//! How the CPUs and their caches are arranged, as /sys tells this kernel's side of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use record::{CpuCache, CpuTopology, Reading};

use super::cpu::{online, parse_list};
use crate::disk::device::line;

const CPUS: &str = "sys/devices/system/cpu";

/// Sockets, cores and threads of the CPUs that are online.
pub(super) fn of(root: &Path) -> Reading<CpuTopology> {
    let cpus = root.join(CPUS);
    let mut cores: BTreeMap<(String, String), u32> = BTreeMap::new();
    for cpu in online(root) {
        let topology = cpus.join(format!("cpu{cpu}/topology"));
        let said = |name: &str| line(&topology.join(name));
        let (Some(package), Some(core)) = (said("physical_package_id"), said("core_id")) else {
            return Reading::absent(format!("{} does not say where this CPU is", topology.display()));
        };
        // Dies number their cores from 0 each; older kernels show none.
        let core = format!("{}/{core}", said("die_id").unwrap_or_default());
        *cores.entry((package, core)).or_default() += 1;
    }
    let Some(&threads_per_core) = cores.values().max() else {
        return Reading::absent("no CPU is known to be online");
    };
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Reading::Seen(CpuTopology {
        sockets: count(cores.keys().map(|(package, _)| package).collect::<BTreeSet<_>>().len()),
        cores: count(cores.len()),
        threads_per_core,
        numa_nodes: line(&root.join("sys/devices/system/node/has_cpu"))
            .and_then(|text| parse_list(&text))
            .map(|nodes| count(nodes.len())),
        offline: line(&cpus.join("offline")).and_then(|text| parse_list(&text)).unwrap_or_default(),
    })
}

/// The caches of the first CPU that is online.
pub(super) fn caches(root: &Path) -> Reading<Vec<CpuCache>> {
    let first = online(root).first().copied().unwrap_or(0);
    let directory = root.join(CPUS).join(format!("cpu{first}/cache"));
    let mut caches: Vec<CpuCache> = fs::read_dir(&directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"index"))
        .filter_map(|entry| cache(&entry.path()))
        .collect();
    if caches.is_empty() {
        return Reading::absent(format!("{} shows no cache", directory.display()));
    }
    caches.sort_by(|a, b| (a.level, &a.kind).cmp(&(b.level, &b.kind)));
    Reading::Seen(caches)
}

fn cache(index: &Path) -> Option<CpuCache> {
    let said = |name: &str| line(&index.join(name));
    Some(CpuCache {
        level: said("level")?.parse().ok()?,
        kind: said("type")?,
        size_bytes: said("size")?.strip_suffix('K')?.parse::<u64>().ok()?.checked_mul(1024)?,
        shared_by: u32::try_from(parse_list(&said("shared_cpu_list")?)?.len()).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text_tree;

    /// These files below the directory of the CPUs.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let below: Vec<(String, &str)> = files.iter().map(|(path, text)| (format!("{CPUS}/{path}"), *text)).collect();
        text_tree::tree(&below.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>())
    }

    #[test]
    fn cores_of_two_dies_with_the_same_numbers_are_two() {
        let mut files = vec![("online".to_owned(), "0-3\n"), ("offline".to_owned(), "4-7\n")];
        for (cpu, die, core) in [(0, "0", "0"), (1, "0", "0"), (2, "1", "0"), (3, "1", "0")] {
            files.push((format!("cpu{cpu}/topology/physical_package_id"), "0\n"));
            files.push((format!("cpu{cpu}/topology/die_id"), die));
            files.push((format!("cpu{cpu}/topology/core_id"), core));
        }
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let want =
            CpuTopology { sockets: 1, cores: 2, threads_per_core: 2, numa_nodes: None, offline: vec![4, 5, 6, 7] };
        assert_eq!(of(tree(&files).path()), Reading::Seen(want));
    }

    #[test]
    fn a_cpu_that_does_not_say_where_it_is_leaves_no_guess() {
        let said = of(tree(&[("online", "0\n")]).path());
        assert!(said.reason().unwrap().contains("cpu0/topology does not say"), "{said:?}");
        assert_eq!(of(tree(&[]).path()).reason(), Some("no CPU is known to be online"));
    }

    #[test]
    fn caches_have_their_size_in_bytes_and_how_many_share_them() {
        let tree = tree(&[
            ("online", "0-1\n"),
            ("cpu0/cache/index3/level", "3\n"),
            ("cpu0/cache/index3/type", "Unified\n"),
            ("cpu0/cache/index3/size", "32768K\n"),
            ("cpu0/cache/index3/shared_cpu_list", "0-1\n"),
            ("cpu0/cache/index4/level", "4\n"),
            ("cpu0/cache/uevent", ""),
        ]);
        let want = CpuCache { level: 3, kind: "Unified".into(), size_bytes: 32 << 20, shared_by: 2 };
        assert_eq!(caches(tree.path()), Reading::Seen(vec![want]), "one without a size is none");
    }
}
