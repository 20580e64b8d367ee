//! What the specification has no field for, in a file beside each result.

use record::{Edges, Event, Factors, Histogram, LoadSummary, Part, Proof, Run, SCHEMA, Trial, Warning};
use serde::{Deserialize, Serialize};

use crate::load::Measured;
use crate::{Attribution, CellFindings, Findings, FoundWarning, Tax};

/// What this form of the extension is called.
const NAME: &str = "meshtax/smp-extension/1";

/// What a run knows of one result beyond the specification; the file that the result's `details_uri` names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Extension {
    /// "meshtax/smp-extension/1".
    pub extension: String,
    /// The file format of meshtax.
    pub schema: u32,
    /// The way figures are made; figures of two methods are not compared.
    pub method: u32,
    /// The run's name.
    pub run: String,
    /// The `id` of the result that this belongs to.
    pub result: String,
    /// Everything that was set on purpose.
    pub factors: Option<Factors>,
    /// Times in nanoseconds from when a request was due to its end, of all requests of the measured phase: base64 of the
    /// HdrHistogram V2-deflate form.
    pub response: Histogram,
    /// The same from when it was sent.
    pub service: Histogram,
    /// What the result is of.
    pub of: ExtensionOf,
}

/// The rest, by what a result is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
// One of each file, never many at once.
#[allow(clippy::large_enum_variant)]
pub enum ExtensionOf {
    /// One trial.
    Trial {
        /// The cell's id.
        cell: String,
        /// The block it belongs to: cells are compared within blocks.
        block: u32,
        /// What the load generator says, its verdict among it: counts by outcome, its own lag, p99.9.
        load: LoadSummary,
        /// Who took part.
        parts: Vec<Part>,
        /// What was read back of the configuration.
        proofs: Vec<Proof>,
        /// What is doubted.
        warnings: Vec<Warning>,
        /// What was done to the chain under load.
        events: Vec<Event>,
        /// Memory by ownership and drive health, before and after the load.
        edges: Option<Edges>,
    },
    /// All trials of a cell.
    Cell {
        /// Every figure of it with its interval: quantiles, CPU, memory and throttling of each proxy, steal, pressure.
        cell: CellFindings,
        /// It against what it is compared with.
        taxes: Vec<Tax>,
        /// Where its tail comes from.
        attribution: Vec<Attribution>,
        /// What is doubted of it, or of the whole run.
        warnings: Vec<FoundWarning>,
    },
}

impl Extension {
    pub(super) fn of_trial(run: &Run, trial: &Trial, measured: &Measured) -> Self {
        let of = ExtensionOf::Trial {
            cell: trial.cell.clone(),
            block: trial.block,
            load: trial.load.clone(),
            parts: trial.parts.clone(),
            proofs: trial.proofs.clone(),
            warnings: trial.warnings.clone(),
            events: trial.events.clone(),
            edges: trial.edges.clone(),
        };
        Self::new(run, &trial.id, run.cell(&trial.cell).map(|cell| cell.factors.clone()), measured, of)
    }

    pub(super) fn of_cell(run: &Run, findings: &Findings, cell: &CellFindings, measured: &Measured) -> Self {
        let of_it = |id: &Option<String>| id.as_ref().is_none_or(|id| *id == cell.id);
        let of = ExtensionOf::Cell {
            cell: cell.clone(),
            taxes: findings.taxes.iter().filter(|tax| tax.cell == cell.id).cloned().collect(),
            attribution: findings.attribution.iter().filter(|a| a.cell == cell.id).cloned().collect(),
            warnings: findings.warnings.iter().filter(|w| of_it(&w.cell)).cloned().collect(),
        };
        Self::new(run, &cell.id, Some(cell.factors.clone()), measured, of)
    }

    fn new(run: &Run, result: &str, factors: Option<Factors>, measured: &Measured, of: ExtensionOf) -> Self {
        let Measured { response, service } = measured.clone();
        Self {
            extension: NAME.to_owned(),
            schema: SCHEMA,
            method: run.method,
            run: run.id.clone(),
            result: result.to_owned(),
            factors,
            response,
            service,
            of,
        }
    }
}
