//! Signals to a part: its end, or five seconds in which it stands still.

use std::time::Duration;

use rustix::process::Signal;

use super::parts;
use crate::live::{Live, signal};

/// How long a part stands still.
const STILL: Duration = Duration::from_secs(5);

/// SIGKILL; to several, where the target joins them by "and".
pub(crate) fn kill(live: &Live, target: &str) {
    let pids: Vec<u32> = target.split(" and ").map(|one| parts::of(live, one)).collect();
    pids.into_iter().for_each(|pid| signal(pid, Signal::KILL));
}

/// SIGSTOP, and SIGCONT later. Everyone else goes on meanwhile.
pub(crate) fn pause(live: &mut Live, target: &str) {
    let pid = parts::of(live, target);
    if pid != live.pid() {
        signal(pid, Signal::STOP);
        live.go_on();
    }
    std::thread::sleep(STILL);
    signal(pid, Signal::CONT);
}
