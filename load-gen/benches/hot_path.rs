//! What each request costs the generator besides the kernel: drawing, stamping, parsing, and each interval.

use std::hint::black_box;
use std::sync::atomic::AtomicBool;

use criterion::{Criterion, criterion_group, criterion_main};
use load_gen::{Arrivals, Draw, Profile};
use load_gen::protocol::Kept;
use load_gen::protocol::kept::names;
use load_gen::protocol::h1::Reader;
use load_gen::recorder::{Ended, Recorder};
use load_gen::schedule::Schedule;
use load_gen::writer::{Sink, outboxes};
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
    let hops = "s1;1;2;3;4,s2;1;2;3;4,s3;1;-;-;4";
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

criterion_group!(hot_path, schedule, reader, recorder);
criterion_main!(hot_path);
