//! The protocols that requests and responses travel in.

pub mod h1;
