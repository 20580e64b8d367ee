//! `meshtax baseline`: runs kept to be compared with. A baseline is a run directory like any other, in a folder of such.

mod add;
mod copy;
mod list;
mod prune;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use record::Lock;

use crate::exit::Usage;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    deed: Deed,
    /// The folder of baselines.
    #[arg(long, value_name = "DIR", default_value = "baselines", global = true)]
    dir: PathBuf,
}

#[derive(clap::Subcommand)]
enum Deed {
    /// Keep a copy of a whole run.
    Add(add::Args),
    /// List what is kept.
    List(list::Args),
    /// Remove old ones, but never the last of a machine and a scenario.
    Prune(prune::Args),
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    match args.deed {
        Deed::Add(add) => add::execute(&add, &args.dir),
        Deed::List(list) => list::execute(&list, &args.dir),
        Deed::Prune(prune) => prune::execute(&prune, &args.dir),
    }
}

/// What is not whole yet, or no longer, has a name that begins like this; readers pass over it.
const UNFINISHED: &str = ".unfinished-";

/// The folder, held so that no other meshtax adds or removes meanwhile; what one left that was killed is taken away.
fn hold(folder: &Path) -> anyhow::Result<Lock> {
    let held = Lock::take(folder).with_context(|| format!("cannot hold the folder {}", folder.display()))?;
    let Some(held) = held else {
        anyhow::bail!("another meshtax is changing the baselines in {}\n  try: again when it ends", folder.display());
    };
    for entry in std::fs::read_dir(folder)?.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            // Nobody is writing to it: whoever does holds the folder.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    Ok(held)
}

/// A path in the folder for what is not whole.
fn unfinished(folder: &Path) -> PathBuf {
    folder.join(format!("{UNFINISHED}{:08x}", rand::random::<u32>()))
}

/// A name that a directory may have, and that no reader passes over.
fn name(text: &str) -> anyhow::Result<&str> {
    let bad = text.is_empty() || text.len() > 200 || text.starts_with('.') || text.contains(['/', '\0']);
    if bad || text.chars().any(char::is_control) {
        let said = format!(
            "--name '{}': it is the name of a directory, without '/' and not beginning with a dot\n  try: --name main-2026-11",
            text.escape_default()
        );
        return Err(Usage(said).into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_the_folder_and_is_seen_there() {
        assert_eq!(name("main 1.2").unwrap(), "main 1.2");
        for bad in ["", ".", "..", ".hidden", "a/b", "/etc", "a\nb", &"x".repeat(201)] {
            let said = name(bad).unwrap_err().to_string();
            assert!(said.contains("--name") && said.contains("try:"), "{said}");
        }
    }

    #[test]
    fn one_at_a_time_and_what_a_killed_one_left_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let left = unfinished(folder.path());
        std::fs::create_dir_all(left.join("trials")).unwrap();
        std::fs::create_dir(folder.path().join("kept")).unwrap();
        let held = hold(folder.path()).unwrap();
        assert!(!left.exists() && folder.path().join("kept").exists());
        assert!(hold(folder.path()).unwrap_err().to_string().contains("another meshtax"));
        drop(held);
        hold(folder.path()).unwrap();
    }
}
