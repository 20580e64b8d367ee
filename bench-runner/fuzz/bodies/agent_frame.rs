//! Whatever a peer sends, an agent's decoder ends, holds no more than its limit, and reads again what it has read.

use crate::{frame, words};

const LIMIT: usize = 64 << 10;

pub(crate) fn check(data: &[u8]) {
    let Some((size, data)) = data.split_first() else { return };
    let piece = usize::from(*size) + 1;
    let mut frames = frame::Frames::new(LIMIT);
    for part in data.chunks(piece) {
        frames.push(part);
        loop {
            match frames.next::<words::Ask>() {
                Ok(Some(ask)) => {
                    let bytes = frame::frame(&ask, usize::MAX).expect("what was read can be written");
                    let mut again = frame::Frames::new(usize::MAX);
                    again.push(&bytes);
                    assert_eq!(again.next::<words::Ask>().expect("a message"), Some(ask));
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(frames.held() <= LIMIT + 4 + piece);
    }
}
