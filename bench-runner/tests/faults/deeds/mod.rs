//! The deeds, one kind of fault a file.

pub(crate) mod clock;
pub(crate) mod damage;
pub(crate) mod disk;
pub(crate) mod exhaust;
pub(crate) mod ground;
pub(crate) mod parts;
pub(crate) mod ports;
pub(crate) mod signals;
