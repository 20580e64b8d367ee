//! The answer in one sentence and one figure: what the dearest cell adds for each hop, where, and what it coincides with.

use record::{Host, Reading};
use serde::{Deserialize, Serialize};

use super::answer::doubts;
use super::{Attribution, Cause, CellFindings, Findings, Tax, TaxKind, person_name};
use crate::figure;
use crate::stats::Estimate;

/// What the page begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Headline {
    /// The cell's id: of those with a mesh, the one that adds most.
    pub cell: String,
    /// The id of what it is compared with.
    pub baseline: String,
    /// Where it adds: "p99", or "p50" where nothing can be told at p99.
    pub quantile: String,
    /// What it adds for each hop, in nanoseconds.
    pub per_hop_ns: Estimate,
    /// Requests per second that were asked for.
    pub rate_per_second: f64,
    /// The cause with the largest share of the cell's tail; absent where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Its share of the tail, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_of_tail: Option<Estimate>,
    /// Of what it adds for each hop, what the same cell without its CPU limit does not add, in nanoseconds; absent where the run
    /// has no such cell, or where that cannot be told from none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_per_hop_ns: Option<Estimate>,
    /// The sentence.
    pub sentence: String,
}

/// The machine in a few words: "4 × AMD EPYC 7B13 (KVM guest)".
pub(crate) fn host_name(host: &Host) -> String {
    let said = |r: &Reading<String>| r.seen().cloned();
    let cpu = said(&host.cpu_model).unwrap_or_else(|| host.arch.clone());
    let vm =
        said(&host.virtual_machine).filter(|vm| vm != "none").map_or_else(String::new, |vm| format!(" ({vm} guest)"));
    format!("{} × {cpu}{vm}", host.cpus_online.len())
}

/// A cell with its limit in words, where that is all that its label adds to the dataplane.
fn with_limit(cell: &CellFindings) -> String {
    match (cell.label.split_once(", "), &cell.factors.cpu_limit) {
        (Some((dataplane, rest)), Some(limit)) if rest == limit.to_string() => {
            format!("{} with a CPU limit of {limit}", person_name(dataplane))
        }
        _ => person_name(&cell.label),
    }
}

/// Of the mesh's taxes the one that adds most to each hop: of those that can be told from none at p99, else at p50, else of
/// all. What is doubted, in it or in its baseline, is taken only where there is no other.
fn dearest(findings: &Findings) -> Option<(&Tax, &CellFindings, bool)> {
    let mesh = findings.taxes.iter().filter(|t| t.kind == TaxKind::Mesh);
    let all: Vec<(&Tax, &CellFindings)> = mesh.filter_map(|t| Some((t, findings.cell(&t.cell)?))).collect();
    let mut kept: Vec<_> = all.iter().copied().filter(|(tax, _)| doubts(findings, tax).next().is_none()).collect();
    if kept.is_empty() {
        kept = all;
    }
    let most = |told: &dyn Fn(&Tax) -> bool, of: &dyn Fn(&Tax) -> f64| {
        let told = kept.iter().copied().filter(|(t, _)| told(t));
        told.max_by(|(a, _), (b, _)| of(a).total_cmp(&of(b)))
    };
    let p99 = |t: &Tax| t.response_ns.p99.per_hop.value;
    let p50 = |t: &Tax| t.response_ns.p50.per_hop.value;
    let at_p99 = most(&|t| t.response_ns.p99.difference.excludes(0.0), &p99).map(|(t, c)| (t, c, true));
    let at_p50 = || most(&|t| t.response_ns.p50.difference.excludes(0.0), &p50).map(|(t, c)| (t, c, false));
    at_p99.or_else(at_p50).or_else(|| most(&|_| true, &p99).map(|(t, c)| (t, c, true)))
}

/// The words for a cause in the sentence.
fn of_what(cause: Cause) -> &'static str {
    match cause {
        Cause::Generator => "the load generator's own lag",
        Cause::Throttling => "CPU throttling",
        Cause::Steal => "CPU time taken by the hypervisor",
        Cause::Stopped => "a part that stood still",
        Cause::Disk => "waiting for a disk",
        Cause::Network => "TCP segments sent again",
        Cause::RunQueue => "waiting for a CPU",
        Cause::Unexplained => "nothing that was looked at",
    }
}

/// The headline of a run; none where it has no mesh to compare.
pub(super) fn of(findings: &Findings) -> Option<Headline> {
    let (tax, cell, at_p99) = dearest(findings)?;
    let (quantile, at) = if at_p99 { ("p99", &tax.response_ns.p99) } else { ("p50", &tax.response_ns.p50) };
    let named = findings.attribution.iter().filter(|a| a.cell == cell.id && a.cause != Cause::Unexplained);
    let first: Option<&Attribution> = named.max_by(|a, b| a.share_of_tail.value.total_cmp(&b.share_of_tail.value));
    let unsure = if at.difference.excludes(0.0) { "" } else { " (not distinguishable from 0)" };
    let coincides = first.map_or_else(String::new, |a| {
        format!("; {} of their tail coincides with {}", figure::share(&a.share_of_tail), of_what(a.cause))
    });
    let of_limit = findings.taxes.iter().find(|t| t.kind == TaxKind::Limit && t.cell == cell.id);
    let of_limit = of_limit.map(|t| if at_p99 { &t.response_ns.p99 } else { &t.response_ns.p50 });
    let of_limit = of_limit.filter(|at| at.difference.excludes(0.0) && at.difference.value > 0.0).map(|at| at.per_hop);
    let with_it = of_limit.map_or_else(String::new, |e| format!("; {} of it come with the limit", figure::ms(&e)));
    let rate = cell.factors.rate_per_second;
    let said = format!(
        "On {}, {} add {} at {quantile} per hop at {rate}/s{unsure}{with_it}{coincides}.",
        host_name(&findings.host),
        with_limit(cell),
        figure::ms(&at.per_hop)
    );
    let sentence = std::iter::once(said).chain(doubts(findings, tax)).collect::<Vec<_>>().join(" ");
    Some(Headline {
        cell: cell.id.clone(),
        baseline: tax.baseline.clone(),
        quantile: quantile.to_owned(),
        per_hop_ns: at.per_hop,
        rate_per_second: rate,
        cause: first.map(|a| a.cause),
        share_of_tail: first.map(|a| a.share_of_tail),
        limit_per_hop_ns: of_limit,
        sentence,
    })
}
