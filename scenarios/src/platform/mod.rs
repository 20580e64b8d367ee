//! Where services and sidecars run, and how a chain is built there.

mod answers;
mod builder;
mod ground;
pub(crate) mod instance;
mod neighbour;
mod node_proxy;
mod proxies;
mod services;

pub(crate) use builder::{begin, complete, deploy, stand};
pub(crate) use ground::Ground;
