//! Processes that are one part: a program that does its work in children has the sum of their counters.

use record::{ProcessMemory, ProcessSample, ProcessState, Reading};

/// Two samples of one part as one, which goes by the id of the first. Where one of them cannot tell, there is no sum.
pub(crate) fn samples(first: ProcessSample, second: ProcessSample) -> ProcessSample {
    let ProcessSample {
        pid,
        read_ns,
        user_ticks,
        system_ticks,
        rss_bytes,
        run_ns,
        run_delay_ns,
        threads,
        took_ns: _,
        timeslices,
        accounts,
        cgroup,
        voluntary_switches,
        involuntary_switches,
        block_io_delay_ns,
        state,
    } = first;
    // From before the first was read until after the last.
    let end_ns = (second.read_ns + second.took_ns).max(read_ns + first.took_ns);
    let read_ns = read_ns.min(second.read_ns);
    ProcessSample {
        pid,
        read_ns,
        user_ticks: sum(user_ticks, second.user_ticks),
        system_ticks: sum(system_ticks, second.system_ticks),
        rss_bytes: sum(rss_bytes, second.rss_bytes),
        run_ns: sum(run_ns, second.run_ns),
        run_delay_ns: sum(run_delay_ns, second.run_delay_ns),
        threads: sum(threads, second.threads),
        took_ns: end_ns - read_ns,
        timeslices: sum(timeslices, second.timeslices),
        accounts: accounts.filter(|accounts| second.accounts == Some(*accounts)),
        cgroup: cgroup.filter(|cgroup| second.cgroup.as_ref() == Some(cgroup)),
        voluntary_switches: sum(voluntary_switches, second.voluntary_switches),
        involuntary_switches: sum(involuntary_switches, second.involuntary_switches),
        block_io_delay_ns: sum(block_io_delay_ns, second.block_io_delay_ns),
        state: most_held_up(state, second.state),
    }
}

/// The memory of two processes of one part.
pub(crate) fn memory(first: Reading<ProcessMemory>, second: Reading<ProcessMemory>) -> Reading<ProcessMemory> {
    first.and_then(|first| {
        second.map(|second| {
            let ProcessMemory {
                pid,
                rss_bytes,
                pss_bytes,
                pss_anon_bytes,
                pss_file_bytes,
                pss_shmem_bytes,
                private_bytes,
                swap_bytes,
            } = first;
            let both = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
            ProcessMemory {
                pid,
                rss_bytes: rss_bytes + second.rss_bytes,
                pss_bytes: pss_bytes + second.pss_bytes,
                pss_anon_bytes: both(pss_anon_bytes, second.pss_anon_bytes),
                pss_file_bytes: both(pss_file_bytes, second.pss_file_bytes),
                pss_shmem_bytes: both(pss_shmem_bytes, second.pss_shmem_bytes),
                private_bytes: private_bytes + second.private_bytes,
                swap_bytes: swap_bytes + second.swap_bytes,
            }
        })
    })
}

fn sum(first: Reading<u64>, second: Reading<u64>) -> Reading<u64> {
    if first.is_unread() && second.reason().is_some() {
        // One that has ended says so in every round, and the other what is due in this one.
        return second;
    }
    first.and_then(|first| second.map(|second| first + second))
}

/// One that ran has no state in that round, and the other still has its own.
fn most_held_up(first: Reading<ProcessState>, second: Reading<ProcessState>) -> Reading<ProcessState> {
    match (first, second) {
        (Reading::Seen(first), Reading::Seen(second)) => Reading::Seen(first.max(second)),
        (unread, other) | (other, unread) if unread.is_unread() => other,
        (absent @ Reading::Absent { .. }, _) | (_, absent) => absent,
    }
}

#[cfg(test)]
mod tests {
    use record::Accounts;

    use super::*;

    fn sample(pid: u32, read_ns: u64, run_ns: Reading<u64>) -> ProcessSample {
        ProcessSample {
            pid,
            read_ns,
            took_ns: 5,
            run_ns,
            rss_bytes: Reading::Seen(100),
            accounts: Some(Accounts::Taskstats),
            cgroup: Some("/a".into()),
            ..ProcessSample::default()
        }
    }

    #[test]
    fn counters_add_up_and_the_window_holds_both() {
        let one = samples(sample(10, 1000, Reading::Seen(7)), sample(11, 1020, Reading::Seen(30)));
        assert_eq!((one.pid, one.read_ns, one.took_ns), (10, 1000, 25));
        assert_eq!((one.run_ns, one.rss_bytes), (Reading::Seen(37), Reading::Seen(200)));
        assert_eq!((one.accounts, one.cgroup.as_deref()), (Some(Accounts::Taskstats), Some("/a")));
        assert!(one.user_ticks.is_unread(), "what was not read of either is not 0");
    }

    #[test]
    fn what_one_cannot_tell_is_absent_for_both() {
        let ended = || Reading::absent("exited");
        for (a, b) in [(Reading::Seen(7), ended()), (ended(), Reading::Seen(7))] {
            assert_eq!(samples(sample(10, 1, a), sample(11, 2, b)).run_ns, ended());
        }
        let not_due = Reading::<u64>::default();
        assert_eq!(samples(sample(10, 1, not_due.clone()), sample(11, 2, ended())).run_ns, ended());
        assert!(samples(sample(10, 1, not_due), sample(11, 2, Reading::Seen(7))).run_ns.is_unread());
        let elsewhere = ProcessSample { cgroup: Some("/b".into()), ..sample(11, 2, ended()) };
        assert_eq!(samples(sample(10, 1, ended()), elsewhere).cgroup, None);
    }

    #[test]
    fn a_part_is_in_the_state_of_the_process_that_is_held_up_most() {
        let of = |state| ProcessSample { state, ..sample(10, 1, Reading::Seen(1)) };
        let (unread, sleeping) = (Reading::default(), Reading::Seen(ProcessState::Sleeping));
        let stopped = Reading::Seen(ProcessState::Stopped);
        assert_eq!(samples(of(sleeping.clone()), of(stopped.clone())).state, stopped);
        assert_eq!(samples(of(unread.clone()), of(stopped.clone())).state, stopped);
        assert_eq!(samples(of(sleeping.clone()), of(unread.clone())).state, sleeping);
        assert!(samples(of(unread.clone()), of(unread)).state.is_unread());
        let ended = Reading::absent("exited");
        assert_eq!(samples(of(stopped), of(ended.clone())).state, ended);
    }

    #[test]
    fn memory_adds_up_and_what_a_kernel_does_not_tell_is_none() {
        let of = |pid, shmem| {
            Reading::Seen(ProcessMemory {
                pid,
                rss_bytes: 10,
                pss_bytes: 6,
                pss_anon_bytes: Some(3),
                pss_file_bytes: Some(2),
                pss_shmem_bytes: shmem,
                private_bytes: 4,
                swap_bytes: 1,
            })
        };
        let Reading::Seen(both) = memory(of(1, Some(1)), of(2, None)) else { panic!("both are there") };
        assert_eq!((both.pid, both.rss_bytes, both.pss_bytes, both.private_bytes, both.swap_bytes), (1, 20, 12, 8, 2));
        assert_eq!((both.pss_anon_bytes, both.pss_file_bytes, both.pss_shmem_bytes), (Some(6), Some(4), None));
        assert_eq!(memory(of(1, None), Reading::absent("exited")).reason(), Some("exited"));
    }
}
