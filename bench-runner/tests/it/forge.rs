//! The action, run as a forge would run it: its inputs put in, its steps' scripts run by bash, its outputs read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::program::{Answer, call, json, write_script};

#[derive(Deserialize)]
struct Action {
    description: String,
    inputs: BTreeMap<String, Input>,
    outputs: BTreeMap<String, Output>,
    runs: Runs,
}

#[derive(Deserialize)]
struct Input {
    description: String,
    #[serde(default)]
    required: bool,
    default: Option<String>,
}

#[derive(Deserialize)]
struct Output {
    description: String,
    value: String,
}

#[derive(Deserialize)]
struct Runs {
    using: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    id: String,
    shell: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    run: String,
}

fn at() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.github/actions/meshtax-gate")
}

fn action() -> Action {
    serde_saphyr::from_str(&fs::read_to_string(at().join("action.yml")).unwrap()).unwrap()
}

/// What the forge has when the action is over.
#[derive(Debug)]
struct Ended {
    code: i32,
    log: String,
    outputs: BTreeMap<String, String>,
    summary: String,
}

/// A forge's runner, as far as an action sees it.
struct Forge {
    workspace: tempfile::TempDir,
}

impl Forge {
    /// A workspace with a program `meshtax` whose gates end as told; for all else it is the built one.
    fn new(verdict: &str, code: i32) -> Self {
        let workspace = tempfile::tempdir().unwrap();
        let forge = Self { workspace };
        let mut answer = json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports/tests/it/gate.json"));
        answer["verdict"] = verdict.into();
        for metric in answer["metrics"].as_array_mut().unwrap() {
            metric["verdict"] = verdict.into();
        }
        forge.write("answer.json", &answer.to_string());
        let program = format!(
            "#!/usr/bin/env bash\n[ \"$1\" = gate ] || exec {built} \"$@\"\nprintf '%s\\n' \"$@\" > {asked}\n[ {code} = 2 ] || cp {answer} \"${{@: -1}}\"\nexit {code}\n",
            built = env!("CARGO_BIN_EXE_meshtax"),
            asked = forge.path("asked").display(),
            answer = forge.path("answer.json").display(),
        );
        forge.program("meshtax", &program);
        forge
    }

    fn path(&self, name: &str) -> PathBuf {
        self.workspace.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn program(&self, name: &str, text: &str) {
        write_script(&self.path(name), text);
    }

    /// Runs the steps in order up to the first that fails.
    fn run(&self, given: &[(&str, &str)]) -> Ended {
        let action = action();
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        for (name, input) in &action.inputs {
            let value = given.iter().find(|(given, _)| given == name).map(|(_, value)| (*value).to_owned());
            assert!(value.is_some() || !input.required, "the input {name} is required");
            known.insert(format!("inputs.{name}"), value.or_else(|| input.default.clone()).unwrap_or_default());
        }
        let (mut code, mut log) = (0, String::new());
        for step in &action.runs.steps {
            let answer = self.step(step, &known);
            log += &(answer.stdout + &answer.stderr);
            for line in self.read("output").lines() {
                let (name, value) = line.split_once('=').unwrap();
                known.insert(format!("steps.{}.outputs.{name}", step.id), value.to_owned());
            }
            code = answer.code.unwrap();
            if code != 0 {
                break;
            }
        }
        let outputs = action.outputs.iter().map(|(name, output)| (name.clone(), put_in(&output.value, &known)));
        Ended { code, log, outputs: outputs.collect(), summary: self.read("summary") }
    }

    fn step(&self, step: &Step, known: &BTreeMap<String, String>) -> Answer {
        assert_eq!(step.shell, "bash");
        self.write("output", "");
        self.write("step.sh", &put_in(&step.run, known));
        // What `shell: bash` means to GitHub's runner.
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail"]).arg(self.path("step.sh"));
        bash.current_dir(self.workspace.path()).envs(step.env.iter().map(|(name, v)| (name, put_in(v, known))));
        let path = std::env::join_paths(
            std::iter::once(self.workspace.path().to_owned())
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        bash.env("PATH", path.unwrap()).env_remove("CARGO_TARGET_DIR");
        bash.env("GITHUB_ACTIONS", "true")
            .env("GITHUB_ACTION_PATH", at())
            .env("GITHUB_WORKSPACE", self.workspace.path());
        bash.env("GITHUB_OUTPUT", self.path("output")).env("GITHUB_STEP_SUMMARY", self.path("summary"));
        bash.output().unwrap().into()
    }
}

/// Puts values in the place of `${{ ... }}`; an expression that has none is empty, as the forge has it for outputs.
fn put_in(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        let (expression, after) = after.split_once("}}").unwrap();
        out += before;
        let name = expression.trim();
        assert!(known.contains_key(name) || name.starts_with("steps."), "nothing is known of '{name}'");
        out += known.get(name).map_or("", String::as_str);
        rest = after;
    }
    out + rest
}

const ARGUMENTS: &str =
    "--candidate\nchange.toml\n\n--max-regress=p99=10%\n$(touch owned) `touch owned`; touch owned\n";

#[test]
fn the_action_says_what_it_takes_and_gives_and_runs_no_text_of_a_users() {
    let action = action();
    assert_eq!(action.runs.using, "composite");
    assert!(!action.description.is_empty());
    assert!(action.inputs.values().all(|i| !i.description.is_empty() && (i.required || i.default.is_some())));
    assert!(action.outputs.values().all(|o| !o.description.is_empty()));
    // An input that stands in a script is a script.
    assert!(action.runs.steps.iter().all(|step| !step.run.contains("${{")));
}

#[test]
fn a_pass_is_0_with_a_notice_a_summary_and_every_file() {
    let forge = Forge::new("pass", 0);
    let program = forge.path("meshtax");
    let ended = forge.run(&[("arguments", ARGUMENTS), ("program", program.to_str().unwrap())]);
    assert_eq!(ended.code, 0, "{ended:#?}");
    assert_eq!(ended.outputs["verdict"], "pass");
    assert!(ended.log.contains("::notice title=") && !ended.log.contains("::error title="), "{}", ended.log);
    assert!(ended.summary.contains("✅ pass") && ended.summary.contains("```mermaid"), "{}", ended.summary);
    let asked = forge.read("asked");
    let asked: Vec<&str> = asked.lines().collect();
    let given =
        ["gate", "--candidate", "change.toml", "--max-regress=p99=10%", "$(touch owned) `touch owned`; touch owned"];
    assert_eq!(asked[..5], given, "a line is an argument, as it is");
    assert!(!forge.path("owned").exists());
    for output in ["junit", "comment", "json"] {
        assert!(!forge.read(&ended.outputs[output]).is_empty(), "{output}");
    }
    let entries: Value = json(&forge.path("meshtax-gate/github-action-benchmark.json"));
    assert!(entries[0]["value"].is_number());
    assert!(json(&forge.path("meshtax-gate/bencher.json")).is_object());
}

#[test]
fn a_fail_is_1_with_errors_beside_the_change() {
    let forge = Forge::new("fail", 1);
    let ended = forge.run(&[("arguments", "RUN"), ("program", "./meshtax"), ("directory", "answer of it")]);
    assert_eq!(ended.code, 1, "{ended:#?}");
    assert_eq!((ended.outputs["verdict"].as_str(), ended.outputs["directory"].as_str()), ("fail", "answer of it"));
    assert_eq!(ended.log.matches("::error title=").count(), 3, "{}", ended.log);
    assert!(ended.summary.contains("❌ fail"));
    assert!(forge.read("answer of it/junit.xml").contains("<failure "));
}

#[test]
fn what_is_undecided_is_what_the_user_wants_it_to_be() {
    for (wanted, code, junit) in [("warn", 0, "<skipped "), ("fail", 1, "<failure "), ("pass", 0, "<system-out>")] {
        let forge = Forge::new("inconclusive", 3);
        let ended = forge.run(&[("arguments", "RUN"), ("program", "./meshtax"), ("on-inconclusive", wanted)]);
        assert_eq!((ended.code, ended.outputs["verdict"].as_str()), (code, "inconclusive"), "{ended:#?}");
        assert!(forge.read("meshtax-gate/junit.xml").contains(junit));
        assert_eq!(ended.log.contains("::warning title="), wanted != "pass", "{}", ended.log);
    }
    let forge = Forge::new("pass", 0);
    let ended = forge.run(&[("arguments", "RUN"), ("program", "./meshtax"), ("on-inconclusive", "perhaps")]);
    assert_eq!(ended.code, 64);
    assert!(ended.log.contains("'perhaps'"), "{}", ended.log);
}

#[test]
fn a_gate_that_could_not_run_is_no_verdict_and_an_older_answer_is_not_told_again() {
    let forge = Forge::new("pass", 2);
    fs::create_dir(forge.path("meshtax-gate")).unwrap();
    fs::copy(forge.path("answer.json"), forge.path("meshtax-gate/gate.json")).unwrap();
    let ended = forge.run(&[("arguments", "RUN"), ("program", "./meshtax")]);
    assert_eq!((ended.code, ended.outputs["verdict"].as_str()), (2, ""), "{ended:#?}");
    assert!(ended.log.contains("could not run (exit code 2)") && ended.summary.is_empty(), "{ended:#?}");
}

#[test]
fn without_a_program_it_is_built_from_the_checkout() {
    let forge = Forge::new("pass", 0);
    // In cargo's place: it says what it was asked, and what it builds is the program above.
    forge.program(
        "cargo",
        "#!/usr/bin/env bash\necho \"cargo $*\"\nmkdir -p their/target/release\ncp meshtax their/target/release/\n",
    );
    let ended = forge.run(&[("arguments", "RUN"), ("source", "their")]);
    assert_eq!(ended.code, 0, "{ended:#?}");
    let built = "cargo build --release --locked --package bench-runner --manifest-path their/Cargo.toml";
    assert!(ended.log.contains(built), "{}", ended.log);
    let nothing = Forge::new("pass", 0).run(&[("arguments", "RUN"), ("program", "./not-there")]);
    assert_eq!(nothing.code, 2);
    assert!(nothing.log.contains("no program at ./not-there"), "{}", nothing.log);
}

#[test]
fn the_example_for_gitlab_is_yaml_and_asks_for_what_there_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gitlab-ci.yml");
    let text = fs::read_to_string(path).unwrap();
    let jobs: BTreeMap<String, Value> = serde_saphyr::from_str(&text).unwrap();
    let mut commands = 0;
    for line in jobs.values().flat_map(|job| job["script"].as_array().unwrap()) {
        let words: Vec<&str> = line.as_str().unwrap().split_whitespace().collect();
        let ["meshtax", rest @ ..] = words.as_slice() else { continue };
        let names: Vec<&str> = rest.iter().copied().take_while(|w| w.chars().all(|c| c.is_ascii_lowercase())).collect();
        let deep = if names[0] == "baseline" { 2 } else { 1 };
        let help = call(&[&names[..deep], &["--help"]].concat()).done().stdout;
        for flag in rest.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(&format!("{flag} ")), "{flag} of {line}:\n{help}");
        }
        commands += 1;
    }
    assert_eq!(commands, 8);
}
