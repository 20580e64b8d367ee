//! What each request costs the generator besides the kernel: drawing, stamping, parsing, and each interval.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use criterion::{Criterion, criterion_group, criterion_main};
use load_gen::protocol::Kept;
use load_gen::protocol::h1::Reader;
use load_gen::protocol::h2::{Request, Session};
use load_gen::protocol::kept::names;
use load_gen::recorder::{Ended, Recorder};
use load_gen::schedule::Schedule;
use load_gen::writer::{Sink, outboxes};
use load_gen::{Arrivals, Draw, Profile};
use record::{HopStamps, INTERVAL_NS, Outcome, Phase};

fn schedule(c: &mut Criterion) {
    let profiles = [("flat", Profile::Flat(10_000.0)), ("ramp", Profile::Ramp { from: 1.0, to: 1e9 })];
    for (name, draw, (shape, profile)) in [
        ("constant", Draw::Constant, profiles[0].clone()),
        ("poisson", Draw::Poisson, profiles[0].clone()),
        ("constant", Draw::Constant, profiles[1].clone()),
    ] {
        let mut schedule = Schedule::new(&Arrivals::Open { draw, profile }, 0, 1_000_000_000, 1);
        c.bench_function(&format!("schedule/next {name} {shape}"), |b| b.iter(|| black_box(schedule.next_offset_ns())));
    }
}

fn reader(c: &mut Criterion) {
    let plain = b"HTTP/1.1 200 OK\r\nServer: x\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n".to_vec();
    let hops = "s1;10;1s;1.1h(s2;14;14;5.p(s3;1e;b))";
    let stamped =
        format!("HTTP/1.1 200 OK\r\n{}: {hops}\r\nContent-Length: 3\r\n\r\nok\n", HopStamps::HEADER).into_bytes();
    let mut reader = Reader::new(Kept::new(names(None)));
    for (name, bytes) in [("plain", plain), ("stamped", stamped)] {
        c.bench_function(&format!("h1/read {name}"), |b| {
            b.iter(|| {
                reader.begin(false);
                black_box(reader.feed(black_box(&bytes)))
            });
        });
    }
}

/// An answer as nginx 1.26 writes it: it says first that it keeps no table, then what it has of each header, coded.
fn nginx_answer(stream: u32) -> Vec<u8> {
    let mut block = vec![0x20, 0x88]; // :status 200
    block.extend_from_slice(b"\x76\x89\xaa\x63\x55\xe5\x80\xae\x27\x17\x17"); // server: nginx/1.26.2
    // date: Mon, 21 Oct 2013 20:13:21 GMT
    let date = b"\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff";
    block.extend_from_slice(b"\x61\x96");
    block.extend_from_slice(date);
    block.extend_from_slice(b"\x5f\x87\x49\x7c\xa5\x89\xd3\x4d\x1f"); // content-type: text/html
    block.extend_from_slice(b"\x5c\x01\x33"); // content-length: 3
    block.extend_from_slice(b"\x6c\x96");
    block.extend_from_slice(date);
    block.extend_from_slice(b"\x00\x04etag\x0e\"65a7d9a2-267\"");
    block.extend_from_slice(b"\x00\x0daccept-ranges\x05bytes");
    let mut out = vec![0, 0, block.len() as u8, 1, 4];
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(&block);
    out.extend_from_slice(&[0, 0, 3, 0, 1]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(b"ok\n");
    out
}

fn h2(c: &mut Criterion) {
    const PLACES: u32 = 10;
    let headers = [("user-agent", "meshtax/0.1.0"), ("accept", "*/*")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    let request = Request::new("GET", "http", "127.0.0.1:8080", "/some/path?q=1", &headers, Vec::new());
    let wanted: Arc<[String]> = Arc::new([HopStamps::HEADER.to_owned(), "grpc-message".to_owned()]);
    let (mut out, mut events) = (Vec::with_capacity(1 << 16), Vec::with_capacity(64));
    let mut session = Session::new(PLACES, wanted);
    let mut stream = 1;
    let begin = |session: &mut Session, out: &mut Vec<u8>| {
        out.clear();
        session.begin(out);
        session.feed(&[0, 0, 0, 4, 0, 0, 0, 0, 0], out, &mut Vec::new()).is_ok()
    };
    begin(&mut session, &mut out);
    // Given up at once, so that its place is free for the next.
    c.bench_function("h2/open", |b| {
        b.iter(|| {
            out.clear();
            if !session.open(0, black_box(&request), &mut out) {
                begin(&mut session, &mut out);
            }
            session.cancel(0, &mut out);
        });
    });
    begin(&mut session, &mut out);
    let mut answer = nginx_answer(1);
    let second = answer.len() - 9 - 3;
    c.bench_function("h2/open and read nginx answer", |b| {
        b.iter(|| {
            out.clear();
            events.clear();
            if !session.open(0, black_box(&request), &mut out) {
                begin(&mut session, &mut out);
                session.open(0, &request, &mut out);
                stream = 1;
            }
            // As the wire would have it, but for the number of the stream.
            answer[5..9].copy_from_slice(&u32::to_be_bytes(stream));
            answer[second + 5..second + 9].copy_from_slice(&u32::to_be_bytes(stream));
            stream += 2;
            let fed = session.feed(black_box(&answer), &mut out, &mut events);
            assert!(fed.is_ok() && events.len() == 2, "{fed:?} {events:?}");
        });
    });
}

fn ended(at: u64) -> Ended {
    Ended {
        index: 0,
        phase: Phase::Measure,
        intended_ns: at,
        sent_ns: Some(at + 1000),
        first_byte_ns: Some(at + 100_000),
        done_ns: at + 100_000,
        outcome: Some(Outcome::Answered(200)),
        connection: Some(0),
    }
}

fn recorder(c: &mut Criterion) {
    let (mut outs, inbox) = outboxes(1, 3);
    let out = outs.remove(0);
    let writer = std::thread::spawn(move || inbox.run(Sink::new(None), &AtomicBool::new(false)));
    let mut recorder = Recorder::new(0, 0, out);
    c.bench_function("recorder/one request", |b| {
        b.iter(|| {
            recorder.due(Phase::Measure);
            recorder.sent(Phase::Measure, black_box(1000), 0);
            recorder.ended(black_box(&ended(0)), b"s1;1;2;3;4");
        });
    });
    let mut now = 0;
    c.bench_function("recorder/swap of an interval", |b| {
        b.iter(|| {
            recorder.due(Phase::Measure);
            recorder.ended(black_box(&ended(now)), b"");
            now += INTERVAL_NS;
            recorder.roll_to(now);
        });
    });
    recorder.close(now);
    drop(writer.join());
}

criterion_group!(hot_path, schedule, reader, h2, recorder);
criterion_main!(hot_path);
