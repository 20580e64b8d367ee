//! Records whose requests are known, written by several generators and by one.

use record::{LoadSummary, METHOD, Outcome, SCHEMA, Verdict};

use super::*;
use crate::recorder::{Ended, Recorder};
use crate::schedule::Schedule;
use crate::writer::{Sink, outboxes};
use crate::{Arrivals, Plan, Portion};

const SECOND: u64 = 1_000_000_000;
const GENERATORS: u32 = 4;

/// How long request number `index` of the plan takes: from 1 us to some 60 ms, the same whoever makes it.
fn took_ns(index: u64) -> u64 {
    let mixed = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    1_000 + (mixed >> 40) % 60_000_000
}

/// Records the portion of one plan in a directory of its own, by the recorder that a load has.
fn recorded(portion: Portion, start_ns: u64, at: &std::path::Path) -> TrialDirectory {
    std::fs::create_dir_all(at).unwrap();
    let trial = TrialDirectory::at(at);
    let mut schedule = Schedule::new(&Arrivals::constant(2000.0), SECOND / 2, 2 * SECOND, 7);
    let (mut outs, inbox) = outboxes(1, 2);
    let mut recorder = Recorder::new(start_ns, start_ns + SECOND / 2, outs.remove(0));
    let mut events = Vec::new();
    for index in 0.. {
        let offset = schedule.next_offset_ns();
        if offset >= 5 * SECOND / 2 {
            break;
        }
        if index % u64::from(portion.of) == u64::from(portion.at) {
            events.push((offset, false, index, offset));
            events.push((offset + took_ns(index), true, index, offset));
        }
    }
    events.sort_unstable();
    for (at_ns, ended, index, offset) in events {
        let intended_ns = start_ns + offset;
        let phase = recorder.phase_at(intended_ns);
        recorder.roll_to(start_ns + at_ns);
        if !ended {
            recorder.due(phase);
            recorder.sent(phase, 10 + index % 7, 0);
            continue;
        }
        let (sent_ns, done_ns) = (Some(intended_ns + 10), start_ns + at_ns);
        let outcome = Some(if index % 11 == 0 { Outcome::TimedOut } else { Outcome::Answered(200) });
        let ended = Ended {
            index,
            phase,
            intended_ns,
            sent_ns,
            first_byte_ns: Some(done_ns),
            done_ns,
            outcome,
            connection: Some((index % 3) as u32),
        };
        recorder.ended(&ended, b"s1;rs;2;1.1(s2;rs;1)");
        recorder.split(&ended, if index % 3 == 0 { b"v2" } else { b"v1" });
    }
    recorder.close(start_ns + 3 * SECOND);
    let sink = Sink::new(Some(&trial));
    let (total, _) = inbox.run(sink, &std::sync::atomic::AtomicBool::new(false)).unwrap();
    trial.write_load(&summary(portion, start_ns, &total)).unwrap();
    trial
}

fn summary(portion: Portion, start_ns: u64, total: &Interval) -> LoadSummary {
    let plan = Plan::new("http://127.0.0.1:1/", 2000.0, 3, std::time::Duration::from_secs(2));
    LoadSummary {
        schema: SCHEMA,
        method: METHOD,
        verdict: Verdict::Valid,
        reasons: Vec::new(),
        url: plan.subject(),
        rate_per_second: Plan { portion, ..plan.clone() }.own_rate(),
        connections: 3,
        arrival: plan.arrivals.process(),
        pace: plan.pace,
        seed: 7,
        start_ns: start_ns + SECOND / 2,
        duration_ns: 2 * SECOND,
        end_ns: start_ns + 3 * SECOND,
        due: total.due,
        sent: total.sent,
        answered: total.outcomes.answered_total(),
        unsent: 0,
        censored: 0,
        outcomes: total.outcomes.clone(),
        achieved_per_second: total.outcomes.answered_total() as f64 / 2.0,
        response_ns: (&total.response).into(),
        service_ns: (&total.service).into(),
        lag_ns: Lag { ours: (&total.lag_ours).into(), theirs: (&total.lag_theirs).into() },
        cpu_seconds: 0.25,
        observed: Observed::default(),
        warnings: Vec::new(),
    }
}

fn lines(directory: &TrialDirectory) -> Vec<Interval> {
    Lines::open(&directory.intervals_path()).unwrap().map(std::result::Result::unwrap).collect()
}

#[test]
fn four_generators_together_are_one_count_for_count() {
    let folder = tempfile::tempdir().unwrap();
    let start = 1_000 * SECOND;
    let one = recorded(Portion::WHOLE, start, &folder.path().join("one"));
    // Their hosts' clocks are seconds apart, and known to be.
    let parts: Vec<Generated> = (0..GENERATORS)
        .map(|at| {
            let ahead = i64::from(at) * 3_000_000_123;
            let name = folder.path().join(format!("part{at}"));
            let directory = recorded(Portion { at, of: GENERATORS }, start.saturating_add_signed(ahead), &name);
            Generated { directory, move_ns: -ahead }
        })
        .collect();
    let together = TrialDirectory::at(&folder.path().join("together"));
    std::fs::create_dir_all(together.path()).unwrap();
    let summary = merge(&parts, &BTreeMap::new(), &together).unwrap();

    let (want, got) = (lines(&one), lines(&together));
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(&want) {
        assert_eq!(got, want, "the window at {}", want.start_ns);
        assert_eq!(got.response.buckets().collect::<Vec<_>>(), want.response.buckets().collect::<Vec<_>>());
    }
    let alone = one.load().unwrap();
    assert_eq!((summary.due, summary.sent, &summary.outcomes), (alone.due, alone.sent, &alone.outcomes));
    assert_eq!((summary.response_ns, summary.service_ns), (alone.response_ns, alone.service_ns));
    assert_eq!((summary.start_ns, summary.end_ns), (alone.start_ns, alone.end_ns));
    assert_eq!((summary.rate_per_second, summary.connections), (alone.rate_per_second, 4 * alone.connections));
    assert!((summary.achieved_per_second - alone.achieved_per_second).abs() < 1e-9);
    assert_eq!(summary.due, 4000);
    assert_eq!(together.load().unwrap(), summary);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 6, failure_persistence: None, ..Default::default() })]

    #[test]
    fn however_many_generators_and_wherever_their_clocks_are_no_count_is_lost(
        of in 1_u32..7, apart in proptest::collection::vec(-40_000_000_000_i64..40_000_000_000, 7), start_s in 100_u64..10_000,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let start = start_s * SECOND;
        let one = recorded(Portion::WHOLE, start, &folder.path().join("one"));
        let parts: Vec<Generated> = (0..of)
            .map(|at| {
                let ahead = apart[at as usize];
                let name = folder.path().join(format!("part{at}"));
                let directory = recorded(Portion { at, of }, start.saturating_add_signed(ahead), &name);
                Generated { directory, move_ns: -ahead }
            })
            .collect();
        let together = TrialDirectory::at(&folder.path().join("together"));
        std::fs::create_dir_all(together.path()).unwrap();
        let summary = merge(&parts, &BTreeMap::new(), &together).unwrap();
        proptest::prop_assert_eq!(lines(&together), lines(&one));
        let alone = one.load().unwrap();
        proptest::prop_assert_eq!((summary.due, summary.sent, summary.outcomes), (alone.due, alone.sent, alone.outcomes));
    }
}

#[test]
fn kept_requests_and_the_stamps_of_services_elsewhere_stand_on_the_clock_of_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let directory = recorded(Portion::WHOLE, 50 * SECOND, &folder.path().join("one"));
    let to = TrialDirectory::at(&folder.path().join("to"));
    std::fs::create_dir_all(to.path()).unwrap();
    let of = Generated { directory: directory.clone(), move_ns: -(49 * SECOND as i64) };
    // Both services stamped by the same clock; of the one it is said that it is 7 ns ahead.
    let hops = BTreeMap::from([("s2".to_owned(), -7)]);
    merge(std::slice::from_ref(&of), &hops, &to).unwrap();
    let kept = |at: &TrialDirectory| Lines::<SlowRequest>::open(&at.slow_path()).unwrap().map(|r| r.unwrap()).collect();
    let (before, after): (Vec<SlowRequest>, Vec<SlowRequest>) = (kept(&directory), kept(&to));
    assert!(!after.is_empty() && after.len() == before.len());
    for (after, before) in after.iter().zip(&before) {
        assert_eq!(after.intended_ns + 49 * SECOND, before.intended_ns);
        assert_eq!((after.response_ns(), after.hops.len()), (before.response_ns(), 2));
        for (after, before) in after.hops.iter().zip(&before.hops) {
            let by = if after.service == "s2" { 7 } else { 0 };
            assert_eq!((after.received_ns + by, after.answered_ns + by), (before.received_ns, before.answered_ns));
        }
    }
}

#[test]
fn a_record_whose_counts_do_not_add_up_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let directory = recorded(Portion::WHOLE, SECOND, &folder.path().join("one"));
    let text = std::fs::read_to_string(directory.intervals_path()).unwrap();
    let line = text.lines().find(|l| l.contains("\"phase\":\"measure\"")).unwrap();
    let mut broken: serde_json::Value = serde_json::from_str(line).unwrap();
    broken["due"] = 7.into();
    std::fs::write(directory.intervals_path(), format!("{}\n", serde_json::to_string(&broken).unwrap())).unwrap();
    let to = TrialDirectory::at(&folder.path().join("to"));
    std::fs::create_dir_all(to.path()).unwrap();
    let said = merge(&[Generated { directory, move_ns: 0 }], &BTreeMap::new(), &to).unwrap_err().to_string();
    assert!(said.contains("requests due and ended: 7 and"), "{said}");
}

#[test]
fn what_there_is_of_one_window_begins_at_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    // Of the window at the end of the warm-up each has the phase that the other lacks, and their clocks are 7508 ns apart.
    let of: Vec<Generated> = [(Phase::WarmUp, 0), (Phase::Measure, -7508)]
        .into_iter()
        .map(|(phase, move_ns)| {
            let directory = TrialDirectory::at(&folder.path().join(format!("{phase:?}")));
            std::fs::create_dir_all(directory.path()).unwrap();
            let mut writer = LineWriter::open(&directory.intervals_path()).unwrap();
            writer.append(&Interval::empty(phase, SECOND, record::INTERVAL_NS)).unwrap();
            Generated { directory, move_ns }
        })
        .collect();
    let windows = windows(&of).unwrap();
    let at: Vec<(u64, u64)> = windows.values().map(|w| (w.start_ns, w.length_ns)).collect();
    assert_eq!(at, [(SECOND - 7508, record::INTERVAL_NS + 7508), (SECOND - 7508, record::INTERVAL_NS)]);
}
