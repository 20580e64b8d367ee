//! The configuration of an nginx: what stands in the holes of its template.

use std::path::Path;

use minijinja::{Environment, UndefinedBehavior, Value, context};
use record::{AccessLog, Mtls};
use rustix::process::{Resource, getrlimit};

use super::super::listens::Listens;
use super::super::{Callee, Folders, Place, Stand, Subset};
use crate::certs::{IdentityFiles, dns_name};
use crate::network::PASSTHROUGH_SOURCE;
use crate::{Error, Result};

/// As many files as it is given at most, of those that are allowed: it makes a table of all its connections.
const MOST_FILES: u64 = 65_536;

/// More requests than any run sends over one connection: it takes no word for "without a bound".
const UNBOUNDED: u32 = 2_000_000_000;

/// Envoy's default text format, with nginx's names for what it knows (`[$time_iso8601] "METHOD PATH PROTOCOL" ...`).
const TEXT: &str = r#"[$time_iso8601] "$request" $status - "$upstream_status" $request_length $body_bytes_sent $request_time $upstream_response_time "$http_x_forwarded_for" "$http_user_agent" "$http_x_request_id" "$http_host" "$upstream_addr" $upstream_connect_time $server_addr:$server_port $remote_addr:$remote_port $ssl_server_name"#;

/// The same fields as JSON.
const JSON: &str = r#"{"start_time":"$time_iso8601","request":"$request","response_code":"$status","upstream_status":"$upstream_status","bytes_received":"$request_length","bytes_sent":"$body_bytes_sent","duration":"$request_time","upstream_service_time":"$upstream_response_time","x_forwarded_for":"$http_x_forwarded_for","user_agent":"$http_user_agent","request_id":"$http_x_request_id","authority":"$http_host","upstream_host":"$upstream_addr","upstream_connect_time":"$upstream_connect_time","downstream_local_address":"$server_addr:$server_port","downstream_remote_address":"$remote_addr:$remote_port","requested_server_name":"$ssl_server_name"}"#;

/// Where the first requests of connections are: in the private directory, as long as it runs.
pub(super) fn connections(place: &Place, directory: &Path) -> std::path::PathBuf {
    directory.join(format!("{}.connections.log", place.name))
}

/// What each subset gets: a part of a hundred, of which it knows hundredths. The last one gets what is left, and one
/// without a weight does not stand there.
fn shares(subsets: &[Subset]) -> Vec<(&Subset, String)> {
    let sum: u64 = subsets.iter().map(|subset| u64::from(subset.weight)).sum();
    let share = |subset: &Subset| {
        let hundredths = u64::from(subset.weight) * 10_000 / sum.max(1);
        format!("{}.{:02}%", hundredths / 100, hundredths % 100)
    };
    let mut all: Vec<_> = subsets.iter().filter(|s| s.weight > 0).map(|s| (s, share(s))).collect();
    if let Some((_, last)) = all.last_mut() {
        "*".clone_into(last);
    }
    all
}

/// Whether it can split by such weights: it knows hundredths of a percent.
pub(super) fn splits(weights: &[u32]) -> bool {
    let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    sum > 0 && weights.iter().all(|weight| (u64::from(*weight) * 10_000).is_multiple_of(sum))
}

/// The configuration file.
pub(super) fn render(place: &Place, listens: &Listens, folders: &Folders) -> Result<String> {
    let mut environment = Environment::new();
    // A hole that nobody filled must not become an empty value.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_keep_trailing_newline(true);
    environment.add_filter("quoted", |text: String| quoted(&text));
    let private = folders.private.clone();
    let name = place.name.clone();
    environment.add_function("directory", move |what: String| {
        private.join(format!("{name}.nginx.{what}")).display().to_string()
    });
    let files = |files: &IdentityFiles| {
        let path = |p: &Path| p.display().to_string();
        context! { chain => path(&files.chain), key => path(&files.key), ca => path(&files.ca) }
    };
    let values = context! {
        service => place.service,
        user => (rustix::process::geteuid().is_root() && folders.owner.is_none()).then_some("root"),
        workers => place.factors.workers,
        // A caller's and one onwards for each of the generator's; a service may call several at once.
        connections => 1024 + 16 * place.factors.connections,
        files => getrlimit(Resource::Nofile).maximum.map_or(MOST_FILES, |most| most.min(MOST_FILES)),
        first_requests => connections(place, &folders.private).display().to_string(),
        log => log(place),
        admin => listens.admin.to_string(),
        identity => place.identity.as_ref().map(files),
        door => place.door.as_ref().map(|door| files(&door.identity)),
        inbound => place.app.as_ref().map(|app| context! {
            listen => listens.inbound.map(|at| at.to_string()),
            strict => place.mode() == Mtls::Strict,
            app => app.address.to_string(),
            source => matches!(place.stand, Stand::Pod(_)).then(|| PASSTHROUGH_SOURCE.to_string()),
        }),
        outbound => listens.outbound.map(|at| at.to_string()),
        callees => callees(place, listens),
    };
    let problem = |e: minijinja::Error| Error::Config { part: place.name.clone(), problem: format!("{e:#}") };
    environment.add_template("nginx.conf", include_str!("../../../proxies/nginx.conf.j2")).map_err(problem)?;
    environment.get_template("nginx.conf").and_then(|t| t.render(values)).map_err(problem)
}

/// One word of its language, whatever is in it but a variable.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#))
}

fn log(place: &Place) -> Option<Value> {
    let factors = &place.factors;
    let (escape, format) = match factors.access_log {
        AccessLog::Off => return None,
        AccessLog::Text => ("default", TEXT),
        AccessLog::Json => ("json", JSON),
    };
    Some(context! {
        escape => escape,
        format => format,
        buffer_kb => factors.log_flush_kb,
        flush_ms => factors.log_flush_ns / 1_000_000,
    })
}

/// The name of the servers of a subset.
pub(super) fn upstream(callee: &Callee, subset: &Subset) -> String {
    match subset.name.as_str() {
        "" => format!("to_{}", callee.service),
        name => format!("to_{}_{name}", callee.service),
    }
}

fn callees(place: &Place, listens: &Listens) -> Vec<Value> {
    let door = place.door.as_ref().and(listens.inbound);
    let one = |(at, callee): (usize, &Callee)| {
        let upstream = |subset: &Subset| upstream(callee, subset);
        let parts = shares(&callee.subsets).into_iter();
        let parts: Vec<Value> = parts.map(|(of, share)| context! { share => share, name => upstream(of) }).collect();
        let split = (callee.subsets.len() > 1).then_some(parts);
        let only = callee.subsets.first().map(upstream).unwrap_or_default();
        let subsets = callee.subsets.iter().map(|s| context! { name => upstream(s), address => s.address.to_string() });
        context! {
            id => at,
            listen => door.or(listens.callees.get(at).copied()).map(|at| at.to_string()),
            host => callee.address.ip().to_string(),
            scheme => if callee.secured { "https" } else { "http" },
            known_as => callee.secured.then(|| dns_name(&callee.service)),
            target => if split.is_some() { format!("$subset_of_{at}") } else { only },
            split => split,
            subsets => subsets.collect::<Vec<_>>(),
            requests_per_connection => match place.factors.requests_per_connection {
                0 => UNBOUNDED,
                bound => bound,
            },
        }
    };
    place.callees.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subset(name: &str, weight: u32) -> Subset {
        Subset { name: name.to_owned(), weight, address: "127.0.0.1:9".parse().unwrap() }
    }

    #[test]
    fn shares_are_hundredths_of_a_percent() {
        let of = |weights: &[u32]| {
            let all: Vec<Subset> = weights.iter().enumerate().map(|(i, w)| subset(&format!("v{i}"), *w)).collect();
            shares(&all).into_iter().map(|(s, share)| format!("{} {share}", s.name)).collect::<Vec<_>>()
        };
        assert_eq!(of(&[90, 10]), ["v0 90.00%", "v1 *"]);
        assert_eq!(of(&[1, 100, 99]), ["v0 0.50%", "v1 50.00%", "v2 *"]);
        assert_eq!((of(&[1, 0]), of(&[0, 3])), (vec!["v0 *".to_owned()], vec!["v1 *".to_owned()]));
        assert!(splits(&[90, 10]) && splits(&[1, 199]) && splits(&[5, 0]));
        assert!(!splits(&[1, 2]) && !splits(&[0, 0]));
    }

    #[test]
    fn what_is_quoted_is_one_word() {
        assert_eq!(quoted(r#"it's "a" \b"#), r#""it's \"a\" \\b""#);
    }
}
