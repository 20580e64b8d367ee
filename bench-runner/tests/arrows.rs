//! Who may know whom: an arrow that the picture in ARCHITECTURE.md lacks does not pass.

// In a test a panic is the report.
#![allow(clippy::expect_used)]

use std::collections::BTreeMap;

/// The picture: each package and the packages of ours that it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("bench-runner", &["load-gen", "node-probe", "record", "reports", "scenarios"]),
    ("histogram", &[]),
    ("load-gen", &["record"]),
    ("node-probe", &["record"]),
    ("record", &["histogram"]),
    ("reports", &["record"]),
    ("scenarios", &["record"]),
];

/// What a package may never bring in, whatever the road.
const NOT_FOR: &[(&str, &[&str])] = &[
    ("record", &["tokio", "hyper", "plotters"]),
    ("reports", &["tokio", "hyper"]),
    ("load-gen", &["plotters"]),
    ("node-probe", &["plotters", "hyper"]),
    ("scenarios", &["plotters"]),
];

fn metadata() -> cargo_metadata::Metadata {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    cargo_metadata::MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        // Packages of other systems are not downloaded, and nothing should be for a test.
        .other_options(["--offline", "--locked", "--filter-platform", &platform].map(str::to_owned).to_vec())
        .exec()
        .expect("cargo metadata")
}

#[test]
fn packages_know_only_those_they_may() {
    let metadata = metadata();
    let ours: Vec<&str> = metadata.workspace_packages().iter().map(|p| p.name.as_str()).collect();
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in metadata.workspace_packages() {
        // Dev-dependencies count too: a test that needs another part tests two of them.
        // Its own name stands there where its tests ask for a feature of it.
        let others = |name: &&str| ours.contains(name) && *name != package.name.as_str();
        let mut uses: Vec<&str> = package.dependencies.iter().map(|d| d.name.as_str()).filter(others).collect();
        uses.sort_unstable();
        uses.dedup();
        found.insert(package.name.as_str(), uses);
    }
    let allowed: BTreeMap<&str, Vec<&str>> = ARROWS.iter().map(|(name, uses)| (*name, uses.to_vec())).collect();
    assert_eq!(found, allowed, "left: what the manifests say; right: what the picture allows");
}

#[test]
fn no_package_brings_in_what_is_not_for_it() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().expect("a resolved graph");
    let name_of = |id: &cargo_metadata::PackageId| metadata[id].name.to_string();
    for (package, banned) in NOT_FOR {
        let start = metadata.packages.iter().find(|p| p.name.as_str() == *package).expect("the package is there");
        let mut seen = vec![start.id.clone()];
        let mut at = 0;
        while at < seen.len() {
            let node = resolve.nodes.iter().find(|n| n.id == seen[at]).expect("a node for each package");
            for dep in &node.deps {
                let normal = dep.dep_kinds.iter().any(|k| k.kind == cargo_metadata::DependencyKind::Normal);
                if normal && !seen.contains(&dep.pkg) {
                    seen.push(dep.pkg.clone());
                }
            }
            at += 1;
        }
        let names: Vec<String> = seen.iter().map(name_of).collect();
        for ban in *banned {
            assert!(!names.iter().any(|n| n == ban), "{package} must not bring in {ban}");
        }
        assert!(names.len() > 5, "the walk found the dependencies of {package}: {names:?}");
    }
}

#[test]
fn no_drawers() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let root = package.manifest_path.parent().expect("a folder").join("src");
        let mut folders = vec![root.into_std_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a source folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                assert!(
                    !["common", "util", "utils", "core", "helpers", "helper", "manager", "misc"]
                        .contains(&stem.as_str()),
                    "{} is a drawer: give it the name of what it holds",
                    path.display()
                );
            }
        }
    }
}
