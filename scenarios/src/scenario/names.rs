//! The names of cells: what varies among them.

use record::{Factors, LogSink, WorkerRule};

/// A factor of a cell in words.
struct Word {
    /// In an id.
    id: String,
    /// For people.
    label: String,
    /// Whether it means something in this cell: mesh factors do not without proxies.
    counts: bool,
}

impl Word {
    fn new(id: impl Into<String>, label: impl Into<String>) -> Self {
        Self { id: id.into(), label: label.into(), counts: true }
    }
}

/// Which factors take more than one value, so that a name can leave out the others.
pub(super) struct Names {
    varies: Vec<bool>,
}

/// The place of the first words in the list, which ids always begin with.
const ALWAYS: usize = 2;

/// The place of the CPU limit, which an id also has whenever there is one.
const LIMIT: usize = 2;

impl Names {
    pub(super) fn among<'a>(all: impl Iterator<Item = &'a Factors>) -> Self {
        let all: Vec<Vec<Word>> = all.map(words).collect();
        let count = all.first().map_or(0, Vec::len);
        let at = |k: usize| {
            let mut values = all.iter().filter_map(|words| words.get(k)).filter(|w| w.counts).map(|w| &w.id);
            values.next().is_some_and(|first| values.any(|value| value != first))
        };
        Self { varies: (0..count).map(at).collect() }
    }

    /// "chain3-envoy-500m": shape, dataplane and limit always, the others where they vary.
    pub(super) fn id(&self, f: &Factors) -> String {
        let wanted = |k: usize, word: &Word| match k {
            k if k < ALWAYS => true,
            LIMIT => f.cpu_limit.is_some(),
            _ => word.counts && self.varies(k),
        };
        let mut parts = self.chosen(f, wanted, |word| word.id);
        if f.twin > 0 {
            parts.push("again".to_owned());
        }
        parts.join("-")
    }

    /// "envoy, 500m": only what varies; the dataplane where nothing does.
    pub(super) fn label(&self, f: &Factors) -> String {
        let mut parts = self.chosen(f, |k, word| word.counts && self.varies(k), |word| word.label);
        if parts.is_empty() {
            parts.push(f.dataplane.to_string());
        }
        if f.twin > 0 {
            parts.push("again".to_owned());
        }
        parts.join(", ")
    }

    fn varies(&self, k: usize) -> bool {
        self.varies.get(k).copied().unwrap_or(false)
    }

    fn chosen(&self, f: &Factors, wanted: impl Fn(usize, &Word) -> bool, of: impl Fn(Word) -> String) -> Vec<String> {
        let words = words(f).into_iter().enumerate();
        words.filter(|(k, word)| wanted(*k, word)).map(|(_, word)| of(word)).filter(|text| !text.is_empty()).collect()
    }
}

/// All factors of a cell in words, always as many and in the same order.
fn words(f: &Factors) -> Vec<Word> {
    let mut all = vec![Word::new(f.chain.clone(), shape_label(f)), Word::new(f.dataplane.word(), f.dataplane.word())];
    all.extend(mesh_words(f).into_iter().map(|word| Word { counts: f.meshed(), ..word }));
    all.extend(load_words(f));
    all
}

fn shape_label(f: &Factors) -> String {
    match (f.chain.starts_with("chain"), f.services) {
        (true, 1) => "1 service".to_owned(),
        (true, services) => format!("{services} services"),
        (false, _) => f.chain.clone(),
    }
}

fn counted(n: u32, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

fn seconds(ns: u64) -> String {
    format!("{} s", ns as f64 / 1e9)
}

fn mesh_words(f: &Factors) -> Vec<Word> {
    let or = |value: Option<String>, nothing: &str| value.unwrap_or_else(|| nothing.to_owned());
    let limit = or(f.cpu_limit.map(|q| q.to_string()), "no limit");
    let request = or(f.cpu_request.map(|q| q.to_string()), "none");
    let memory = or(f.memory_limit.map(|q| q.to_string()), "none");
    let mtls = match f.mtls {
        record::Mtls::Strict => "mtls",
        record::Mtls::Permissive => "permissive",
        record::Mtls::Disable => "plaintext",
    };
    let port = or(f.port_mtls.map(|m| m.to_string()), "same");
    let rotate = if f.rotate_ns == 0 { "never".to_owned() } else { seconds(f.rotate_ns) };
    let scrape = if f.stats_scrape_ns == 0 { "never".to_owned() } else { seconds(f.stats_scrape_ns) };
    let log = if f.access_log_to == LogSink::Stdout { "stdout" } else { "file" };
    let rule = match f.worker_rule {
        WorkerRule::Fixed(_) => counted(f.workers, "worker"),
        rule => format!("{rule} rule ({})", counted(f.workers, "worker")),
    };
    let rule_id = match f.worker_rule {
        WorkerRule::Fixed(n) => format!("{n}workers"),
        rule => format!("{rule}workers"),
    };
    let canary = f.canary.as_ref();
    let weights = or(canary.map(|c| c.weights.to_string()), "none");
    let work = canary.map_or(0, |c| c.work_us);
    let errors = canary.map_or(0.0, |c| c.error_rate);
    vec![
        Word::new(limit.clone(), limit),
        Word::new(mtls, mtls),
        Word::new(format!("port-{port}"), format!("port {port}")),
        Word::new(format!("entry-{}", f.entry), format!("entry {}", f.entry)),
        Word::new(format!("{}-side", f.sidecars), format!("sidecars {}", f.sidecars)),
        Word::new(format!("port-{}", f.protocol), format!("protocol {}", f.protocol)),
        Word::new(format!("{}retries", f.retries), format!("{} retries", f.retries)),
        Word::new(
            format!("{}per-connection", f.requests_per_connection),
            match f.requests_per_connection {
                0 => "connections kept".to_owned(),
                n => format!("{n} requests a connection"),
            },
        ),
        Word::new(format!("rotate-{}", rotate.replace(' ', "")), format!("rotation {rotate}")),
        Word::new(format!("log-{}", f.access_log), format!("access log {}", f.access_log)),
        Word::new(format!("to-{log}"), format!("log to {log}")),
        Word::new(place_id(&f.access_log_dir), place_label(&f.access_log_dir)),
        Word::new(format!("flush{}ms", f.log_flush_ns / 1_000_000), format!("flush {}", seconds(f.log_flush_ns))),
        Word::new(format!("flush{}kb", f.log_flush_kb), format!("flush at {} KiB", f.log_flush_kb)),
        Word::new(format!("scrape-{}", scrape.replace(' ', "")), format!("scrape {scrape}")),
        Word::new(format!("request-{request}"), format!("request {request}")),
        Word::new(format!("memory-{memory}"), format!("memory {memory}")),
        Word::new(rule_id, rule),
        Word::new(weights.replace('=', "").replace(',', "-"), format!("canary {weights}")),
        Word::new(format!("canary{work}us"), format!("canary {work} µs")),
        Word::new(format!("canary-errors{errors}"), format!("canary errors {errors}")),
    ]
}

/// A directory in an id: its last name.
fn place_id(directory: &str) -> String {
    let last = directory.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let fit = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    if directory.is_empty() {
        "in-trial".to_owned()
    } else {
        format!("in-{}", last.chars().map(fit).collect::<String>())
    }
}

fn place_label(directory: &str) -> String {
    if directory.is_empty() { "log in the trial's directory".to_owned() } else { format!("log in {directory}") }
}

fn load_words(f: &Factors) -> Vec<Word> {
    let keepalive = if f.keepalive { "kept" } else { "a request" };
    vec![
        Word::new(format!("{}us", f.work_us), format!("{} µs work", f.work_us)),
        Word::new(format!("{}bytes", f.response_bytes), format!("{} bytes", f.response_bytes)),
        Word::new(format!("errors{}", f.error_rate), format!("errors {}", f.error_rate)),
        Word::new(format!("{}rps", f.rate_per_second), format!("{} requests/s", f.rate_per_second)),
        Word::new(format!("{}conns", f.connections), counted(f.connections, "connection")),
        Word::new(keepalive.replace(' ', "-"), format!("connections {keepalive}")),
        Word::new(f.arrival.word(), f.arrival.word()),
        Word::new(f.pace.word(), format!("{} pace", f.pace)),
        Word::new(f.neighbour.to_string().replace([':', '+'], "-"), format!("neighbour {}", f.neighbour)),
    ]
}
