//! The built program, used as a person or a script would use it.

// In a test a panic is the report; the lint knows only of functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod ambient;
mod baseline;
mod browser;
mod canary;
mod compare;
mod cut_off;
mod disk;
mod documented;
mod errors;
mod exchange;
mod first_minutes;
mod forge;
mod gaps;
mod gate;
mod istio;
mod live;
mod load;
mod memory;
mod namespaces;
mod neighbour;
mod onlooking;
mod packaged;
mod packaging;
mod pages;
mod planning;
mod privileges;
mod program;
mod proxies;
mod run;
mod secrets;
mod serve;
mod shelf;
mod sidecars;
mod supply;
mod verify;
mod watch;
