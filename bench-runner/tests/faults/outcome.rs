//! What may come of a fault, and whether it did.

use serde_json::Value;

use crate::live::Ended;
use crate::program::json;
use crate::scene::{HIT, Scene};
use crate::stage::Stage;
use crate::table::Row;

/// What may come of it; there is nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The run goes on and is whole; where something is seen, it is a warning.
    GoesOn,
    /// The run is whole, and the trial that was hit bears a warning.
    Marked,
    /// It ends with an error, or was killed itself.
    Stops,
}

impl Outcome {
    pub(crate) fn named(word: &str) -> Result<Self, String> {
        match word {
            "goes on" => Ok(Self::GoesOn),
            "marks the trial" => Ok(Self::Marked),
            "stops" => Ok(Self::Stops),
            _ => Err(format!("'{word}' is no outcome: it is 'goes on', 'marks the trial' or 'stops'")),
        }
    }
}

/// A message longer than this is no one-screen message.
const SCREEN: usize = 24;

/// The exit code and the words are those of the row.
pub(crate) fn check(row: &Row, scene: &Scene, ended: &Ended) {
    let said = &ended.answer.stderr;
    assert_eq!(ended.how, row.exit, "how it ended; it said:\n{said}\n{}", ended.answer.stdout);
    match row.outcome {
        Outcome::Stops => {
            let error = said.find("error: ").map_or("", |at| &said[at..]);
            for word in &row.seen {
                // What ends by a signal has no last words of its own.
                let within = if row.exit.starts_with("signal") { said } else { error };
                assert!(within.contains(word), "'{word}' is missing:\n{said}");
            }
            assert!(error.lines().count() <= SCREEN, "more than a screen:\n{error}");
            let way_out = ["try:", "meshtax resume", "restore it"].iter().any(|way| error.contains(way));
            assert!(error.is_empty() || way_out, "no way out:\n{error}");
            assert!(!said.contains("panicked"), "a panic is no error:\n{said}");
        }
        Outcome::GoesOn if matches!(row.stage, Stage::Read(_)) => {
            for word in &row.seen {
                let everything = format!("{}{said}", ended.answer.stdout);
                assert!(everything.contains(word), "'{word}' is missing:\n{everything}");
            }
        }
        Outcome::GoesOn | Outcome::Marked => {
            let findings = json(&scene.run().join("findings.json"));
            for kind in &row.seen {
                let found = of_kind(&findings, kind, row.outcome);
                assert!(found, "no warning '{kind}': {:#}", findings["warnings"]);
            }
        }
    }
}

/// Whether there is a warning of this kind, of the trial that was hit where it must bear it. What stands after a colon must
/// be in its evidence: "requests_failed: timed out"; of "for 5+ s" a number of so many or more.
fn of_kind(findings: &Value, seen: &str, outcome: Outcome) -> bool {
    let (kind, evidence) = seen.split_once(": ").unwrap_or((seen, ""));
    let warnings = findings["warnings"].as_array().unwrap();
    warnings.iter().any(|warning| {
        let of_hit = warning["trial"].as_str().is_some_and(|id| id.starts_with(HIT));
        warning["kind"] == kind
            && warning["evidence"].as_str().is_some_and(|said| says(said, evidence))
            && (of_hit || outcome != Outcome::Marked)
    })
}

/// Whether an evidence has these words, where "5+" stands for a number that is at least 5: whoever is to end a pause may be late.
fn says(evidence: &str, words: &str) -> bool {
    let Some((before, after)) = words.split_once('+') else { return evidence.contains(words) };
    let (before, least) = before.rsplit_once(' ').unwrap_or(("", before));
    let least: f64 = least.parse().unwrap_or_else(|_| panic!("'{least}' before a + is no number"));
    evidence.match_indices(before).any(|(at, _)| {
        let rest = evidence[at + before.len()..].trim_start();
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        rest[digits..].starts_with(after) && rest[..digits].parse::<f64>().is_ok_and(|found| found >= least)
    })
}

/// A test of its own.
pub(crate) fn at_least() {
    let evidence = "on s1 nobody looked for 5.0 s, nor for 12.5 s; 3 s";
    for words in ["for 5+ s", "for 5.0+ s", "for 12+ s", "nobody looked for 4+ s", "for 5.0 s"] {
        assert!(says(evidence, words), "{words}");
    }
    for words in ["for 13+ s", "for 5+ ms", "looked 5+ s", "looked for 6+ s", "for 5.1 s"] {
        assert!(!says(evidence, words), "{words}");
    }
}
