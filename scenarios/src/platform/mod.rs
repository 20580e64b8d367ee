//! Where services and sidecars run.

pub mod processes;
