//! The commit that a checkout stands at, read from its `.git`: no program is run for it, so that none need be there.
//!
//! The files are those of gitrepository-layout(5). A repository with reftables has none of them that tells; then
//! nothing is known.

use std::path::{Path, PathBuf};

/// Where a checkout stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The commit, in hexadecimal digits.
    pub(super) commit: Option<String>,
    /// The branch, if it stands at one.
    pub(super) branch: Option<String>,
}

/// Where the checkout around a directory stands; none where there is no checkout.
pub(super) fn head(at: &Path) -> Option<Head> {
    let own = at.ancestors().find_map(git_directory)?;
    let head = std::fs::read_to_string(own.join("HEAD")).ok()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else {
        return Some(Head { commit: digits(&head), branch: None });
    };
    // Branches of a worktree stand with those of the repository that it is of.
    let common = std::fs::read_to_string(own.join("commondir")).map_or_else(|_| own.clone(), |to| own.join(to.trim()));
    let places = [own, common];
    let loose = || places.iter().find_map(|place| digits(&std::fs::read_to_string(place.join(name)).ok()?));
    let commit = loose().or_else(|| places.iter().find_map(|place| packed(place, name)));
    Some(Head { commit, branch: name.strip_prefix("refs/heads/").map(str::to_owned).filter(|b| b != ".invalid") })
}

/// `.git` in a directory: the repository itself, or a file that says where it is (worktrees, submodules).
fn git_directory(of: &Path) -> Option<PathBuf> {
    let git = of.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let text = std::fs::read_to_string(&git).ok()?;
    Some(of.join(text.trim().strip_prefix("gitdir: ")?))
}

fn packed(place: &Path, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(place.join("packed-refs")).ok()?;
    text.lines().find_map(|line| digits(line.strip_suffix(name)?.strip_suffix(' ')?))
}

/// The digits of a commit, of SHA-1 or SHA-256.
fn digits(text: &str) -> Option<String> {
    let text = text.trim();
    let whole = [40, 64].contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    whole.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn made(files: &[(&str, &str)]) -> tempfile::TempDir {
        let at = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = at.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        at
    }

    fn at(commit: &str, branch: Option<&str>) -> Option<Head> {
        Some(Head { commit: Some(commit.into()), branch: branch.map(str::to_owned) })
    }

    #[test]
    fn a_branch_is_followed_to_its_commit_from_deep_within() {
        let checkout = made(&[
            (".git/HEAD", "ref: refs/heads/a/b\n"),
            (".git/refs/heads/a/b", &format!("{ONE}\n")),
            ("src/x/y.rs", ""),
        ]);
        assert_eq!(head(&checkout.path().join("src/x")), at(ONE, Some("a/b")));
    }

    #[test]
    fn a_packed_branch_is_found_by_its_whole_name() {
        let packed = format!("# pack-refs with: peeled\n{ONE} refs/heads/not-main\n{TWO} refs/heads/main\n^{ONE}\n");
        let checkout = made(&[(".git/HEAD", "ref: refs/heads/main\n"), (".git/packed-refs", &packed)]);
        assert_eq!(head(checkout.path()), at(TWO, Some("main")));
    }

    #[test]
    fn a_forges_checkout_stands_at_no_branch() {
        assert_eq!(head(made(&[(".git/HEAD", &format!("{ONE}\n"))]).path()), at(ONE, None));
    }

    #[test]
    fn a_worktree_has_its_own_head_and_the_branches_of_its_repository() {
        let both = made(&[
            ("main/.git/HEAD", "ref: refs/heads/main\n"),
            ("main/.git/refs/heads/side", TWO),
            ("main/.git/worktrees/side/HEAD", "ref: refs/heads/side\n"),
            ("main/.git/worktrees/side/commondir", "../..\n"),
            ("side/.git", "gitdir: ../main/.git/worktrees/side\n"),
        ]);
        assert_eq!(head(&both.path().join("side")), at(TWO, Some("side")));
    }

    #[test]
    fn what_is_no_commit_is_none() {
        let unborn = made(&[(".git/HEAD", "ref: refs/heads/main\n")]);
        assert_eq!(head(unborn.path()), Some(Head { commit: None, branch: Some("main".into()) }));
        let tables = made(&[(".git/HEAD", "ref: refs/heads/.invalid\n")]);
        assert_eq!(head(tables.path()), Some(Head::default()));
        assert_eq!(head(made(&[(".git/HEAD", "gibberish")]).path()), Some(Head::default()));
    }
}
