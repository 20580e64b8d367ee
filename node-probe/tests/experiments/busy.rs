//! Programs to watch: threads that spin on one CPU and know their own times, and a shell that spins.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The last of the CPUs that this program may run on.
pub(crate) fn last_cpu() -> u32 {
    let allowed = sched_getaffinity(None).unwrap();
    u32::try_from((0..CpuSet::MAX_CPU).rfind(|&cpu| allowed.is_set(cpu)).unwrap()).unwrap()
}

/// Keeps this thread, and those it starts, on that CPU.
pub(crate) fn stay_on_last_cpu() {
    let mut cpus = CpuSet::new();
    cpus.set(last_cpu() as usize);
    sched_setaffinity(None, &cpus).unwrap();
}

/// Set in the environment of this test binary when it is started as the program.
const PLAY: &str = "PROBE_TEST_SPINNERS";

/// Not a test: the program itself. It obeys lines on its standard input.
#[test]
#[ignore = "the program that other tests watch"]
fn spinners() {
    if std::env::var_os(PLAY).is_none() {
        return;
    }
    stay_on_last_cpu();
    let (stop, mut threads, mut hold) = (Arc::new(AtomicBool::new(false)), Vec::new(), Vec::new());
    let (told, times) = mpsc::channel();
    say("ready");
    for line in std::io::stdin().lock().lines() {
        match line.unwrap().as_str() {
            "start" => {
                for _ in 0..3 {
                    let (stop, told, (release, held)) = (Arc::clone(&stop), told.clone(), mpsc::channel::<()>());
                    hold.push(release);
                    threads.push(std::thread::spawn(move || {
                        while !stop.load(Ordering::Relaxed) {
                            std::hint::spin_loop();
                        }
                        told.send(own_times()).unwrap();
                        // Lives on, asleep, until it is let go.
                        let _ = held.recv();
                    }));
                }
                say("started");
            }
            "stop" => {
                stop.store(true, Ordering::Relaxed);
                let all: Vec<(u64, u64)> = times.iter().take(3).collect();
                let (run, delay) = all.iter().fold((0, 0), |(r, d), (run, delay)| (r + run, d + delay));
                say(&format!("{run} {delay}"));
            }
            "end" => {
                hold.clear();
                threads.drain(..).for_each(|thread| thread.join().unwrap());
                say("ended");
            }
            other => panic!("unknown order '{other}'"),
        }
    }
}

/// What the kernel tells a thread of itself.
fn own_times() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let mut fields = text.split_whitespace().map(|f| f.parse().unwrap());
    (fields.next().unwrap(), fields.next().unwrap())
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nspinners: {text}").unwrap();
    out.flush().unwrap();
}

/// The program with three threads; ended when dropped.
pub(crate) struct Spinners {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Spinners {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "busy::spinners", "--ignored", "--nocapture"])
            .env(PLAY, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (orders, answers) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut spinners = Self { child, orders, answers };
        assert_eq!(spinners.answer(), "ready");
        spinners
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives an order and waits for the answer.
    pub(crate) fn order(&mut self, order: &str) -> String {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.answers.read_line(&mut line).unwrap() > 0, "the spinners ended");
            if let Some(answer) = line.trim_end().strip_prefix("spinners: ") {
                return answer.to_owned();
            }
        }
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A shell that spins; killed when dropped.
pub(crate) struct Shell(pub(crate) Child);

impl Shell {
    pub(crate) fn spin() -> Self {
        Self(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap())
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
