//! How to measure the same again: the command, the seed, how long the phases were, and the scenario as it ran.

use record::{Run, RunDirectory, Timing};
use serde::{Deserialize, Serialize};

/// What it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// The command, where the run directory is at hand.
    pub command: String,
    /// The seed of the order and of the arrivals.
    pub seed: u64,
    /// How long the phases of each trial were.
    pub timing: Timing,
    /// The whole scenario, in TOML: with it, the command is `meshtax run` and the name of its file.
    pub scenario_toml: String,
}

impl Repeat {
    pub(super) fn of(run: &Run, dir: &RunDirectory) -> Self {
        let mut command = format!("meshtax run {}", quoted(&dir.path().display().to_string()));
        if let Some(until) = &run.until {
            if let Some(within) = until.ratio_within {
                command.push_str(&format!(
                    " --until p{}={}%",
                    trimmed(until.quantile * 100.0),
                    trimmed(within * 100.0)
                ));
            }
            if let Some(budget_ns) = until.budget_ns {
                command.push_str(&format!(" --budget {}s", budget_ns as f64 / 1e9));
            }
        }
        Self { command, seed: run.seed, timing: run.timing, scenario_toml: run.scenario_toml.clone() }
    }
}

/// A number without what a binary fraction adds to it.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A path as a shell takes it for one word.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if !path.is_empty() && path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        assert_eq!(quoted("runs/2026-11-23T0510-a1b2"), "runs/2026-11-23T0510-a1b2");
        assert_eq!(quoted("my runs/it's"), "'my runs/it'\\''s'");
        assert_eq!(
            (trimmed(99.9), trimmed(5.000000000000001), trimmed(100.0)),
            ("99.9".into(), "5".into(), "100".into())
        );
    }
}
