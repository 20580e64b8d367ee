//! Frames whole, cut, mutated and made of nothing.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::super::words::{Ask, Tell};
use super::*;

#[test]
fn what_is_framed_is_read_however_it_is_cut() {
    let asked =
        [Ask::Hello, Ask::Clock { session: Some("ab12".into()) }, Ask::Forget { run: "r".into(), attempt: None }];
    let bytes: Vec<u8> = asked.iter().flat_map(|ask| frame(ask, 1 << 20).unwrap()).collect();
    for size in [1, 2, 3, 5, 7, bytes.len()] {
        let (mut frames, mut got) = (Frames::new(1 << 20), Vec::new());
        for part in bytes.chunks(size) {
            frames.push(part);
            while let Some(ask) = frames.next::<Ask>().unwrap() {
                got.push(ask);
            }
        }
        assert_eq!(got, asked, "in pieces of {size}");
        assert_eq!(frames.held(), 0);
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_by_itself() {
    let mut frames = Frames::new(4096);
    frames.push(&4097u32.to_be_bytes());
    assert_eq!(frames.next::<Ask>().unwrap_err(), FrameError::TooLong { length: 4097, limit: 4096 });
    let mut frames = Frames::new(4096);
    frames.push(&u32::MAX.to_be_bytes());
    assert!(frames.next::<Ask>().is_err() && frames.held() == 4, "nothing was taken for what was announced");
    let long = Ask::Clock { session: Some("x".repeat(5000)) };
    assert_eq!(frame(&long, 4096).unwrap_err(), FrameError::TooLong { length: 5024, limit: 4096 });
}

#[test]
fn thousands_of_random_and_mutated_frames_neither_crash_nor_grow_it() {
    const LIMIT: usize = 64 << 10;
    let mut chance = ChaCha8Rng::seed_from_u64(20_261_123);
    let good: Vec<Vec<u8>> = [
        frame(&Ask::Hello, LIMIT),
        frame(&Ask::Read { run: "r".into(), attempt: "a".into(), path: "x/y".into(), offset: 7 }, LIMIT),
        frame(&Ask::Clock { session: None }, LIMIT),
        frame(&Tell::Refused { what: "no".into(), lost: false }, LIMIT),
    ]
    .into_iter()
    .map(Result::unwrap)
    .collect();
    let (mut read, mut refused) = (0, 0);
    for round in 0..20_000 {
        let mut bytes = match round % 4 {
            0 => (0..chance.random_range(0..200)).map(|_| chance.random()).collect(),
            // A plausible length before random bytes.
            1 => {
                let body: Vec<u8> = (0..chance.random_range(0..300)).map(|_| chance.random()).collect();
                [(body.len() as u32).to_be_bytes().to_vec(), body].concat()
            }
            // Brackets upon brackets.
            2 => {
                let body = vec![if round % 8 == 2 { b'[' } else { b'{' }; chance.random_range(1..LIMIT)];
                [(body.len() as u32).to_be_bytes().to_vec(), body].concat()
            }
            _ => good[chance.random_range(0..good.len())].clone(),
        };
        for _ in 0..chance.random_range(0..4) {
            if !bytes.is_empty() {
                let at = chance.random_range(0..bytes.len());
                bytes[at] = chance.random();
            }
        }
        let mut frames = Frames::new(LIMIT);
        let piece = chance.random_range(1..64usize.max(bytes.len()) + 1);
        'stream: for part in bytes.chunks(piece) {
            frames.push(part);
            assert!(frames.held() <= LIMIT + HEAD + piece, "{} bytes held", frames.held());
            loop {
                match frames.next::<Ask>() {
                    Ok(Some(_)) => read += 1,
                    Ok(None) => break,
                    Err(_) => {
                        refused += 1;
                        break 'stream;
                    }
                }
            }
        }
    }
    assert!(read > 500 && refused > 5_000, "{read} read, {refused} refused");
}
