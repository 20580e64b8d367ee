//! Running the built program, and looking at what it leaves on the machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

#[path = "../../../scenarios/tests/it/programs.rs"]
mod programs;
#[allow(unused_imports)]
pub(crate) use programs::{copy_program, write_script};

/// How many runs that are not measured are made at once. They wait for their processes more than they work; with more of them what
/// is due in a trial comes late, and little time is won.
const SEATS: usize = 6;

/// So many that wait to be alone are let in, one after another, before others sit down again: each time the room is emptied for them
/// it stands empty for as long as the last one takes to leave.
const BATCH: usize = 4;

/// Who is at work, and who waits.
#[derive(Debug)]
struct Room {
    seats: usize,
    for_a_seat: usize,
    alone: bool,
    to_be_alone: usize,
    /// Nobody sits down until those who wait to be alone have been.
    emptied: bool,
}

static ROOM: Mutex<Room> = Mutex::new(Room { seats: 0, for_a_seat: 0, alone: false, to_be_alone: 0, emptied: false });
static LEFT: Condvar = Condvar::new();

fn room() -> MutexGuard<'static, Room> {
    ROOM.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The room to oneself.
#[derive(Debug)]
pub(crate) struct Alone(());

/// For a run whose figures are looked at, or that times what it does: two at once would measure one another.
pub(crate) fn alone() -> Alone {
    let mut room = room();
    room.to_be_alone += 1;
    room.emptied |= room.to_be_alone >= BATCH;
    let taken = |room: &mut Room| room.alone || room.seats > 0 || !room.emptied && room.for_a_seat > 0;
    let mut room = LEFT.wait_while(room, taken).unwrap_or_else(PoisonError::into_inner);
    room.to_be_alone -= 1;
    (room.alone, room.emptied) = (true, true);
    Alone(())
}

impl Drop for Alone {
    fn drop(&mut self) {
        let mut room = room();
        room.alone = false;
        room.emptied = room.to_be_alone > 0;
        LEFT.notify_all();
    }
}

/// One of the runs that are made at once.
#[derive(Debug)]
pub(crate) struct Seat(());

/// For a run of which it is asked what it proves, writes and leaves, and not how fast it was.
pub(crate) fn among_others() -> Seat {
    let mut room = room();
    room.for_a_seat += 1;
    let taken = |room: &mut Room| room.alone || room.emptied || room.seats == SEATS;
    let mut room = LEFT.wait_while(room, taken).unwrap_or_else(PoisonError::into_inner);
    room.for_a_seat -= 1;
    room.seats += 1;
    Seat(())
}

impl Drop for Seat {
    fn drop(&mut self) {
        room().seats -= 1;
        LEFT.notify_all();
    }
}

pub(crate) fn meshtax(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshtax"));
    command.args(args).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

/// What a call answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Answer {
    fn from(o: Output) -> Self {
        let text = |b: Vec<u8>| String::from_utf8_lossy(&b).into_owned();
        Self { code: o.status.code(), stdout: text(o.stdout), stderr: text(o.stderr) }
    }
}

impl Answer {
    /// The last line on stdout: the run directory.
    pub(crate) fn run_directory(&self) -> PathBuf {
        PathBuf::from(self.stdout.lines().last().unwrap_or_else(|| panic!("no stdout: {self:#?}")))
    }

    /// Exit code 0, or the whole answer as a panic.
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

pub(crate) fn call(args: &[&str]) -> Answer {
    meshtax(args).output().expect("the program starts").into()
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

/// Changes the plan of a run, as someone who knows of its sum would.
pub(crate) fn change_run(run: &Path, change: impl FnOnce(&mut Value)) {
    let path = run.join("run.json");
    let mut plan = json(&path);
    plan.as_object_mut().unwrap().remove("sum");
    change(&mut plan);
    std::fs::write(path, plan.to_string()).unwrap();
}

/// Whether a skipped test should fail; says so when it should not.
pub(crate) fn skip(why: &str, variable: &str) -> bool {
    assert!(std::env::var_os(variable).is_none_or(|v| v != "1"), "{why}, and {variable}=1");
    eprintln!("skipped: {why} (set {variable}=1 to fail)");
    true
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The processes, by pid, whose command line names this directory: those of a run that writes there.
pub(crate) fn processes_of(directory: &Path) -> Vec<String> {
    let needle = directory.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(cmdline) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let cmdline = String::from_utf8_lossy(&cmdline).replace('\0', " ");
        if cmdline.contains(&needle) {
            found.push(format!("{pid} {cmdline}"));
        }
    }
    found
}

/// Every process below a parent, however deep.
pub(crate) fn descendants(parent: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        if let Some(ppid) = after_name.split(' ').nth(1).and_then(|p| p.parse::<u32>().ok()) {
            parents.push((pid, ppid));
        }
    }
    let mut all = vec![parent];
    let mut at = 0;
    while at < all.len() {
        let of = all[at];
        all.extend(parents.iter().filter(|(_, ppid)| *ppid == of).map(|(pid, _)| *pid));
        at += 1;
    }
    all.split_off(1)
}

/// Whether a process is there and no zombie.
pub(crate) fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|s| !s.rsplit(") ").next().unwrap_or_default().starts_with('Z'))
}

/// The listening TCP ports of these processes.
pub(crate) fn listening_ports(pids: &[u32]) -> BTreeSet<u16> {
    let mut inodes = BTreeSet::new();
    for pid in pids {
        let Ok(fds) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for fd in fds.flatten() {
            if let Ok(target) = std::fs::read_link(fd.path())
                && let Some(inode) = target.to_string_lossy().strip_prefix("socket:[")
            {
                inodes.insert(inode.trim_end_matches(']').to_owned());
            }
        }
    }
    listeners().into_iter().filter(|(inode, _)| inodes.contains(inode)).map(|(_, port)| port).collect()
}

/// Every listening IPv4 socket: inode and port.
pub(crate) fn listeners() -> Vec<(String, u16)> {
    let text = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut found = Vec::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields.len() > 9 && fields[3] == "0A" {
            let port = fields[1].rsplit(':').next().and_then(|p| u16::from_str_radix(p, 16).ok()).unwrap();
            found.push((fields[9].to_owned(), port));
        }
    }
    found
}

/// Every cgroup directory of ours, in any hierarchy.
pub(crate) fn cgroups() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            if !entry.file_type().is_ok_and(|t| t.is_dir()) {
                continue;
            }
            if entry.file_name().to_string_lossy().starts_with("meshtax-") {
                found.push(entry.path());
            } else {
                folders.push(entry.path());
            }
        }
    }
    found
}

/// Every scratch directory of ours.
pub(crate) fn scratch_directories() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for parent in ["/dev/shm", "/tmp"] {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        let ours = entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with("meshtax-scratch-"));
        found.extend(ours.map(|e| e.path()));
    }
    found
}

/// The name of every network namespace of ours.
pub(crate) fn namespaces() -> Vec<PathBuf> {
    // Without a single one there is no such directory.
    let Ok(entries) = std::fs::read_dir("/run/netns") else { return Vec::new() };
    let ours = entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with("meshtax-"));
    ours.map(|e| e.path()).collect()
}

/// A program in a directory that says it is an Envoy, and then does something else. A compiled one, since a script is
/// refused: its process would not be Envoy's.
pub(crate) fn fake_envoy(directory: &Path, deeds: &str) -> PathBuf {
    let source = format!(
        r#"fn main() {{
            let asked = std::env::args().nth(1).unwrap_or_default();
            match asked.as_str() {{
                "--version" => println!("envoy  version: 0123456789abcdef0123456789abcdef01234567/1.40.0/Clean/RELEASE/BoringSSL"),
                "--help" => println!("--file-flush-min-size-kb"),
                _ => {{ {deeds} }}
            }}
        }}"#
    );
    let (from, envoy) = (directory.join("fake.rs"), directory.join("envoy"));
    std::fs::write(&from, source).unwrap();
    let built = Command::new("rustc").arg("-o").arg(&envoy).arg(&from).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    envoy
}

/// Looks until it holds; panics with what is said when it does not in time.
pub(crate) fn within(limit: Duration, mut holds: impl FnMut() -> Result<(), String>) {
    let end = Instant::now() + limit;
    loop {
        match holds() {
            Ok(()) => return,
            Err(why) if Instant::now() > end => panic!("after {limit:?}: {why}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// A mount that goes when dropped.
pub(crate) struct Mounted {
    path: PathBuf,
}

impl Mounted {
    pub(crate) fn tmpfs(path: &Path, size: &str) -> Self {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "meshtax-test"])
            .arg(path)
            .status()
            .unwrap();
        assert!(status.success());
        Self { path: path.to_owned() }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.path).status();
    }
}
