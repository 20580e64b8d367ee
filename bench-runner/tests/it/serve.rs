//! The probe as a Prometheus meets it: scraped over a plain socket.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::program::{Answer, call, meshtax, within};

/// Longer than any answer takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// A probe that serves.
struct Probe {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    address: SocketAddr,
}

impl Probe {
    fn start(args: &[&str]) -> Self {
        let mut command = meshtax(&["probe", "--serve", "0"]);
        let mut child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("metrics are at http://").unwrap_or_else(|| panic!("{line}"));
        let address = url.strip_suffix("/metrics").unwrap().parse().unwrap();
        Self { child, stderr, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The head and the body of what is answered to these bytes.
    fn send(&self, request: &[u8]) -> (String, String) {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer}"));
        (head.to_ascii_lowercase(), body.to_owned())
    }

    fn ask(&self, method: &str, path: &str, headers: &str) -> (String, String) {
        self.send(format!("{method} {path} HTTP/1.1\r\nhost: probe\r\n{headers}\r\n").as_bytes())
    }

    fn metrics(&self) -> String {
        self.ask("GET", "/metrics", "").1
    }

    fn end(mut self, signal: &str) -> Answer {
        self.signal(signal);
        let code = self.child.wait().unwrap().code();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut stderr).unwrap();
        Answer { code, stdout, stderr }
    }

    fn signal(&self, signal: &str) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let signal = match signal {
            "INT" => rustix::process::Signal::INT,
            _ => rustix::process::Signal::TERM,
        };
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // Where a test has failed it still runs; after `end` it does not, and that is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of a series.
fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in:\n{page}")).parse().unwrap()
}

#[test]
fn a_scrape_is_open_metrics_and_counters_grow_until_it_is_ended() {
    let own = format!("test={}", std::process::id());
    let probe = Probe::start(&["--every", "50ms", "--pid", &own]);
    let (head, first) =
        probe.ask("GET", "/metrics", "accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n");
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(first.ends_with("\n# EOF\n") && first.matches("# EOF").count() == 1, "{first}");
    for series in [
        "meshtax_node_context_switches_total",
        "meshtax_node_probe_rounds_total",
        r#"meshtax_node_process_run_seconds_total{process="test"}"#,
    ] {
        let before = value(&first, series);
        // It grows by the probe's own rounds; when is up to the machine.
        within(PATIENCE, || {
            let now = value(&probe.metrics(), series);
            assert!(now >= before, "{series} went back from {before} to {now}");
            if now > before { Ok(()) } else { Err(format!("{series} still is {now}")) }
        });
    }
    let info = format!(r#"meshtax_node_process_info{{process="test",pid="{}","#, std::process::id());
    assert!(first.contains(&info), "no {info} in:\n{first}");
    assert!(value(&first, r#"meshtax_node_read_age_seconds{source="stat"}"#) < PATIENCE.as_secs_f64());
    let ended = probe.end("TERM");
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "", ""), "{ended:#?}");
}

#[test]
fn what_else_is_asked_for_is_answered_shortly() {
    let probe = Probe::start(&[]);
    let (head, body) = probe.ask("GET", "/metrics", "accept: text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(body.contains("# TYPE meshtax_node_forks_total counter\n") && !body.contains("# EOF"), "{body}");
    let (head, body) = probe.ask("HEAD", "/metrics", "");
    assert!(head.starts_with("http/1.1 200 ") && head.contains("openmetrics-text"), "{head}");
    assert_eq!(body, "", "a HEAD has no body");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    assert!(length.parse::<usize>().unwrap() > 1000, "{head}");
    let (head, body) = probe.ask("GET", "/", "");
    assert!(head.starts_with("http/1.1 200 ") && body.contains("/metrics"), "{head}\n{body}");
    let (head, body) = probe.ask("GET", "/metric", "");
    assert!(head.starts_with("http/1.1 404 ") && body.contains("/metrics"), "{head}\n{body}");
    let (head, _) = probe.ask("POST", "/metrics", "content-length: 0\r\n");
    assert!(head.starts_with("http/1.1 405 ") && head.contains("allow: get, head"), "{head}");
    let ended = probe.end("INT");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:#?}");
}

#[test]
fn clients_that_send_too_much_or_nothing_do_not_hold_it_up() {
    let probe = Probe::start(&[]);
    // More than all places: they say nothing, and are let go after a while.
    let silent: Vec<TcpStream> = (0..40).map(|_| probe.connect()).collect();
    let (head, _) = probe.ask("GET", "/metrics", "");
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    for mut stream in silent {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
    }
    let (head, _) = probe.ask("GET", "/metrics", &format!("x: {}\r\n", "x".repeat(15 << 10)));
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    // A head without an end: it is cut off, and nothing is kept of it.
    let mut stream = probe.connect();
    let endless = vec![b'x'; 64 << 10];
    let sent = (0..1024).map_while(|_| stream.write(&endless).ok()).sum::<usize>();
    assert!(sent < 1024 * endless.len(), "{sent} bytes of a head were taken");
    assert!(probe.metrics().ends_with("# EOF\n"), "it still answers");
    assert_eq!(probe.end("TERM").code, Some(0));
}

#[test]
fn samples_are_written_besides_where_they_are_asked_for() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("samples.jsonl");
    let probe = Probe::start(&["--every", "20ms", "--output", path.to_str().unwrap()]);
    let rounds = value(&probe.metrics(), "meshtax_node_probe_rounds_total");
    within(PATIENCE, || {
        let now = fs::read_to_string(&path).unwrap_or_default().lines().count();
        if now as f64 > rounds { Ok(()) } else { Err(format!("{now} samples")) }
    });
    let ended = probe.end("INT");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "ready\n"), "{ended:#?}");
    // Cut off on standard output as without a server.
    let probe = Probe::start(&["--every", "20ms", "--format", "jsonl"]);
    probe.metrics();
    let ended = probe.end("INT");
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    let round: serde_json::Value = serde_json::from_str(ended.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(round["round"], 0);
}

#[test]
fn it_ends_by_itself_after_a_duration() {
    let answer = call(&["probe", "--serve", "127.0.0.1:0", "--every", "50ms", "--duration", "100ms"]).done();
    assert!(answer.stderr.starts_with("metrics are at http://127.0.0.1:"), "{answer:#?}");
}

#[test]
fn an_address_that_cannot_be_had_is_an_error_with_a_way_out() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let answer = call(&["probe", "--serve", &port, "--duration", "100ms"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "{answer:#?}");
    for word in [format!("127.0.0.1:{port}"), "in use".to_owned(), "try: --serve 0".to_owned()] {
        assert!(answer.stderr.contains(&word), "'{word}' is missing: {answer:#?}");
    }
    for bad in ["localhost:9464", "99999", "here"] {
        let answer = call(&["probe", "--serve", bad]);
        assert_eq!(answer.code, Some(64), "{answer:#?}");
        assert!(answer.stderr.contains(bad) && answer.stderr.contains("IP:PORT"), "{answer:#?}");
    }
}
