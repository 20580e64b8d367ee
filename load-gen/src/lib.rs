//! Makes the load: requests fall due by a schedule, whatever the target does, and are stamped on one clock.
//!
//! A thread for each core, each with an epoll, connections and books of its own. Four things are kept apart so that
//! each can be another: when to send ([`schedule`]), when to stop (the horizon), what to stamp ([`recorder`]) and the
//! [`protocol`].
//!
//! ```text
//! response = done - intended    what a user waits
//! service  = done - sent        what the target took
//! lag      = sent - intended    ours: a connection was free; theirs: none was
//! ```

pub mod arrivals;
mod connection;
mod error;
mod fleet;
mod floor;
mod generator;
mod horizon;
mod kept;
mod lag;
mod merge;
mod mix;
mod naps;
mod own;
mod pacer;
mod plan;
pub mod protocol;
pub mod recorder;
mod roster;
mod run;
pub mod schedule;
pub mod search;
mod slowest;
mod summary;
mod tally;
mod target;
mod tls;
mod transport;
mod verdict;
mod worker;
pub mod writer;

pub use arrivals::{Arrivals, Draw, Profile};
pub use error::{Error, Result};
pub use generator::Generator;
pub use kept::Kept;
pub use merge::{Generated, merge};
pub use mix::RequestSpec;
pub use plan::{Plan, Portion};
pub use protocol::Protocol;
pub use run::{kept, run, watched};
pub use target::Place;
pub use tls::Trust;
pub use writer::Watch;
