//! A canary whose weights are shifted under load: what the report says of it; and runs that are not compared.

use std::fs;

use serde_json::Value;

use crate::program::{among_others, call, change_run, json};

const SCENARIO: &str = r#"
name = "a-canary"
[chain]
services = 2
[load]
rate = 300
connections = 4
[mesh]
dataplane = "embedded"
workers = 1
[canary]
weights = "v1=80,v2=20"
shift = [{ at = "1500ms", v2 = 100 }]
[trial]
settle = "100ms"
warm_up = "300ms"
measure = "3s"
cool_down = "100ms"
[plan]
repeats = 1
"#;

#[test]
fn the_split_of_real_sidecars_holds_and_follows_a_shift_without_a_failed_request() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let scenario = tmp.path().join("canary.toml");
    fs::write(&scenario, SCENARIO).unwrap();
    let answer = call(&["run", scenario.to_str().unwrap(), "--out", tmp.path().join("runs").to_str().unwrap()]).done();
    let directory = answer.run_directory();
    let findings = json(&directory.join("findings.json"));
    let canary = &findings["cells"][0]["canary"];
    assert_eq!((&canary["unnamed"], &canary["unanswered"]), (&0.into(), &0.into()), "{canary:#}");
    let stretches = canary["stretches"].as_array().unwrap();
    assert_eq!(stretches.len(), 2);
    let holds = |stretch: &Value| stretch["shares"].as_array().unwrap().iter().all(|share| share["holds"] == true);
    assert!(stretches.iter().all(holds), "{canary:#}");
    assert!(stretches[0]["answered"].as_u64().unwrap() > 100, "{canary:#}");
    let shift = &canary["shifts"][0];
    assert_eq!((&shift["trials"], &shift["followed"], &shift["failed"]), (&1.into(), &1.into(), &0.into()));
    assert!(canary["subsets"].as_array().unwrap().iter().all(|s| s["response_ns"]["p50"]["value"].is_number()));
    assert!(answer.stdout.contains("Canary: how requests were split"), "{}", answer.stdout);
    let said = answer.stdout.replace("\n  ", " ");
    assert!(said.contains("1 of 1 shifts were followed within"), "{said}");

    // The same run, said to be of pods, is no longer its equal.
    let (at, other) = (directory.to_str().unwrap(), tmp.path().join("other"));
    fs::create_dir_all(&other).unwrap();
    let copied = std::process::Command::new("cp").args(["-r", at, other.to_str().unwrap()]).status().unwrap();
    assert!(copied.success());
    let other = other.join(directory.file_name().unwrap());
    let both = call(&["report", at, other.to_str().unwrap()]).done().stdout;
    assert_eq!(both.matches("Canary: how requests were split").count(), 2);
    change_run(&other, |plan| {
        let cells = plan["cells"].as_array_mut().unwrap();
        cells.iter_mut().for_each(|cell| cell["factors"]["platform"] = "pods".into());
    });
    let refused = call(&["report", at, other.to_str().unwrap()]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("ran on the platform 'processes' and the run"), "{}", refused.stderr);
    let refused = call(&["report", at, at, "--format", "json"]);
    assert_eq!(refused.code, Some(64), "{refused:?}");
}
