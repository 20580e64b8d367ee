//! The few response headers whose values a load looks at.

use std::sync::Arc;

use record::HopStamps;

/// The stamps of our own services.
pub const HOPS: usize = 0;
/// How often a proxy tried.
pub const ATTEMPTS: usize = 1;
/// Whether a proxy was overloaded.
pub const OVERLOADED: usize = 2;
/// What answers are split by, if they are.
pub const SPLIT: usize = 3;

/// The names of the headers to keep, in lower case, each at its place; `split` is the one to split answers by.
pub fn names(split: Option<&str>) -> Arc<[String]> {
    let known = [HopStamps::HEADER, "x-envoy-attempt-count", "x-envoy-overloaded"];
    known.into_iter().map(str::to_owned).chain(split.map(str::to_ascii_lowercase)).collect()
}

/// Names, and the values that came with the response read last. Memory is used again.
#[derive(Clone, Debug)]
pub struct Kept {
    names: Arc<[String]>,
    values: Vec<Vec<u8>>,
    /// Whether the values are those of the response at hand.
    valid: bool,
}

impl Kept {
    /// Keeps headers of these names, which are in lower case.
    pub fn new(names: Arc<[String]>) -> Self {
        let values = names.iter().map(|_| Vec::with_capacity(64)).collect();
        Self { names, values, valid: false }
    }

    /// Forgets the values; those that are offered next are the response's.
    #[inline]
    pub fn clear(&mut self) {
        self.values.iter_mut().for_each(Vec::clear);
        self.valid = true;
    }

    /// Another response begins, which has no values yet.
    #[inline]
    pub fn hide(&mut self) {
        self.valid = false;
    }

    /// It turned out to have the values of the one before.
    #[inline]
    pub fn show(&mut self) {
        self.valid = true;
    }

    /// Keeps a header, if it is one of those; several of a name are joined by commas (RFC 9110 section 5.3).
    #[inline]
    pub fn offer(&mut self, name: &str, value: &[u8]) {
        for (wanted, kept) in self.names.iter().zip(&mut self.values) {
            // By length first: most headers are none of these.
            if wanted.len() == name.len() && wanted.eq_ignore_ascii_case(name) {
                if !kept.is_empty() {
                    kept.push(b',');
                }
                kept.extend_from_slice(value);
            }
        }
    }

    /// The value at a place; empty if it did not come.
    #[inline]
    pub fn value(&self, place: usize) -> &[u8] {
        self.values.get(place).filter(|_| self.valid).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_by_name_joined_and_forgotten() {
        let mut kept = Kept::new(names(Some("X-Pod")));
        kept.clear();
        kept.offer("x-pod", b"a");
        kept.offer("X-MESHTAX-hops", b"s1;1;-;-;2");
        kept.offer("server", b"x");
        kept.offer("X-Pod", b"b");
        assert_eq!((kept.value(SPLIT), kept.value(HOPS)), (&b"a,b"[..], &b"s1;1;-;-;2"[..]));
        assert_eq!((kept.value(ATTEMPTS), kept.value(9)), (&b""[..], &b""[..]));
        kept.hide();
        assert_eq!(kept.value(SPLIT), b"");
        kept.show();
        assert_eq!(kept.value(SPLIT), b"a,b");
        kept.clear();
        assert_eq!(kept.value(SPLIT), b"");
        assert_eq!(Kept::new(names(None)).value(SPLIT), b"");
    }
}
