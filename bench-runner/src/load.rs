//! `meshtax load`: makes a load on its own and says how it went.

mod consent;
mod live;
mod outputs;
mod rate;
mod requests;
mod search;
mod text;
mod unprivileged;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use load_gen::{Arrivals, Draw, Plan, Portion, Profile, Protocol, Trust};
use record::{Pace, Verdict};

use crate::duration;
use crate::exit::{Exit, Usage};
use crate::report::print;
use rate::Rate;

/// Load a URL at a set rate, and report what its users would have waited.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to load: http://host:port/path, or https://.
    #[arg(required_unless_present = "import_fortio", default_value = "")]
    url: String,
    /// Requests per second, in total: 500; 100..1000 for a ramp; 100x5s,200x5s for steps. They fall due whatever the
    /// target does. Or max: each connection asks again as soon as it is answered.
    #[arg(long, value_name = "N", value_parser = rate::rate, allow_negative_numbers = true,
          required_unless_present_any = ["replay", "find_max", "ladder", "import_fortio"])]
    rate: Option<Rate>,
    /// With --rate max: how long a connection rests before it asks again.
    #[arg(long, value_name = "TIME", value_parser = any_time)]
    think: Option<Duration>,
    /// Arrivals: constant is evenly spaced, poisson is independent of one another, burst:N is N at the same moment.
    #[arg(long, value_name = "HOW", default_value = "constant", value_parser = rate::draw)]
    arrival: Draw,
    /// Send at the moments in this CSV file instead.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rate", "arrival"])]
    replay: Option<PathBuf>,
    /// Connections, in total. All are open before the first request is due.
    #[arg(long, value_name = "C", default_value = "16", value_parser = connections, allow_negative_numbers = true)]
    connections: u32,
    /// HTTP/2: agreed on in TLS's handshake, or by prior knowledge.
    #[arg(long)]
    http2: bool,
    /// gRPC: call this method with the body as its message, such as my.Service/Method; echo and echo-stream are the
    /// ones that `meshtax service` answers.
    #[arg(long, value_name = "METHOD", value_parser = grpc_method)]
    grpc: Option<String>,
    /// With --http2 or --grpc: requests under way at a time on each connection.
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    streams: u32,
    /// Open a connection for each request, and close it after.
    #[arg(long, conflicts_with_all = ["http2", "grpc"])]
    no_keepalive: bool,
    /// How long to load and measure. Steps and a replay have a length of their own.
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    duration: Option<Duration>,
    /// How long to load before that without counting.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = any_time)]
    warm_up: Duration,
    #[command(flatten)]
    asked: requests::Asked,
    #[command(flatten)]
    tls: Tls,
    /// Connect to this socket in the file system instead of the URL's host.
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// How to wait for the next due time: precise takes a whole core, hybrid spins the last microseconds,
    /// economy only sleeps and sends together what falls due within --batch.
    #[arg(long, default_value = "hybrid")]
    pace: Pace,
    /// The window of the economy pace.
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = some_time)]
    batch: Duration,
    /// Threads that make the load together; the rate and the connections are still totals.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Pin to these CPUs, a thread to each.
    #[arg(long, value_name = "CPU,..", value_delimiter = ',')]
    cpus: Vec<u32>,
    /// The seed of poisson arrivals and of the mix: the same seed, the same requests at the same times.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How long a connection may take to open.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = some_time)]
    connect_timeout: Duration,
    /// How long a request may take from when it was sent.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = some_time)]
    request_timeout: Duration,
    /// How long to wait for late answers once nothing more falls due.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = any_time)]
    drain: Duration,
    /// Requests that may wait for a connection; with more, the oldest is given up as unsent.
    #[arg(long, value_name = "N", default_value_t = Plan::BACKLOG, value_parser = clap::value_parser!(u32).range(1..))]
    backlog: u32,
    /// Slow requests to keep whole of each tenth of a second.
    #[arg(long, value_name = "K", default_value_t = Plan::KEEP_SLOW)]
    keep_slow: u32,
    /// Split answers by the value of this response header: a pod, a version, a subset.
    #[arg(long, value_name = "HEADER")]
    split_by: Option<String>,
    /// How long to measure this machine's own noise over loopback before the load; 0 does not.
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = any_time)]
    noise_floor: Duration,
    /// Keep intervals.jsonl, slow.jsonl and load.json in this directory.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    #[command(flatten)]
    sought: search::Sought,
    #[command(flatten)]
    files: outputs::Files,
    /// Make no load: read a result of Fortio, and mark every quantile whose bucket is wider than --effect.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "rate", "replay"])]
    import_fortio: Option<PathBuf>,
    /// With --import-fortio: the effect that is to be seen.
    #[arg(long, value_name = "TIME", default_value = "100us", value_parser = some_time)]
    effect: Duration,
    /// Show no line on the terminal while the load runs.
    #[arg(long, short)]
    quiet: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Exit with 1 if the verdict is not valid.
    #[arg(long)]
    strict: bool,
    /// The target's owner agrees to this load: needed for an address of the internet, and for more than 1000 requests a
    /// second to any other machine than this one.
    #[arg(long)]
    i_am_allowed: bool,
    /// The number of this generator among several that make one load, and how many they are: 2/4 makes every fourth
    /// request of the plan, from the second on. The connections are this one's.
    #[arg(long, value_name = "K/N")]
    portion: Option<Portion>,
    /// Begin only when a line comes on stdin, "go", or "go" and when the plan begins (CLOCK_MONOTONIC, in nanoseconds): the runner starts the watching in between.
    #[arg(long, hide = true)]
    hold: bool,
    /// Become this user before the target is spoken to: how a runner that is root starts it.
    #[arg(long, hide = true, value_name = "UID")]
    as_user: Option<u32>,
}

/// What TLS is to prove.
#[derive(Debug, clap::Args)]
struct Tls {
    /// Trusted roots in PEM, instead of those of the system.
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    cacert: Option<PathBuf>,
    /// Our certificate chain in PEM.
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "TLS")]
    cert: Option<PathBuf>,
    /// The key of our certificate in PEM.
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "TLS")]
    key: Option<PathBuf>,
    /// The name to ask for and to verify, instead of the URL's host.
    #[arg(long, value_name = "NAME", help_heading = "TLS")]
    sni: Option<String>,
    /// The SPIFFE identity to verify instead of a name.
    #[arg(long, value_name = "ID", help_heading = "TLS")]
    spiffe: Option<String>,
    /// Verify nothing.
    #[arg(long, conflicts_with_all = ["cacert", "spiffe"], help_heading = "TLS")]
    insecure: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people.
    Text,
    /// One JSON document for scripts.
    Json,
}

fn connections(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("there must be at least 1 connection, and a whole number of them, such as 16".into()),
    }
}

/// The path of a gRPC method.
fn grpc_method(text: &str) -> Result<String, String> {
    match text {
        "echo" => Ok("/meshtax.Echo/Unary".into()),
        "echo-stream" => Ok("/meshtax.Echo/ServerStream".into()),
        _ => match text.trim_start_matches('/').split_once('/') {
            Some((service, method)) if !service.is_empty() && !method.is_empty() && !method.contains('/') => {
                Ok(format!("/{service}/{method}"))
            }
            _ => Err("it is a service and a method, such as my.Service/Method, or echo or echo-stream".into()),
        },
    }
}

fn any_time(text: &str) -> Result<Duration, String> {
    let length = duration::parse(text)?;
    if length > Duration::from_secs(30 * 24 * 3600) {
        return Err("it must be at most 30 days (720h)".into());
    }
    Ok(length)
}

fn some_time(text: &str) -> Result<Duration, String> {
    match any_time(text)? {
        Duration::ZERO => Err("it must be more than 0, such as 10s".into()),
        length => Ok(length),
    }
}

impl Args {
    /// # Errors
    /// When a file that is named cannot be read, or is not of its form.
    fn plan(&self) -> anyhow::Result<Plan> {
        let arrivals = self.arrivals()?;
        let duration = self.duration.or_else(|| arrivals.own_duration()).unwrap_or(Duration::from_secs(10));
        let usual = Plan::new(self.url.as_str(), 1.0, self.connections, duration);
        Ok(Plan {
            requests: self
                .asked
                .specs(&self.grpc.as_ref().map_or(self.url.clone(), |path| requests::at_path(&self.url, path)))?,
            protocol: self.protocol(),
            streams: self.streams,
            trust: self.tls.trust(),
            unix: self.unix.clone(),
            arrivals,
            portion: self.portion.unwrap_or(Portion::WHOLE),
            keep_alive: !self.no_keepalive,
            threads: self.threads.unwrap_or((self.cpus.len() as u32).max(1)),
            cpus: self.cpus.clone(),
            warm_up: self.warm_up,
            pace: self.pace,
            batch: self.batch,
            seed: self.seed,
            connect_timeout: self.connect_timeout,
            request_timeout: self.request_timeout,
            drain: self.drain,
            backlog: self.backlog,
            keep_slow: self.keep_slow,
            split_by: self.split_by.clone(),
            noise_floor: Some(self.noise_floor).filter(|length| !length.is_zero()),
            record_to: self.record.clone(),
            ..usual
        })
    }

    fn protocol(&self) -> Protocol {
        match (&self.grpc, self.http2) {
            (Some(_), _) => Protocol::Grpc,
            (None, true) => Protocol::Http2,
            (None, false) => Protocol::Http1,
        }
    }

    fn arrivals(&self) -> anyhow::Result<Arrivals> {
        if let Some(path) = &self.replay {
            return rate::replay(path);
        }
        match (&self.rate, self.think) {
            (Some(Rate::Max), think) => Ok(Arrivals::Closed { think: think.unwrap_or_default() }),
            (_, Some(_)) => {
                Err(Usage("--think goes with --rate max: at a set rate nothing waits for an answer".into()).into())
            }
            (Some(Rate::Profile(profile)), None) => Ok(Arrivals::Open { draw: self.arrival, profile: profile.clone() }),
            // A search has rates of its own; anything else the command line refuses.
            (None, None) if self.sought.any() => Ok(Arrivals::constant(1.0)),
            (None, None) => Ok(Arrivals::Open { draw: self.arrival, profile: Profile::Flat(0.0) }),
        }
    }
}

impl Tls {
    fn trust(&self) -> Trust {
        Trust {
            roots: self.cacert.clone(),
            own: self.cert.clone().zip(self.key.clone()),
            name: self.sni.clone(),
            spiffe: self.spiffe.clone(),
            insecure: self.insecure,
        }
    }
}

/// Makes the load and prints the result; a stop by Ctrl-C or SIGTERM drains, prints and exits 130.
pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot listen for signals")?;
    }
    if let Some(path) = &args.import_fortio {
        return import_fortio(path, &args);
    }
    let mut plan = args.plan()?;
    let highest = if args.sought.any() { args.sought.highest() } else { plan.arrivals.highest() };
    consent::ask(&plan, highest, args.i_am_allowed)?;
    allow_files(plan.connections);
    let kept = args.as_user.map(|user| unprivileged::become_user(user, &mut plan)).transpose()?.flatten();
    if args.sought.any() {
        return args.sought.execute(&plan, args.arrival, args.format, &stop);
    }
    if args.hold {
        // Whoever held us is gone, or has changed its mind, where there is no line.
        let Some(Ok(line)) = std::io::stdin().lines().next() else { return Ok(Exit::Cut.into()) };
        plan.start_at_ns = line.split_whitespace().nth(1).and_then(|at| at.parse().ok());
    }
    let live = live::Live::new(plan.warm_up + plan.duration, args.quiet || args.hold);
    let mut outputs = outputs::Outputs::open(&args.files, live)?;
    let watch: Option<load_gen::Watch<'_>> = Some(Box::new(|interval| outputs.see(interval)));
    let summary = match kept {
        Some(kept) => load_gen::kept(&plan, kept, &stop, watch),
        None => load_gen::watched(&plan, &stop, watch),
    };
    outputs.clear();
    let summary = summary?;
    let broken = args.sought.slo.as_ref().map(|slo| slo.broken_by(&summary)).unwrap_or_default();
    match args.format {
        Format::Text => print(&format!("{}{}", text::text(&summary), text::broken(args.sought.slo.as_ref(), &broken)))?,
        Format::Json => print(&serde_json::to_string(&summary)?)?,
    }
    outputs.finish(&summary)?;
    let failed = !broken.is_empty() || (args.strict && summary.verdict != Verdict::Valid);
    Ok(match (stop.load(Ordering::Relaxed), failed) {
        (true, _) => Exit::Cut,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Done,
    }
    .into())
}

/// Reads a result of Fortio, and says what it can tell.
fn import_fortio(path: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    use reports::load::fortio_import;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let imported = fortio_import::import(&text, path, args.effect.as_nanos() as u64)?;
    match args.format {
        Format::Text => print(&fortio_import::render(&imported))?,
        Format::Json => print(&serde_json::to_string(&imported)?)?,
    }
    Ok(Exit::Done.into())
}

/// Files open besides connections: the program's own.
const OTHER_FILES: u64 = 64;

/// Raises the limit of open files as far as it goes, where so many connections need it; a limit that is still too
/// low says so when a connection cannot be opened.
fn allow_files(connections: u32) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = u64::from(connections) + OTHER_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < wanted) {
        let raised = maximum.map_or(wanted, |maximum| maximum.min(wanted));
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum });
    }
}

#[cfg(test)]
#[path = "load/args_tests.rs"]
mod tests;
