//! Fetching what hosts have on their disks: at the end of a trial, and of what was lost when its host is there again.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use base64::Engine as _;
use record::{Loss, Phase, Run, RunDirectory, RunHosts};

use super::assemble::{self, Sides};
use super::book::Book;
use super::link::Link;
use super::trial::attempt_name;
use crate::agent::sha256;
use crate::agent::words::{Ask, Filed, Tell};
use crate::exit::{Exit, Usage};
use crate::report::print;

/// How long a part of a file, or the sums of all files, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Brings the files of a try, or of all tries of a run, into folders below a root; each is there whole or not at all. How
/// many.
///
/// # Errors
/// When the host is lost, or what came is not what was sent, or would not lie below the root.
pub(crate) fn files(
    link: &mut Link,
    run: &str,
    attempt: Option<&str>,
    root: &Path,
    folder: impl Fn(&Filed) -> PathBuf,
) -> anyhow::Result<usize> {
    let ask = Ask::List { run: run.to_owned(), attempt: attempt.map(str::to_owned) };
    let files = match link.call(&ask, PATIENCE)? {
        Tell::Files(files) => files,
        Tell::AtWork => anyhow::bail!(
            "what was started on {} for this run is still at work\n  try: again when it was without its runner for the agent's --orphan-after",
            link.host()
        ),
        other => anyhow::bail!("{} answered {other:?} instead of a list of files", link.host()),
    };
    for file in &files {
        let names = std::iter::once(file.attempt.as_str()).chain(file.path.split('/'));
        for name in names {
            let whole = format!("{}/{}", file.attempt, file.path);
            anyhow::ensure!(
                record::is_file_name(name),
                "{} has a file '{whole}', which is no name for one",
                link.host()
            );
        }
        anyhow::ensure!(
            attempt.is_none_or(|asked| asked == file.attempt),
            "{} was asked for {} and has sent of {}",
            link.host(),
            attempt.unwrap_or_default(),
            file.attempt
        );
        let below = folder(file).join(&file.path);
        one(link, run, file, &without_links(root, &below)?)?;
    }
    Ok(files.len())
}

/// A path below a root, on which there is no link that would lead out of it.
///
/// # Errors
/// For a path with one.
fn without_links(root: &Path, below: &Path) -> anyhow::Result<PathBuf> {
    let mut at = root.to_owned();
    for name in below {
        anyhow::ensure!(
            !at.is_symlink(),
            "{} is a link, and a run has its files in its own directory\n  try: remove it, and fetch again",
            at.display()
        );
        at.push(name);
    }
    Ok(at)
}

fn one(link: &mut Link, run: &str, file: &Filed, to: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", to.display());
    if to.is_file() && sha256(to)? == file.sha256 {
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).with_context(cannot)?;
    }
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    // A link that lay there is not followed.
    let mut out = record::made_anew(&part, 0o666).with_context(cannot)?;
    let mut offset = 0;
    while offset < file.length {
        let ask = Ask::Read { run: run.to_owned(), attempt: file.attempt.clone(), path: file.path.clone(), offset };
        let Tell::Chunk { base64, .. } = link.call(&ask, PATIENCE)? else {
            anyhow::bail!("{} sent no part of {}", link.host(), file.path);
        };
        let bytes = base64::engine::general_purpose::STANDARD.decode(base64).context("what came is no base64")?;
        anyhow::ensure!(!bytes.is_empty(), "{} on {} became shorter while it was fetched", file.path, link.host());
        out.write_all(&bytes).with_context(cannot)?;
        offset += bytes.len() as u64;
    }
    out.sync_all().with_context(cannot)?;
    drop(out);
    let found = sha256(&part)?;
    anyhow::ensure!(
        found == file.sha256,
        "{} from {} came with another checksum than it was sent with\n  try: meshtax hosts fetch again",
        file.path,
        link.host()
    );
    std::fs::rename(&part, to).with_context(cannot)
}

/// `meshtax hosts fetch RUN`.
///
/// # Errors
/// When the run is not one of hosts.
pub(crate) fn execute(book: &Book, path: &Path) -> anyhow::Result<ExitCode> {
    let directory = RunDirectory::open(path)?;
    let Some(hosts) = directory.hosts()? else {
        let said = format!(
            "{} was made on one host: all of it is there\n  try: a run that was made with --hosts",
            path.display()
        );
        return Err(Usage(said).into());
    };
    let _lock = directory.lock()?;
    let run = directory.run()?;
    let fetched = lost(book, &directory, &run, &hosts)?;
    for line in &fetched.said {
        print(line)?;
    }
    Ok(if fetched.missing { Exit::CouldNotRun } else { Exit::Done }.into())
}

/// What came of a fetching.
pub(crate) struct Fetched {
    /// A line for each thing.
    pub(crate) said: Vec<String>,
    /// A host was not reached.
    pub(crate) missing: bool,
}

/// Fetches what is left on the hosts of a run, and seals trials of which every side is whole.
///
/// # Errors
/// When the run directory cannot be written.
pub(crate) fn lost(book: &Book, directory: &RunDirectory, run: &Run, hosts: &RunHosts) -> anyhow::Result<Fetched> {
    let mut fetched = Fetched { said: Vec::new(), missing: false };
    let folder = directory.path().join("lost");
    for host in &hosts.hosts {
        let brought = book.entry(&host.name).and_then(|entry| {
            let mut link = Link::connect(book, &host.name, &entry)?;
            files(&mut link, &run.id, None, &folder, |file| Path::new(&file.attempt).join(&host.name))
        });
        match brought {
            Ok(0) => {}
            Ok(count) => fetched.said.push(format!("{}: {count} files of lost trials are here now", host.name)),
            Err(error) => {
                fetched.missing = true;
                fetched.said.push(format!("{}: {}", host.name, crate::exit::say(&error)));
            }
        }
    }
    for (attempt, trial, loss) in tries(directory, &folder)? {
        let sides = folder.join(&attempt);
        if directory.is_sealed(&trial) || !assemble::is_whole(&sides, hosts) {
            continue;
        }
        if !assemble::is_sound(&sides, hosts) {
            fetched.said.push(format!(
                "{trial}: every side of it was whole, and its load was bent by the loss; it is kept beside"
            ));
            continue;
        }
        let planned = run.trials.iter().find(|t| t.id == trial).context("a trial was lost that was not planned")?;
        let into = directory.begin_trial(&trial)?;
        let inside = into.path().join("hosts");
        std::fs::rename(&sides, &inside).with_context(|| format!("cannot move {}", sides.display()))?;
        let clocks = directory.clocks()?;
        let sides = Sides {
            folder: &inside,
            run,
            planned,
            hosts,
            clocks: &clocks,
            attempt: loss.attempt,
            fetched: Some(&loss),
            late: &[],
        };
        assemble::seal(&sides, into)?;
        fetched.said.push(format!("{trial}: every side of it was whole; it is sealed, and marked"));
    }
    if fetched.said.is_empty() {
        fetched.said.push("nothing of this run is left on its hosts".to_owned());
    }
    if !fetched.missing {
        for host in &hosts.hosts {
            let entry = book.entry(&host.name)?;
            let forget = Ask::Forget { run: run.id.clone(), attempt: None };
            Link::connect(book, &host.name, &entry)?.call(&forget, PATIENCE)?;
        }
    }
    Ok(fetched)
}

/// The tries that were lost: the name of each, its trial, and why. One that a runner was gone from before it could say so
/// is found by its files, and marked now.
fn tries(directory: &RunDirectory, folder: &Path) -> anyhow::Result<Vec<(String, String, Loss)>> {
    let mut losses = directory.losses()?;
    let there = std::fs::read_dir(folder).map(|all| all.flatten().collect::<Vec<_>>()).unwrap_or_default();
    for name in there.iter().map(|e| e.file_name().to_string_lossy().into_owned()) {
        let Some((trial, attempt)) = name.rsplit_once('~') else { continue };
        let Ok(attempt) = attempt.parse::<u32>() else { continue };
        if directory.is_sealed(trial) || losses.iter().any(|l| l.trial == trial && l.attempt == attempt) {
            continue;
        }
        let loss = Loss {
            trial: trial.to_owned(),
            attempt,
            host: "the runner".to_owned(),
            phase: Phase::CoolDown,
            when: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            what: "it was gone before it had fetched this; found at this moment".to_owned(),
        };
        directory.write_loss(&loss)?;
        losses.push(loss);
    }
    let mut met = BTreeSet::new();
    let mut tries = Vec::new();
    for loss in losses {
        let attempt = attempt_name(&loss.trial, loss.attempt);
        if met.insert(attempt.clone()) {
            tries.push((attempt, loss.trial.clone(), loss));
        }
    }
    Ok(tries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_on_the_way_to_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("lost");
        std::fs::create_dir_all(root.join("a~1/b")).unwrap();
        let fine = without_links(&root, Path::new("a~1/b/logs/load.log")).unwrap();
        assert_eq!(fine, root.join("a~1/b/logs/load.log"));
        std::os::unix::fs::symlink(folder.path(), root.join("a~1/b/logs")).unwrap();
        let said = without_links(&root, Path::new("a~1/b/logs/load.log")).unwrap_err().to_string();
        assert!(said.contains("a~1/b/logs is a link") && said.contains("try: "), "{said}");
        let linked = folder.path().join("other");
        std::os::unix::fs::symlink(&root, &linked).unwrap();
        assert!(without_links(&linked, Path::new("a~1/x")).is_err(), "the root as well");
    }
}
