//! The access log of the built-in sidecar: a line for each request, in either form, in a file or on standard output.

use std::net::TcpListener;
use std::path::PathBuf;

use record::{AccessLog, Mtls};
use scenarios::proxy::embedded::{LogConfig, SidecarConfig};
use scenarios::service::ServiceConfig;

use crate::caller::Caller;
use crate::embedded::{callee, config, inbound, outbound};
use crate::part::{Sidecar, idle_service, service, sidecar};

const MS: u64 = 1_000_000;

fn log(form: AccessLog, file: Option<PathBuf>, flush_ms: u64, flush_kb: u32) -> Option<LogConfig> {
    Some(LogConfig { form, file, flush_ns: flush_ms * MS, flush_kb })
}

fn written(sidecar: &Sidecar, lines: u64) {
    let log = sidecar
        .stats_when(|s| s.access_log.as_ref().is_some_and(|l| l.lines == lines && l.bytes == l.written_bytes))
        .access_log
        .unwrap();
    assert_eq!((log.lines, log.written_bytes), (lines, log.bytes));
}

#[test]
fn a_line_of_text_has_istios_fields_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let app = service(ServiceConfig { response_bytes: 7, ..idle_service("s2") });
    let to = sidecar(SidecarConfig {
        inbound: inbound(app.listen, Mtls::Disable),
        access_log: log(AccessLog::Text, Some(file.clone()), 10, 64),
        ..config("s2-sidecar", None)
    });
    let mut caller = Caller::connect(to.at.inbound.unwrap());
    caller.say(
        b"POST /a?b HTTP/1.1\r\nhost: shop\r\nuser-agent: te st\r\nx-request-id: 42\r\nx-forwarded-for: 1.2.3.4\r\n\
          content-length: 5\r\n\r\nhello",
    );
    assert_eq!(caller.answer().status, 200);
    caller.say(b"POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(caller.answer().status, 200);
    written(&to, 2);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.len() as u64, to.stats().access_log.unwrap().bytes);
    let (one, two) = text.trim_end().split_once('\n').unwrap();
    let (date, rest) = one.strip_prefix('[').unwrap().split_once("] ").unwrap();
    assert!(date.len() == 24 && date.ends_with('Z'), "{date}");
    let (port, at) = (app.listen.port(), to.at.inbound.unwrap());
    let (begin, rest) = rest.split_at(rest.find(" 5 7 ").unwrap());
    assert_eq!(begin, "\"POST /a?b HTTP/1.1\" 200 - via_upstream - \"-\"");
    let words: Vec<&str> = rest.split_whitespace().collect();
    // duration and the upstream's time are what they are
    assert!(words[2].parse::<u64>().unwrap() >= words[3].parse::<u64>().unwrap(), "{words:?}");
    assert_eq!(words[4..9], ["\"1.2.3.4\"", "\"te", "st\"", "\"42\"", "\"shop\""]);
    assert_eq!(words[9..11], [format!("\"{}\"", app.listen), format!("inbound|{port}||")]);
    assert!(words[11].starts_with("127.0.0.1:") && words[13].starts_with("127.0.0.1:"), "{words:?}");
    assert_eq!([words[12], words[14], words[15]], [at.to_string().as_str(), "-", "default"]);
    assert!(two.contains("\"POST / HTTP/1.1\" 200 - via_upstream - \"-\" 3 7 "), "{two}");
}

#[test]
fn a_line_of_json_has_the_same_fields_by_name_and_says_why_there_was_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let down = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let from = sidecar(SidecarConfig {
        outbound: outbound(vec![callee("s2", down, None)]),
        access_log: log(AccessLog::Json, Some(file.clone()), 10, 64),
        ..config("s1-sidecar", None)
    });
    let mut caller = Caller::connect(from.at.outbound[0]);
    caller.say(b"GET /\"x\\ HTTP/1.1\r\nhost: test\r\nuser-agent: \"\\\xe9\r\n\r\n");
    assert_eq!(caller.answer().status, 503);
    written(&from, 1);
    let line: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let names: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names.len(), 24, "{names:?}");
    assert_eq!((&line["method"], &line["path"]), (&"GET".into(), &"/\"x\\".into()));
    assert_eq!((&line["response_code"], &line["response_flags"]), (&503.into(), &"UF".into()));
    assert_eq!(line["user_agent"], "\"\\\u{e9}");
    assert_eq!((&line["upstream_host"], &line["request_id"]), (&down.to_string().into(), &serde_json::Value::Null));
    assert_eq!(line["upstream_cluster"], format!("outbound|{}||s2", down.port()));
}

#[test]
fn lines_go_to_standard_output_when_they_are_due_and_not_before() {
    let app = service(idle_service("s2"));
    let mut to = sidecar(SidecarConfig {
        inbound: inbound(app.listen, Mtls::Disable),
        access_log: log(AccessLog::Json, None, 3_600_000, 1),
        workers: 1,
        ..config("s2-sidecar", None)
    });
    let mut caller = Caller::connect(to.at.inbound.unwrap());
    assert_eq!(caller.get("/1").status, 200);
    let stats = to.stats_when(|s| s.access_log.as_ref().unwrap().lines == 1).access_log.unwrap();
    assert_eq!((stats.lines, stats.written_bytes, stats.writes), (1, 0, 0));
    // Two lines and a half are a kibibyte, so that the third sends all three out.
    assert!([2, 3, 4, 5].iter().all(|n| caller.get(&format!("/{n}")).status == 200));
    for n in 1..=2 {
        let line: serde_json::Value = to.part.hear();
        assert_eq!(line["path"], format!("/{n}"));
    }
    let stats = to.stats_when(|s| s.access_log.as_ref().unwrap().lines == 5).access_log.unwrap();
    assert!(stats.writes >= 1 && stats.written_bytes < stats.bytes, "{stats:?}");
    // What is left goes out at the end.
    to.part.end();
    let mut last = String::new();
    for _ in 3..=5 {
        let line: serde_json::Value = to.part.hear();
        last = line["path"].as_str().unwrap().to_owned();
    }
    assert_eq!(last, "/5");
}

#[test]
fn a_caller_that_goes_away_is_said_too() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = sidecar(SidecarConfig {
        inbound: inbound(silent.local_addr().unwrap(), Mtls::Disable),
        access_log: log(AccessLog::Text, Some(file.clone()), 10, 64),
        ..config("s2-sidecar", None)
    });
    let mut caller = Caller::connect(to.at.inbound.unwrap());
    caller.say(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let _held = silent.accept().unwrap();
    drop(caller);
    written(&to, 1);
    let line = std::fs::read_to_string(&file).unwrap();
    assert!(line.contains("\"GET / HTTP/1.1\" 0 DC downstream_remote_disconnect "), "{line}");
}

#[test]
fn a_log_that_cannot_be_opened_is_an_error_that_names_it() {
    let config = SidecarConfig {
        inbound: inbound(crate::part::ANY, Mtls::Disable),
        access_log: log(AccessLog::Text, Some("/nowhere/access.log".into()), 10, 64),
        ..config("s2-sidecar", None)
    };
    let lifeline = scenarios::lifeline::Lifeline::new(std::io::empty(), std::io::sink());
    let said = scenarios::proxy::embedded::serve_on(config, lifeline).unwrap_err().to_string();
    assert!(said.contains("cannot open the access log /nowhere/access.log"), "{said}");
}
