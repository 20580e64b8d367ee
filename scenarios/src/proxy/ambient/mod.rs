//! The node proxy built into meshtax: one process for all services of the node, which carries the bytes of their
//! connections through HTTP/2 CONNECT streams over mTLS, as ztunnel does in Istio's ambient mode.
//!
//! It holds the identities of all workloads. A program's connection is taken in its own pod; a stream for it is opened
//! in a tunnel from the caller's pod to the callee's, with the caller's certificate on one end and the callee's on the
//! other; at the other end the stream becomes a connection to the program. Both ends are this process when both
//! services are on the node, and the tunnel is made all the same, as ztunnel makes it.
//!
//! In pods it runs outside of them, in the network namespace of the runner, where it does nothing but answer on its
//! admin port: each workload's sockets are made inside that workload's pod (see `inside`), as ztunnel makes them.
//!
//! Its workers are one work-stealing runtime with shared pools, unlike the sidecar's: ztunnel's are, and what a shared
//! tunnel costs where two workers meet in it is part of what is measured.

mod admin;
mod config;
mod inbound;
mod inside;
mod outbound;
mod pool;
mod prometheus;
mod splice;
mod stats;
mod tls;
mod windows;
mod workload;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

pub use self::config::{InboundConfig, NodeProxyConfig, OutboundConfig, WorkloadConfig};
pub use self::stats::{InboundStats, OutboundStats, Stats, WorkloadStats};
use self::workload::{Door, Listener, Mesh};
use crate::lifeline::{Held, Lifeline};
use crate::{Error, Result, ports, workers};

/// What a worker thread's name begins with, as Envoy's does; a digit follows. No other thread's name does.
const WORKER_PREFIX: &str = "wrk";

/// How long workers may take to end what they are at.
const GRACE: Duration = Duration::from_millis(500);

/// The line on standard input after which identities are read anew.
pub(crate) const RENEW: &str = "renew";

/// The line a node proxy says once it listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// Where.
    pub ready: Listening,
}

/// Where a node proxy listens: the addresses the kernel chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listening {
    /// For `GET /ready` and `GET /stats`.
    pub admin: SocketAddr,
    /// By the names of workloads.
    pub workloads: BTreeMap<String, Places>,
}

impl Default for Listening {
    fn default() -> Self {
        Self { admin: SocketAddr::from(([0, 0, 0, 0], 0)), workloads: BTreeMap::new() }
    }
}

/// Where it listens for one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// For tunnels to it.
    pub tunnel: Option<SocketAddr>,
    /// For callers of it that are not in the mesh.
    pub clear: Option<SocketAddr>,
    /// For what it sends, where that is redirected.
    pub captured: Option<SocketAddr>,
    /// For its calls where they are not, by the names of callees.
    pub outbound: BTreeMap<String, SocketAddr>,
}

/// The line a node proxy says once it was told to read its identities anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It has, for so many workloads.
    Renewed(usize),
    /// It could not, and goes on with what it has.
    Error(String),
}

/// Serves until standard input ends or SIGTERM comes.
///
/// To be called on the main thread before any other is started, where its configuration names a user.
///
/// # Errors
/// A configuration that does not hold together; a user that it may not become; keys that cannot be read; a port that
/// cannot be listened on.
pub fn serve(config: NodeProxyConfig) -> Result<()> {
    serve_on(config, Lifeline::standard())
}

/// Serves until the lifeline's input ends.
///
/// # Errors
/// As [`serve`].
pub fn serve_on(config: NodeProxyConfig, lifeline: Lifeline) -> Result<()> {
    config.check()?;
    ports::raise_open_files();
    if let Some(user) = config.user {
        inside::become_user(&config.name, user)?;
    }
    let runtime = runtime_of_workers(&config)?;
    let thread = |what: &str, source| Error::Thread { part: config.name.clone(), what: what.into(), source };
    let attending = workers::runtime().map_err(|e| thread("cannot make a runtime", e))?;
    // Before any pod is entered: the admin port is that of the process.
    let (admin, admin_at) = {
        let _inside = attending.enter();
        ports::listen(&config.name, config.admin)?
    };
    // On a thread of its own, which ends in the pod it entered last.
    let opened = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("listen".into()).spawn_scoped(scope, || {
            let _inside = runtime.enter();
            Mesh::open(&config)
        });
        thread.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let (mesh, listeners, listening) = opened.map_err(|e| thread("cannot start the thread that listens", e))??;
    let mesh = Arc::new(mesh);
    for listener in listeners {
        let mesh = Arc::clone(&mesh);
        runtime.spawn(async move {
            let Err(error) = take(Arc::clone(&mesh), listener).await else { return };
            mesh.complaints.write(format_args!("cannot listen: {error}"));
        });
    }
    let ready = Ready { ready: Listening { admin: admin_at, ..listening } };
    attending.block_on(attend(&config, lifeline, admin, mesh, &ready))?;
    runtime.shutdown_timeout(GRACE);
    Ok(())
}

fn runtime_of_workers(config: &NodeProxyConfig) -> Result<Runtime> {
    let count = AtomicUsize::new(0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.workers as usize)
        // Nothing here blocks, so that all threads of this runtime are workers.
        .thread_name_fn(move || format!("{WORKER_PREFIX}:{}", count.fetch_add(1, Relaxed)))
        .enable_all()
        .build();
    runtime.map_err(|source| Error::Thread { part: config.name.clone(), what: "cannot start workers".into(), source })
}

/// Takes connections of one listener, each in a task of its own.
async fn take(mesh: Arc<Mesh>, listener: Listener) -> std::io::Result<()> {
    let Listener { workload, door, socket } = listener;
    let listener = TcpListener::from_std(socket)?;
    let serve = |stream: TcpStream| {
        let mesh = Arc::clone(&mesh);
        match door {
            Door::Tunnel => tokio::spawn(inbound::tunnel(mesh, workload, stream)),
            Door::Clear => tokio::spawn(inbound::clear(mesh, workload, stream)),
            Door::Captured => tokio::spawn(outbound::captured(mesh, workload, stream)),
            Door::Call(call) => tokio::spawn(outbound::call(mesh, workload, call, stream)),
        };
        true
    };
    ports::accept(listener, &mesh.complaints, serve).await;
    Ok(())
}

/// The main thread's part: it answers on the admin port, does what it is told and waits for the end.
async fn attend(
    config: &NodeProxyConfig,
    lifeline: Lifeline,
    admin: TcpListener,
    mesh: Arc<Mesh>,
    ready: &Ready,
) -> Result<()> {
    let mut held = lifeline.hold(&config.name)?;
    held.say(ready);
    tokio::select! {
        () = admin::answer(admin, Arc::clone(&mesh), config.workers) => {}
        () = obey(&mut held, &mesh) => {}
    }
    Ok(())
}

/// Does what it is told until it is time to end.
async fn obey(held: &mut Held, mesh: &Mesh) {
    while let Some(line) = held.line().await {
        let reply = match line.trim() {
            RENEW => mesh
                .renew()
                .map_or_else(|error| Reply::Error(error.to_string()), |()| Reply::Renewed(mesh.workloads.len())),
            other => Reply::Error(format!("'{other}' is nothing it can be told: try {RENEW}")),
        };
        held.say(&reply);
    }
}
