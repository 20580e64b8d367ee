//! A line of the access log: Istio's default format, and the same fields as JSON.
//!
//! The fields and their order are those of `EnvoyTextLogFormat` and `EnvoyJSONLogFormatIstio` of Istio 1.32
//! (pilot/pkg/model/telemetry_logging.go).

use std::io::Write as _;
use std::net::SocketAddr;

use hyper::Version;
use hyper::header::HeaderValue;

use super::note::Note;

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

fn protocol(version: Version) -> &'static str {
    if version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" }
}

fn path(note: &Note) -> &str {
    note.path.path_and_query().map_or("/", |path| path.as_str())
}

/// Adds the text of a note.
pub(super) fn text(line: &mut Vec<u8>, note: &Note, date: &[u8]) {
    line.push(b'[');
    line.extend_from_slice(date);
    let (method, version) = (note.method.as_str(), protocol(note.version));
    // Writing into memory does not fail.
    let _ = write!(line, "] \"{method} {} {version}\" {} {} {} - ", path(note), note.status, note.flags, note.details);
    match &note.trouble {
        None => line.extend_from_slice(b"\"-\""),
        Some(trouble) => drop(write!(line, "\"{trouble}\"")),
    }
    let _ = write!(line, " {} {} {} ", note.received_bytes(), note.sent_bytes, note.lasted_ms());
    match note.waited_ns {
        None => line.extend_from_slice(NOTHING.as_bytes()),
        Some(ns) => drop(write!(line, "{}", ns / 1_000_000)),
    }
    for header in [&note.forwarded_for, &note.user_agent, &note.request_id, &note.authority] {
        line.extend_from_slice(b" \"");
        line.extend_from_slice(header.as_ref().map_or(NOTHING.as_bytes(), HeaderValue::as_bytes));
        line.push(b'"');
    }
    line.extend_from_slice(b" \"");
    address(line, note.host);
    line.extend_from_slice(b"\" ");
    line.extend_from_slice(note.cluster.as_deref().unwrap_or(NOTHING).as_bytes());
    for end in [note.local, note.ends.local, note.ends.remote] {
        line.push(b' ');
        address(line, end);
    }
    // No server's name is asked for between sidecars.
    line.extend_from_slice(b" - default\n");
}

fn address(line: &mut Vec<u8>, address: Option<SocketAddr>) {
    match address {
        None => line.extend_from_slice(NOTHING.as_bytes()),
        Some(address) => drop(write!(line, "{address}")),
    }
}

/// Adds the JSON of a note.
pub(super) fn json(line: &mut Vec<u8>, note: &Note, date: &[u8]) {
    line.extend_from_slice(b"{\"start_time\":\"");
    line.extend_from_slice(date);
    line.push(b'"');
    field(line, "method", Some(note.method.as_str().as_bytes()));
    field(line, "path", Some(path(note).as_bytes()));
    field(line, "protocol", Some(protocol(note.version).as_bytes()));
    number(line, "response_code", Some(u64::from(note.status)));
    field(line, "response_flags", Some(note.flags.as_bytes()));
    field(line, "response_code_details", Some(note.details.as_bytes()));
    field(line, "connection_termination_details", None);
    field(line, "upstream_transport_failure_reason", note.trouble.as_deref().map(str::as_bytes));
    number(line, "bytes_received", Some(note.received_bytes()));
    number(line, "bytes_sent", Some(note.sent_bytes));
    number(line, "duration", Some(note.lasted_ms()));
    number(line, "upstream_service_time", note.waited_ns.map(|ns| ns / 1_000_000));
    for (name, header) in [
        ("x_forwarded_for", &note.forwarded_for),
        ("user_agent", &note.user_agent),
        ("request_id", &note.request_id),
        ("authority", &note.authority),
    ] {
        field(line, name, header.as_ref().map(HeaderValue::as_bytes));
    }
    socket(line, "upstream_host", note.host);
    field(line, "upstream_cluster", note.cluster.as_deref().map(str::as_bytes));
    socket(line, "upstream_local_address", note.local);
    socket(line, "downstream_local_address", note.ends.local);
    socket(line, "downstream_remote_address", note.ends.remote);
    field(line, "requested_server_name", None);
    field(line, "route_name", Some(b"default"));
    line.extend_from_slice(b"}\n");
}

fn key(line: &mut Vec<u8>, name: &str) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
}

fn number(line: &mut Vec<u8>, name: &str, value: Option<u64>) {
    key(line, name);
    match value {
        None => line.extend_from_slice(b"null"),
        Some(value) => drop(write!(line, "{value}")),
    }
}

fn socket(line: &mut Vec<u8>, name: &str, value: Option<SocketAddr>) {
    key(line, name);
    match value {
        None => line.extend_from_slice(b"null"),
        Some(value) => drop(write!(line, "\"{value}\"")),
    }
}

fn field(line: &mut Vec<u8>, name: &str, value: Option<&[u8]>) {
    key(line, name);
    let Some(value) = value else { return line.extend_from_slice(b"null") };
    line.push(b'"');
    for byte in value {
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', *byte]),
            0x20..0x7f => line.push(*byte),
            // A header may hold any byte from 128 up, which need not be UTF-8.
            other => drop(write!(line, "\\u{other:04x}")),
        }
    }
    line.push(b'"');
}
