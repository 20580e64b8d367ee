//! `meshtax serve` as a browser and as an ill-meaning page meet it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::program::{among_others, call, meshtax, within};
use crate::run::keeps_to;

/// Longer than any page takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server of a folder.
struct Serving {
    child: Child,
    address: SocketAddr,
}

impl Serving {
    fn of(folder: &Path, more: &[&str]) -> Self {
        let mut command = meshtax(&["serve", folder.to_str().unwrap(), "--listen", "0"]);
        let mut child = command.args(more).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let (_, url) = line.trim_end().split_once(" is at http://").unwrap_or_else(|| panic!("{line}"));
        Self { child, address: url.trim_end_matches('/').parse().unwrap() }
    }

    /// The head in lower case, and the body.
    fn send(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer}"));
        (head.to_ascii_lowercase(), body.to_owned())
    }

    fn get(&self, path: &str) -> (String, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost:{}\r\n\r\n", self.address.port()))
    }

    fn json(&self, path: &str) -> Value {
        let (head, body) = self.get(path);
        assert!(head.contains("content-type: application/json"), "{head}\n{body}");
        serde_json::from_str(&body).unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A short run into a folder.
fn run_into(folder: &Path) -> PathBuf {
    let out = folder.to_str().unwrap();
    let options = ["--rate", "200", "--duration", "1s", "--warm-up", "0s", "--repeats", "2", "--label", "kept <b>"];
    call(&[&["run", "--dataplane", "none,embedded", "--out", out], &options[..]].concat()).done().run_directory()
}

fn name(run: &Path) -> String {
    run.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn it_lists_runs_and_hands_out_their_reports_and_nothing_else() {
    let _seat = among_others();
    let folder = tempfile::tempdir().unwrap();
    let run = run_into(folder.path());
    fs::write(folder.path().join("secret"), "secret").unwrap();
    let serving = Serving::of(folder.path(), &["--name", "runs.example.org"]);
    let (head, page) = serving.get("/");
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    for header in [
        "content-security-policy: default-src 'none'; script-src 'self';",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "frame-ancestors 'none'",
    ] {
        assert!(head.contains(header), "no {header} in:\n{head}");
    }
    assert!(page.contains(&name(&run)) && page.contains("kept &lt;b&gt;") && !page.contains("kept <b>"), "{page}");
    assert!(!page.contains("<script>") && !page.contains(" style="), "nothing that the policy forbids: {page}");

    let at = format!("/run/{}/", name(&run));
    let (head, report) = serving.get(&at);
    assert!(head.contains("sandbox allow-scripts") && head.contains("default-src 'none'"), "{head}");
    assert_eq!(report, fs::read_to_string(run.join("report.html")).unwrap(), "the kept one");
    // Without it, it is made, and not put into the directory.
    fs::remove_file(run.join("report.html")).unwrap();
    let (head, made) = serving.get(&at);
    assert!(head.starts_with("http/1.1 200 ") && made.contains("What it adds"), "{head}");
    assert_eq!(serving.get(&at).1, made);
    assert!(!run.join("report.html").exists());
    assert_eq!(serving.json(&format!("{at}findings.json"))["run"], name(&run));
    let live = serving.json(&format!("{at}live.json"));
    keeps_to("schemas/live.schema.json", &live);
    assert_eq!((&live["being_made"], &live["sealed"], &live["planned"]), (&json!(false), &json!(4), &json!(4)));
    assert_eq!(serving.json("/state.json"), json!({"schema": 1, "all": 1, "being_made": []}));

    for path in ["/secret", "/run/../secret", "/run/..%2fsecret/", "/run/secret/", &format!("{at}run.json"), "/run/x/"]
    {
        let (head, body) = serving.get(path);
        assert!(head.starts_with("http/1.1 404 ") && !body.contains("secret\n"), "{path}: {head}");
    }
    // A link in a run's place leads nowhere.
    let secret = folder.path().join("secret");
    std::os::unix::fs::symlink(&secret, run.join("report.html")).unwrap();
    let (head, body) = serving.get(&at);
    assert!(head.starts_with("http/1.1 500 ") && !body.contains("secret"), "{head}\n{body}");
}

#[test]
fn who_asks_by_a_name_that_others_own_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::of(folder.path(), &["--name", "runs.example.org"]);
    let ask = |method: &str, host: &str| serving.send(&format!("{method} / HTTP/1.1\r\n{host}\r\n")).0;
    for host in ["host: localhost\r\n", "host: 127.0.0.1:1\r\n", "host: [::1]\r\n", "host: runs.example.org:80\r\n"] {
        assert!(ask("GET", host).starts_with("http/1.1 200 "), "{host}");
    }
    for host in ["host: evil.example\r\n", "host: localhost.evil.example\r\n", "host: \r\n", "host: 8.8.8.8\r\n"] {
        let (head, body) = serving.send(&format!("GET / HTTP/1.1\r\n{host}\r\n"));
        assert!(head.starts_with("http/1.1 403 ") && body.contains("--name") && !body.contains("<"), "{host}: {head}");
    }
    assert!(ask("POST", "host: localhost\r\ncontent-length: 0\r\n").contains("allow: get, head"));
    let head = ask("HEAD", "host: localhost\r\n");
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    let (head, body) = serving.get("/compare?run=a&run=b");
    assert!(head.starts_with("http/1.1 400 ") && body.contains("Choose two or more"), "{head}");
}

#[test]
fn what_cannot_be_served_says_why() {
    let tmp = tempfile::tempdir().unwrap();
    let folder = tmp.path().to_str().unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let run = tmp.path().join("run");
    fs::create_dir(&run).unwrap();
    fs::write(run.join("run.json"), "{}").unwrap();
    let parent = format!("try: meshtax serve {folder}");
    for (args, code, words) in [
        (vec!["serve", run.to_str().unwrap()], 64, vec!["is a run", parent.as_str()]),
        (vec!["serve", "/nowhere/at all"], 2, vec!["/nowhere/at all", "try:"]),
        (vec!["serve", folder, "--listen", &port], 2, vec![port.as_str(), "try: --listen 0"]),
        (vec!["serve", folder, "--listen", "here"], 64, vec!["here", "IP:PORT"]),
        (vec!["serve", folder, "--listen", "0", "--name", "http://x"], 64, vec!["http://x", "try:"]),
    ] {
        let answer = call(&args);
        assert_eq!(answer.code, Some(code), "{args:?}: {answer:#?}");
        assert!(words.iter().all(|word| answer.stderr.contains(word)), "{args:?}: {answer:#?}");
    }
}

/// Copies a directory with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Tabs until an element of this kind has the focus.
fn tab_to(page: &mut crate::browser::Page<'_>, selector: &str) {
    for _ in 0..40 {
        page.press("Tab");
        if page.value(&format!("document.activeElement.matches({})", json!(selector))) == json!(true) {
            return;
        }
    }
    panic!("no Tab leads to {selector}");
}

#[test]
fn the_list_is_read_and_worked_by_keyboard() {
    let _seat = among_others();
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = run_into(folder.path());
    let findings = fs::read_to_string(run.join("findings.json")).unwrap();
    for (other, scenario) in [("other", "a sweep"), ("third", "</td><script>document.title='got'</script>")] {
        let at = folder.path().join(other);
        copy(&run, &at);
        crate::program::change_run(&at, |plan| plan["id"] = json!(other));
        let mut findings: Value = serde_json::from_str(&findings).unwrap();
        findings["scenario"] = json!(scenario);
        fs::write(at.join("findings.json"), findings.to_string()).unwrap();
    }
    let serving = Serving::of(folder.path(), &[]);
    let mut page = browser.open(&serving.url("/"));
    assert_eq!(page.count("#runs tbody tr"), 3);
    for scheme in ["light", "dark"] {
        page.look(scheme, "screen");
        assert!(page.picture(&format!("serve-list-{scheme}")) > 20_000);
        assert_eq!(page.faults(), Vec::<String>::new(), "{scheme}");
    }
    // What is typed filters at once, and by Enter without a script as well.
    tab_to(&mut page, "#words");
    page.write("sweep");
    page.until("document.querySelectorAll('#runs tbody tr:not([hidden])').length === 1");
    assert_eq!(page.text("#shown"), "1 of 3 runs");
    page.press("Enter");
    page.until("document.querySelectorAll('#runs tbody tr').length === 1 && location.search.includes('words=sweep')");
    // Two are chosen and compared.
    page.go(&serving.url("/"));
    assert_eq!(page.value("document.querySelector('#compare').disabled"), json!(true));
    tab_to(&mut page, "input[name=run]");
    page.press(" ");
    tab_to(&mut page, "input[name=run]");
    page.press(" ");
    assert_eq!(page.text("#chosen"), "2 chosen");
    page.click("#compare");
    page.until("location.pathname === '/compare' && document.querySelectorAll('figure svg').length >= 2");
    assert_eq!(page.faults(), Vec::<String>::new(), "side by side");
    assert_eq!(page.value("origin"), json!("null"), "a comparison shows what is in reports");
    page.picture("serve-compare");
    page.go(&serving.url("/?order=scenario&rising=1"));
    assert_eq!(page.value("document.querySelector('th[aria-sort=ascending]').textContent"), json!("scenario"));
    // Its report opens in a place of its own.
    page.go(&serving.url(&format!("/run/{}/", name(&run))));
    assert!(page.count("svg") >= 3);
    assert_eq!(page.value("origin"), json!("null"), "nothing in a report reads other runs");
    assert_eq!(page.complaints(), Vec::<String>::new());
    let outside = page.requests().into_iter().filter(|url| !url.starts_with(&serving.url("/")));
    assert_eq!(outside.collect::<Vec<_>>(), Vec::<String>::new());
    page.go_without_scripts(&serving.url("/?words=sweep"));
    assert_eq!(page.count("#runs tbody tr"), 1);
}

#[test]
fn a_run_is_followed_until_its_report_is_there() {
    let _seat = among_others();
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::of(folder.path(), &[]);
    let mut page = browser.open(&serving.url("/"));
    let out = folder.path().to_str().unwrap();
    let options = ["--rate", "200", "--duration", "4s", "--warm-up", "1s", "--repeats", "2", "--seed", "1"];
    let mut run = meshtax(&[&["run", "--dataplane", "none,embedded", "--out", out], &options[..]].concat());
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The list tells that there is one more, and the run's page how it goes.
    page.until("!document.querySelector('#changed').hidden");
    page.click("#changed a");
    page.until("document.querySelector('[data-live]')?.textContent === 'being made'");
    let mut state = Value::Null;
    within(PATIENCE, || {
        state = serving.json("/state.json");
        if state["being_made"].as_array().is_some_and(|all| !all.is_empty()) { Ok(()) } else { Err(state.to_string()) }
    });
    let address = state["being_made"][0]["address"].as_str().unwrap().to_owned();
    page.go(&serving.url(&format!("/run/{address}/")));
    page.until("/^Trial \\d of 4: .*, (warm-up|measure)$/.test(document.querySelector('#trial').textContent)");
    page.until("document.querySelectorAll('#course polyline').length === 3");
    page.until("Number(document.querySelector('#sofar [data-field=p99]').textContent) > 0");
    page.until("/^\\d+ %$/.test(document.querySelector('#busy').textContent) || /n\\/a/.test(document.querySelector('#busy').textContent)");
    for scheme in ["light", "dark"] {
        page.look(scheme, "screen");
        page.picture(&format!("serve-live-{scheme}"));
        assert_eq!(page.faults(), Vec::<String>::new(), "{scheme}");
    }
    let was = page.text("#course svg");
    page.until(&format!("document.querySelector('#course svg')?.textContent !== {}", json!(was)));
    keeps_to("schemas/live.schema.json", &serving.json(&format!("/run/{address}/live.json")));
    // It becomes the report by itself.
    assert!(run.wait().unwrap().success());
    page.until("document.querySelector('h1')?.textContent === 'meshtax: first-look'");
    assert_eq!(page.complaints(), Vec::<String>::new());
    assert_eq!(serving.json("/state.json")["being_made"], json!([]));
}
