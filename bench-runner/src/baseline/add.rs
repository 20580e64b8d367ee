//! `meshtax baseline add`: a run that is whole and can be explained is copied, whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use record::{METHOD, RunDirectory};
use reports::Explanation;
use reports::history::Folder;

use super::copy;
use crate::exit::Exit;
use crate::interrupt::{Interrupt, Stopped};
use crate::report::{print, write_all};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The run directory.
    run: PathBuf,
    /// What its directory is called among the baselines [default: as the run].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// The last line on stdout is the copy's directory.
pub(super) fn execute(args: &Args, folder: &Path) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let name = args.name.as_deref().map(super::name).transpose()?;
    let directory = RunDirectory::open(&args.run)?;
    let explained = whole(&directory)?;
    let findings = &explained.findings;
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}; choose another place with --dir DIR", folder.display()))?;
    let _held = super::hold(folder)?;
    let kept = folder.join(name.unwrap_or(&findings.run));
    if kept.exists() {
        let taken = kept.display();
        anyhow::bail!("{taken} is there already\n  try: another name with --name NAME, or remove it first");
    }
    if let Some(same) = Folder::read(folder)?.runs.iter().find(|known| known.run == findings.run) {
        let known = same.path.display();
        anyhow::bail!("the run {} is kept already, as {known}: counted twice it would weigh twice", findings.run);
    }
    let unfinished = super::unfinished(folder);
    let made = copy::whole(directory.path(), &unfinished, &interrupt)
        .and_then(|()| write_all(&explained, &RunDirectory::open(&unfinished)?))
        .and_then(|()| copy::settle(&unfinished, &kept));
    if let Err(error) = made {
        let _ = fs::remove_dir_all(&unfinished);
        if error.is::<Stopped>() {
            return Ok(Exit::Cut.into());
        }
        return Err(with_remedy(error, folder));
    }
    print(&kept.display().to_string())?;
    Ok(Exit::Done.into())
}

/// The findings of a run to be kept: all of its trials are sealed, and it was measured as this program measures.
fn whole(directory: &RunDirectory) -> anyhow::Result<Explanation> {
    let run = directory.run()?;
    let at = directory.path().display();
    if run.method != METHOD {
        anyhow::bail!(
            "{at} was measured by method {}, and this meshtax measures by method {METHOD}: nothing measured from now on could be compared with it\n  try: a new run, or `meshtax baseline add` of {}",
            run.method,
            run.program
        );
    }
    let explained = reports::explain(directory)?;
    let findings = &explained.findings;
    if findings.resume.is_some() {
        let (sealed, planned) = (findings.trials_sealed, findings.trials_planned);
        anyhow::bail!(
            "{at} was cut off: {sealed} of its {planned} trials are sealed, and a baseline is a whole run\n  try: meshtax resume {at}"
        );
    }
    Ok(explained)
}

fn with_remedy(error: anyhow::Error, folder: &Path) -> anyhow::Error {
    let full = |e: &std::io::Error| e.kind() == std::io::ErrorKind::StorageFull;
    if error.chain().any(|e| e.downcast_ref().is_some_and(full)) {
        let said = format!(
            "nothing was kept: the disk of {} is full\n  try: free some, or another place with --dir DIR",
            folder.display()
        );
        return error.context(said);
    }
    error
}
