//! Bytes by chance: whatever comes, nothing panics, and every request ends at most once.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::desk::*;
use super::frame::{flag, kind};
use super::{End, Event, Request};

const PLACES: u32 = 4;

/// A frame that makes sense, for a stream that may be under way.
fn sensible(chance: &mut ChaCha8Rng, last: u32) -> Vec<u8> {
    let stream = last.saturating_sub(2 * chance.random_range(0..6)) | 1;
    let end = chance.random_bool(0.5);
    let length = chance.random_range(0..300);
    let status = ["200", "100", "503"].choose(chance).unwrap();
    let kind_of = ["text/html", "application/grpc"].choose(chance).unwrap();
    match chance.random_range(0..14) {
        0..4 => head(stream, &[(":status", status), ("content-type", kind_of), ("x-kept", "v")], end),
        4..7 => data(stream, &vec![0; length], end),
        7 => reset(stream, chance.random_range(0..14)),
        8 => window(*[0, stream].choose(chance).unwrap(), chance.random_range(1..100_000)),
        9 => settings(&[(*[1, 3, 4].choose(chance).unwrap(), chance.random_range(0..70_000))]),
        10 => frame(kind::PING, 0, 0, b"12345678"),
        11 => head(stream, &[("grpc-status", "0")], true),
        12 => frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, b"\x88\x40\x01a\x03abc\xbe\x5f\x00"),
        _ => frame(kind::DATA, flag::PADDED, stream, &[7; 9]),
    }
}

/// Changes, drops or puts in a few bytes.
fn mutate(chance: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    for _ in 0..chance.random_range(1..4) {
        let at = chance.random_range(0..bytes.len());
        match chance.random_range(0..4) {
            0 => bytes[at] = chance.random(),
            1 => bytes[at] ^= 1 << chance.random_range(0..8),
            2 => bytes.insert(at, chance.random()),
            _ if bytes.len() > 1 => drop(bytes.remove(at)),
            _ => {}
        }
    }
}

/// Keeps account of which places are under way, and checks the rules of the events.
#[derive(Default)]
struct Account {
    open: [bool; PLACES as usize],
    begun: [bool; PLACES as usize],
    answered: u32,
}

impl Account {
    fn enter(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::FirstByte { place } => {
                    assert!(self.open[place as usize], "something comes of a request that is not under way");
                    assert!(!std::mem::replace(&mut self.begun[place as usize], true), "it begins twice");
                }
                Event::Ended { place, end } => {
                    assert!(std::mem::take(&mut self.open[place as usize]), "it ends twice");
                    self.answered += u32::from(matches!(end, End::Answered { .. }));
                }
            }
        }
    }

    fn opened(&mut self, place: u32) {
        self.open[place as usize] = true;
        self.begun[place as usize] = false;
    }
}

/// One connection's life; how many answers came, and whether it broke.
fn live(chance: &mut ChaCha8Rng, mutated: f64, requests: &[Request]) -> (u32, bool) {
    let mut desk = Desk::new(PLACES, &[]);
    let mut account = Account::default();
    let mut last = 0;
    for _ in 0..60 {
        let place = chance.random_range(0..PLACES);
        if chance.random_bool(0.1) {
            desk.cancel(place);
            account.open[place as usize] = false;
        }
        if desk.session.can_open() && !account.open[place as usize] {
            desk.out.clear();
            assert!(desk.open(place, requests.choose(chance).unwrap()));
            last = desk.written()[0].0.stream;
            account.opened(place);
        }
        let mut bytes = sensible(chance, last);
        if chance.random_bool(mutated) {
            mutate(chance, &mut bytes);
        }
        let split = chance.random_range(0..=bytes.len());
        let done = desk.feed(&bytes[..split]).and_then(|()| desk.feed(&bytes[split..]));
        account.enter(desk.happened());
        let under_way = account.open.iter().filter(|o| **o).count();
        assert_eq!(desk.session.under_way() as usize, under_way);
        frames(&desk.out);
        if done.is_err() {
            return (account.answered, true);
        }
    }
    (account.answered, false)
}

#[test]
fn whatever_comes_every_request_ends_once_at_most() {
    let requests = [get(), post(10), post(200_000)];
    for mutated in [0.0, 0.1, 0.5] {
        let mut chance = ChaCha8Rng::seed_from_u64(7);
        let (mut answered, mut broken) = (0, 0);
        for _ in 0..2000 {
            let (answers, broke) = live(&mut chance, mutated, &requests);
            answered += answers;
            broken += u32::from(broke);
        }
        // Else it would test nothing.
        assert!(answered > 200, "{mutated}: {answered} answers, {broken} broken");
        assert_eq!(broken > 1000, mutated > 0.0, "{mutated}: {answered} answers, {broken} broken");
    }
}

#[test]
fn noise_breaks_the_connection_and_nothing_else() {
    let mut chance = ChaCha8Rng::seed_from_u64(11);
    for _ in 0..5000 {
        let mut desk = Desk::new(PLACES, &[]);
        desk.open(0, &get());
        let mut bytes = vec![0; chance.random_range(0..200)];
        chance.fill(&mut bytes[..]);
        let _ = desk.feed(&bytes);
        // As a block of headers, too.
        let mut desk = Desk::new(PLACES, &[]);
        desk.open(0, &get());
        let _ = desk.feed(&frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &bytes));
        assert!(desk.events.len() <= 2);
    }
}
