//! Children: where they begin, how they end, and that none outlives its parent.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use scenarios::launch::{Launch, Launched, SERVICE_USER, all_may_execute, become_child, become_user};

use crate::programs::{copy_program, write_script};

/// The variable that makes a test of this program play a part of meshtax.
const PART: &str = "MESHTAX_TEST_LAUNCH";

/// A stand-in for `meshtax launch`: this very test program, told by a variable to become a child.
pub(crate) fn meshtax(directory: &Path) -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let script = directory.join("meshtax");
    let text = format!(
        "#!/bin/sh\nshift\n{PART}=\"$(printf '%s\\n' \"$@\")\"\nexport {PART}\nexport RUST_BACKTRACE=0\n\
         exec '{}' --exact launch::plays_the_step_between --nocapture --test-threads 1\n",
        program.display()
    );
    write_script(&script, &text);
    script
}

/// No test of its own: the body of `meshtax launch`, when started as such.
#[test]
fn plays_the_step_between() {
    if let Ok(args) = std::env::var(PART) {
        let error = become_child(args.lines().map(OsString::from).collect());
        panic!("{error}");
    }
}

pub(crate) fn shell(directory: &Path, script: &str) -> Launch {
    Launch {
        name: "s1".into(),
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("GREETING".into(), "hello there".into())],
        cgroups: Vec::new(),
        netns: None,
        user: None,
        within: None,
        log: directory.join("s1.log"),
        stdout: None,
        pipe_stdin: true,
        pipe_stdout: true,
    }
}

pub(crate) const LONG: Duration = Duration::from_secs(20);

/// What it says after the test program's own first lines.
pub(crate) fn hear(part: &mut Launched) -> String {
    loop {
        let line = part.read_line(LONG, "a line with said").unwrap();
        // The first stands behind the name of the test that plays the step between.
        if let Some((_, said)) = line.split_once("said ") {
            return said.to_owned();
        }
    }
}

pub(crate) fn gone_within(pid: u32, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    // A zombie is dead; who reaps it is another's affair.
    let gone = || {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .ok()
            .and_then(|stat| stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with('Z')))
            .unwrap_or(true)
    };
    while !gone() {
        if Instant::now() > until {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

#[test]
fn a_child_has_a_session_of_its_own_and_speaks_with_us() {
    let directory = tempfile::tempdir().unwrap();
    let script = "echo said $$ $GREETING; read line; echo said $line; exit 3";
    let mut part = shell(directory.path(), script).spawn(&meshtax(directory.path())).unwrap();
    // The id is the one it was started with: it became its program, and was not started by another.
    assert_eq!(hear(&mut part), format!("{} hello there", part.pid()));
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", part.pid())).unwrap();
    let session = stat.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap().to_owned();
    assert_eq!(session, part.pid().to_string());
    part.write_line("over").unwrap();
    assert_eq!(hear(&mut part), "over");
    // It is let end by itself: a signal now could come before its own exit and be its end instead.
    assert!(gone_within(part.pid(), LONG), "it did not end by itself");
    assert_eq!(part.terminate(LONG).unwrap().code(), Some(3));
}

#[test]
fn a_child_dies_with_its_parent_however_that_dies() {
    let directory = tempfile::tempdir().unwrap();
    let meshtax = meshtax(directory.path());
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "launch::plays_the_parent", "--nocapture", "--test-threads", "1"])
        .env("MESHTAX_TEST_PARENT", directory.path())
        .env("MESHTAX_TEST_PROGRAM", meshtax)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let file = directory.path().join("pid");
    let until = Instant::now() + LONG;
    let pid: u32 = loop {
        if let Some(pid) = std::fs::read_to_string(&file).ok().and_then(|t| t.strip_suffix('\n')?.parse().ok()) {
            break pid;
        }
        assert!(Instant::now() < until, "the parent did not start its child");
        std::thread::yield_now();
    };
    assert!(!gone_within(pid, Duration::ZERO), "it must live first");
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(gone_within(pid, LONG), "{pid} outlived its parent");
}

/// No test of its own: a parent to be killed.
#[test]
fn plays_the_parent() {
    let Some(directory) = std::env::var_os("MESHTAX_TEST_PARENT").map(PathBuf::from) else { return };
    let program = PathBuf::from(std::env::var_os("MESHTAX_TEST_PROGRAM").unwrap());
    let mut part =
        shell(&directory, "echo said up; trap '' TERM HUP; while :; do sleep 1; done").spawn(&program).unwrap();
    assert_eq!(hear(&mut part), "up");
    std::fs::write(directory.join("pid"), format!("{}\n", part.pid())).unwrap();
    let mut never = String::new();
    std::io::stdin().read_line(&mut never).unwrap();
}

#[test]
fn a_child_whose_parent_is_already_gone_does_not_start() {
    let args = ["--parent", "1", "--", "/bin/true"].map(OsString::from).to_vec();
    // In a process of its own, since it changes what it runs in.
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "launch::plays_the_step_between", "--nocapture"])
        .env(PART, args.join(&OsString::from("\n")))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("launch: the parent 1 is gone"), "{said}");
}

#[test]
fn one_that_does_not_end_when_asked_is_killed_with_all_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; sleep 1000 & echo said $!; wait; while :; do sleep 1; done";
    let mut part = shell(directory.path(), script).spawn(&meshtax(directory.path())).unwrap();
    let grandchild: u32 = hear(&mut part).parse().unwrap();
    let status = part.terminate(Duration::from_millis(50)).unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    assert!(gone_within(grandchild, LONG), "{grandchild} outlived the part that started it");
}

#[test]
fn a_dropped_child_is_killed_and_reaped() {
    let directory = tempfile::tempdir().unwrap();
    let mut part = shell(directory.path(), "echo said up; read line").spawn(&meshtax(directory.path())).unwrap();
    hear(&mut part);
    let pid = part.pid();
    drop(part);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn one_that_dies_is_named_with_its_end_and_its_last_words() {
    let directory = tempfile::tempdir().unwrap();
    let mut part = shell(directory.path(), "echo no such port >&2; exit 7").spawn(&meshtax(directory.path())).unwrap();
    let error = loop {
        if let Err(error) = part.read_line(LONG, "its port") {
            break error.to_string();
        }
    };
    assert_eq!(error, "s1 ended: exit status 7, while waiting for its port\n  its last log lines:\n    | no such port");
    assert_eq!(
        part.expect_alive("serving").unwrap_err().to_string().lines().next(),
        Some("s1 ended: exit status 7, while serving")
    );
    assert_eq!(part.try_wait().unwrap().and_then(|s| s.code()), Some(7));
}

#[test]
fn one_that_says_nothing_is_given_up_at_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let mut part = shell(directory.path(), "echo said up; read line").spawn(&meshtax(directory.path())).unwrap();
    hear(&mut part);
    let error = part.read_line(Duration::from_millis(50), "its port").unwrap_err().to_string();
    let said = error.strip_prefix("s1 is not ready: waited ").and_then(|said| said.split_once(" s for its port"));
    let seconds: f64 = said.unwrap_or_else(|| panic!("{error}")).0.parse().unwrap();
    assert!(seconds >= 0.05, "{error}");
    assert!(error.contains("\n  try: `meshtax doctor`, which looks at what may be missing here"), "{error}");
}

#[test]
fn an_answer_that_is_something_else_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let mut part =
        shell(directory.path(), "echo said up; echo hello; read line").spawn(&meshtax(directory.path())).unwrap();
    hear(&mut part);
    let error = part.read_json::<u32>(LONG, "a number").unwrap_err().to_string();
    assert!(error.starts_with("s1: it said 'hello' instead of a number ("), "{error}");
}

#[test]
fn a_program_that_is_not_there_or_is_none_is_an_error_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("plain");
    std::fs::write(&plain, "text").unwrap();
    for (program, reason) in [
        (directory.path().join("missing"), "entity not found"),
        (directory.path().to_owned(), "entity not found"),
        (plain, "Permission denied (os error 13)"),
    ] {
        let launch = Launch { program: program.clone(), ..shell(directory.path(), "") };
        assert_eq!(
            launch.spawn(&meshtax(directory.path())).unwrap_err().to_string(),
            format!(
                "cannot start s1 ({}): {reason}\n  try: check that the file is there and may be executed",
                program.display()
            )
        );
    }
}

#[test]
fn a_cgroup_that_cannot_be_entered_stands_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("no-cgroup");
    let launch = Launch { cgroups: vec![missing.clone()], ..shell(directory.path(), "echo said up") };
    let mut part = launch.spawn(&meshtax(directory.path())).unwrap();
    let error = loop {
        if let Err(error) = part.read_line(LONG, "its port") {
            break error.to_string();
        }
    };
    assert!(error.contains(&format!("cannot enter the cgroup {}", missing.display())), "{error}");
}

#[test]
fn a_stdout_of_its_own_has_what_was_said_there_and_the_log_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("said");
    // By its name too, as a program does that is told to write its log to /dev/stdout.
    let script = "echo one; echo two >>/dev/stdout; echo three >&2";
    let launch = Launch { stdout: Some(file.clone()), pipe_stdout: false, ..shell(directory.path(), script) };
    let mut part = launch.spawn(&meshtax(directory.path())).unwrap();
    while part.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    // Before that the stand-in for meshtax, a test program itself, has told of its test.
    let said = std::fs::read_to_string(&file).unwrap();
    assert!(said.ends_with("one\ntwo\n"), "{said}");
    assert_eq!(part.log_tail(9), ["three"]);
}

/// Whether nobody else can be become here; says so.
fn is_not_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    assert!(root || std::env::var_os("REQUIRE_ROOT").is_none(), "who is not root becomes nobody else");
    if !root {
        eprintln!("skipped: who is not root becomes nobody else (set REQUIRE_ROOT=1 to fail)");
    }
    !root
}

#[test]
fn a_program_where_its_user_cannot_go_is_executed_all_the_same() {
    if is_not_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let (binary, script) = (directory.path().join("sh"), directory.path().join("script"));
    copy_program(std::fs::canonicalize("/bin/sh").unwrap(), &binary);
    write_script(&script, "#!/bin/sh\nexec /bin/sh \"$@\"\n");
    let within = directory.path().join("within");
    std::fs::create_dir(&within).unwrap();
    std::os::unix::fs::chown(&within, Some(SERVICE_USER), Some(SERVICE_USER)).unwrap();
    let tell = "echo said $(grep -E '^(Uid|Gid|Groups|CapPrm|CapEff|CapInh|NoNewPrivs):' /proc/self/status); \
                echo said $0; touch made && echo said $(stat -c %u made); \
                ls .. >/dev/null 2>&1 && echo said in || echo said out; read line";
    for program in [&binary, &script] {
        let launch = Launch {
            program: program.clone(),
            user: Some(SERVICE_USER),
            within: Some(within.clone()),
            ..shell(directory.path(), tell)
        };
        let mut part = launch.spawn(&meshtax(directory.path())).unwrap();
        let id = SERVICE_USER.to_string();
        let nothing = "0000000000000000";
        assert_eq!(
            hear(&mut part),
            format!(
                "Uid: {id} {id} {id} {id} Gid: {id} {id} {id} {id} Groups: CapInh: {nothing} CapPrm: {nothing} CapEff: {nothing} NoNewPrivs: 1"
            ),
            "{}",
            program.display()
        );
        let zero = hear(&mut part);
        assert!(program != &binary || zero == binary.to_string_lossy(), "it is called by its own path: {zero}");
        assert_eq!((hear(&mut part), hear(&mut part)), (id, "out".to_owned()), "where it was put, and no way out");
        drop(part);
        std::fs::remove_file(within.join("made")).unwrap();
    }
}

#[test]
fn a_program_that_its_owner_alone_may_execute_is_refused_another_user() {
    if is_not_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("sh");
    copy_program(std::fs::canonicalize("/bin/sh").unwrap(), &program);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert!(!all_may_execute(&program));
    let launch =
        Launch { program: program.clone(), user: Some(SERVICE_USER), ..shell(directory.path(), "echo said up") };
    let mut part = launch.spawn(&meshtax(directory.path())).unwrap();
    let error = loop {
        if let Err(error) = part.read_line(LONG, "its port") {
            break error.to_string();
        }
    };
    assert!(error.contains(&format!("cannot start the program ({})", program.display())), "{error}");
    assert!(error.contains("Permission denied"), "{error}");
}

#[test]
fn one_that_became_another_user_dies_with_its_parent_all_the_same() {
    if is_not_root() {
        return;
    }
    // In a process of its own, since it changes who it is.
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "launch::plays_who_becomes_another", "--nocapture", "--test-threads", "1"])
        .env("MESHTAX_TEST_USER", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// No test of its own: becomes another user, and looks at what of it stayed.
#[test]
fn plays_who_becomes_another() {
    if std::env::var_os("MESHTAX_TEST_USER").is_none() {
        return;
    }
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM)).unwrap();
    become_user(SERVICE_USER).unwrap();
    let signal = rustix::process::parent_process_death_signal().unwrap();
    assert_eq!(signal, Some(rustix::process::Signal::TERM));
    let said = become_user(SERVICE_USER + 1).unwrap_err().to_string();
    assert!(said.contains("Operation not permitted"), "nobody becomes another again: {said}");
}
