//! Makes the load: requests fall due by a schedule, whatever the target does, and are stamped on one clock.
//!
//! One thread, one epoll. Four things are kept apart so that each can be another: when to send
//! ([`schedule`]), when to stop (the horizon), what to stamp ([`recorder`]) and the [`protocol`].
//!
//! ```text
//! response = done - intended    what a user waits
//! service  = done - sent        what the target took
//! lag      = sent - intended    ours: a connection was free; theirs: none was
//! ```

mod connection;
mod error;
mod fleet;
mod horizon;
mod lag;
mod pacer;
mod plan;
pub mod protocol;
pub mod recorder;
mod roster;
mod run;
pub mod schedule;
mod slowest;
mod summary;
mod target;
mod verdict;
mod worker;
pub mod writer;

pub use error::{Error, Result};
pub use plan::{Method, Plan};
pub use run::run;
