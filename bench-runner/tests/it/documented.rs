//! The README and the pages in docs: every command is run, every file is read by what reads it, every error is one that
//! the program has, every link leads somewhere.

mod bench;
mod messages;
mod pages;
mod ways;

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::program::{among_others, call, meshtax, skip};
use bench::Bench;
use pages::{Page, root, starts_meshtax};
use ways::{WAYS, Way, way};

/// Every command of the documentation, with the page that has it.
fn commands() -> Vec<(String, String)> {
    let of = |page: &Page| page.commands().into_iter().map(|command| (command, page.name.clone())).collect::<Vec<_>>();
    pages::all().iter().flat_map(of).collect()
}

#[test]
fn every_command_is_known_here_and_none_is_known_that_is_nowhere() {
    let commands = commands();
    for (command, page) in &commands {
        assert!(way(command).is_some(), "{page}: how `{command}` is run is not said in ways.rs");
    }
    let there: BTreeSet<&str> = commands.iter().map(|(command, _)| command.as_str()).collect();
    for (known, _) in WAYS {
        assert!(there.contains(known), "`{known}` stands on no page; take it out of ways.rs");
    }
    let names: BTreeSet<&str> = WAYS.iter().map(|(command, _)| *command).collect();
    assert_eq!(names.len(), WAYS.len(), "a command is known twice");
    for page in pages::all() {
        for (language, text) in &page.blocks {
            let known = ["", "text", "toml", "yaml", "proto"].contains(&language.as_str());
            assert!(known, "{}: a block of '{language}':\n{text}", page.name);
        }
    }
}

#[test]
fn every_command_line_is_understood() {
    for (command, way) in WAYS {
        let Some(args) = starts_meshtax(command) else {
            assert!(matches!(way, Way::Elsewhere(_)), "{command}");
            continue;
        };
        let args = args.split(" > ").next().unwrap_or(args);
        // Whatever stands before --help is read, and each value by what reads it.
        let answer = meshtax(&[]).args(args.split_whitespace()).arg("--help").output().unwrap();
        assert!(answer.status.success(), "{command}: {}", String::from_utf8_lossy(&answer.stderr));
    }
    // Else nothing would be shown by the above.
    for wrong in [vec!["run", "--rat", "5"], vec!["run", "--rate", "fast"], vec!["rnu"]] {
        assert_eq!(call(&[&wrong[..], &["--help"]].concat()).code, Some(64), "{wrong:?}");
    }
}

/// One after another, in one directory: some read what others have made.
#[test]
fn every_command_does_what_it_is_there_for() {
    let _seat = among_others();
    let first = "cargo run --release --locked -- run";
    let Some(Way::Measures(short)) = way(first) else { panic!("the README's first command is measured") };
    let bench = Bench::new(short);
    let no_envoy = meshtax(&["doctor"]).output().is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("no Envoy"));
    for (command, way) in WAYS.iter().filter(|(command, _)| *command != first) {
        match way {
            Way::Reads(codes) => {
                let answer = bench.run(command);
                assert!(answer.code.is_some_and(|code| codes.contains(&code)), "{command}: {answer:#?}");
                assert!(!answer.stdout.is_empty() || command.contains("--output"), "{command}: {answer:#?}");
            }
            Way::Measures(short) if short.contains("envoy") && no_envoy => {
                skip(&format!("no Envoy for `{command}`"), "REQUIRE_PROXIES");
            }
            Way::Measures(short) => {
                let answer = bench.run(short);
                // A gate on so little may stay undecided where a busy machine spoils its pairs.
                let undecided = short.starts_with("gate ") && answer.code == Some(3);
                assert!(answer.code == Some(0) || undecided, "{short}: {answer:#?}");
            }
            Way::Serves(short) => {
                let said = bench.first_line(short);
                assert!(said.contains("127.0.0.1:"), "{short} does not say where it listens: {said}");
            }
            Way::Mention | Way::Parsed(_) | Way::Elsewhere(_) => {}
        }
    }
}

#[test]
fn every_file_is_read_by_what_reads_it() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("file.toml");
    let path = file.to_str().unwrap();
    let out = tmp.path().to_str().unwrap();
    // What comes after the file was read: without a run, an agent, a target, and of a scenario nothing.
    let readers: [(&str, Vec<&str>, &str); 4] = [
        (
            "[[plan]]",
            vec!["plan", path, "--prices", path, "--slo", "p99=1s", "--rps", "1", "--services", "1"],
            "is not a run directory",
        ),
        ("[[host]]", vec!["run", "--hosts", path, "--hosts-state", path, "--out", out], "cannot create"),
        (
            "[[request]]",
            vec!["load", "http://127.0.0.1:1/", "--rate", "1", "--duration", "1s", "--requests", path],
            "cannot connect to 127.0.0.1:1",
        ),
        ("[load]", vec!["run", path, "--out", "/proc/no/such"], "cannot create /proc/no/such"),
    ];
    let mut read = BTreeSet::new();
    for page in pages::all() {
        for (_, text) in page.blocks.iter().filter(|(language, _)| language == "toml") {
            let (mark, args, then) = readers.iter().find(|(mark, ..)| text.contains(mark)).unwrap_or_else(|| {
                panic!("{}: what reads this?\n{text}", page.name);
            });
            fs::write(&file, text).unwrap();
            let answer = call(args);
            assert!(answer.stderr.contains(then), "{}: {text}\n{answer:#?}", page.name);
            read.insert(*mark);
        }
    }
    assert_eq!(read.len(), readers.len(), "each kind of file stands in the documentation: {read:?}");
}

#[test]
fn the_forges_steps_name_inputs_of_the_action_and_arguments_of_a_gate() {
    let action = fs::read_to_string(root().join(".github/actions/meshtax-gate/action.yml")).unwrap();
    let action: Value = serde_saphyr::from_str(&action).unwrap();
    let mut steps = 0;
    for page in pages::all() {
        for (_, text) in page.blocks.iter().filter(|(language, _)| language == "yaml") {
            let list: Value = serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{}: {e}\n{text}", page.name));
            for step in list.as_array().unwrap() {
                let uses = step["uses"].as_str().unwrap();
                assert!(uses.ends_with("/.github/actions/meshtax-gate"), "{}: {uses}", page.name);
                for (input, value) in step["with"].as_object().unwrap() {
                    assert!(!action["inputs"][input].is_null(), "{}: {input} is no input of the action", page.name);
                    if input == "arguments" {
                        let arguments = value.as_str().unwrap().lines().map(str::trim);
                        call(&["gate"].into_iter().chain(arguments).chain(["--help"]).collect::<Vec<_>>()).done();
                    }
                }
                steps += 1;
            }
        }
    }
    assert!(steps > 0, "no page shows the action");
}

#[test]
fn every_link_leads_to_a_file_and_every_page_is_linked() {
    let pages = pages::all();
    let mut linked = BTreeSet::new();
    for page in &pages {
        let folder = root().join(&page.name).parent().unwrap().to_owned();
        for link in page.links() {
            let target = folder.join(&link);
            assert!(target.is_file(), "{}: the link {link} leads nowhere", page.name);
            if page.name == "README.md" {
                linked.insert(link);
            }
        }
    }
    for page in pages.iter().filter(|page| page.name != "README.md") {
        assert!(linked.contains(&page.name), "{} is linked from the README", page.name);
    }
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 130, "what is long stands in docs");
}
