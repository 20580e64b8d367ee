//! What goes into the program and who may touch it on the way: unsafe code, pinned actions, the locked graph.

use std::path::{Path, PathBuf};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files below the checkout for which `fits` holds, but what is built or not ours.
fn files(fits: impl Fn(&Path) -> bool) -> Vec<(PathBuf, String)> {
    let (mut found, mut open) = (Vec::new(), vec![root()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = entry.file_name();
            if kind.is_dir() && name != "target" && name != ".git" {
                open.push(path);
            } else if kind.is_file() && fits(&path) {
                let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                found.push((path, text));
            }
        }
    }
    found
}

/// Whether a word stands in a line, by itself.
fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}

#[test]
fn unsafe_code_is_in_the_one_module_that_says_why() {
    // In two pieces, so that this file is none that has them.
    let (word, lint) = (concat!("un", "safe"), concat!("un", "safe_code"));
    let sources = files(|path| path.extension().is_some_and(|extension| extension == "rs"));
    assert!(sources.len() > 300, "{}", sources.len());
    let code = |text: &str| {
        let lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
        lines.filter(|line| has_word(line, word) || has_word(line, lint)).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut found: Vec<(String, usize)> = Vec::new();
    for (path, text) in &sources {
        let lines = code(text);
        if !lines.is_empty() {
            let path = path.strip_prefix(root()).unwrap().display().to_string();
            found.push((path, lines.len()));
        }
    }
    found.sort();
    let ring = ("node-probe/src/disk_test/ring.rs".to_owned(), 2);
    // Preloaded by a test in the place of the C library's clock, whose caller says where the answer goes. No program has it.
    let clock = ("bench-runner/tests/faults/deeds/stepped_clock.rs".to_owned(), 1);
    // Of the ring, the attribute with its reason, and one block.
    assert_eq!(found, [clock, ring]);
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    assert_eq!(manifest["workspace"]["lints"]["rust"][lint].as_str(), Some("deny"));
    // A package that does not take the workspace's lints would be free to.
    for member in manifest["workspace"]["members"].as_array().unwrap() {
        let path = root().join(member.as_str().unwrap()).join("Cargo.toml");
        let package: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        assert_eq!(package["lints"]["workspace"].as_bool(), Some(true), "{}", path.display());
    }
}

fn workflows() -> Vec<(PathBuf, String)> {
    let found = files(|path| {
        path.components().any(|part| part.as_os_str() == ".github") && path.extension().is_some_and(|e| e == "yml")
    });
    assert!(found.len() >= 4, "{}", found.len());
    found
}

#[test]
fn actions_are_pinned_by_hash_and_jobs_have_the_least_rights() {
    for (path, text) in workflows() {
        for line in text.lines().map(str::trim).filter_map(|line| line.trim_start_matches("- ").strip_prefix("uses: "))
        {
            let hash = line.split_once('@').map(|(_, hash)| hash).unwrap_or_default();
            let pinned = hash.len() == 40 && hash.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(pinned || line.starts_with("./"), "{}: {line}", path.display());
        }
        let Some(jobs) = serde_saphyr::from_str::<Value>(&text).unwrap().get("jobs").cloned() else { continue };
        let whole: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(whole["permissions"], serde_json::json!({"contents": "read"}), "{}", path.display());
        for (name, job) in jobs.as_object().unwrap() {
            assert!(job["timeout-minutes"].is_u64(), "{} {name}", path.display());
            let Some(more) = job.get("permissions") else { continue };
            // Who may write a release runs nothing that was built there.
            assert!(path.ends_with("release.yml") && name == "publish", "{} {name}: {more}", path.display());
            let steps = job["steps"].to_string();
            assert!(!steps.contains("cargo") && !steps.contains("checkout"), "{steps}");
        }
        // The token is for who asks for it, and not left in a checkout that build scripts can read.
        let checkouts = text.matches("actions/checkout@").count();
        assert_eq!(text.matches("persist-credentials: false").count(), checkouts, "{}", path.display());
    }
}

#[test]
fn whatever_is_built_is_built_of_the_locked_graph() {
    let scripts = files(|path| {
        let below = |name: &str| path.components().any(|part| part.as_os_str() == name);
        let script = path.extension().is_some_and(|e| e == "sh" || e == "yml") || path.ends_with("Dockerfile");
        below(".ci") || script || path.file_name().is_some_and(|name| name == "README.md")
    });
    let resolving = ["build", "test", "run", "install", "clippy", "doc", "bench", "deb", "deny"];
    let mut met = 0;
    for (path, text) in &scripts {
        // A line that goes on is one.
        for line in text.replace("\\\n", " ").lines().filter(|line| !line.trim_start().starts_with(['#', '/'])) {
            let commands = line.split(['&', '|', ';', '`', '(']).map(|part| part.trim().trim_start_matches("- run: "));
            for command in commands {
                let Some(rest) = command.split("cargo ").nth(1) else { continue };
                let before = command.split("cargo ").next().unwrap_or_default();
                let is_command = before.is_empty() || before.ends_with(' ') && !before.contains("with ");
                // What looks for a command in a text is none.
                let is_command = is_command && !rest.contains(".*");
                if is_command && resolving.iter().any(|what| rest.split_whitespace().next() == Some(what)) {
                    met += 1;
                    assert!(rest.contains("--locked"), "{}: {}", path.display(), line.trim());
                }
            }
        }
    }
    assert!(met >= 12, "{met} commands");
}

#[test]
fn every_fuzz_target_has_a_corpus_and_its_ten_minutes_a_night() {
    let mut targets = Vec::new();
    for (path, text) in files(|path| path.ends_with("fuzz/Cargo.toml")) {
        let manifest: toml::Table = text.parse().unwrap();
        for bin in manifest["bin"].as_array().unwrap() {
            let name = bin["name"].as_str().unwrap().to_owned();
            let corpus = path.with_file_name("corpus").join(&name);
            assert!(corpus.read_dir().unwrap().count() >= 2, "{}", corpus.display());
            targets.push(name);
        }
    }
    targets.sort();
    assert!(targets.len() >= 16, "{targets:?}");
    let nightly = std::fs::read_to_string(root().join(".github/workflows/nightly.yml")).unwrap();
    let job = serde_saphyr::from_str::<Value>(&nightly).unwrap()["jobs"]["fuzz"].clone();
    let listed = job["strategy"]["matrix"]["target"].as_array().unwrap();
    let mut listed: Vec<String> = listed.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    listed.sort();
    assert_eq!(listed, targets);
    assert!(job["steps"].to_string().contains("bash .ci/fuzz 600 "), "{job}");
}
