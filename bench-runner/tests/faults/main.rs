//! The fault campaign: what is done to a run at each of its stages, and what comes of it. `README.md` is the table; each of its
//! rows is a test of that name.

// In a test a panic is the report; the lint knows only of functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod aftermath;
mod deed;
mod deeds;
mod live;
mod outcome;
mod play;
#[path = "../it/program.rs"]
#[allow(dead_code)]
mod program;
mod scene;
mod stage;
mod table;

use libtest_mimic::{Arguments, Failed, Trial};

/// Rows wait for processes most of the time; each has two or three of them at work at once.
const ROWS_AT_ONCE: usize = 8;

fn main() {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(ROWS_AT_ONCE);
    let mut trials = vec![
        Trial::test("the_table", || checked(table::check)),
        Trial::test("at_least_so_much_in_an_evidence", || checked(outcome::at_least)),
    ];
    match table::rows() {
        Ok(rows) => trials.extend(rows.into_iter().map(|row| {
            let name = row.id.clone();
            Trial::test(name, move || checked(|| play::row(&row)))
        })),
        Err(why) => trials.push(Trial::test("the_table_can_be_read", move || Err(Failed::from(why)))),
    }
    libtest_mimic::run(&args, trials).exit();
}

/// A panic as a failure with its words.
fn checked(test: impl FnOnce() + std::panic::UnwindSafe) -> Result<(), Failed> {
    std::panic::catch_unwind(test).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Failed::from(text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default())
    })
}
