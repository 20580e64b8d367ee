//! What is said of a mode is put to the proof: by the command, and against a claim that is not what runs.

use std::path::Path;
use std::time::Duration;

use record::Factors;
use scenarios::launch::Users;
use scenarios::{Deployment, DeploymentSpec, Scenario, Verdict, deploy};

use crate::program::{among_others, call, is_root, json, skip};

fn no_pods() -> bool {
    !is_root() && skip("pods need root", "REQUIRE_ROOT")
}

/// The only cell of a scenario of three services in pods.
fn cell(dataplane: &str, mtls: &str) -> (Scenario, Factors) {
    let text =
        format!("[mesh]\ndataplane = \"{dataplane}\"\nmtls = \"{mtls}\"\nworkers = 1\n[plan]\nplatform = \"pods\"\n");
    let scenario = Scenario::parse(&text, "test").unwrap();
    let factors = scenario.matrix().unwrap().cells[0].factors.clone();
    (scenario, factors)
}

fn with_deployment<T>(dataplane: &str, mtls: &str, f: impl FnOnce(&Deployment, &Factors) -> T) -> T {
    let (scenario, factors) = cell(dataplane, mtls);
    let tmp = tempfile::tempdir().unwrap();
    let scratch = tempfile::Builder::new().prefix("meshtax-scratch-").tempdir().unwrap();
    let deployment = deploy(&DeploymentSpec {
        launcher: Path::new(env!("CARGO_BIN_EXE_meshtax")),
        users: Users::here().unwrap(),
        factors: &factors,
        shape: &scenario.shape(&factors).unwrap(),
        program: Path::new(env!("CARGO_BIN_EXE_meshtax")),
        envoy: None,
        haproxy: None,
        nginx: None,
        directory: tmp.path(),
        scratch: scratch.path(),
        cgroups: None,
        ready_timeout: Duration::from_secs(20),
        entry_at: std::net::Ipv4Addr::LOCALHOST.into(),
        slice: None,
    })
    .unwrap();
    let result = f(&deployment, &factors);
    deployment.stop().unwrap();
    result
}

fn wrong(verdicts: &[Verdict]) -> Vec<String> {
    let wrong = verdicts.iter().filter(|v| !v.holds()).map(|v| &v.proof);
    wrong.map(|p| format!("{}: {}: {}, not {}", p.part, p.claim, p.found, p.expected)).collect()
}

#[test]
fn a_mode_that_was_changed_behind_its_users_back_is_found_out_on_every_link() {
    if no_pods() {
        return;
    }
    let _seat = among_others();
    let strict = cell("embedded", "strict").1;
    let disable = cell("embedded", "disable").1;
    let (as_it_is, as_claimed) =
        with_deployment("embedded", "disable", |d, own| (d.verify(own).unwrap(), d.verify(&strict).unwrap()));
    assert_eq!(wrong(&as_it_is), Vec::<String>::new());
    let found = wrong(&as_claimed);
    for link in ["client -> s1", "s1 -> s2", "s2 -> s3"] {
        assert!(found.contains(&format!("{link}: a marker in the body: in clear, not not in clear")), "{found:#?}");
    }
    let clear = found.iter().filter(|said| said.contains("a request in clear")).count();
    assert_eq!(clear, 6, "each of two ports of three services: {found:#?}");
    let (as_it_is, as_claimed) =
        with_deployment("embedded", "strict", |d, own| (d.verify(own).unwrap(), d.verify(&disable).unwrap()));
    assert_eq!(wrong(&as_it_is), Vec::<String>::new());
    assert!(wrong(&as_claimed).iter().any(|said| said.starts_with("s1 -> s2: a marker in the body")));
}

#[test]
fn the_command_says_it_in_words_and_as_json_and_by_its_exit_code() {
    let _seat = among_others();
    let modes = ["verify", "--dataplane", "none,embedded", "--mtls", "disable,permissive,strict"];
    let said = call(&modes).done().stdout;
    assert_eq!(said.matches(" as it should be").count(), 4, "{said}");
    assert!(said.contains("ok  s1  a request in clear: refused"), "{said}");
    let json = call(&[modes.as_slice(), &["--format", "json"]].concat()).done().stdout;
    let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() >= 12 && lines.iter().all(|line| line["holds"] == true), "{json}");
}

/// What a service was started with, its program's own path left out.
fn command_line(pid: u32) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    text.split('\0').skip(1).map(str::to_owned).collect()
}

#[test]
fn a_program_in_a_pod_is_told_the_same_with_and_without_a_mesh() {
    if no_pods() {
        return;
    }
    let _seat = among_others();
    let told = |dataplane: &str, mtls: &str| {
        with_deployment(dataplane, mtls, |deployment, _| {
            let services = deployment.parts().into_iter().filter(|part| part.role == record::Role::Service);
            let lines: Vec<Vec<String>> = services.map(|part| command_line(part.pid)).collect();
            (lines, deployment.calls_told(), deployment.entry_url())
        })
    };
    let unmeshed = told("none", "disable");
    assert_eq!((unmeshed.0.len(), unmeshed.1.len()), (3, 2));
    assert_eq!(told("embedded", "strict"), unmeshed);
}

#[test]
fn each_request_crosses_15001_and_15006() {
    if no_pods() {
        return;
    }
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    // With a connection for each request of the load and of the proxies, connections are requests.
    let mut args = vec!["run", "--dataplane", "embedded", "--platform", "pods", "--keepalive", "false"];
    args.extend(["--requests-per-connection", "1", "--rate", "100", "--duration", "2s", "--warm-up", "500ms"]);
    args.extend(["--repeats", "1", "--connections", "4", "--out", tmp.path().to_str().unwrap()]);
    let directory = call(&args).done().run_directory();
    let id = json(&directory.join("run.json"))["trials"][0]["id"].as_str().unwrap().to_owned();
    let trial = json(&directory.join("trials").join(id).join("trial.json"));
    let proofs = trial["proofs"].as_array().unwrap();
    let count = |part: &str, claim: &str, field: &str| {
        let proof = proofs.iter().find(|p| p["part"] == part && p["claim"] == claim);
        let text = proof.unwrap_or_else(|| panic!("no {claim} of {part}: {proofs:#?}"))[field].as_str().unwrap();
        let digits: String = text.rsplit(' ').next().unwrap_or(text).chars().filter(char::is_ascii_digit).collect();
        let first: String = text.chars().take_while(char::is_ascii_digit).collect();
        if first.is_empty() { digits } else { first }.parse::<u64>().unwrap()
    };
    let sent = trial["load"]["sent"].as_u64().unwrap();
    assert_eq!(sent, 200);
    assert!(count("client", "connections redirected to 15001", "source") >= sent);
    for service in ["s1", "s2", "s3"] {
        assert!(count(service, "connections redirected to 15006", "found") >= sent, "{service}");
        assert!(count(&format!("{service}-sidecar"), "inbound requests", "found") >= sent, "{service}");
    }
    for service in ["s1", "s2"] {
        assert!(count(service, "connections redirected to 15001", "source") >= 1, "{service}");
    }
}
