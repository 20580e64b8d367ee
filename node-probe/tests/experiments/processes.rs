//! Watched processes: run delay over all threads, threads that end, processes that end.

use std::time::Duration;

use node_probe::{Sampler, Watch};
use record::{ProcessSample, ProcessState, Reading};

use crate::busy::{Shell, Spinners};

/// Both ways to the run times; the first is what is permitted where these tests run.
const WAYS: [bool; 2] = [true, false];

fn watch(pid: u32, taskstats: bool) -> Sampler {
    Sampler::new(Watch { processes: vec![("it".into(), pid)], taskstats, ..Watch::default() }).unwrap()
}

fn sample(sampler: &mut Sampler) -> ProcessSample {
    sampler.sample(record::monotonic_ns()).processes.remove("it").unwrap()
}

fn value(reading: &Reading<u64>) -> u64 {
    *reading.seen().unwrap_or_else(|| panic!("absent: {reading:?}"))
}

/// Within so many hundredths of what is right.
fn near(found: u64, right: u64, hundredths: u64) -> bool {
    found.abs_diff(right) * 100 <= right * hundredths
}

#[test]
fn run_delay_is_that_of_all_threads_and_stays_when_they_end() {
    WAYS.into_iter().for_each(run_delay_of_all_threads);
}

fn run_delay_of_all_threads(taskstats: bool) {
    let mut spinners = Spinners::start();
    let mut sampler = watch(spinners.pid(), taskstats);
    let before = sample(&mut sampler);

    assert_eq!(spinners.order("start"), "started");
    let first = sample(&mut sampler);
    // Where the kernel sums up, threads are counted once a second only.
    let counted = |sample: &ProcessSample| (!taskstats).then(|| value(&sample.threads));
    assert_eq!(counted(&first), counted(&before).map(|n| n + 3), "threads that came while it was watched");
    std::thread::sleep(Duration::from_millis(1500));
    let second = sample(&mut sampler);
    // Each thread always wants to run, so it runs or waits all the time, whatever else the machine does.
    let wanted = 3 * (second.read_ns - first.read_ns);
    let spent = |s: &ProcessSample| value(&s.run_ns) + value(&s.run_delay_ns);
    let grown = spent(&second) - spent(&first);
    assert!(near(grown, wanted, 10), "ran and waited {grown} ns of {wanted} ns");

    let told = spinners.order("stop");
    let (run, delay) = told.split_once(' ').unwrap();
    let (run, delay): (u64, u64) = (run.parse().unwrap(), delay.parse().unwrap());
    assert!(delay > run, "three on one CPU wait twice as long as they run: {told}");
    let third = sample(&mut sampler);
    let since_start = |pick: fn(&ProcessSample) -> &Reading<u64>| value(pick(&third)) - value(pick(&before));
    let (found_run, found_delay) = (since_start(|s| &s.run_ns), since_start(|s| &s.run_delay_ns));
    assert!(near(found_run, run, 5), "run: found {found_run}, the threads say {run}");
    assert!(near(found_delay, delay, 5), "delay: found {found_delay}, the threads say {delay}");
    let leader = std::fs::read_to_string(format!("/proc/{}/schedstat", spinners.pid())).unwrap();
    let leader: u64 = leader.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(leader * 10 < delay, "the main thread alone says {leader}, so it would have missed {delay}");

    assert_eq!(spinners.order("end"), "ended");
    let fourth = sample(&mut sampler);
    assert_eq!(counted(&fourth), counted(&before), "they have ended");
    assert!(value(&fourth.run_ns) >= value(&third.run_ns), "{fourth:?} after {third:?}");
    assert!(value(&fourth.run_delay_ns) >= value(&third.run_delay_ns), "{fourth:?} after {third:?}");
}

#[test]
fn processes_of_one_name_are_summed_until_one_ends() {
    WAYS.into_iter().for_each(summed_until_one_ends);
}

fn summed_until_one_ends(taskstats: bool) {
    let (first, mut second) = (Shell::spin(), Shell::spin());
    let pids = [first.0.id(), second.0.id()];
    let both = pids.map(|pid| ("it".to_owned(), pid)).to_vec();
    let mut sampler = Sampler::new(Watch { processes: both, taskstats, ..Watch::default() }).unwrap();
    let mut alone = pids.map(|pid| watch(pid, taskstats));
    let before: u64 = alone.iter_mut().map(|sampler| value(&sample(sampler).run_ns)).sum();
    let one = sample(&mut sampler);
    let after: Vec<ProcessSample> = alone.iter_mut().map(sample).collect();
    let sum: u64 = after.iter().map(|sample| value(&sample.run_ns)).sum();
    assert_eq!((one.pid, value(&one.threads)), (pids[0], 2));
    assert!((before..=sum).contains(&value(&one.run_ns)), "{before} to {sum}: {one:?}");
    second.0.kill().unwrap();
    second.0.wait().unwrap();
    sample(&mut sampler);
    all_absent(&sample(&mut sampler));
}

#[test]
fn a_process_that_ends_is_absent_as_a_zombie_and_after() {
    WAYS.into_iter().for_each(absent_once_ended);
}

fn absent_once_ended(taskstats: bool) {
    let mut shell = Shell::spin();
    let mut sampler = watch(shell.0.id(), taskstats);
    // A program that has not run yet has touched no page that the kernel has counted.
    let counted = |_| {
        std::thread::sleep(Duration::from_millis(10));
        sample(&mut sampler).rss_bytes.seen().is_some_and(|rss| *rss > 0)
    };
    assert!((0..500).any(counted));
    shell.0.kill().unwrap();
    // It is a zombie once its end can be waited for; this looks without taking it away.
    let pid = rustix::process::Pid::from_raw(i32::try_from(shell.0.id()).unwrap()).unwrap();
    let look = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    rustix::process::waitid(rustix::process::WaitId::Pid(pid), look).unwrap();
    // The first look may still find its last account; the next finds that it does not grow, and why.
    sample(&mut sampler);
    all_absent(&sample(&mut sampler));
    shell.0.wait().unwrap();
    all_absent(&sample(&mut sampler));
}

#[test]
fn the_state_is_told_of_a_process_that_stands_still_and_of_no_other() {
    use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
    for taskstats in WAYS {
        let shell = Shell::spin();
        let pid = Pid::from_raw(i32::try_from(shell.0.id()).unwrap()).unwrap();
        let mut sampler = watch(shell.0.id(), taskstats);
        let first = sample(&mut sampler);
        assert_eq!(first.state, Reading::Seen(ProcessState::Running), "the first round has everything");
        kill_process(pid, Signal::STOP).unwrap();
        // The kernel says when all of it has stopped.
        assert!(waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap().1.stopped());
        sample(&mut sampler);
        let stopped = sample(&mut sampler);
        assert_eq!(stopped.state, Reading::Seen(ProcessState::Stopped), "{stopped:?}");
        kill_process(pid, Signal::CONT).unwrap();
        let before = value(&stopped.timeslices);
        let running = (0..1_000_000).map(|_| sample(&mut sampler)).find(|s| value(&s.timeslices) > before).unwrap();
        assert!(running.state.is_unread(), "{running:?}");
    }
}

fn all_absent(sample: &ProcessSample) {
    let ProcessSample {
        pid: _,
        read_ns: _,
        took_ns: _,
        accounts: _,
        cgroup: _,
        user_ticks,
        system_ticks,
        rss_bytes,
        run_ns,
        run_delay_ns,
        threads,
        timeslices,
        voluntary_switches,
        involuntary_switches,
        block_io_delay_ns,
        state,
    } = sample;
    assert_eq!(state.reason(), Some("exited"), "{sample:?}");
    let switches = [timeslices, voluntary_switches, involuntary_switches];
    for reading in [user_ticks, system_ticks, rss_bytes, run_ns, run_delay_ns, threads, block_io_delay_ns]
        .into_iter()
        .chain(switches)
    {
        assert_eq!(reading.reason(), Some("exited"), "{sample:?}");
    }
}

#[test]
fn another_process_under_the_same_number_is_not_taken_for_the_one_that_ended() {
    let mut first = Shell::spin();
    let pid = first.0.id();
    let mut samplers = WAYS.map(|taskstats| watch(pid, taskstats));
    samplers.iter_mut().for_each(|sampler| assert!(sample(sampler).run_ns.seen().is_some()));
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    let second = match shell_with_number(pid) {
        Ok(shell) => shell,
        Err(why) => return crate::groups::skip(&why),
    };
    // It gets further than the first ever did.
    std::thread::sleep(Duration::from_millis(300));
    samplers.iter_mut().for_each(|sampler| all_absent(&sample(sampler)));
    drop(second);
}

/// A process with that number: the kernel gives out the one after the last, which root may set. Others start processes
/// too, so that it can take some attempts to come first.
fn shell_with_number(pid: u32) -> Result<Shell, String> {
    for _ in 0..200 {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string())
            .map_err(|e| format!("the next process number cannot be set: {e}"))?;
        let shell = Shell::spin();
        if shell.0.id() == pid {
            return Ok(shell);
        }
    }
    Err(format!("others took number {pid} again and again"))
}

/// Set in the environment of this test binary when it is started with few descriptors.
const FEW: &str = "PROBE_TEST_FEW_DESCRIPTORS";

/// Not a test by itself: the limit of a whole process can only be lowered in one of its own.
#[test]
#[ignore = "started by the test of the descriptor limit"]
fn with_few_descriptors() {
    if std::env::var_os(FEW).is_none() {
        return;
    }
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Nofile, Rlimit { current: Some(40), maximum: Some(40) }).unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| held.lock().unwrap().recv());
        }
        let it = vec![("it".into(), std::process::id())];
        let watch = Watch { processes: it, taskstats: false, ..Watch::default() };
        let said = Sampler::new(watch).unwrap_err().to_string();
        drop(release);
        assert!(said.contains("40 files open (RLIMIT_NOFILE)") && said.contains("ulimit -n"), "{said}");
    });
}

#[test]
fn running_out_of_descriptors_is_an_error_that_names_the_limit() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::with_few_descriptors", "--ignored"])
        .env(FEW, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
