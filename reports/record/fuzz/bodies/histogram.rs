//! A histogram of any bytes: what is read holds no more than a load can count, and is written as it was read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use record::Histogram;

/// Three digits from 1 ns to an hour have fewer places than this.
const PLACES: usize = 40_000;

pub(crate) fn check(data: &[u8]) {
    // As the bytes that are in the text, and as the text itself.
    of(&STANDARD.encode(data));
    if let Ok(text) = std::str::from_utf8(data) {
        of(text);
    }
}

fn of(text: &str) {
    let Ok(read) = Histogram::decode(text) else { return };
    let buckets: Vec<(u64, u64)> = read.buckets().collect();
    assert!(buckets.len() < PLACES, "{} buckets", buckets.len());
    assert!(buckets.windows(2).all(|two| two[0].0 < two[1].0), "the buckets rise");
    let counted = buckets.iter().try_fold(0_u64, |sum, (_, n)| sum.checked_add(*n));
    assert_eq!(counted, Some(read.count()), "the count is that of the buckets");
    assert_eq!(read.is_empty(), read.count() == 0);

    let quantiles = [0.0, 0.5, 0.99, 0.999, 1.0].map(|q| read.quantile(q));
    assert!(quantiles.is_sorted() && quantiles[4] == read.max(), "{quantiles:?}");
    assert_eq!(
        read.count_above(0) + read.buckets().take_while(|(top, _)| *top == 0).map(|(_, n)| n).sum::<u64>(),
        read.count()
    );
    assert_eq!(read.count_above(u64::MAX), 0);
    assert!(read.mean().is_finite());

    let written = read.encode().expect("what was read can be written");
    let again = Histogram::decode(&written).expect("what was written can be read");
    assert_eq!(again.buckets().collect::<Vec<_>>(), buckets);

    let mut twice = read.clone();
    twice.add(&read).expect("all that was read fits together");
    assert_eq!(twice.count(), 2 * read.count());
    let mut into = Histogram::new();
    into.add(&read).expect("it fits into one of ours");
    assert_eq!(into, again);
}
