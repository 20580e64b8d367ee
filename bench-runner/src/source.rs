//! Which commit a run is of: as it is told, as the forge says, or as the checkout around us has it.

mod checkout;

use record::Source;

/// What the user says of the source.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct SourceArgs {
    /// The commit that is measured [default: GITHUB_SHA, CI_COMMIT_SHA, or the checkout around the working directory].
    #[arg(long, value_name = "COMMIT", value_parser = word, help_heading = "Source")]
    commit: Option<String>,
    /// The branch that is measured [default: as the commit].
    #[arg(long, value_name = "BRANCH", value_parser = word, help_heading = "Source")]
    branch: Option<String>,
    /// What the run is called in a history.
    #[arg(long, value_name = "TEXT", value_parser = word, help_heading = "Source")]
    label: Option<String>,
}

/// How long a name may be: it stands in tables.
const LONGEST: usize = 200;

fn word(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > LONGEST || text.chars().any(char::is_control) {
        return Err(format!("a name is one line of 1 to {LONGEST} characters"));
    }
    Ok(text.to_owned())
}

/// The variables by which a forge names the commit, and those that name the branch, the first that is set.
const FORGES: [(&str, &[&str]); 2] = [
    ("GITHUB_SHA", &["GITHUB_HEAD_REF", "GITHUB_REF_NAME"]),
    ("CI_COMMIT_SHA", &["CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_REF_NAME"]),
];

impl SourceArgs {
    /// What is known of the source; none where nothing is.
    pub(crate) fn find(&self) -> Option<Source> {
        let here = std::env::current_dir().ok();
        let source = self.of(&|name| std::env::var(name).ok(), &|| here.as_deref().and_then(checkout::head));
        (!source.is_empty()).then_some(source)
    }

    /// A commit that was told has no branch but the one told with it: that of the checkout may be another.
    fn of(&self, variable: &dyn Fn(&str) -> Option<String>, head: &dyn Fn() -> Option<checkout::Head>) -> Source {
        let Self { commit, branch, label } = self.clone();
        if commit.is_some() {
            return Source { commit, branch, label, told_by: Some("--commit".to_owned()) };
        }
        let set = |name: &str| variable(name).and_then(|text| word(&text).ok());
        for (name, branches) in FORGES {
            if let Some(commit) = set(name) {
                let branch = branch.or_else(|| branches.iter().find_map(|name| set(name)));
                return Source { commit: Some(commit), branch, label, told_by: Some(name.to_owned()) };
            }
        }
        let head = head().unwrap_or_default();
        let told_by = match (&head.commit, &branch) {
            (None, None) => None,
            (None, Some(_)) => Some("--branch".to_owned()),
            (Some(_), _) => Some(".git".to_owned()),
        };
        Source { commit: head.commit, branch: branch.or(head.branch), label, told_by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)], args: &SourceArgs) -> Source {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let head = || Some(checkout::Head { commit: Some("c0ffee".into()), branch: Some("trunk".into()) });
        args.of(&variable, &head)
    }

    fn source(commit: &str, branch: Option<&str>, told_by: &str) -> Source {
        let branch = branch.map(str::to_owned);
        Source { commit: Some(commit.into()), branch, label: None, told_by: Some(told_by.into()) }
    }

    #[test]
    fn what_is_told_goes_before_the_forge_and_the_forge_before_the_checkout() {
        let github = [("GITHUB_SHA", "aaa"), ("GITHUB_HEAD_REF", ""), ("GITHUB_REF_NAME", "main")];
        let told = SourceArgs { commit: Some("bbb".into()), ..SourceArgs::default() };
        assert_eq!(with(&github, &told), source("bbb", None, "--commit"));
        assert_eq!(with(&github, &SourceArgs::default()), source("aaa", Some("main"), "GITHUB_SHA"));
        let pull = [("GITHUB_SHA", "aaa"), ("GITHUB_HEAD_REF", "fix"), ("GITHUB_REF_NAME", "7/merge")];
        assert_eq!(with(&pull, &SourceArgs::default()), source("aaa", Some("fix"), "GITHUB_SHA"));
        let gitlab = [("CI_COMMIT_SHA", "ddd"), ("CI_COMMIT_REF_NAME", "main")];
        assert_eq!(with(&gitlab, &SourceArgs::default()), source("ddd", Some("main"), "CI_COMMIT_SHA"));
        assert_eq!(with(&[], &SourceArgs::default()), source("c0ffee", Some("trunk"), ".git"));
    }

    #[test]
    fn a_variable_that_is_no_name_is_none() {
        assert_eq!(with(&[("GITHUB_SHA", "a\nb")], &SourceArgs::default()), source("c0ffee", Some("trunk"), ".git"));
        assert!(word("").is_err() && word("\u{1b}[2J").is_err() && word(&"x".repeat(201)).is_err());
        assert_eq!(word(" v1 "), Ok("v1".to_owned()));
    }
}
