//! Pressure: that this probe reads it does not change what others see.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use node_probe::{Sampler, Watch, watch_until};

use crate::busy::stay_on_last_cpu;
use crate::groups::{Group, skip, tree_of_version_2};

/// Set in the environment of this test binary when it is started as the program.
const PLAY: &str = "PROBE_TEST_BURSTS";

/// Not a test: two threads on one CPU that both want 1 ms of it at the same moment, a hundred times a second. Read
/// rarely, half of that is pressure; read every few milliseconds, next to nothing is left of it.
#[test]
#[ignore = "the program that other tests watch"]
fn bursts() {
    if std::env::var_os(PLAY).is_none() {
        return;
    }
    stay_on_last_cpu();
    println!("\nready");
    let start = Instant::now();
    let burst = move || {
        for k in 1..6000 {
            let due = start + Duration::from_millis(10 * k);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let end = Instant::now() + Duration::from_millis(1);
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        }
    };
    let other = std::thread::spawn(burst);
    burst();
    other.join().unwrap();
}

struct Bursts(Child);

impl Bursts {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "pressure::bursts", "--ignored", "--nocapture"])
            .env(PLAY, "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"), "the bursts ended");
        Self(child)
    }
}

impl Drop for Bursts {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn total_us(group: &Path) -> u64 {
    let text = std::fs::read_to_string(group.join("cpu.pressure")).unwrap();
    text.lines().next().unwrap().rsplit("total=").next().unwrap().trim().parse().unwrap()
}

/// What a reader that comes once a second sees of both groups in a second in which `also` reads as well.
fn seen_beside<T: Send>(groups: [&Path; 2], also: impl FnOnce(&AtomicBool) -> T + Send) -> [u64; 2] {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let before = groups.map(total_us);
        let other = scope.spawn(|| also(&stop));
        std::thread::sleep(Duration::from_secs(1));
        let after = groups.map(total_us);
        stop.store(true, Ordering::Relaxed);
        other.join().unwrap();
        [after[0] - before[0], after[1] - before[1]]
    })
}

/// Two groups that do the same on the same CPU, so that whatever else goes on holds up both alike. None, and why, where
/// they cannot be made.
fn twins() -> Result<[(Group, Bursts); 2], String> {
    let tree = tree_of_version_2()?;
    let twin = |k: u32| {
        let group = Group::make(tree.join(format!("node-probe-test-pressure-{}-{k}", std::process::id())))?;
        let bursts = Bursts::start();
        group.take(bursts.0.id());
        Ok::<_, String>((group, bursts))
    };
    Ok([twin(0)?, twin(1)?])
}

#[test]
fn a_reader_that_comes_once_a_second_sees_the_same_with_the_probe_and_without() {
    let [(one, one_bursts), (two, two_bursts)] = match twins() {
        Ok(twins) => twins,
        Err(why) => return skip(&why),
    };
    let probe = |group: &Path, stop: &AtomicBool| {
        let cgroups = vec![("it".into(), vec![group.to_owned()])];
        let mut sampler = Sampler::new(Watch { cgroups, ..Watch::default() }).unwrap();
        // A hundred rounds a second, of which pressure is read in five.
        watch_until(&mut sampler, Duration::from_millis(10), stop, None, |_| Ok::<_, std::convert::Infallible>(()))
            .unwrap();
    };
    // Each is watched in every other second.
    let (mut watched, mut alone) = (0, 0);
    for second in 0..8 {
        let groups = if second % 2 == 0 { [&one.0, &two.0] } else { [&two.0, &one.0] }.map(|path| path.as_path());
        let [with, without] = seen_beside(groups, |stop: &AtomicBool| probe(groups[0], stop));
        watched += with;
        alone += without;
    }
    // What the experiment shows of a reader that comes every millisecond: on a quiet machine little is left, on a busy
    // one more, so that it is said and not judged.
    let [bent, straight] = seen_beside([&one.0, &two.0].map(|path| path.as_path()), |stop: &AtomicBool| {
        while !stop.load(Ordering::Relaxed) {
            total_us(&one.0);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let ratio = watched as f64 / alone as f64;
    eprintln!(
        "with the probe {ratio:.3} of what is seen without it ({watched} and {alone} us in 8 s); \
         read every ms: {bent} and {straight} us in 1 s"
    );
    assert!(alone > 300_000, "two at once on one CPU are pressure: {alone} us in 8 s");
    // On a quiet machine it is within 5 %; others' work comes on top, in this second or that.
    assert!((0.90..=1.10).contains(&ratio), "{ratio}: {watched} us with the probe, {alone} us without");
    drop((one_bursts, two_bursts));
}
