//! `meshtax pod`: the part of a run that is inside of a pod; it starts what the pod is for, and answers the runner.
//!
//! The runner speaks to it by way of the API server's proxy for pods, or straight where it can. What it does is fixed by the
//! pod's own arguments: an order says when, and never what.

mod beside;
mod containers;
mod desk;
mod load;
mod names;
mod neighbour;
mod probe;
mod service;
pub(crate) mod words;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use scenarios::launch::{Launch, Launched};

use crate::exit::Exit;
use crate::interrupt::Interrupt;
use desk::{Answer, Desk, Order};
use words::Phase;

/// How often it is looked whether all goes well, when no order comes.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    role: Role,
}

#[derive(clap::Subcommand)]
enum Role {
    /// A service of the chain, and whom it calls.
    Service(service::Args),
    /// A load generator.
    Load(load::Args),
    /// The probe of a node.
    Probe(probe::Args),
    /// A noisy neighbour.
    Neighbour(neighbour::Args),
    /// Beside a proxy of a mesh, to answer for it.
    Beside(beside::Args),
}

/// Where it listens.
#[derive(clap::Args)]
struct Listening {
    /// The address at which everything here listens; all of them, if nothing is said.
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// The port at which the runner is answered.
    #[arg(long, default_value_t = scenarios::cluster::ATTEND_PORT)]
    attend: u16,
    /// Where what is recorded stays until the runner has it.
    #[arg(long, value_name = "DIR", default_value = "/work")]
    record: PathBuf,
}

impl Listening {
    /// All addresses of both families where the kernel has both, else of the one that there is.
    fn any(&self) -> IpAddr {
        let both = || TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
        self.address.unwrap_or_else(|| if both() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() })
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.any(), port)
    }

    /// Starts a part of this pod: this program with other arguments.
    fn start(&self, name: &str, args: Vec<String>) -> anyhow::Result<Launched> {
        let program = std::env::current_exe().context("cannot find the path of this program")?;
        let launch = Launch {
            name: name.to_owned(),
            program: program.clone(),
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cgroups: Vec::new(),
            netns: None,
            user: None,
            within: None,
            log: self.record.join(desk::LOG),
            stdout: None,
            pipe_stdin: true,
            pipe_stdout: true,
        };
        Ok(launch.spawn(&program)?)
    }
}

/// What a pod is for.
trait Attend {
    /// Its word in answers.
    fn role(&self) -> &'static str;

    /// Looks whether all goes well, and goes on with what is not done yet.
    ///
    /// # Errors
    /// What ends the pod's use.
    fn tick(&mut self) -> anyhow::Result<Phase>;

    /// Does what the runner orders.
    fn order(&mut self, path: &str, body: &[u8]) -> anyhow::Result<Answer>;
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    match args.role {
        Role::Service(args) => attend(&args.listening, service::Service::start(&args)?),
        Role::Load(args) => attend(&args.listening, load::Load::new(&args)?),
        Role::Probe(args) => attend(&args.listening, probe::Probe::new(&args)),
        Role::Neighbour(args) => attend(&args.listening, neighbour::Neighbour::start(&args)?),
        Role::Beside(args) => attend(&args.listening, beside::Beside),
    }
}

/// Answers until the runner, or the kubelet, has no more use for it.
fn attend(listening: &Listening, mut role: impl Attend) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    std::fs::create_dir_all(&listening.record)
        .with_context(|| format!("cannot create {}", listening.record.display()))?;
    let desk = Desk::open(listening.at(listening.attend), role.role(), &listening.record)?;
    let mut phase = Phase::Starting;
    while !interrupt.asked() {
        // What failed once stays so: the runner is to see it, and to end the pod.
        if !matches!(phase, Phase::Failed { .. }) {
            phase = role.tick().unwrap_or_else(|error| Phase::Failed { problem: crate::exit::say(&error) });
        }
        desk.show(&phase);
        let Some(Order { path, body, reply }) = desk.next(LOOK_EVERY) else { continue };
        if path == words::LEAVE {
            let _ = reply.send(Answer::done());
            // The answer is on its way before the thread that sends it ends with us.
            std::thread::sleep(Duration::from_millis(100));
            quit_sidecar();
            break;
        }
        let answer = role.order(&path, &body).unwrap_or_else(|error| Answer::refused(&crate::exit::say(&error)));
        let _ = reply.send(answer);
    }
    Ok(Exit::Done.into())
}

/// Istio's sidecar, where it is not a native one, would keep the pod of a Job alive for ever.
fn quit_sidecar() {
    let agent = SocketAddr::from((Ipv4Addr::LOCALHOST, words::ISTIO_AGENT));
    let _ = scenarios::http::ask(agent, "/quitquitquit", b"", Duration::from_secs(1));
}

/// The last lines of a part's log, behind a message.
fn with_log(message: String, record: &Path) -> anyhow::Error {
    let lines = scenarios::launch::log_tail(&record.join(desk::LOG), 8);
    let lines: String = lines.iter().map(|line| format!("\n    | {line}")).collect();
    anyhow::anyhow!("{message}{lines}")
}
