//! A proxy over its memory limit: the kernel kills it, and the error says so; needs root, or a cgroup with memory.

use scenarios::limits::{CgroupTree, Limits};

use crate::errors::refused;
use crate::program::{alone, call, fake_envoy, processes_of, skip};

/// Whether memory can be limited here; says so when a test is skipped for it.
fn permitted() -> bool {
    let limits = Limits { memory: "16Mi".parse().ok(), ..Limits::default() };
    match CgroupTree::with_memory("try").and_then(|tree| tree.check(&limits)) {
        Ok(()) => true,
        Err(error) => !skip(&error.to_string(), "REQUIRE_ROOT"),
    }
}

#[test]
fn a_proxy_that_is_killed_for_its_memory_is_named_with_its_limit() {
    if !permitted() {
        return;
    }
    let _alone = alone();
    let tmp = tempfile::tempdir().unwrap();
    // Takes memory until it is stopped; at most 256 MiB should nobody do it.
    let deeds = r#"eprintln!("taking memory");
        let mut taken = Vec::new();
        for n in 1..=256 {
            taken.push(vec![n as u8; 1 << 20]);
        }
        std::thread::sleep(std::time::Duration::from_secs(60));
        eprintln!("{}", taken.len());"#;
    let envoy = fake_envoy(tmp.path(), deeds);
    let answer = call(&[
        "run",
        "--dataplane",
        "envoy",
        "--envoy",
        envoy.to_str().unwrap(),
        "--memory-limit",
        "16Mi",
        "--services",
        "1",
        "--quick",
        "--out",
        tmp.path().join("runs").to_str().unwrap(),
    ]);
    let said = "-sidecar was killed by the kernel: over its memory limit of 16Mi, while waiting for";
    refused(&answer, 2, &[said, "taking memory", "try: a higher --memory-limit"]);
    assert_eq!(processes_of(tmp.path()), Vec::<String>::new());
}
