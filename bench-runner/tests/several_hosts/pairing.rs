//! What an agent says to whom, and what it takes of memory meanwhile; the program itself, on loopback.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::program::{call, meshtax, within};

struct Agent {
    child: Child,
    log: std::path::PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Agent {
    fn start(folder: &std::path::Path) -> Self {
        let log = folder.join("agent.log");
        let file = std::fs::File::create(&log).unwrap();
        let mut command: Command = meshtax(&["agent", "--listen", "127.0.0.1:0", "--state"]);
        let child = command.arg(folder.join("agent")).stdout(Stdio::null()).stderr(file).spawn().unwrap();
        let agent = Self { child, log };
        within(Duration::from_secs(20), || match agent.said().contains("meshtax hosts pair NAME") {
            true => Ok(()),
            false => Err(agent.said()),
        });
        agent
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its address and its code.
    fn shown(&self) -> (String, String) {
        let said = self.said();
        let line = said.lines().find(|l| l.contains("hosts pair NAME")).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[words.len() - 2].to_owned(), words[words.len() - 1].to_owned())
    }

    fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

#[test]
fn a_code_pairs_once_and_is_refused_when_it_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start(folder.path());
    let (address, code) = agent.shown();
    let state = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (mine, other) = (state("mine"), state("other"));
    call(&["hosts", "--state", &mine, "pair", "a", &address, &code]).done();
    let listed = call(&["hosts", "--state", &mine, "list"]).done();
    assert!(listed.stdout.starts_with(&format!("a  {address}  ")), "{listed:?}");
    for again in [&mine, &other] {
        let replayed = call(&["hosts", "--state", again, "pair", "b", &address, &code]);
        assert_eq!(replayed.code, Some(2), "{replayed:?}");
        assert!(replayed.stderr.contains("did not pair") && replayed.stderr.contains("try: meshtax agent --pair"));
    }
    let short = call(&["hosts", "--state", &mine, "pair", "b", &address, "abc"]);
    assert_eq!((short.code, short.stderr.contains("it has 3 letters")), (Some(64), true), "{short:?}");
    call(&["hosts", "--state", &mine, "forget", "a"]).done();
    assert_eq!(call(&["hosts", "--state", &mine, "forget", "a"]).code, Some(64));
}

#[test]
fn floods_of_strangers_neither_crash_nor_grow_it() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start(folder.path());
    let (address, code) = agent.shown();
    let mut noise = 88_172_645_463_325_252_u64;
    let mut flood = |rounds: u32| {
        for _ in 0..rounds {
            let Ok(mut socket) = TcpStream::connect(&address) else { continue };
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            let bytes: Vec<u8> = (0..(noise % 20_000)).map(|i| (noise >> (i % 57)) as u8).collect();
            let _ = socket.write_all(&bytes);
            let _ = socket.shutdown(std::net::Shutdown::Write);
            let mut said = Vec::new();
            let _ = socket.set_read_timeout(Some(Duration::from_secs(12)));
            let _ = socket.read_to_end(&mut said);
            assert!(said.len() <= 7, "{said:?}");
        }
    };
    flood(200);
    let before = agent.rss_kib();
    flood(2000);
    let after = agent.rss_kib();
    assert!(after < before + 4096, "from {before} KiB to {after} KiB");
    // It still does what it is there for.
    let state = folder.path().join("mine").to_string_lossy().into_owned();
    call(&["hosts", "--state", &state, "pair", "a", &address, &code]).done();
}

#[test]
fn an_agent_is_on_loopback_unless_told_and_its_keys_are_private() {
    let help = call(&["agent", "--help"]).done().stdout;
    assert!(help.contains("[default: 127.0.0.1:7464]"), "{help}");
    let folder = tempfile::tempdir().unwrap();
    let refused = call(&["agent", "--listen", "127.0.0.1:0", "--orphan-after", "1s"]);
    assert_eq!((refused.code, refused.stderr.contains("--orphan-after must be 5s at least")), (Some(64), true));
    let open = folder.path().join("open");
    std::fs::create_dir(&open).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    let open = open.to_string_lossy().into_owned();
    let refused = call(&["agent", "--listen", "127.0.0.1:0", "--state", &open]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("which others may enter") && refused.stderr.contains("try: chmod 700"));
}
