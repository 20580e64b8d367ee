//! The kinds of load: each asks as it says it does, of whom it says, and counts what came of it.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use load_gen::schedule::Schedule;
use load_gen::{Arrivals, Draw, Generator, Plan, Profile, RequestSpec};
use record::{INTERVAL_NS, LoadSummary, Phase};

use crate::raw::{Asked, Listening, Requests, say, serving};
use crate::server::{Answer, Server, ok};
use crate::{TIMEOUT, alone, assert_adds_up, intervals, load, plan, together};

fn answering() -> Server {
    Server::start(|_, _| Answer::Whole(ok()))
}

#[test]
fn a_connection_a_request_opens_one_for_each_and_all_are_answered() {
    let _together = together();
    let server = answering();
    let mut plan = plan(&server.url(), 200.0, 4, 500);
    plan.keep_alive = false;
    plan.warm_up = Duration::from_millis(100);
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, server.requests()), (100, 100, 120));
    // Four to see that it can be done, and one for each, those of the warm-up included.
    assert_eq!((s.observed.setup_ns.opened, s.observed.protocol.as_str()), (124, "http/1.1, a connection a request"));
    let carried: Vec<usize> = server.arrivals().iter().map(Vec::len).filter(|n| *n > 0).collect();
    assert_eq!(carried, vec![1; 120]);
}

#[test]
fn a_request_whose_own_connection_is_refused_was_never_sent() {
    let _alone = alone();
    let server = answering();
    let mut plan = plan(&server.url(), 200.0, 4, 500);
    plan.keep_alive = false;
    let (s, served) = std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(&plan));
        while server.requests() < 50 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let served = server.requests();
        drop(server);
        (loading.join().unwrap(), served)
    });
    assert_adds_up(&s);
    assert_eq!((s.due, s.censored), (100, 0));
    assert!(s.answered >= served && s.answered < 70, "{:?}", s.outcomes);
    assert!(s.outcomes.connect_failed > 30 && s.sent == 100 - s.outcomes.connect_failed, "{s:?}");
}

/// A server on a socket in the file system, which goes away after so many requests.
fn unix_server(path: PathBuf, most: u64) -> std::thread::JoinHandle<()> {
    let listener = UnixListener::bind(&path).unwrap();
    let (served, over) = (Arc::new(Mutex::new(0)), Arc::new(AtomicBool::new(false)));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if over.load(Ordering::SeqCst) {
                return;
            }
            let (path, served, over, stream) = (path.clone(), Arc::clone(&served), Arc::clone(&over), stream.unwrap());
            std::thread::spawn(move || {
                let mut asked = Requests::of(stream);
                while asked.next().is_some() {
                    let mut served = served.lock().unwrap();
                    *served += 1;
                    if *served == most {
                        // The listener notices by being connected to.
                        over.store(true, Ordering::SeqCst);
                        drop(UnixStream::connect(&path));
                        std::fs::remove_file(&path).unwrap();
                    }
                    say(&mut asked.stream, &ok());
                }
            });
        }
    })
}

fn unix_plan(path: &std::path::Path, duration_ms: u64) -> Plan {
    let mut plan = plan("http://mesh.test/", 200.0, 2, duration_ms);
    plan.unix = Some(path.to_owned());
    plan
}

#[test]
fn a_unix_socket_is_loaded_like_any_other() {
    let _together = together();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let server = unix_server(path.clone(), 101);
    for keep_alive in [true, false] {
        let mut plan = unix_plan(&path, 250);
        plan.keep_alive = keep_alive;
        let s = load(&plan);
        assert_adds_up(&s);
        assert_eq!((s.due, s.answered), (50, 50), "{:?}", s.outcomes);
    }
    let s = load(&unix_plan(&path, 5));
    assert_eq!(s.answered, 1);
    server.join().unwrap();
    let said = load_gen::run(&unix_plan(&path, 100), &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(said.contains(&format!("{}", path.display())) && said.contains("check the path of the socket"), "{said}");
}

#[test]
fn a_unix_socket_that_goes_away_fails_each_connection_at_once() {
    let _together = together();
    for duration_ms in [250, 255, 260] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let server = unix_server(path.clone(), 45);
        let mut plan = unix_plan(&path, duration_ms);
        plan.keep_alive = false;
        // One after the other: none is let in while the socket is being removed.
        plan.connections = 1;
        // The kernel refuses in the call itself, also the very last one.
        let s = load(&plan);
        assert_adds_up(&s);
        assert_eq!((s.due, s.answered), (duration_ms / 5, 45), "{:?}", s.outcomes);
        assert_eq!(s.outcomes.connect_failed, s.due - s.answered, "{:?}", s.outcomes);
        server.join().unwrap();
    }
}

#[test]
fn without_a_plan_each_connection_asks_again_when_it_is_answered() {
    let _together = together();
    let server = answering();
    let mut plan = plan(&server.url(), 1.0, 3, 500);
    plan.arrivals = Arrivals::max();
    let s = load(&plan);
    assert_adds_up(&s);
    assert!(s.due > 100, "{s:?}");
    assert_eq!((s.due, s.sent, server.requests()), (s.answered, s.answered, s.answered));
    assert_eq!((s.rate_per_second, s.duration_ns, s.observed.plan.as_str()), (None, 500_000_000, "max"));
    // One at a time on each, and in turn.
    let balance = s.observed.balance.unwrap();
    assert_eq!((balance.used, server.arrivals().len()), (3, 3));
    assert!(s.observed.pacing.is_none() && s.end_ns >= s.start_ns + s.duration_ns);
}

#[test]
fn only_the_economy_pace_sleeps_through_answers_and_all_of_them_are_counted() {
    let _alone = alone();
    let server = Server::start(|_, _| Answer::Whole(ok()));
    for pace in [record::Pace::Hybrid, record::Pace::Economy] {
        let mut plan = plan(&server.url(), 1.0, 32, 500);
        (plan.arrivals, plan.pace) = (Arrivals::max(), pace);
        let s = load(&plan);
        assert_adds_up(&s);
        assert_eq!(s.due, s.answered);
        // Whether it is worth it is the machine's to say; a nap is a tenth of a millisecond at most when it is asked for.
        assert!(pace == record::Pace::Economy || s.observed.naps_ns.is_none(), "{:?}", s.observed.naps_ns);
        assert!(s.observed.naps_ns.is_none_or(|naps| naps.p50 < 5_000_000), "{:?}", s.observed.naps_ns);
    }
}

#[test]
fn a_pause_between_answer_and_request_bounds_the_rate() {
    let _alone = alone();
    let server = Server::start(|_, at| Answer::At(at + 5_000_000, ok()));
    let mut plan = plan(&server.url(), 1.0, 4, 1000);
    plan.arrivals = Arrivals::Closed { think: Duration::from_millis(20) };
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!(s.due, s.answered);
    // 4 / (20 ms + 5 ms), the first of each after a pause as well.
    assert!((130..=160).contains(&s.due), "{}", s.due);
    for arrivals in server.arrivals() {
        assert!(arrivals.first().is_some_and(|first| *first >= s.start_ns + 20_000_000));
        assert!(arrivals.windows(2).all(|w| w[1] - w[0] >= 25_000_000), "{arrivals:?}");
    }
}

#[test]
fn arrivals_come_at_the_planned_moments_and_not_before() {
    let _alone = alone();
    let ms = Duration::from_millis;
    let steps = Profile::Steps(vec![(100.0, ms(150)), (400.0, ms(100)), (100.0, ms(50))]);
    let open = |draw, profile| Arrivals::Open { draw, profile };
    let moments: Arc<[u64]> = [0, 0, 7_000_000, 123_456_789, 123_456_790, 299_999_999].into();
    for (arrivals, due) in [
        (open(Draw::Burst(10), Profile::Flat(100.0)), 30),
        (open(Draw::Constant, steps.clone()), 15 + 40 + 5),
        (open(Draw::Constant, Profile::Ramp { from: 50.0, to: 350.0 }), 60),
        (open(Draw::Constant, Profile::Ramp { from: 350.0, to: 50.0 }), 60),
        (open(Draw::Poisson, steps), 0),
        (Arrivals::Replay(moments), 6),
    ] {
        let server = answering();
        let mut plan = plan(&server.url(), 1.0, 16, 300);
        plan.arrivals = arrivals.clone();
        plan.seed = 5;
        let dir = tempfile::tempdir().unwrap();
        plan.record_to = Some(dir.path().to_owned());
        let s = load(&plan);
        assert_adds_up(&s);
        let mut schedule = Schedule::new(&arrivals, 0, 300_000_000, 5);
        let planned: Vec<u64> =
            std::iter::repeat_with(|| schedule.next_offset_ns()).take_while(|o| *o < 300_000_000).collect();
        assert!(due == 0 || planned.len() == due, "{arrivals}: {}", planned.len());
        let mut came: Vec<u64> = server.arrivals().into_iter().flatten().map(|at| at - s.start_ns).collect();
        came.sort_unstable();
        assert_eq!((s.due as usize, came.len(), s.answered as usize), (planned.len(), planned.len(), planned.len()));
        // Each at its moment or later, by no more than the generator itself says.
        let off = planned.iter().zip(&came).find(|(due, at)| at < due || **at > **due + s.response_ns.max);
        assert!(off.is_none(), "{arrivals}: {off:?}");
        // And each in the window in which it was planned.
        let lines = intervals(dir.path());
        for (k, line) in lines.iter().enumerate() {
            let window = k as u64 * INTERVAL_NS..(k as u64 + 1) * INTERVAL_NS;
            assert_eq!(line.due, planned.iter().filter(|at| window.contains(at)).count() as u64, "{arrivals} {k}");
        }
    }
}

#[test]
fn a_burst_is_due_all_at_once() {
    let _together = together();
    let server = answering();
    let mut plan = plan(&server.url(), 1.0, 8, 500);
    plan.arrivals = Arrivals::Open { draw: Draw::Burst(8), profile: Profile::Flat(80.0) };
    let s = load(&plan);
    assert_adds_up(&s);
    // Five bursts of eight, of which seven have no gap to the one before.
    let planned = s.observed.pacing.unwrap().planned;
    assert_eq!((s.due, s.answered, planned.gap_ns.p50), (40, 40, 0));
    assert!((planned.burst_share - 35.0 / 39.0).abs() < 1e-9 && planned.gap_ns.max.abs_diff(100_000_000) < 100_000);
}

#[test]
fn targets_get_the_shares_their_weights_say_and_the_seed_decides_which() {
    let _together = together();
    let shares = |seed: u64, threads: u32| {
        let (often, seldom) = (answering(), answering());
        let mut plan = plan(&often.url(), 1000.0, 8, 250);
        plan.requests[0].weight = 3.0;
        plan.requests.push(RequestSpec::get(seldom.url()));
        (plan.seed, plan.threads) = (seed, threads);
        let s = load(&plan);
        assert_adds_up(&s);
        assert_eq!((s.due, s.answered, often.requests() + seldom.requests()), (250, 250, 250));
        assert_eq!((often.arrivals().len(), seldom.arrivals().len()), (4, 4));
        often.requests()
    };
    let (one, two) = (shares(1, 1), shares(2, 1));
    // 187.5 of 250, give or take five standard deviations of 6.8.
    for share in [one, two] {
        assert!((153..=222).contains(&share), "{share} of 250");
    }
    // By number and seed alone, whoever sends it.
    assert_eq!((shares(1, 1), shares(2, 2)), (one, two));
}

#[test]
fn one_target_that_goes_away_does_not_hold_up_the_other() {
    let _alone = alone();
    let (stays, goes) = (answering(), answering());
    let mut plan = plan(&stays.url(), 400.0, 4, 500);
    plan.requests.push(RequestSpec::get(goes.url()));
    let s = std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(&plan));
        while goes.requests() < 25 {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(goes);
        loading.join().unwrap()
    });
    assert_adds_up(&s);
    assert_eq!((s.due, s.censored), (200, 0));
    assert!(s.outcomes.connect_failed > 30, "{:?}", s.outcomes);
    // All of its own are answered, and of the other's those before the end.
    assert!((20..40).contains(&(s.answered - stays.requests())), "{} of {:?}", stays.requests(), s.outcomes);
    assert!((65..=135).contains(&stays.requests()) && s.response_ns.p50 < 50_000_000, "{s:?}");
}

/// A server that keeps what it is asked.
fn listening_closely() -> (Listening, Arc<Mutex<Vec<Asked>>>) {
    let seen: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let server = Listening::start({
        let seen = Arc::clone(&seen);
        move |stream| {
            let mut requests = Requests::of(stream);
            while let Some(asked) = requests.next() {
                let answer = match asked.head.starts_with("HEAD ") {
                    // It says how long the body would be.
                    true => b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n".to_vec(),
                    false => ok(),
                };
                seen.lock().unwrap().push(asked);
                say(&mut requests.stream, &answer);
            }
        }
    });
    (server, seen)
}

#[test]
fn methods_headers_and_bodies_arrive_as_they_were_given() {
    let _together = together();
    let (server, seen) = listening_closely();
    let body: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let mut plan = plan(&server.url(), 400.0, 2, 250);
    plan.requests = vec![
        RequestSpec { method: "HEAD".into(), ..RequestSpec::get(format!("{}head", server.url())) },
        RequestSpec::get(format!("{}get?a=b&c#not-sent", server.url())),
        RequestSpec {
            method: "POST".into(),
            headers: vec![("X-One".into(), "1, 2".into()), ("HOST".into(), "mesh.test".into())],
            body: body.clone().into(),
            ..RequestSpec::get(format!("{}post", server.url()))
        },
        RequestSpec { method: "DELETE".into(), ..RequestSpec::get(format!("{}delete", server.url())) },
    ];
    let s = load(&plan);
    assert_adds_up(&s);
    // A HEAD's answer ends with its head: what comes next is the next one's.
    assert_eq!((s.due, s.answered, s.outcomes.reset, server.accepted()), (100, 100, 0, 2));
    let (address, agent) = (server.address(), concat!("meshtax/", env!("CARGO_PKG_VERSION")));
    let usual = format!("Host: {address}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\r\n");
    let wanted = [
        (format!("HEAD /head HTTP/1.1\r\n{usual}"), vec![]),
        (format!("GET /get?a=b&c HTTP/1.1\r\n{usual}"), vec![]),
        (
            format!(
                "POST /post HTTP/1.1\r\nUser-Agent: {agent}\r\nAccept: */*\r\nContent-Length: 70000\r\n\
                 X-One: 1, 2\r\nHOST: mesh.test\r\n\r\n"
            ),
            body,
        ),
        (format!("DELETE /delete HTTP/1.1\r\n{usual}"), vec![]),
    ];
    let seen = seen.lock().unwrap();
    for (head, body) in &wanted {
        assert!(seen.iter().any(|asked| asked.head == *head), "{head}");
        assert!(seen.iter().filter(|asked| asked.head == *head).all(|asked| asked.body == *body));
    }
    assert!(seen.iter().all(|asked| wanted.iter().any(|(head, _)| *head == asked.head)));
}

#[test]
fn the_books_of_two_threads_are_one() {
    let _together = together();
    let server = answering();
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan(&server.url(), 400.0, 5, 1000);
    plan.threads = 2;
    plan.warm_up = Duration::from_millis(250);
    plan.record_to = Some(dir.path().to_owned());
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, server.requests(), server.arrivals().len()), (400, 400, 500, 5));
    assert_eq!((s.observed.threads.len(), s.observed.setup_ns.opened), (2, 5));
    let lines = intervals(dir.path());
    let start = s.start_ns - 250_000_000;
    assert!(lines.iter().all(|l| (l.start_ns - start).is_multiple_of(INTERVAL_NS)));
    let of = |phase| lines.iter().filter(move |l| l.phase == phase);
    let due = |phase| of(phase).map(|l| l.due).filter(|due| *due > 0).collect::<Vec<u64>>();
    assert_eq!(due(Phase::WarmUp), [40, 40, 20]);
    assert_eq!(due(Phase::Measure), [20, 40, 40, 40, 40, 40, 40, 40, 40, 40, 20]);
    let starts: Vec<u64> = of(Phase::Measure).map(|l| l.start_ns).collect();
    assert!(starts.windows(2).all(|w| w[1] == w[0] + INTERVAL_NS), "a hole, or one twice");
    assert_eq!(of(Phase::Measure).map(|l| l.outcomes.answered_total()).sum::<u64>(), 400);
    assert_eq!(of(Phase::Measure).map(|l| l.service.count()).sum::<u64>(), 400);
}

#[test]
fn answers_are_split_by_backend_and_what_proxies_say_is_counted() {
    let _together = together();
    let server = serving(|number, stream| {
        let (pod, more) = match number % 6 {
            0 | 3 => ("a", ""),
            1 => ("b", "x-envoy-attempt-count: 1\r\n"),
            4 => ("b", "X-Envoy-Attempt-Count: 3\r\n"),
            2 => ("c", "x-envoy-overloaded: true\r\n"),
            _ => ("", "x-envoy-attempt-count: 2\r\n"),
        };
        let status = if pod == "c" { 503 } else { 200 };
        let pod = if pod.is_empty() { String::new() } else { format!("X-Pod: {pod}\r\n") };
        say(stream, format!("HTTP/1.1 {status} x\r\n{pod}{more}Content-Length: 0\r\n\r\n").as_bytes())
    });
    for threads in [1, 2] {
        let mut plan = plan(&server.url(), 600.0, 3, 300);
        plan.threads = threads;
        plan.split_by = Some("x-POD".to_owned());
        let s = load(&plan);
        assert_adds_up(&s);
        assert_eq!((s.due, s.answered), (180, 180));
        let split: Vec<(&str, u64, u64)> =
            s.observed.split.iter().map(|b| (b.value.as_str(), b.answered, b.errors)).collect();
        assert_eq!(split, [("a", 60, 0), ("b", 60, 0), ("", 30, 0), ("c", 30, 30)]);
        assert!(s.observed.split.iter().all(|b| b.response_ns.max >= b.service_ns.p50 && b.service_ns.p50 > 0));
        assert_eq!((s.observed.retried, s.observed.extra_attempts, s.observed.overloaded), (60, 90, 30));
    }
}

fn trial(generator: &mut Generator, arrivals: &Arrivals, duration_ms: u64) -> LoadSummary {
    let duration = Duration::from_millis(duration_ms);
    let s = generator.load(arrivals, Duration::ZERO, duration, 1, &AtomicBool::new(false), None).unwrap();
    assert_adds_up(&s);
    s
}

#[test]
fn one_load_after_another_goes_over_the_same_connections() {
    let _together = together();
    let server = answering();
    let mut plan = plan(&server.url(), 100.0, 5, 200);
    plan.threads = 2;
    let mut generator = Generator::open(&plan).unwrap();
    for (arrivals, due) in [
        (Arrivals::constant(100.0), Some(20)),
        (Arrivals::max(), None),
        (Arrivals::Open { draw: Draw::Burst(5), profile: Profile::Flat(250.0) }, Some(50)),
        (Arrivals::Replay([0, 1, 100_000_000].into()), Some(3)),
    ] {
        let before = server.requests();
        let s = trial(&mut generator, &arrivals, 200);
        assert_eq!((s.due, s.answered), (due.unwrap_or(s.due), s.due), "{arrivals}");
        assert_eq!(server.requests() - before, s.due);
    }
    assert_eq!(server.arrivals().len(), 5);
}

#[test]
fn a_server_that_closes_between_two_loads_costs_the_second_nothing() {
    let _together = together();
    let first = answering();
    let address = first.address();
    let mut generator = Generator::open(&plan(&first.url(), 100.0, 3, 200)).unwrap();
    assert_eq!(trial(&mut generator, &Arrivals::constant(100.0), 200).answered, 20);
    drop(first);
    let second = Server::start_at(address, |_, _| Answer::Whole(ok()));
    let s = trial(&mut generator, &Arrivals::constant(100.0), 200);
    assert_eq!((s.due, s.answered, second.requests()), (20, 20, 20), "{:?}", s.outcomes);
}

#[test]
fn a_load_that_was_cut_leaves_the_next_one_all_its_connections() {
    let _together = together();
    for keep_alive in [true, false] {
        let server = Server::start(|number, _| match number {
            18 | 19 => Answer::Silence,
            _ => Answer::Whole(ok()),
        });
        let mut plan = plan(&server.url(), 100.0, 2, 200);
        // Long enough for all the others to be answered, whatever holds them up.
        plan.drain = TIMEOUT;
        plan.keep_alive = keep_alive;
        let mut generator = Generator::open(&plan).unwrap();
        let s = trial(&mut generator, &Arrivals::constant(100.0), 200);
        assert_eq!((s.answered, s.outcomes.cut_by_deadline), (18, 2));
        let s = trial(&mut generator, &Arrivals::constant(100.0), 200);
        assert_eq!((s.due, s.answered, s.outcomes.failed()), (20, 20, 0), "{:?}", s.outcomes);
    }
}

#[test]
fn an_ipv6_address_is_loaded_where_there_is_one() {
    let _together = together();
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6 loopback");
        return;
    }
    let server = Server::start_at("[::1]:0".parse().unwrap(), |_, _| Answer::Whole(ok()));
    let s = load(&plan(&server.url(), 100.0, 2, 200));
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered), (20, 20));
    assert!(s.url.starts_with("http://[::1]:"), "{}", s.url);
}

#[test]
fn a_stop_ends_a_load_without_a_plan() {
    let _together = together();
    let server = answering();
    let mut plan = plan(&server.url(), 1.0, 2, 60_000);
    plan.arrivals = Arrivals::max();
    let stop = AtomicBool::new(false);
    let s = std::thread::scope(|scope| {
        let loading = scope.spawn(|| load_gen::run(&plan, &stop).unwrap());
        while server.requests() < 50 {
            std::thread::sleep(Duration::from_millis(1));
        }
        stop.store(true, Ordering::Relaxed);
        loading.join().unwrap()
    });
    assert_adds_up(&s);
    assert!(s.due >= 50 && s.due == s.answered && s.duration_ns < 30_000_000_000, "{s:?}");
}
