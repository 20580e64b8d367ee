//! Tests of the crate from outside, one module a noun.

// The helpers of tests are tests too: a panic there is the report, and a skipped test says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod ambient;
mod caller;
mod certs;
mod corpus;
mod embedded;
mod envoy;
mod grpc;
mod h2_caller;
mod http2;
mod launch;
mod limits;
mod network;
mod part;
mod process;
mod programs;
mod reference;
mod scenario;
mod script;
mod service;
mod sidecar_log;
mod sidecar_pods;
mod sidecar_told;
mod sidecar_ways;
