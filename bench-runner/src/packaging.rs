//! Man pages and shell completions, made from the one definition of the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, ValueEnum as _};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::report::print;

/// Print what a shell needs to complete this program's commands and flags.
#[derive(clap::Args)]
pub(crate) struct CompletionArgs {
    /// The shell: bash, zsh, fish, elvish or powershell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the man page of this program, or write those of all its commands.
#[derive(clap::Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command, and the completions of each shell, into this directory.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(crate) fn completions(args: &CompletionArgs) -> anyhow::Result<ExitCode> {
    print(&completion(args.shell)?)?;
    Ok(Exit::Done.into())
}

pub(crate) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let Some(directory) = &args.output else {
        print(&page(Cli::command())?)?;
        return Ok(Exit::Done.into());
    };
    let write = |name: String, text: String| {
        let path = directory.join(name);
        std::fs::create_dir_all(directory)
            .and_then(|()| std::fs::write(&path, text))
            .with_context(|| format!("cannot write {}; choose another place with --output DIR", path.display()))
    };
    // Built, a command knows what it inherits, and each page its whole name: meshtax-baseline-add.
    let mut whole = Cli::command();
    whole.build();
    let mut open = vec![whole];
    while let Some(command) = open.pop() {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        open.extend(command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help").cloned());
        write(format!("{name}.1"), page(command)?)?;
    }
    for shell in Shell::value_variants() {
        write(clap_complete::Generator::file_name(shell, "meshtax"), completion(*shell)?)?;
    }
    Ok(Exit::Done.into())
}

fn completion(shell: Shell) -> anyhow::Result<String> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "meshtax", &mut text);
    String::from_utf8(text).context("the completions are no text")
}

fn page(command: clap::Command) -> anyhow::Result<String> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).context("the man page cannot be made")?;
    String::from_utf8(text).context("the man page is no text")
}
