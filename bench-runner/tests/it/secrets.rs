//! A secret that a run comes by is in no file that the run leaves.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::load::Service;
use crate::program::{among_others, call, json, meshtax, within};

/// What is planted; nothing else has these bytes.
const SECRET: &str = "pl4nted-Zx81qQ7w-s3cret";

/// All files below, those of archives unpacked.
fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let packed = path.extension().is_some_and(|extension| extension == "zst");
            let bytes = if packed { zstd::decode_all(bytes.as_slice()).unwrap() } else { bytes };
            found.push((path, bytes));
        }
    }
    found
}

fn holds(directory: &Path, least: usize) {
    let found = files(directory);
    assert!(found.len() >= least, "{} files in {}", found.len(), directory.display());
    for (path, bytes) in found {
        assert_eq!(around(&bytes, SECRET.as_bytes()), None, "{}", path.display());
    }
}

/// What stands around a secret; none where it does not stand.
fn around(bytes: &[u8], secret: &[u8]) -> Option<String> {
    let at = bytes.windows(secret.len()).position(|window| window == secret)?;
    Some(String::from_utf8_lossy(&bytes[at.saturating_sub(80)..(at + 40).min(bytes.len())]).into_owned())
}

#[test]
fn a_load_writes_down_no_header_no_body_no_query_and_no_key() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let service = Service::start();
    let out = tmp.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let place = |name: &str| out.join(name).to_str().unwrap().to_owned();
    let url = format!("{}?token={SECRET}&n=1", service.url);
    let also = format!("{}?q={SECRET}=1", service.url);
    let answer = meshtax(&["load", &url, "--rate", "50", "--duration", "400ms", "--format", "json"])
        .args(["-H", &format!("Authorization: Bearer {SECRET}"), "-H", &format!("Cookie: a={SECRET}")])
        .args(["--method", "POST", "--body", SECRET, "--also", &also])
        .args(["--record", &place("record"), "--hlog", &place("x.hlog"), "--csv", &place("x.csv")])
        .args(["--fortio", &place("x.json"), "--open-metrics", &place("x.txt")])
        .env("MESHTAX_TOKEN", SECRET)
        .output()
        .unwrap();
    let said = String::from_utf8(answer.stdout).unwrap();
    assert!(answer.status.success(), "{said}\n{}", String::from_utf8_lossy(&answer.stderr));
    assert!(said.contains("token=REDACTED&n=1") && !said.contains(SECRET), "{said}");
    holds(&out, 7);

    let user = format!("http://me:{SECRET}@127.0.0.1:1/");
    let refused = call(&["load", &user, "--rate", "1"]);
    assert!(matches!(refused.code, Some(2 | 64)) && !refused.stderr.contains(SECRET), "{}", refused.stderr);
    assert!(refused.stderr.contains("REDACTED@127.0.0.1:1"), "{}", refused.stderr);
}

#[test]
fn a_run_writes_down_nothing_of_its_environment_and_of_yaml_only_what_it_used() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let mesh = tmp.path().join("mesh");
    std::fs::create_dir(&mesh).unwrap();
    let app = format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: shop, annotations: {{note: {SECRET}}}}}
spec:
  template:
    metadata:
      labels: {{app: shop}}
      annotations: {{'example.com/token': {SECRET}}}
    spec:
      containers: [{{name: shop, image: 'shop:1', env: [{{name: PASSWORD, value: {SECRET}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop}}
spec:
  hosts: [shop]
  http:
  - headers: {{request: {{set: {{x-plain: {SECRET}}}}}}}
    route: [{{destination: {{host: shop}}}}]
"
    );
    std::fs::write(mesh.join("app.yaml"), app).unwrap();
    let out = tmp.path().join("runs");
    let answer = meshtax(&["run", "--istio", mesh.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .args(["--istio-accept", "headers", "--dataplane", "none,embedded"])
        .args(["--services", "1", "--rate", "100", "--duration", "300ms", "--warm-up", "100ms", "--repeats", "1"])
        .args(["--cpu-limit", "none", "--cpu-request", "none", "--memory-limit", "none", "--access-log", "json"])
        .env("DATABASE_PASSWORD", SECRET)
        .env("MESHTAX_SECRET", SECRET)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&answer.stdout), String::from_utf8_lossy(&answer.stderr));
    assert!(answer.status.success(), "{said}");
    assert!(!said.contains(SECRET), "{said}");
    holds(&out, 15);
    let run = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim().lines().last().unwrap());
    assert!(json(&run.join("istio.json")).to_string().contains("REDACTED"));
}

/// An agent on loopback, ended with the test.
struct Agent {
    child: Child,
    /// What it says on its terminal.
    log: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Agent {
    /// Starts one; with its address and the code that it shows.
    fn start(state: &Path, log: PathBuf) -> (Self, String, String) {
        let file = std::fs::File::create(&log).unwrap();
        let mut command = meshtax(&["agent", "--listen", "127.0.0.1:0", "--state"]);
        let child = command.arg(state).stdout(Stdio::null()).stderr(file).spawn().unwrap();
        let agent = Self { child, log };
        let mut shown = Vec::new();
        within(Duration::from_secs(20), || {
            let said = std::fs::read_to_string(&agent.log).unwrap();
            let line = said.lines().find(|line| line.contains("meshtax hosts pair NAME")).unwrap_or_default();
            shown = line.split_whitespace().rev().take(2).map(str::to_owned).collect();
            if shown.len() == 2 { Ok(()) } else { Err(said) }
        });
        let [code, address] = <[String; 2]>::try_from(shown).unwrap();
        (agent, address, code)
    }
}

#[test]
fn a_run_on_another_host_writes_down_no_code_of_a_pairing_and_no_key_of_who_paired() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let place = |name: &str| tmp.path().join(name);
    // What an agent shows on its terminal is for who looks at it, and no file of a run.
    let terminal = tempfile::tempdir().unwrap();
    let (agent, address, code) = Agent::start(&place("agent"), terminal.path().join("log"));
    let runner = |args: &[&str]| {
        let mut command = meshtax(args);
        let answer = command.env("XDG_STATE_HOME", place("runner")).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&answer.stdout), String::from_utf8_lossy(&answer.stderr));
        assert!(answer.status.success(), "{said}");
        said
    };
    let mut said = runner(&["hosts", "pair", "here", &address, &code]);
    let hosts = place("hosts.toml");
    std::fs::write(&hosts, "[[host]]\nname = 'here'\nroles = ['load', 'services']\n").unwrap();
    let out = place("runs");
    let mut args = vec!["run", "--hosts", hosts.to_str().unwrap(), "--out", out.to_str().unwrap(), "--repeats", "1"];
    args.extend(["--dataplane", "embedded", "--mtls", "strict", "--services", "1", "--rate", "100"]);
    args.extend(["--duration", "500ms", "--warm-up", "100ms"]);
    said += &runner(&args);
    drop(agent);

    let found = files(tmp.path());
    let (keys, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|(path, _)| path.ends_with("key.pem"));
    assert_eq!(keys.len(), 2, "the agent's and the runner's: {keys:?}");
    assert!(others.len() >= 15, "{}", others.len());
    let letters = code.replace('-', "");
    let mut secrets: Vec<Vec<u8>> = vec![code.into_bytes(), letters.into_bytes()];
    for (path, pem) in &keys {
        let text = std::str::from_utf8(pem).unwrap();
        let body: Vec<&str> = text.lines().filter(|line| !line.starts_with("-----")).collect();
        assert!(text.contains("PRIVATE KEY") && body[0].len() == 64, "{}", path.display());
        // A line of it as text, and the number that is the key as bytes (RFC 5958, RFC 5915): what stands before names
        // the curve, and what follows is the public key, which certificates have too.
        let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body.concat()).unwrap();
        assert_eq!(der[31..36], [2, 1, 1, 4, 32], "version 1, then a string of 32 bytes");
        secrets.extend([body[1].as_bytes().to_vec(), der[36..68].to_vec()]);
    }
    for secret in &secrets {
        assert!(secret.len() >= 20, "{secret:?}");
        assert_eq!(around(said.as_bytes(), secret), None);
        for (path, bytes) in &others {
            assert_eq!(around(bytes, secret), None, "{}", path.display());
            assert!(!bytes.windows(11).any(|window| window == b"PRIVATE KEY"), "{}", path.display());
        }
    }
}
