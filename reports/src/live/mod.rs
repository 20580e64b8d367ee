//! A trial while it is being made, as its growing files tell it: what requests took, what the machine did.
//!
//! Nobody who measures is asked: the lines of a trial are plain JSON until it is sealed, and whoever follows reads
//! what has been appended since it last looked.

mod course;
mod follower;
mod lines;
mod machine;
mod requests;
mod run;
mod tail;
#[cfg(test)]
mod tests;

pub use course::Tenth;
pub use follower::{Follower, Now};
pub use machine::MachineNow;
pub use requests::RequestsNow;
pub use run::{RunFollower, RunNow, TrialNow};
