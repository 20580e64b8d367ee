//! Network namespaces that a run left behind go with its warden, or with `meshtax clean`; needs root.

use std::path::{Path, PathBuf};

use scenarios::network::Network;

use crate::program::call;

/// Whether pods are permitted here; says so when a test is skipped for it.
fn permitted() -> bool {
    let Err(why) = Network::permitted() else { return true };
    assert!(std::env::var_os("REQUIRE_ROOT").is_none(), "{why}");
    eprintln!("skipped: {why} (set REQUIRE_ROOT=1 to fail)");
    false
}

fn names(prefix: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir("/run/netns").unwrap().map(|e| e.unwrap().path());
    let of = |p: &PathBuf| p.file_name().unwrap().to_string_lossy().strip_prefix(prefix).map(str::to_owned);
    // The tenth network's names begin as the first one's do.
    all.filter(|p| of(p).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))).collect()
}

#[test]
fn the_warden_removes_the_networks_it_was_told_of_and_no_others() {
    if !permitted() {
        return;
    }
    let (mut one, other) = (Network::create().unwrap(), Network::create().unwrap());
    one.add(&["s1", "s2"]).unwrap();
    assert_eq!((names(one.prefix()).len(), names(other.prefix()).len()), (3, 1));
    // Its pipe is closed from the start, as when the runner is gone.
    call(&["warden", "--network", one.prefix()]).done();
    assert_eq!((names(one.prefix()).len(), names(other.prefix()).len()), (0, 1));
    let refused = call(&["warden", "--network", "eth0"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("cannot remove the network eth0: its name is not of the form"), "{refused:?}");
}

#[test]
fn clean_removes_the_networks_of_the_dead_and_not_those_of_the_living() {
    if !permitted() {
        return;
    }
    let living = Network::create().unwrap();
    // It lives until it is made: whoever else begins a run takes away what the dead have left, half made or not.
    let mut dead = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", dead.id())).unwrap();
    let started = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap();
    let name = format!("meshtax-{}-{started}-1-s1", dead.id());
    let added = std::process::Command::new("ip").args(["netns", "add", &name]).status().unwrap();
    dead.kill().unwrap();
    dead.wait().unwrap();
    assert!(added.success());
    call(&["clean"]).done();
    assert!(!Path::new("/run/netns").join(&name).exists());
    assert_eq!(names(living.prefix()).len(), 1);
}
