//! A run that was read once, for all that is made of it.

use record::RunDirectory;

use crate::findings::Findings;
use crate::gather::Gathered;
use crate::{Result, agreement};

/// The findings of a run, and what was read to make them.
#[derive(Debug)]
pub struct Explanation {
    /// What it says.
    pub findings: Findings,
    pub(crate) gathered: Gathered,
}

/// Explains a run from its directory and nothing else.
///
/// # Errors
/// As [`crate::findings()`] has.
pub fn explain(dir: &RunDirectory) -> Result<Explanation> {
    let gathered = Gathered::read(dir)?;
    agreement::check(&gathered)?;
    let findings = Findings::of(&gathered, dir);
    Ok(Explanation { findings, gathered })
}
