//! What all trials of a sitting share: this program's path, the cgroup tree, the private directory, the warden.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use record::{Cell, Factors, Warning, WarningKind};
use scenarios::launch::{Users, all_may_execute};
use scenarios::limits::{CgroupTree, Limits};
use scenarios::{DeploymentSpec, Shape};

use crate::programs::Programs;
use crate::scratch::{Scratch, sweep_stale};
use crate::trial::READY_TIMEOUT;
use crate::warden::Warden;

/// The shared things; dropping it removes them.
pub(crate) struct Lab {
    program: PathBuf,
    programs: Programs,
    scratch: Scratch,
    cgroups: Option<CgroupTree>,
    warden: Option<Warden>,
    users: Users,
    warnings: Vec<Warning>,
}

impl Lab {
    /// Sets up for a plan with these cells: with limits among them a cgroup must be had, without it is a note.
    pub(crate) fn open(cells: &[Cell], programs: Programs) -> anyhow::Result<Self> {
        Self::shared(cells, programs, &[])
    }

    /// The same where trials of other programs are made beside: its keys must be readable by all of them.
    pub(crate) fn shared(cells: &[Cell], programs: Programs, others: &[&Programs]) -> anyhow::Result<Self> {
        Self::named("run", cells, programs, others)
    }

    /// A second one in this process, for trials that are made while those of the first are.
    pub(crate) fn second(cells: &[Cell], programs: Programs) -> anyhow::Result<Self> {
        Self::named("second", cells, programs, &[])
    }

    fn named(tag: &str, cells: &[Cell], programs: Programs, others: &[&Programs]) -> anyhow::Result<Self> {
        if let Some(cell) = cells.iter().find(|c| c.factors.platform == record::Platform::Kubernetes) {
            let said = format!(
                "the cell {} is of a cluster, and nothing that is started on this host\n  try: meshtax k8s run",
                cell.id
            );
            return Err(crate::exit::Usage(said).into());
        }
        permitted(cells)?;
        let program = std::env::current_exe().context("cannot find the path of this program")?;
        // What a runner before us could not take away, since its warden was killed too.
        let _ = scenarios::limits::sweep_stale();
        let _ = scenarios::network::sweep_stale();
        let _ = sweep_stale();
        let mut warnings = Vec::new();
        let limits: Vec<Limits> =
            cells.iter().map(|c| Limits::of(&c.factors)).filter(|limits| *limits != Limits::default()).collect();
        // Memory is accounted for where it is to be limited and nowhere else: accounting is not free.
        let memory = limits.iter().any(|limits| limits.memory.is_some());
        let tree = if memory { CgroupTree::with_memory(tag) } else { CgroupTree::create(tag) };
        let cgroups = match tree {
            Ok(tree) => {
                limits.iter().try_for_each(|limits| tree.check(limits))?;
                Some(tree)
            }
            Err(error) if !limits.is_empty() => return Err(error.into()),
            Err(error) => {
                let why = error.to_string();
                let reason = why.lines().next().unwrap_or_default().to_owned();
                warnings.push(Warning::new(
                    WarningKind::NotPermitted,
                    format!("services and proxies have no cgroup of their own here: {reason}"),
                    "CPU use is read from each process instead; throttling needs a cgroup: run as root, or see `meshtax doctor`",
                ));
                None
            }
        };
        let envoys = std::iter::once(&programs).chain(others.iter().copied()).filter_map(|p| p.envoy.as_ref());
        let scratch = Scratch::create(envoys)?;
        let used = std::iter::once(&programs).chain(others.iter().copied());
        let users = users(&program, used, scratch.path(), &mut warnings);
        let roots = cgroups.as_ref().map(CgroupTree::roots).unwrap_or_default();
        let warden = Some(Warden::start(&program, roots, &scenarios::network::own_prefix()?, scratch.path())?);
        Ok(Self { program, programs, scratch, cgroups, warden, users, warnings })
    }

    /// This program.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// The proxies that the plan needs.
    pub(crate) fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The private directory for keys.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// As whom parts run.
    pub(crate) fn users(&self) -> Users {
        self.users
    }

    /// The cgroup tree, where it is permitted.
    pub(crate) fn cgroups(&self) -> Option<&CgroupTree> {
        self.cgroups.as_ref()
    }

    /// A chain on this machine's loopback or pods, of this program and these proxies.
    pub(crate) fn chain<'a>(
        &'a self,
        factors: &'a Factors,
        shape: &'a Shape,
        directory: &'a Path,
    ) -> DeploymentSpec<'a> {
        DeploymentSpec {
            factors,
            shape,
            program: self.program(),
            launcher: self.program(),
            users: self.users,
            envoy: self.programs.envoy.as_ref(),
            haproxy: self.programs.haproxy.as_ref(),
            nginx: self.programs.nginx.as_ref(),
            directory,
            scratch: self.scratch(),
            cgroups: self.cgroups(),
            ready_timeout: READY_TIMEOUT,
            entry_at: Ipv4Addr::LOCALHOST.into(),
            slice: None,
        }
    }

    /// Doubts about this machine that touch every trial.
    pub(crate) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

/// What every trial of these cells would fail for is said before there is a run directory.
fn permitted(cells: &[Cell]) -> anyhow::Result<()> {
    let on = |platform| cells.iter().any(|c| c.factors.platform == platform);
    if on(record::Platform::Pods) {
        scenarios::network::Network::permitted()?;
    }
    if on(record::Platform::Processes)
        && let Err(error) = loopback()
    {
        anyhow::bail!("127.0.0.1 cannot be used: {error}\n  try: bring the loopback interface up: ip link set lo up");
    }
    Ok(())
}

/// Whether a port of loopback can be bound and reached.
pub(crate) fn loopback() -> std::io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    TcpStream::connect(listener.local_addr()?).map(drop)
}

/// As whom parts run here; what cannot be is a warning.
fn users<'a>(
    program: &'a Path,
    programs: impl Iterator<Item = &'a Programs>,
    scratch: &Path,
    warnings: &mut Vec<Warning>,
) -> Users {
    let mut users = Users::here().unwrap_or_else(|why| {
        warnings.push(Warning::new(
            WarningKind::NotPermitted,
            format!("services, proxies and the load run as root, who may become nobody else here: {why}"),
            "figures are the same; run as a user who is not root where they need no limits and no pods",
        ));
        Users::default()
    });
    if users == Users::default() {
        return users;
    }
    if let Some(closed) = scratch.ancestors().skip(1).find(|above| !all_may_execute(above)) {
        users.proxy = None;
        warnings.push(Warning::new(
            WarningKind::NotPermitted,
            format!("proxies run as root: what they read lies below {}, where nobody else can go", closed.display()),
            "figures are the same; TMPDIR=/tmp, or a /dev/shm that may be written, gives them a user of their own",
        ));
    }
    let paths = std::iter::once(program).chain(programs.flat_map(Programs::paths));
    for path in paths.filter(|path| !all_may_execute(path)) {
        warnings.push(Warning::new(
            WarningKind::NotPermitted,
            format!("{} runs as root: its owner alone may execute it", path.display()),
            format!("figures are the same; chmod 755 {} gives it a user of its own", path.display()),
        ));
    }
    users
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.cgroups.take());
        if let Some(warden) = self.warden.take() {
            // It finds nothing left to do, as a rule.
            warden.dismiss();
        }
    }
}
