//! What was measured, as version control knows it.

use serde::{Deserialize, Serialize};

/// The state of the source that a run is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The commit, in full. What was changed and not committed is not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The branch or tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// What the user calls it: "envoy 1.40, new filter".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Who told the commit, or else the branch: "--commit", "GITHUB_SHA", "CI_COMMIT_SHA", ".git".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_by: Option<String>,
}

/// How many digits of a commit are shown, as version control does.
const SHORT: usize = 9;

impl Source {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.commit.is_none() && self.branch.is_none() && self.label.is_none()
    }

    /// The commit as people read it: its first nine digits.
    pub fn short_commit(&self) -> Option<&str> {
        self.commit.as_deref().map(|commit| commit.get(..SHORT).unwrap_or(commit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_shown_by_its_first_digits_and_a_short_one_wholly() {
        let of = |commit: &str| Source { commit: Some(commit.into()), ..Source::default() };
        assert_eq!(of("0123456789abcdef").short_commit(), Some("012345678"));
        assert_eq!(of("v1.2").short_commit(), Some("v1.2"));
        assert_eq!(Source::default().short_commit(), None);
        assert!(Source::default().is_empty() && !of("v1").is_empty());
    }

    #[test]
    fn what_is_not_known_is_not_written() {
        assert_eq!(serde_json::to_string(&Source::default()).unwrap(), "{}");
        let read: Source = serde_json::from_str(r#"{"branch":"main"}"#).unwrap();
        assert_eq!(read.branch.as_deref(), Some("main"));
    }
}
