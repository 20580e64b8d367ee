//! Answers of HTTP/1.1 that no server should give: each counts as what it is, and nothing hangs.

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use load_gen::{Arrivals, Plan};
use record::LoadSummary;
use rustix::net::{SendFlags, sockopt};

use crate::raw::{Listening, say, serving};
use crate::server::{Answer, Server, ok};
use crate::{TIMEOUT, alone, assert_adds_up, four_and_four, load, plan, together};

/// A server of which every tenth answer is bad: `bad(stream)` gives it, and says whether the connection goes on.
fn every_tenth(bad: impl Fn(&mut TcpStream) -> bool + Send + Sync + 'static) -> Listening {
    serving(move |number, stream| if number % 10 == 4 { bad(stream) } else { say(stream, &ok()) })
}

/// 100 requests over two connections.
fn hundred(server: &Listening) -> Plan {
    plan(&server.url(), 400.0, 2, 250)
}

#[track_caller]
fn assert_ten_are_resets(s: &LoadSummary, what: &str) {
    assert_adds_up(s);
    assert_eq!((s.due, s.outcomes.reset, s.answered), (100, 10, 90), "{what}: {:?}", s.outcomes);
    assert_eq!(statuses(s), [(200, 90)], "{what}");
}

/// Answers by status.
fn statuses(s: &LoadSummary) -> Vec<(u16, u64)> {
    s.outcomes.answered.clone().into_iter().collect()
}

/// Closes without a goodbye: what was sent may be lost on the way.
fn abort(stream: &TcpStream) -> bool {
    sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
    false
}

#[test]
fn heads_without_an_end_are_resets() {
    let _together = together();
    for piece in [&b"X-Header: value\r\n"[..], b"ever longer "] {
        let server = every_tenth(move |stream| {
            say(stream, b"HTTP/1.1 200 OK\r\nX-Header: ");
            // Until nobody listens any more.
            while say(stream, &piece.repeat(100)) {}
            false
        });
        assert_ten_are_resets(&load(&hundred(&server)), &String::from_utf8_lossy(piece));
    }
}

#[test]
fn resets_of_the_connection_are_resets_wherever_they_come() {
    let _together = together();
    for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\nConte", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"] {
        let server = every_tenth(move |stream| {
            say(stream, bytes);
            abort(stream)
        });
        assert_ten_are_resets(&load(&hundred(&server)), &String::from_utf8_lossy(bytes));
        assert_eq!(server.accepted(), 12);
    }
}

#[test]
fn bodies_shorter_than_their_length_are_resets_and_longer_ones_cost_the_connection() {
    let _together = together();
    let shorter = every_tenth(|stream| {
        say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf");
        false
    });
    assert_ten_are_resets(&load(&hundred(&shorter)), "shorter");
    let longer =
        every_tenth(|stream| say(stream, b"HTTP/1.1 201 OK\r\nContent-Length: 3\r\n\r\nok\nHTTP/1.1 500 x\r\n\r\n"));
    let s = load(&hundred(&longer));
    assert_adds_up(&s);
    assert_eq!(statuses(&s), [(200, 90), (201, 10)]);
    assert_eq!((s.outcomes.failed(), longer.accepted()), (0, 12));
    // One that keeps the connection and never sends the rest is too late, not broken.
    let hanging = every_tenth(|stream| say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok\n"));
    let mut plan = hundred(&hanging);
    // Ten for those that hang, and two for the others.
    (plan.connections, plan.request_timeout) = (12, TIMEOUT);
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!((s.answered, s.outcomes.timed_out, s.outcomes.reset), (90, 10, 0), "{:?}", s.outcomes);
}

#[test]
fn words_behind_an_answer_that_fills_the_buffer_are_not_the_next_answer() {
    let _together = together();
    // With its head as long as what is read at once.
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 65494\r\n\r\n";
    assert_eq!(head.len() + 65_494, 64 << 10);
    let answer = [&head[..], &[b'x'; 65_494], b"HTTP/1.1 500 Nobody asked\r\nContent-Length: 0\r\n\r\n"].concat();
    let server = serving(move |_, stream| say(stream, &answer));
    let s = load(&hundred(&server));
    assert_adds_up(&s);
    assert_eq!((statuses(&s), s.outcomes.failed()), (vec![(200, 100)], 0));
}

#[test]
fn a_server_that_says_it_will_say_no_more_has_not_answered() {
    let _together = together();
    let server = every_tenth(|stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        // It still reads, so that there is no other reason to give it up.
        while stream.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
        false
    });
    assert_ten_are_resets(&load(&hundred(&server)), "half closed");
}

#[test]
fn an_answer_behind_its_timeout_is_not_that_of_the_next_request() {
    let _together = together();
    let server = every_tenth(|stream| {
        // Until the connection is closed, or the next request is written to it.
        let _ = stream.read(&mut [0; 4096]);
        say(stream, b"HTTP/1.1 299 Late\r\nContent-Length: 0\r\n\r\n")
    });
    // For so long that there are requests to come when the first of them is given up; ten of its connections may wait.
    let mut plan = plan(&server.url(), 50.0, 12, 2000);
    plan.request_timeout = TIMEOUT;
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!(statuses(&s), [(200, 90)]);
    assert_eq!((s.outcomes.timed_out, s.outcomes.failed()), (10, 10));
}

#[test]
fn interim_answers_are_passed_over_however_many_they_are() {
    let _together = together();
    let storm = b"HTTP/1.1 102 Processing\r\nX-A: b\r\n\r\n".repeat(10_000);
    let server = every_tenth(move |stream| {
        say(stream, &storm) && say(stream, b"HTTP/1.1 203 At last\r\nContent-Length: 1\r\n\r\nx")
    });
    let s = load(&hundred(&server));
    assert_adds_up(&s);
    assert_eq!(statuses(&s), [(200, 90), (203, 10)]);
    assert_eq!((s.outcomes.failed(), server.accepted()), (0, 2));
}

#[test]
fn interim_answers_without_an_end_run_into_the_timeout() {
    let _alone = alone();
    let server = serving(|number, stream| match number {
        20 => {
            let storm = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(100);
            while say(stream, &storm) {}
            false
        }
        _ => say(stream, &ok()),
    });
    let mut plan = hundred(&server);
    plan.request_timeout = TIMEOUT;
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, s.outcomes.timed_out), (100, 99, 1), "{:?}", s.outcomes);
}

#[test]
fn chunks_come_in_pieces_of_any_size_with_extensions_and_trailers() {
    let _together = together();
    let server = serving(|_, stream| {
        let answer = b"HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n\
            5;a=\"b;c\"\r\nhello\r\n0000A\r\n0123456789\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n";
        answer.chunks(11).all(|piece| say(stream, piece))
    });
    let s = load(&hundred(&server));
    assert_adds_up(&s);
    assert_eq!((s.answered, s.outcomes.failed(), server.accepted()), (100, 0, 2));
}

#[test]
fn heads_that_are_none_are_resets() {
    let _together = together();
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nX-A: b\r\n folded\r\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: \0\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
    ] {
        let server = every_tenth(move |stream| say(stream, bytes));
        let mut plan = hundred(&server);
        // Four times as fast, since there are so many.
        plan.arrivals = Arrivals::constant(800.0);
        plan.duration = Duration::from_millis(125);
        assert_ten_are_resets(&load(&plan), &String::from_utf8_lossy(bytes));
    }
}

#[test]
fn a_storm_of_signals_interrupts_waits_and_nothing_else() {
    let _alone = alone();
    let raised = Arc::new(AtomicBool::new(false));
    let handler = signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&raised)).unwrap();
    let server = Server::start(|_, _| Answer::Whole(ok()));
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::USR1).unwrap();
                sent.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        for pace in record::Pace::ALL {
            let mut plan = plan(&server.url(), 500.0, 4, 300);
            (plan.pace, plan.threads) = (*pace, 2);
            let s = load(&plan);
            assert_adds_up(&s);
            assert_eq!((s.due, s.answered), (150, 150), "{pace}");
        }
        over.store(true, Ordering::SeqCst);
    });
    signal_hook::low_level::unregister(handler);
    assert!(raised.load(Ordering::SeqCst) && sent.load(Ordering::SeqCst) > 100);
}

/// Answers and closes with one packet.
fn answer_and_close(stream: &TcpStream) -> bool {
    // Held back until the close, which goes with it.
    rustix::net::send(stream, &ok(), SendFlags::MORE | SendFlags::NOSIGNAL).unwrap();
    false
}

#[test]
fn a_close_in_the_packet_of_the_answer_is_seen_with_it() {
    let _together = together();
    let server = serving(|_, stream| answer_and_close(stream));
    let s = load(&plan(&server.url(), 500.0, 4, 500));
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, s.outcomes.failed()), (250, 250, 0));
    // As fast as they come: no request is written to a connection whose end was told of with the answer.
    let mut full = plan(&server.url(), 1.0, 4, 300);
    full.arrivals = Arrivals::max();
    let s = load(&full);
    assert_adds_up(&s);
    assert!(s.due > 100 && s.due == s.answered, "{:?}", s.outcomes);
}

#[test]
fn a_connection_reset_while_idle_is_opened_again_without_a_failure() {
    let _together = together();
    let server = serving(|_, stream| {
        say(stream, &ok());
        std::thread::sleep(Duration::from_millis(2));
        abort(stream)
    });
    let s = load(&four_and_four(&server.url()));
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, s.outcomes.failed()), (8, 8, 0), "{:?}", s.outcomes);
}
