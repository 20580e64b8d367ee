//! What the name of a header means to us.

use std::sync::Arc;

use super::fixed::{COUNT, FIXED};

/// What a header is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Other,
    Status,
    Length,
    Type,
    GrpcStatus,
    /// A header that no response may have.
    Forbidden,
}

/// What a name means: worked out once, when the name comes, and kept beside it in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) kind: Kind,
    wanted: u16,
}

const NOT_WANTED: u16 = u16::MAX;

impl Meaning {
    /// Whether nobody looks at the value.
    #[inline]
    pub(super) fn is_idle(self) -> bool {
        self.wanted == NOT_WANTED && matches!(self.kind, Kind::Other | Kind::Forbidden)
    }

    /// Whether of the value only matters how it begins: as that of gRPC does, or not.
    #[inline]
    pub(super) fn is_type_only(self) -> bool {
        self.wanted == NOT_WANTED && self.kind == Kind::Type
    }

    /// Which of the wanted values it is.
    #[inline]
    pub(super) fn wanted(self) -> Option<usize> {
        (self.wanted != NOT_WANTED).then_some(usize::from(self.wanted))
    }
}

/// The names whose values are kept, and what the static names mean.
#[derive(Debug)]
pub(super) struct Names {
    wanted: Arc<[String]>,
    fixed: [Meaning; COUNT],
}

impl Names {
    pub(super) fn new(wanted: Arc<[String]>) -> Self {
        let mut fixed = [Meaning { kind: Kind::Other, wanted: NOT_WANTED }; COUNT];
        for (meaning, (name, _)) in fixed.iter_mut().zip(&FIXED) {
            *meaning = meaning_of(name, &wanted);
        }
        Self { wanted, fixed }
    }

    /// How many values are kept.
    #[inline]
    pub(super) fn wanted(&self) -> usize {
        self.wanted.len()
    }

    /// The meaning of the static entry of this number, from 1.
    #[inline]
    pub(super) fn fixed(&self, number: usize) -> Meaning {
        self.fixed[number - 1]
    }

    pub(super) fn of(&self, name: &[u8]) -> Meaning {
        meaning_of(name, &self.wanted)
    }
}

fn meaning_of(name: &[u8], wanted: &[String]) -> Meaning {
    let kind = match name {
        b":status" => Kind::Status,
        b"content-length" => Kind::Length,
        b"content-type" => Kind::Type,
        b"grpc-status" => Kind::GrpcStatus,
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => Kind::Forbidden,
        [] | [b':', ..] => Kind::Forbidden,
        _ if name.iter().any(|b| b.is_ascii_uppercase() || *b <= b' ' || *b >= 0x7f) => Kind::Forbidden,
        _ => Kind::Other,
    };
    let wanted = wanted.iter().position(|w| w.as_bytes() == name);
    Meaning { kind, wanted: wanted.and_then(|w| u16::try_from(w).ok()).unwrap_or(NOT_WANTED) }
}
