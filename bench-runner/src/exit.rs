//! Exit codes, stable for scripts, and the errors that choose among them.

use std::process::ExitCode;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; warnings were printed and kept.
    Done = 0,
    /// A gate or an SLO failed, or `--strict` and a warning touches the result.
    Failed = 1,
    /// It could not run.
    CouldNotRun = 2,
    /// It ran, and what was asked could not be decided.
    Inconclusive = 3,
    /// Bad arguments or a bad scenario.
    Usage = 64,
    /// Cut off by the user; sealed trials are kept.
    Cut = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Bad arguments: what is wrong, where, and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// The exit code an error asks for.
pub(crate) fn of(error: &anyhow::Error) -> Exit {
    let asked_wrongly = |e: &(dyn std::error::Error + 'static)| {
        let scenario = e.downcast_ref::<scenarios::Error>();
        let wrong = |e: &scenarios::Error| {
            use scenarios::Error::{Istio, Scenario, Value};
            matches!(e, Scenario { .. } | Value { .. } | Istio { .. })
        };
        e.is::<Usage>() || scenario.is_some_and(wrong)
    };
    if error.chain().any(asked_wrongly) { Exit::Usage } else { Exit::CouldNotRun }
}

/// The error with its causes, for a person, and what to do about it at the end; a cause that the message above it tells
/// already is not told again. It may quote a file of somebody else's: nothing in it steers the terminal.
pub(crate) fn say(error: &anyhow::Error) -> String {
    let (mut said, mut ways_out) = (String::new(), String::new());
    for cause in error.chain() {
        let text = cause.to_string();
        let (what, way_out) = text.split_once(WAY_OUT).unwrap_or((&text, ""));
        if said.contains(what) {
            continue;
        }
        if !said.is_empty() {
            said.push_str(": ");
        }
        said.push_str(what);
        if !way_out.is_empty() {
            ways_out.push_str(WAY_OUT);
            ways_out.push_str(way_out);
        }
    }
    record::plain::lines(&(said + &ways_out))
}

/// What stands in each message before the way out.
const WAY_OUT: &str = "\n  try: ";

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn causes_are_told_once() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = record::Error::File { action: "append to", path: "/r/i.jsonl".into(), source: full() };
        let once = say(&anyhow::Error::from(error));
        assert_eq!(once.matches(&full().to_string()).count(), 1, "{once}");
        let context: Result<(), _> = Err(full());
        let context = context.context("cannot keep x\n  try: --state DIR").unwrap_err();
        assert_eq!(say(&context), format!("cannot keep x: {}\n  try: --state DIR", full()), "the way out comes last");
        let bare: Result<(), _> = Err(full());
        assert_eq!(say(&bare.context("cannot write x").unwrap_err()), format!("cannot write x: {}", full()));
    }

    #[test]
    fn what_is_quoted_does_not_steer_the_terminal() {
        let error = anyhow::anyhow!("key `a\u{1b}[2J\u{9b}K`\n\tis unknown\n  try: b\r");
        assert_eq!(say(&error), "key `a\u{fffd}[2J\u{fffd}K`\n\tis unknown\n  try: b\u{fffd}");
    }

    #[test]
    fn what_was_asked_wrongly_is_64_and_what_could_not_be_done_is_2() {
        assert_eq!(of(&Usage("x".into()).into()), Exit::Usage);
        let scenario = scenarios::Scenario::parse("[load]\nrate = 0\n", "s.toml").unwrap_err();
        assert_eq!(of(&anyhow::Error::from(scenario).context("while reading")), Exit::Usage);
        assert_eq!(of(&anyhow::anyhow!("disk")), Exit::CouldNotRun);
    }
}
