//! `meshtax scenarios`: the library that ships in the program.

use std::process::ExitCode;

use crate::exit::Exit;
use crate::report::print;
use crate::run::named;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    deed: Option<Deed>,
}

#[derive(clap::Subcommand)]
enum Deed {
    /// Print one to start from: meshtax scenarios show first-look > mine.toml
    Show {
        /// Its name.
        name: String,
    },
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let library = scenarios::library();
    match args.deed {
        Some(Deed::Show { name }) => {
            // Named is parsed first: a name that does not exist is an error with those that do.
            named(&name)?;
            if let Some((_, text)) = library.iter().find(|(known, _)| *known == name) {
                print(text)?;
            }
        }
        None => {
            let mut lines = String::new();
            for (name, _) in &library {
                let scenario = named(name)?;
                let cells = scenario.cells()?.len() as u64;
                let most = scenario.chain.services.iter().max().copied().unwrap_or(0);
                // What starting and stopping takes: a second a trial, and more with many services.
                let around_ns = 1_000_000_000 + u64::from(most) * 100_000_000;
                let trial_ns = scenario.timing.trial_ns() + around_ns;
                let seconds = cells * u64::from(scenario.plan.repeats) * trial_ns / 1_000_000_000;
                lines.push_str(&format!("{name:<16} {:>6}  {}\n", minutes(seconds), scenario.teaches));
            }
            lines.push_str("\nrun one: meshtax run NAME    print one to start from: meshtax scenarios show NAME\n");
            print(&lines)?;
        }
    }
    Ok(Exit::Done.into())
}

fn minutes(seconds: u64) -> String {
    if seconds < 100 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}
