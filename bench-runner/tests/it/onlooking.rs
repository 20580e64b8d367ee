//! Looking at the processes of a run while it runs: who they are, where they listen, and who may read their keys.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::program::{Answer, descendants, scratch_directories};

/// A process as it was when it was last seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Ids of user and group: in use, effective, saved, of the file system.
    pub(crate) ids: Vec<u32>,
    pub(crate) groups: Vec<u32>,
    /// All rights that it has or could pass on, none as zeros.
    pub(crate) rights: BTreeSet<String>,
    pub(crate) no_new_privileges: bool,
    /// What it leaves of its memory should it crash: "0" bytes, or more.
    pub(crate) core: String,
}

/// What was seen of a run.
#[derive(Debug, Default)]
pub(crate) struct Onlooking {
    /// By what it is ("service", "sidecar", "envoy") and its id; our own by their subcommand.
    pub(crate) processes: BTreeMap<(String, u32), Seen>,
    /// Where they listened, and were bound: "127.0.0.1:8080", as /proc/net has it.
    pub(crate) listening: BTreeSet<String>,
    /// Files with a private key: their mode, that of their directory, and whose both are.
    pub(crate) keys: BTreeMap<PathBuf, (u32, u32, u32, u32)>,
}

/// Runs a command to its end and looks at all that it starts.
pub(crate) fn look_on(command: &mut Command) -> (Onlooking, Answer) {
    // Where a shell lets nobody dump a core, all would be well without us.
    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    setrlimit(Resource::Core, Rlimit { current: maximum, maximum }).unwrap();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let runner = child.id();
    let ended = std::thread::spawn(move || Answer::from(child.wait_with_output().unwrap()));
    let mut seen = Onlooking::default();
    while !ended.is_finished() {
        seen.look(runner);
        std::thread::sleep(Duration::from_millis(20));
    }
    (seen, ended.join().unwrap())
}

impl Onlooking {
    /// Those of a kind.
    pub(crate) fn of(&self, what: &str) -> Vec<&Seen> {
        self.processes.iter().filter(|((kind, _), _)| kind == what).map(|(_, seen)| seen).collect()
    }

    fn look(&mut self, runner: u32) {
        let pids: Vec<u32> = std::iter::once(runner).chain(descendants(runner)).collect();
        for pid in &pids {
            if let Some((what, seen)) = process(*pid) {
                self.processes.insert((what, *pid), seen);
            }
        }
        self.listening.extend(bound(&pids));
        let ours = |path: &PathBuf| path.to_string_lossy().contains(&format!("-scratch-{runner}-"));
        for scratch in scratch_directories().into_iter().filter(ours) {
            self.keys.extend(keys(&scratch));
        }
    }
}

fn process(pid: u32) -> Option<(String, Seen)> {
    let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = cmdline.split(|b| *b == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let program = words.next()?;
    // nginx writes another title there.
    let title = program.split([' ', ':']).next()?;
    let name = Path::new(title).file_name()?.to_string_lossy().into_owned();
    let what = if name == "meshtax" { words.next()? } else { name };
    // Who is only asked for a version is asked by the runner before a run.
    let mut asked = words.clone().filter(|word| !word.is_empty());
    if asked.next().is_some_and(|word| matches!(word.as_str(), "-v" | "--version" | "--help")) && asked.next().is_none()
    {
        return None;
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect::<Vec<String>>()
    };
    let numbers = |name: &str| field(name).iter().map(|n| n.parse::<u32>().unwrap()).collect::<Vec<u32>>();
    let seen = Seen {
        ids: [numbers("Uid:"), numbers("Gid:")].concat(),
        groups: numbers("Groups:"),
        rights: ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"].into_iter().flat_map(field).collect(),
        no_new_privileges: field("NoNewPrivs:") == ["1"],
        core: std::fs::read_to_string(format!("/proc/{pid}/limits"))
            .ok()?
            .lines()
            .find_map(|line| line.strip_prefix("Max core file size")?.split_whitespace().next().map(str::to_owned))?,
    };
    // What is no program yet, or no process any more, says nothing of who it is.
    (what != "launch" && !seen.ids.is_empty()).then_some((what, seen))
}

/// The addresses of listening TCP sockets and of all UDP sockets of these processes in our own network.
fn bound(pids: &[u32]) -> BTreeSet<String> {
    let mut sockets = BTreeSet::new();
    for pid in pids {
        let Ok(fds) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        let targets = fds.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
        sockets
            .extend(targets.filter_map(|target| {
                Some(target.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned())
            }));
    }
    let mut found = BTreeSet::new();
    for (file, listens) in [("tcp", Some("0A")), ("tcp6", Some("0A")), ("udp", None), ("udp6", None)] {
        let text = std::fs::read_to_string(format!("/proc/net/{file}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if sockets.contains(fields[9]) && listens.is_none_or(|state| state == fields[3]) {
                found.insert(address(fields[1]));
            }
        }
    }
    found
}

/// "0100007F:1F90" as people write it: words of four bytes in the order of the host, which is little-endian.
fn address(hex: &str) -> String {
    let (host, port) = hex.split_once(':').unwrap();
    let port = u16::from_str_radix(port, 16).unwrap();
    let bytes: Vec<u8> = (0..host.len())
        .step_by(8)
        .flat_map(|at| u32::from_str_radix(&host[at..at + 8], 16).unwrap().to_ne_bytes())
        .collect();
    match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => format!("{}:{port}", std::net::Ipv4Addr::from(four)),
        Err(_) => format!("[{}]:{port}", std::net::Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).unwrap())),
    }
}

fn keys(scratch: &Path) -> BTreeMap<PathBuf, (u32, u32, u32, u32)> {
    let mut found = BTreeMap::new();
    let mut open = vec![scratch.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let holds = std::fs::read(&path).is_ok_and(|text| text.windows(11).any(|w| w == b"PRIVATE KEY"));
            // It may have gone meanwhile, as a deployment does.
            if let (true, Ok(file), Ok(inside)) = (holds, path.metadata(), folder.metadata()) {
                let mode = |of: &std::fs::Metadata| of.permissions().mode() & 0o7777;
                found.insert(path, (mode(&file), mode(&inside), file.uid(), inside.uid()));
            }
        }
    }
    found
}

#[test]
fn addresses_are_read_as_the_kernel_writes_them() {
    assert_eq!(address("0100007F:1F90"), "127.0.0.1:8080");
    assert_eq!(address("00000000:0016"), "0.0.0.0:22");
    assert_eq!(address("00000000000000000000000001000000:0050"), "[::1]:80");
    assert_eq!(address("00000000000000000000000000000000:0050"), "[::]:80");
}
