//! What a package ships besides the program: man pages and completions.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::program::call;

/// The commands that the help shows.
fn shown() -> BTreeSet<String> {
    let help = call(&["--help"]).done().stdout;
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_that_is_shown_has_a_man_page_and_no_other_has() {
    let tmp = tempfile::tempdir().unwrap();
    call(&["man", "--output", tmp.path().to_str().unwrap()]).done();
    let files: BTreeSet<String> =
        std::fs::read_dir(tmp.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for name in shown() {
        let page = std::fs::read_to_string(tmp.path().join(format!("meshtax-{name}.1"))).unwrap();
        assert!(page.contains(".TH meshtax-") && page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    for file in ["meshtax.1", "meshtax-baseline-add.1", "meshtax.bash", "_meshtax", "meshtax.fish"] {
        assert!(files.contains(file), "{file} of {files:?}");
    }
    for hidden in ["warden", "launch", "sidecar", "node-proxy"] {
        assert!(!files.contains(&format!("meshtax-{hidden}.1")), "{hidden} is no command for people");
    }
    let page = call(&["man"]).done().stdout;
    assert!(page.contains("what a service mesh costs") && page.contains(env!("CARGO_PKG_VERSION")), "{page}");
}

#[test]
fn bash_completes_commands_and_flags() {
    let tmp = tempfile::tempdir().unwrap();
    let script = tmp.path().join("meshtax.bash");
    std::fs::write(&script, call(&["completions", "bash"]).done().stdout).unwrap();
    let complete = |words: &[&str]| {
        let shell = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={}; _meshtax meshtax '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display(),
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let output = Command::new("bash").args(["-c", &shell]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(complete(&["meshtax", "hist"]).trim(), "history");
    assert_eq!(complete(&["meshtax", "run", "--acc"]).lines().next(), Some("--access-log"));
    assert_eq!(call(&["completions", "tcsh"]).code, Some(64));
}

#[test]
fn every_file_that_the_debian_package_ships_is_there_when_man_has_been_called() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = std::fs::read_to_string(here.join("Cargo.toml")).unwrap().parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let made = tempfile::tempdir().unwrap();
    call(&["man", "--output", made.path().to_str().unwrap()]).done();
    let mut shipped = BTreeSet::new();
    for asset in deb["assets"].as_array().unwrap() {
        let [from, to, mode] = [0, 1, 2].map(|at| asset[at].as_str().unwrap());
        assert_eq!(mode, if to == "usr/bin/" { "755" } else { "644" }, "{to}");
        assert!(to.starts_with("usr/bin/") || to.starts_with("usr/share/"), "{to}");
        shipped.insert(to);
        // The program is where cargo puts it, and is this one.
        let file = match (from, from.strip_prefix("../target/man/")) {
            ("target/release/meshtax", _) => Path::new(env!("CARGO_BIN_EXE_meshtax")).to_owned(),
            (_, Some(made_by_us)) => made.path().join(made_by_us),
            _ => here.join(from),
        };
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let found = match name.strip_prefix('*') {
            None => usize::from(file.is_file()),
            Some(end) => {
                let entries = std::fs::read_dir(file.parent().unwrap()).unwrap().flatten();
                entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(end)).count()
            }
        };
        assert!(found > 0, "{from} is not there");
    }
    for needed in [
        "usr/bin/",
        "usr/share/man/man1/",
        "usr/share/bash-completion/completions/meshtax",
        "usr/share/zsh/vendor-completions/_meshtax",
        "usr/share/fish/vendor_completions.d/meshtax.fish",
        "usr/share/meshtax/scenarios/",
    ] {
        assert!(shipped.contains(needed), "{needed} of {shipped:?}");
    }
    let licence = here.join(deb["license-file"][0].as_str().unwrap());
    assert!(std::fs::read_to_string(licence).unwrap().contains("/usr/share/common-licenses/Apache-2.0"));
}
