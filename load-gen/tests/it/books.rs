//! What is written down: intervals on their grid, adding up to the summary, and slow requests with their hops.

use record::{HopStamps, INTERVAL_NS, Interval, Phase, TrialDirectory, monotonic_ns};

use crate::server::{Answer, Server, ok};
use crate::{alone, assert_adds_up, intervals, load, plan, slow, together};

/// Answers that carry the stamps of two services.
fn with_hops(at: u64) -> Vec<u8> {
    let (mut inner, mut hops) = (String::new(), String::new());
    HopStamps::write(&mut inner, "s2", at + 2, at + 7, []);
    HopStamps::write(&mut hops, "s1", at, at + 9, [(at + 1, at + 8, Some(inner.as_str()))]);
    format!("HTTP/1.1 200 OK\r\n{}: {hops}\r\nContent-Length: 1\r\n\r\nx", HopStamps::HEADER).into_bytes()
}

#[test]
fn intervals_stand_on_the_grid_and_add_up_to_the_summary() {
    let _together = together();
    let server = Server::start(|_, _| Answer::Whole(ok()));
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan(&server.url(), 400.0, 4, 1000);
    plan.warm_up = std::time::Duration::from_millis(250);
    plan.record_to = Some(dir.path().to_owned());
    let s = load(&plan);
    assert_adds_up(&s);
    let lines = intervals(dir.path());
    let start = s.start_ns - 250_000_000;
    assert!(lines.iter().all(|l| (l.start_ns - start).is_multiple_of(INTERVAL_NS)));
    let last = lines.last().unwrap().start_ns;
    assert!(lines.iter().all(|l| l.length_ns == INTERVAL_NS || l.start_ns == last));
    let measured: Vec<&Interval> = lines.iter().filter(|l| l.phase == Phase::Measure).collect();
    assert!(measured.windows(2).all(|w| w[1].start_ns == w[0].start_ns + INTERVAL_NS), "a hole");
    // 400 a second: 40 due in a whole window, 20 in each part of the one the boundary cuts in halves.
    let due = |phase| -> Vec<u64> { lines.iter().filter(|l| l.phase == phase && l.due > 0).map(|l| l.due).collect() };
    assert_eq!(due(Phase::WarmUp), [40, 40, 20]);
    assert_eq!(due(Phase::Measure), [20, 40, 40, 40, 40, 40, 40, 40, 40, 40, 20]);

    let mut total = measured[0].clone();
    measured[1..].iter().for_each(|l| total.add(l).unwrap());
    assert_eq!((total.due, total.sent), (s.due, s.sent));
    assert_eq!(total.outcomes, s.outcomes);
    assert_eq!(total.response.count(), s.due);
    assert_eq!(record::Quantiles::from(&total.response), s.response_ns);
    assert_eq!(record::Quantiles::from(&total.service), s.service_ns);
    assert_eq!(record::Quantiles::from(&total.lag_ours), s.lag_ns.ours);
    assert_eq!(record::Quantiles::from(&total.lag_theirs), s.lag_ns.theirs);
    assert_eq!(TrialDirectory::at(dir.path()).load().unwrap(), s);
    // The warm-up was sent as well, and over the same connections.
    assert_eq!((s.due, server.requests(), server.arrivals().len()), (400, 500, 4));
}

#[test]
fn the_slowest_of_each_interval_are_kept_with_every_hop() {
    let _alone = alone();
    // In each 100 ms of a load of 200 a second there are 20 requests, two of which take 20 and 30 ms.
    let server = Server::start(|number, at| match number % 20 {
        5 => Answer::At(at + 20_000_000, with_hops(at)),
        6 => Answer::At(at + 30_000_000, with_hops(at)),
        _ => Answer::Whole(with_hops(at)),
    });
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan(&server.url(), 200.0, 8, 1000);
    plan.keep_slow = 2;
    plan.record_to = Some(dir.path().to_owned());
    let s = load(&plan);
    assert_adds_up(&s);
    let kept = slow(dir.path());
    assert_eq!(kept.iter().filter(|k| k.response_ns() >= 20_000_000).count(), 20);
    for k in &kept {
        let sent = k.sent_ns.unwrap();
        assert_eq!(k.intended_ns, s.start_ns + k.index * 5_000_000);
        assert!(k.intended_ns <= sent && sent < k.done_ns && k.done_ns < monotonic_ns());
        assert_eq!(k.hops.iter().map(|h| h.service.as_str()).collect::<Vec<_>>(), ["s1", "s2"]);
        // The stamps are of this very request: it arrived between being sent and being answered.
        assert!(sent <= k.hops[0].received_ns && k.hops[0].received_ns <= k.done_ns, "{k:?}");
        assert!(k.connection.unwrap() < 8);
    }
}

#[test]
fn all_connections_are_used_alike() {
    let _alone = alone();
    let server = Server::start(|_, _| Answer::Whole(ok()));
    let s = load(&plan(&server.url(), 500.0, 5, 1000));
    assert_adds_up(&s);
    let counts: Vec<usize> = server.arrivals().iter().map(Vec::len).collect();
    assert_eq!(counts.iter().sum::<usize>(), 500);
    assert!(counts.len() == 5 && counts.iter().all(|c| (90..=110).contains(c)), "{counts:?}");
}

#[test]
fn a_directory_that_holds_a_load_is_left_alone() {
    let _together = together();
    let server = Server::start(|_, _| Answer::Whole(ok()));
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan(&server.url(), 100.0, 1, 100);
    plan.record_to = Some(dir.path().join("new"));
    load(&plan);
    let before = std::fs::read(TrialDirectory::at(&dir.path().join("new")).intervals_path()).unwrap();
    let said = load_gen::run(&plan, &Default::default()).unwrap_err().to_string();
    assert!(said.contains("intervals.jsonl is there already"), "{said}");
    assert_eq!(std::fs::read(TrialDirectory::at(&dir.path().join("new")).intervals_path()).unwrap(), before);
}

#[test]
fn a_record_that_cannot_be_written_is_an_error_that_names_the_file() {
    let _together = together();
    let server = Server::start(|_, _| Answer::Whole(ok()));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let mut plan = plan(&server.url(), 100.0, 1, 100);
    plan.record_to = Some(file.join("below"));
    let said = load_gen::run(&plan, &Default::default()).unwrap_err().to_string();
    assert!(said.contains("a-file/below"), "{said}");
}
