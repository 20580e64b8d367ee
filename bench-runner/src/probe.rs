//! `meshtax probe`: watches this machine, and writes what it reads, line by line.

mod gaps;
mod serve;
mod table;

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use node_probe::{Sampler, SensorConfig, Watch};
use record::{LineWriter, Sample};
use reports::probe_metrics::Facts;
use reports::samples_csv::Columns;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::exit::{Exit, Usage};

/// Shares made from the 10 ms ticks of /proc/stat mean nothing in windows shorter than this.
const TABLE_WINDOW: Duration = Duration::from_secs(1);

/// Arguments of `meshtax probe`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Time from one sample to the next.
    #[arg(long, default_value = "100ms", value_parser = crate::duration::parse)]
    every: Duration,
    /// A process to watch, as PID or NAME=PID; may be repeated. Processes of one name are one part's: their counters
    /// are summed.
    #[arg(long = "pid", value_name = "[NAME=]PID", value_parser = process)]
    processes: Vec<(String, u32)>,
    /// A cgroup's directory to watch, as PATH or NAME=PATH; may be repeated. Directories of one name are read as
    /// one group: on cgroup version 1 give its cpu and its cpuacct directory.
    #[arg(long = "cgroup", value_name = "[NAME=]PATH", value_parser = cgroup)]
    cgroups: Vec<(String, PathBuf)>,
    /// Watch the disk that this directory is on.
    #[arg(long, value_name = "DIR", default_value = ".")]
    disk_path: PathBuf,
    /// Stop after this time (otherwise at Ctrl-C).
    #[arg(long, value_parser = crate::duration::parse)]
    duration: Option<Duration>,
    /// How samples are written: jsonl (raw counters, with the reason where one is absent), csv (the same in
    /// columns, empty where absent) or table (rates over a second or more, for people). [default: table on a terminal, else jsonl]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Append the samples to this file as JSON lines, each handed to the kernel at once, and print `ready` once
    /// the first is there.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Count the time that short bursts of work lose, and how fast they are: 2 ms in every 100 ms, in a thread that
    /// gives way to every other. It sees less than `--gaps` does; its bias stands in the table.
    #[arg(long)]
    sensor: bool,
    #[command(flatten)]
    gaps: gaps::GapArgs,
    /// Answer scrapes of a Prometheus with what was read last, in OpenMetrics at /metrics of PORT or :PORT (on
    /// 127.0.0.1), or of IP:PORT; port 0 takes a free one. Samples then go to standard output only if --format says so.
    #[arg(long, value_name = "ADDR", value_parser = crate::listener::address)]
    serve: Option<SocketAddr>,
}

/// How samples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Jsonl,
    Csv,
    Table,
    /// With --gaps: for people.
    Text,
    /// With --gaps: for programs.
    Json,
}

/// Runs `meshtax probe`.
pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(length) = args.gaps.asked() {
        return gaps::execute(&args.gaps, length, args.gap_form()?, &Signals::listen()?.stop);
    }
    if matches!(args.format, Some(Format::Text | Format::Json)) {
        let problem = "--format text and json are those of --gaps\n  try: jsonl, csv or table";
        return Err(Usage(problem.to_owned()).into());
    }
    if args.every < Duration::from_millis(1) {
        let given = args.every.as_secs_f64() * 1e3;
        return Err(Usage(format!("--every {given} ms is too often\n  try: 1ms or more; 100ms is the default")).into());
    }
    if args.output.is_some() && args.format.is_some_and(|format| format != Format::Jsonl) {
        let problem = "--output writes JSON lines only\n  try: without --format, or with the shell's > for csv";
        return Err(Usage(problem.to_owned()).into());
    }
    let quiet = args.serve.is_some() && args.format.is_none();
    let mut exporter = args.serve.map(|address| serve::Exporter::bind(address, facts())).transpose()?;
    let signals = Signals::listen()?;
    raise_descriptor_limit();
    let watch = Watch {
        root: PathBuf::from("/"),
        processes: args.processes,
        cgroups: grouped(args.cgroups),
        disk_path: Some(args.disk_path),
        sensor: args.sensor.then(SensorConfig::default),
        ..Watch::default()
    };
    let mut sampler = Sampler::new(watch)?;
    let mut sink = Sink::open(args.output.as_deref(), args.format, quiet)?;
    let every = if matches!(sink, Sink::Table { .. }) { args.every.max(TABLE_WINDOW) } else { args.every };
    if let (Sink::Table { .. }, Some(duration)) = (&sink, args.duration)
        && duration < every
    {
        let (given, every) = (duration.as_secs_f64(), every.as_secs_f64());
        let said = format!(
            "--duration {given} s: a table's first figures take two samples, {every} s apart\n  try: --duration {every}s or more, or --format jsonl"
        );
        return Err(Usage(said).into());
    }
    // Half a round more, so that the sample at the very end is one of them.
    let end_ns = |d: Duration| record::monotonic_ns().saturating_add(nanoseconds(d + every / 2));
    let deadline_ns = args.duration.map(end_ns);
    let watched = node_probe::watch_until(&mut sampler, every, &signals.stop, deadline_ns, |sample| {
        exporter.as_mut().map_or(Ok(()), |exporter| exporter.take(sample))?;
        sink.take(sample)
    });
    match watched {
        // Whoever read our output has gone, as `head` does: nothing is left to do.
        Err(error) if reader_left(&error) => return Ok(Exit::Done.into()),
        other => other?,
    }
    // Into a file or for scrapes, an interrupted watch is as whole as any: its length was never promised.
    let cut = signals.interrupted.load(Ordering::Relaxed) && args.output.is_none() && !quiet;
    Ok(if cut { Exit::Cut } else { Exit::Done }.into())
}

impl Args {
    /// How the answer of --gaps is written.
    fn gap_form(&self) -> anyhow::Result<gaps::Form> {
        match self.format {
            None | Some(Format::Text) => Ok(gaps::Form::Text),
            Some(Format::Json) => Ok(gaps::Form::Json),
            Some(Format::Jsonl | Format::Csv | Format::Table) => {
                Err(Usage("--gaps makes one report and no samples\n  try: --format text or json".to_owned()).into())
            }
        }
    }
}

/// Flags that signals set.
struct Signals {
    stop: Arc<AtomicBool>,
    interrupted: Arc<AtomicBool>,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let signals = Self { stop: Arc::default(), interrupted: Arc::default() };
        let register = |signal, flag: &Arc<AtomicBool>| {
            signal_hook::flag::register(signal, Arc::clone(flag)).map(drop).context("cannot listen for signals")
        };
        register(SIGINT, &signals.interrupted)?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            register(signal, &signals.stop)?;
        }
        Ok(signals)
    }
}

/// Where samples go.
enum Sink {
    File { writer: LineWriter<Sample>, ready: bool },
    Json,
    Csv(Option<Columns>),
    Table { table: table::Table, redraw: bool },
    OnlyScraped,
}

impl Sink {
    fn open(output: Option<&Path>, format: Option<Format>, quiet: bool) -> anyhow::Result<Self> {
        if let Some(path) = output {
            return Ok(Self::File { writer: LineWriter::open(path)?, ready: false });
        }
        if quiet {
            return Ok(Self::OnlyScraped);
        }
        let terminal = io::stdout().is_terminal();
        Ok(match format.unwrap_or(if terminal { Format::Table } else { Format::Jsonl }) {
            Format::Jsonl => Self::Json,
            Format::Csv => Self::Csv(None),
            // The last two are refused above.
            Format::Table | Format::Text | Format::Json => {
                let host = node_probe::host(Path::new("/"), Path::new("."));
                let facts = table::Facts {
                    ticks_per_second: host.clock_ticks_per_second,
                    cpus: host.cpus_online.len() as u64,
                    steal_known: host.steal_known,
                };
                let table = table::Table::new(facts);
                Self::Table { table, redraw: terminal }
            }
        })
    }

    fn take(&mut self, sample: &Sample) -> anyhow::Result<()> {
        match self {
            Self::File { writer, ready } => {
                writer.append(sample)?;
                if !*ready {
                    *ready = true;
                    print("ready\n")?;
                }
                Ok(())
            }
            Self::OnlyScraped => Ok(()),
            Self::Json => print(&(serde_json::to_string(sample)? + "\n")),
            Self::Csv(columns) => {
                let mut text = String::new();
                let known = match columns.take() {
                    Some(known) => known,
                    None => {
                        let first = Columns::of(sample)?;
                        text += &first.header(&[])?;
                        first
                    }
                };
                text += &columns.insert(known).row(&[], sample)?;
                print(&text)
            }
            Self::Table { table, redraw } => {
                let Some(text) = table.next(sample) else { return Ok(()) };
                let clear = if *redraw { "\x1b[H\x1b[2J" } else { "" };
                print(&format!("{clear}{text}\n"))
            }
        }
    }
}

/// What the exported counters mean on this machine.
fn facts() -> Facts {
    let host = node_probe::host(Path::new("/"), Path::new("."));
    Facts { ticks_per_second: host.clock_ticks_per_second, steal_known: host.steal_known }
}

/// Prints and flushes: what reads a pipe wants each line when it is made.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")
}

fn reader_left(error: &anyhow::Error) -> bool {
    error.chain().any(|e| e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Every thread watched keeps a file open; the soft limit is often 1024 where the hard one allows many more.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Refused or not: the sampler says so when the limit is really hit.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// NAME=VALUE, or VALUE alone; a name has no slash, so that a path with '=' in it is a path.
fn named(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !name.contains('/') => (Some(name), value),
        _ => (None, text),
    }
}

fn process(text: &str) -> Result<(String, u32), String> {
    let (name, value) = named(text);
    match value.parse::<u32>() {
        Ok(pid) if pid > 0 => Ok((name.unwrap_or(value).to_owned(), pid)),
        _ => Err(format!("'{value}' is no process id; give a number, or NAME=NUMBER")),
    }
}

fn cgroup(text: &str) -> Result<(String, PathBuf), String> {
    let (name, value) = named(text);
    let is_cgroup =
        ["cpu.stat", "cpuacct.usage"].iter().any(|file| fs::exists(Path::new(value).join(file)).unwrap_or(false));
    if !is_cgroup {
        return Err(format!("{value} is no cgroup's directory with CPU counters; give one below /sys/fs/cgroup"));
    }
    Ok((name.unwrap_or(value).to_owned(), PathBuf::from(value)))
}

/// Directories of one name are one group's.
fn grouped(cgroups: Vec<(String, PathBuf)>) -> Vec<(String, Vec<PathBuf>)> {
    let mut groups: Vec<(String, Vec<PathBuf>)> = Vec::new();
    for (name, path) in cgroups {
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, paths)) => paths.push(path),
            None => groups.push((name, vec![path])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_named_by_their_number_unless_told() {
        assert_eq!(process("4711"), Ok(("4711".into(), 4711)));
        assert_eq!(process("s1-sidecar=4711"), Ok(("s1-sidecar".into(), 4711)));
        for bad in ["", "0", "s1", "s1=", "=x", "-4"] {
            assert!(process(bad).unwrap_err().contains("no process id"), "{bad}");
        }
    }

    #[test]
    fn directories_of_one_name_are_one_group() {
        let tree = tempfile::tempdir().unwrap();
        let make = |name: &str, file: &str| {
            let path = tree.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join(file), "").unwrap();
            path
        };
        let (cpu, account, other) =
            (make("cpu", "cpu.stat"), make("cpuacct", "cpuacct.usage"), make("a=b", "cpu.stat"));
        let parsed: Vec<_> =
            [format!("s1={}", cpu.display()), other.display().to_string(), format!("s1={}", account.display())]
                .iter()
                .map(|text| cgroup(text).unwrap())
                .collect();
        let other_name = other.display().to_string();
        assert_eq!(grouped(parsed), [("s1".to_owned(), vec![cpu, account]), (other_name, vec![other])]);
        assert!(cgroup(&tree.path().display().to_string()).unwrap_err().contains("/sys/fs/cgroup"));
    }
}
