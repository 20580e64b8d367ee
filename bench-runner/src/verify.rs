//! `meshtax verify`: each mesh of a scenario is started once, without load, and its mTLS mode is put to the proof.

use std::process::ExitCode;

use anyhow::Context as _;
use record::Cell;
use scenarios::{Matrix, Scenario, Verdict};
use serde::Serialize;

use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::lab::Lab;
use crate::programs::ProgramArgs;
use crate::progress::say;
use crate::report::print;
use crate::run::{FactorArgs, named, say_flag};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A scenario file, or the name of one of the library: each of its meshes is verified.
    #[arg(value_name = "SCENARIO", default_value = "first-look")]
    scenario: String,
    #[command(flatten)]
    factors: FactorArgs,
    #[command(flatten)]
    programs: ProgramArgs,
    /// text, or json: one object a line, each with its cell, its question and whether it holds.
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let mut scenario = named(&args.scenario)?;
    args.factors.override_in(&mut scenario)?;
    scenario.check().map_err(say_flag)?;
    let Matrix { cells, left_out } = scenario.matrix().map_err(say_flag)?;
    for left_out in &left_out {
        say(&format!("left out: {}: {}\n", left_out.what, left_out.reason));
    }
    let lab = Lab::open(&cells, args.programs.find(&cells)?)?;
    let mut all_hold = true;
    for cell in &cells {
        if interrupt.asked() {
            return Ok(Exit::Cut.into());
        }
        let verdicts = verdicts(&lab, &scenario, cell).with_context(|| format!("cannot verify {}", cell.label))?;
        all_hold &= verdicts.iter().all(Verdict::holds);
        print(
            match args.format {
                Format::Text => text(cell, &verdicts),
                Format::Json => json(cell, &verdicts)?,
            }
            .trim_end(),
        )?;
    }
    Ok(if all_hold { Exit::Done } else { Exit::Failed }.into())
}

/// Starts a cell's chain, asks it and stops it.
fn verdicts(lab: &Lab, scenario: &Scenario, cell: &Cell) -> anyhow::Result<Vec<Verdict>> {
    let shape = scenario.shape(&cell.factors)?;
    let directory = lab.scratch().join(&cell.id);
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let spec = lab.chain(&cell.factors, &shape, &directory);
    let deployment = scenarios::deploy(&spec)?;
    let verdicts = deployment.verify(&cell.factors)?;
    deployment.stop()?;
    Ok(verdicts)
}

fn text(cell: &Cell, verdicts: &[Verdict]) -> String {
    let wrong = verdicts.iter().filter(|v| !v.holds()).count();
    let sum = match wrong {
        0 => format!("all {} as it should be", verdicts.len()),
        n => format!("{n} of {} NOT as it should be", verdicts.len()),
    };
    let mut text = format!("{}: {sum}\n", cell.label);
    let width = verdicts.iter().map(|v| v.proof.part.len()).max().unwrap_or(0);
    for verdict in verdicts {
        let proof = &verdict.proof;
        let mark = if verdict.holds() { "ok " } else { "NOT" };
        text.push_str(&format!("  {mark} {:<width$}  {}: {}", proof.part, proof.claim, proof.found));
        if !verdict.holds() {
            text.push_str(&format!(", should be {} ({})", proof.expected, proof.source));
        }
        text.push('\n');
    }
    text
}

#[derive(Serialize)]
struct Line<'a> {
    cell: &'a str,
    #[serde(flatten)]
    proof: &'a record::Proof,
    holds: bool,
}

fn json(cell: &Cell, verdicts: &[Verdict]) -> anyhow::Result<String> {
    let line = |v: &Verdict| serde_json::to_string(&Line { cell: &cell.id, proof: &v.proof, holds: v.holds() });
    Ok(verdicts.iter().map(line).collect::<Result<Vec<_>, _>>()?.join("\n"))
}
