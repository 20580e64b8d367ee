//! Hosts made of network namespaces, and the agents on them; both go with the test.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::program::{Answer, descendants, is_root, skip, within};

static MADE: AtomicU32 = AtomicU32::new(0);

/// Where every agent listens.
pub(crate) const PORT: u16 = 7464;

/// Whether hosts can be made here; says so when a test is skipped for it.
pub(crate) fn permitted() -> bool {
    is_root() || !skip("hosts made of network namespaces need root", "REQUIRE_ROOT")
}

fn ip(args: &[&str]) {
    let done = Command::new("ip").args(args).output().expect("iproute2");
    assert!(done.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A network of hosts; the first is the runner's.
pub(crate) struct Hosts {
    prefix: String,
    names: Vec<String>,
    pub(crate) folder: tempfile::TempDir,
}

impl Hosts {
    /// One with these hosts and a runner's own.
    pub(crate) fn new(names: &[&str]) -> Self {
        let prefix = format!("mtxt{}x{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let mut hosts = Self { prefix, names: Vec::new(), folder: tempfile::tempdir().unwrap() };
        let hub = hosts.namespace("hub");
        ip(&["netns", "add", &hub]);
        ip(&["-n", &hub, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &hub, "link", "set", "br0", "up"]);
        for name in std::iter::once("runner").chain(names.iter().copied()) {
            let own = hosts.namespace(name);
            hosts.names.push(name.to_owned());
            let port = format!("p{}", hosts.names.len());
            let address = format!("{}/24", hosts.address(name));
            ip(&["netns", "add", &own]);
            ip(&["-n", &hub, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &own]);
            ip(&["-n", &hub, "link", "set", &port, "master", "br0", "up"]);
            ip(&["-n", &own, "addr", "add", &address, "dev", "eth0"]);
            ip(&["-n", &own, "link", "set", "eth0", "up"]);
            ip(&["-n", &own, "link", "set", "lo", "up"]);
        }
        hosts
    }

    /// Packets that have come to a host from the network.
    pub(crate) fn packets_in(&self, name: &str) -> u64 {
        // /sys is of the namespace in which it was mounted; this is of the reader's own.
        let devices = self.on(name, &["cat", "/proc/self/net/dev"]).output().unwrap();
        let text = String::from_utf8(devices.stdout).unwrap();
        let line = text.lines().find_map(|l| l.trim().strip_prefix("eth0:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    fn number(&self, name: &str) -> usize {
        self.names.iter().position(|n| n == name).unwrap() + 1
    }

    pub(crate) fn address(&self, name: &str) -> Ipv4Addr {
        Ipv4Addr::new(10, 98, 0, u8::try_from(self.number(name)).unwrap())
    }

    /// Takes a host off the network, or puts it back.
    pub(crate) fn link(&self, name: &str, up: bool) {
        let port = format!("p{}", self.number(name));
        ip(&["-n", &self.namespace("hub"), "link", "set", &port, if up { "up" } else { "down" }]);
    }

    /// A command on a host: in its network, all else as here.
    pub(crate) fn on(&self, name: &str, program: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace(name))).args(program);
        command.stdin(Stdio::null()).env("NO_COLOR", "1").env("XDG_STATE_HOME", self.folder.path().join("state"));
        command
    }

    /// Calls meshtax on the runner's host.
    pub(crate) fn call(&self, args: &[&str]) -> Answer {
        let mut command = self.on("runner", &[env!("CARGO_BIN_EXE_meshtax")]);
        command.args(args).output().unwrap().into()
    }

    /// Starts meshtax on the runner's host.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        let out = std::fs::File::create(self.folder.path().join("stdout")).unwrap();
        let err = std::fs::File::create(self.folder.path().join("stderr")).unwrap();
        let mut command = self.on("runner", &[env!("CARGO_BIN_EXE_meshtax")]);
        command.args(args).stdout(out).stderr(err).spawn().unwrap()
    }

    /// What a started one has said.
    pub(crate) fn said(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        format!("{}{}", read("stdout"), read("stderr"))
    }

    /// Writes hosts.toml.
    pub(crate) fn file(&self, text: &str) -> String {
        let path = self.folder.path().join("hosts.toml");
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    pub(crate) fn out(&self) -> String {
        self.folder.path().join("runs").to_string_lossy().into_owned()
    }

    /// The run directories.
    pub(crate) fn runs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.out()).map(|all| all.flatten().collect::<Vec<_>>()).unwrap_or_default();
        let mut runs: Vec<PathBuf> = entries.into_iter().map(|e| e.path()).collect();
        runs.sort();
        runs
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in self.names.iter().map(String::as_str).chain(["hub"]) {
            let _ = Command::new("ip").args(["netns", "del", &self.namespace(name)]).output();
        }
    }
}

/// An agent on a host, paired with the runner.
pub(crate) struct Agent {
    child: Child,
    pub(crate) state: PathBuf,
    pub(crate) log: PathBuf,
}

impl Agent {
    /// Starts one whose monotonic clock is so many seconds ahead, and pairs with it.
    pub(crate) fn paired(hosts: &Hosts, name: &str, ahead_s: i64) -> Self {
        let agent = Self::start(hosts, name, ahead_s, None);
        agent.pair(hosts, name, &format!("{}:{PORT}", hosts.address(name)));
        agent
    }

    /// Pairs the runner with it at an address that leads there.
    pub(crate) fn pair(&self, hosts: &Hosts, name: &str, address: &str) {
        hosts.call(&["hosts", "pair", name, address, &self.code()]).done();
    }

    /// Starts one again after its host was: another start by its id, with a clock that begins anew.
    pub(crate) fn rebooted(hosts: &Hosts, name: &str, ahead_s: i64) -> Self {
        let id = hosts.folder.path().join(format!("{name}.boot_id"));
        std::fs::write(&id, "0b007000-0000-4000-8000-000000000001\n").unwrap();
        let script = format!("mount --bind {} /proc/sys/kernel/random/boot_id && exec \"$@\"", id.display());
        Self::started(hosts, name, ahead_s, &["unshare", "--mount", "sh", "-c", &script, "sh"])
    }

    /// Starts one on the state of this name; in a cgroup where one is named.
    pub(crate) fn start(hosts: &Hosts, name: &str, ahead_s: i64, cgroup: Option<&Path>) -> Self {
        let Some(group) = cgroup else { return Self::started(hosts, name, ahead_s, &[]) };
        let enter = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", group.display());
        Self::started(hosts, name, ahead_s, &["sh", "-c", &enter, "sh"])
    }

    /// Starts one that asks another clock for the time of day, and pairs with it.
    pub(crate) fn with_clock(hosts: &Hosts, name: &str, clock: &Clock) -> Self {
        let mut through = Command::new("env");
        clock.told_to(&mut through);
        let told = through.get_envs().map(|(key, value)| [key, value.unwrap()].map(|s| s.to_string_lossy()).join("="));
        let told: Vec<String> = std::iter::once("env".to_owned()).chain(told).collect();
        let agent = Self::started(hosts, name, 0, &told.iter().map(String::as_str).collect::<Vec<_>>());
        agent.pair(hosts, name, &format!("{}:{PORT}", hosts.address(name)));
        agent
    }

    fn started(hosts: &Hosts, name: &str, ahead_s: i64, through: &[&str]) -> Self {
        let (state, log) = (hosts.folder.path().join(name), hosts.folder.path().join(format!("{name}.log")));
        let listen = format!("{}:{PORT}", hosts.address(name));
        let ahead = ahead_s.to_string();
        let mut program = through.to_vec();
        if ahead_s != 0 {
            // Its children count from elsewhere; it is the child, and ends with its parent.
            program.extend(["unshare", "--time", "--monotonic", &ahead, "--fork", "--kill-child", "--"]);
        }
        program.push(env!("CARGO_BIN_EXE_meshtax"));
        let mut command = hosts.on(name, &program);
        command.args(["agent", "--listen", &listen, "--orphan-after", "6s", "--state"]).arg(&state);
        let file = std::fs::File::create(&log).unwrap();
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let agent = Self { child, state, log };
        within(Duration::from_secs(30), || {
            let said = agent.said();
            if said.contains("listening at") { Ok(()) } else { Err(format!("the agent says '{said}'")) }
        });
        agent
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The code that it shows.
    pub(crate) fn code(&self) -> String {
        let mut code = None;
        within(Duration::from_secs(10), || {
            let said = self.said();
            let line = said.lines().find(|l| l.contains("meshtax hosts pair NAME"));
            code = line.and_then(|l| l.split_whitespace().last()).map(str::to_owned);
            if code.is_some() { Ok(()) } else { Err(format!("no code in '{said}'")) }
        });
        code.unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as a power failure would: nothing is said, nothing is put in order.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::forget(self);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Where it counts from elsewhere it is a child of unshare(1), which ignores the signal and hands none on.
        for pid in std::iter::once(self.pid()).chain(descendants(self.pid())).filter(|pid| is_agent(*pid)) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while std::time::Instant::now() < end {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An agent itself, or what became or waits for one; none of its hands.
fn is_agent(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.split(|b| *b == 0).any(|word| word == b"agent"))
}
