//! CPU limits, weights and memory limits on this machine's real cgroups; needs root, or a cgroup that was delegated.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use record::CpuQuantity;
use scenarios::limits::{CgroupTree, Leaf, Limits, remove, sweep_stale};

/// A tree of this test; none, with a word about it, where it isn't permitted.
fn tree(tag: &str) -> Option<CgroupTree> {
    let why = match CgroupTree::create(tag) {
        Ok(tree) => match tree.no_limits() {
            None => return Some(tree),
            Some(reason) => reason.to_owned(),
        },
        Err(error) => error.to_string(),
    };
    assert!(std::env::var_os("REQUIRE_ROOT").is_none(), "{why}");
    eprintln!("skipped: {why} (set REQUIRE_ROOT=1 to fail)");
    None
}

fn millicores(n: u32) -> Option<CpuQuantity> {
    Some(CpuQuantity::from_millicores(n).unwrap())
}

/// A process that begins outside and is moved into each directory of a leaf.
fn inside(directories: &[impl AsRef<Path>], script: &str) -> Child {
    let child = Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
    for directory in directories {
        std::fs::write(directory.as_ref().join("cgroup.procs"), child.id().to_string()).unwrap();
    }
    child
}

const BUSY: &str = "while :; do :; done";
const IDLE: &str = "exec sleep 1000";

fn throttled_periods(leaf: &Leaf) -> u64 {
    let stat = std::fs::read_to_string(leaf.directories()[0].join("cpu.stat")).unwrap();
    let line = stat.lines().find_map(|l| l.strip_prefix("nr_throttled ")).unwrap();
    line.parse().unwrap()
}

#[test]
fn a_limit_is_written_read_back_and_kept_to() {
    let Some(tree) = tree("limit") else { return };
    let leaf = tree.leaf("s1", millicores(50)).unwrap();
    assert_eq!(leaf.limit_millicores().unwrap(), Some(50));
    let mut child = inside(leaf.directories(), BUSY);
    assert_eq!(leaf.missing(child.id()), None);
    assert!(leaf.missing(std::process::id()).is_some());
    // A busy loop at 5 % of a core is throttled in each period it runs in.
    let until = Instant::now() + Duration::from_secs(20);
    while throttled_periods(&leaf) < 3 && Instant::now() < until {
        std::thread::yield_now();
    }
    assert!(throttled_periods(&leaf) >= 3);
    child.kill().unwrap();
    child.wait().unwrap();
    leaf.remove().unwrap();
    assert!(leaf.directories().iter().all(|d| !d.exists()));
}

#[test]
fn limits_of_every_size_read_back_to_the_same() {
    let Some(tree) = tree("sizes") else { return };
    let free = tree.leaf("free", None).unwrap();
    assert_eq!(free.limit_millicores().unwrap(), None);
    for n in [10, 11, 100, 333, 1000, 1500, 64_000] {
        let leaf = tree.leaf(&format!("m{n}"), millicores(n)).unwrap();
        assert_eq!(leaf.limit_millicores().unwrap(), Some(n));
    }
    tree.set_limit(&free, millicores(250).unwrap()).unwrap();
    assert_eq!(free.limit_millicores().unwrap(), Some(250));
}

#[test]
fn an_empty_leaf_is_made_anew_and_one_in_use_is_not() {
    let Some(tree) = tree("anew") else { return };
    tree.leaf("load", millicores(100)).unwrap();
    let again = tree.leaf("load", None).unwrap();
    assert_eq!(again.limit_millicores().unwrap(), None);
    let mut child = inside(again.directories(), IDLE);
    let said = tree.leaf("load", None).unwrap_err().to_string();
    assert!(said.starts_with("cannot remove the cgroup ") && said.contains("/load: "), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_tree_weighs_as_much_as_its_leaves() {
    let Some(tree) = tree("weight") else { return };
    for name in ["a", "b", "c"] {
        tree.leaf(name, None).unwrap();
    }
    let weight = |file: &str| tree.roots().iter().find_map(|r| std::fs::read_to_string(r.join(file)).ok());
    let want = if weight("cpu.shares").is_some() { ("cpu.shares", "3072") } else { ("cpu.weight", "300") };
    assert_eq!(weight(want.0).as_deref().map(str::trim), Some(want.1));
}

#[test]
fn removing_a_tree_kills_what_is_inside() {
    let Some(tree) = tree("remove") else { return };
    let roots = tree.roots().to_vec();
    let leaf = tree.leaf("s1", None).unwrap();
    let mut child = inside(leaf.directories(), IDLE);
    // Another reaps it: until then it is in its cgroup, as the child of a killed runner is until init has seen it.
    let reaper = std::thread::spawn(move || child.wait().unwrap());
    remove(&roots).unwrap();
    assert!(roots.iter().all(|r| !r.exists()));
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&reaper.join().unwrap()), Some(9));
    remove(&roots).unwrap();
}

#[test]
fn a_dropped_tree_is_gone() {
    let Some(tree) = tree("drop") else { return };
    tree.leaf("s1", None).unwrap();
    let roots = tree.roots().to_vec();
    assert!(!roots.is_empty() && roots.iter().all(|r| r.is_dir()));
    drop(tree);
    assert!(roots.iter().all(|r| !r.exists()));
}

#[test]
fn trees_of_the_dead_are_swept_and_those_of_the_living_are_not() {
    let Some(tree) = tree("living") else { return };
    let place = tree.roots()[0].parent().unwrap();
    let mut dead = Command::new("/bin/true").spawn().unwrap();
    dead.wait().unwrap();
    let stale = place.join(format!("meshtax-{}-1-swept", dead.id()));
    let leaf = stale.join("s1");
    std::fs::create_dir_all(&leaf).unwrap();
    let mut child = inside(&[&leaf], IDLE);
    let reaper = std::thread::spawn(move || child.wait().unwrap());
    sweep_stale();
    assert!(!stale.exists(), "{} is still there", stale.display());
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&reaper.join().unwrap()), Some(9));
    assert!(tree.roots().iter().all(|r| r.is_dir()));
}

/// A tree of this test that limits memory; none, with a word about it, where it isn't permitted.
fn tree_with_memory(tag: &str) -> Option<CgroupTree> {
    let wanted = Limits { memory: Some(MEMORY.parse().unwrap()), ..Limits::default() };
    let why = match CgroupTree::with_memory(tag) {
        Ok(tree) => match tree.check(&wanted) {
            Ok(()) => return Some(tree),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    assert!(std::env::var_os("REQUIRE_ROOT").is_none(), "{why}");
    eprintln!("skipped: {why} (set REQUIRE_ROOT=1 to fail)");
    None
}

const MEMORY: &str = "16Mi";

#[test]
fn a_memory_limit_is_read_back_and_kept_to() {
    let Some(tree) = tree_with_memory("memory") else { return };
    let leaf = tree.leaf("s1", None).unwrap();
    let wanted = Limits { memory: Some(MEMORY.parse().unwrap()), ..Limits::default() };
    let said = leaf.prove(&wanted).unwrap_err().to_string();
    assert!(said.contains("s1: memory limit should be 16Mi and is none"), "{said}");
    tree.set_memory(&leaf, MEMORY.parse().unwrap()).unwrap();
    let proofs = leaf.prove(&wanted).unwrap();
    assert!(proofs.iter().any(|p| p.claim == "memory limit" && p.found == "16Mi"), "{proofs:#?}");
    // Text that doubles until there is no room for it.
    let mut child = inside(leaf.directories(), "sleep 0.2; a=0123456789; while :; do a=$a$a; done");
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
    leaf.remove().unwrap();
    assert!(leaf.directories().iter().all(|d| !d.exists()));
    // Memory is no one's business in a tree that was made without it.
    let without = CgroupTree::create("memory").map(|tree| tree.leaf("s1", None).unwrap().prove(&wanted));
    assert!(without.is_err() || without.unwrap().is_err());
}

#[test]
fn a_request_is_a_weight_and_the_tree_weighs_what_its_leaves_do() {
    let Some(tree) = tree("request") else { return };
    let (proxy, service) = (tree.leaf("proxy", None).unwrap(), tree.leaf("service", None).unwrap());
    tree.set_request(&proxy, "100m".parse().unwrap()).unwrap();
    let read = |directory: &Path, file: &str| std::fs::read_to_string(directory.join(file)).ok();
    let of = |directories: &[std::path::PathBuf]| {
        let found = directories.iter().find_map(|d| read(d, "cpu.shares").or_else(|| read(d, "cpu.weight")));
        found.unwrap().trim().parse::<u64>().unwrap()
    };
    // cpu.shares of v1, cpu.weight of v2.
    let all = (of(proxy.directories()), of(service.directories()), of(tree.roots()));
    assert!([(102, 1024, 1126), (4, 100, 104)].contains(&all), "{all:?}");
    let wanted = Limits { request: millicores(100), ..Limits::default() };
    proxy.prove(&wanted).unwrap();
    let said = service.prove(&wanted).unwrap_err().to_string();
    assert!(said.starts_with("service: CPU weight should be "), "{said}");
}
