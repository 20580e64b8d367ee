//! The answer in sentences, the most important first.

use super::{Attribution, CanaryFindings, Cause, CellFindings, Findings, ShiftFindings, Tax, TaxKind};
use crate::figure;

/// What a cell is called in a sentence: its label, with the words that people use for a dataplane.
pub(crate) fn person_name(label: &str) -> String {
    let (first, rest) = label.split_once(", ").map_or((label, None), |(first, rest)| (first, Some(rest)));
    let first = match first {
        "none" => "no mesh",
        "embedded" => "embedded sidecars",
        "envoy" => "Envoy sidecars",
        "ambient" => "ambient node proxies",
        other => other,
    };
    rest.map_or_else(|| first.to_owned(), |rest| format!("{first} ({rest})"))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

pub(super) fn sentences(findings: &Findings) -> Vec<String> {
    let name = |id: &str| findings.cell(id).map_or_else(|| id.to_owned(), |c| person_name(&c.label));
    let mut sentences: Vec<String> = findings.headline.iter().map(|h| h.sentence.clone()).collect();
    sentences.extend(findings.limits.iter().map(|sweep| sweep.sentence.clone()));
    for kind in [TaxKind::Mesh, TaxKind::Limit, TaxKind::Aa] {
        for tax in findings.taxes.iter().filter(|t| t.kind == kind) {
            // Once is enough where the headline says it already.
            let told = |h: &super::Headline| h.cell == tax.cell && h.baseline == tax.baseline;
            let doubts = doubts(findings, tax).filter(|_| !findings.headline.as_ref().is_some_and(told));
            let said = sentence(tax, &name(&tax.cell), &name(&tax.baseline));
            sentences.push(std::iter::once(said).chain(doubts).collect::<Vec<_>>().join(" "));
        }
    }
    for cell in &findings.cells {
        sentences.extend(cell.canary.iter().map(|found| canary(&person_name(&cell.label), found)));
    }
    for found in findings.attribution.iter().filter(|a| a.cause != Cause::Unexplained) {
        let share = capital(&figure::share(&found.share_of_tail));
        sentences.push(format!("{share} of the tail of {} coincides with {}.", name(&found.cell), coincidence(found)));
    }
    if sentences.is_empty() {
        sentences.push("This run has no two cells to compare; the figures of each stand below.".to_owned());
    }
    sentences
}

/// What a tail coincides with, in a sentence.
fn coincidence(found: &Attribution) -> String {
    let of = found.part.as_deref().map_or_else(String::new, |part| match found.parts.len() {
        0 | 1 => format!(" ({part})"),
        _ => format!(" (most of all {part})"),
    });
    let what = match found.cause {
        Cause::Throttling => "proxies that had used up their CPU quota",
        Cause::Steal => "CPU time taken away by the hypervisor",
        Cause::Stopped => "a part that stood still",
        Cause::Disk => "waiting for a disk",
        Cause::Network => "TCP segments that were sent again",
        Cause::RunQueue => "waiting for a CPU that others had",
        Cause::Generator | Cause::Unexplained => return "the load generator's own lag".to_owned(),
    };
    format!("{what}{of}")
}

/// What takes the ground from under the figures of a comparison: of the cell, and of what it is compared with.
pub(super) fn doubts<'a>(findings: &'a Findings, tax: &'a Tax) -> impl Iterator<Item = String> + 'a {
    [&tax.cell, &tax.baseline].into_iter().filter_map(|id| findings.cell(id)).filter_map(doubt)
}

/// What takes the ground from under a cell's figures, next to the sentence that rests on them.
fn doubt(cell: &CellFindings) -> Option<String> {
    let name = person_name(&cell.label);
    let mut doubts = Vec::new();
    if cell.requests.error_rate > 0.0 {
        let rate = figure::percent(cell.requests.error_rate);
        doubts.push(format!("{rate} of its requests failed, and a quick failure looks like a quick answer"));
    }
    if cell.invalid_trials > 0 {
        let [invalid, all] = [cell.invalid_trials, cell.trials];
        doubts.push(format!("the load generator calls {invalid} of its {all} trials invalid"));
    }
    (!doubts.is_empty()).then(|| format!("Do not rely on {name}: {}.", doubts.join("; ")))
}

/// How the split went at first, what the other subsets add, and how shifts were followed.
fn canary(name: &str, found: &CanaryFindings) -> String {
    let mut said = Vec::new();
    for (at, subset) in found.subsets.iter().enumerate().skip(1) {
        let Some((stretch, share)) = found.stretches.first().and_then(|s| Some((s, s.shares.get(at)?))) else {
            continue;
        };
        let added = match subset.over_stable_ns.as_ref().and_then(|over| over.p50.seen()) {
            Some(added) => format!(", and took {} more at p50", figure::ms(added)),
            None => String::new(),
        };
        said.push(format!(
            "{}: {} answered {} of {} requests where {} was asked for{}{added}.",
            capital(name),
            subset.subset,
            share.said(),
            stretch.answered,
            figure::percent(share.asked),
            if share.holds { "" } else { ", which lies outside" },
        ));
    }
    let [made, followed] = [|s: &ShiftFindings| s.trials, |s: &ShiftFindings| s.followed]
        .map(|count| found.shifts.iter().map(count).sum::<usize>());
    if made > 0 {
        let latest = found.shifts.iter().filter_map(|s| s.latest_ns).max().filter(|_| followed == made);
        let within = latest.map_or_else(String::new, |ns| format!(" within {}", figure::ms_bare(ns as f64)));
        let failed: u64 = found.shifts.iter().map(|s| s.failed).sum();
        said.push(format!(
            "{followed} of {made} shifts were followed{within}, and {failed} requests failed until then."
        ));
    }
    said.join(" ")
}

fn sentence(tax: &Tax, name: &str, baseline: &str) -> String {
    let [p50, p99] = [&tax.response_ns.p50, &tax.response_ns.p99];
    let (at_p50, at_p99) = (figure::ms(&p50.difference), figure::ms(&p99.difference));
    match tax.kind {
        TaxKind::Aa => {
            let holds = if p50.difference.excludes(0.0) || p99.difference.excludes(0.0) {
                "an interval leaves out 0, so differences of this size are noise here"
            } else {
                "as it should, the intervals hold 0"
            };
            format!("{} against itself differs by {at_p50} at p50 and {at_p99} at p99: {holds}.", capital(baseline))
        }
        TaxKind::Mesh | TaxKind::Limit => {
            let per_hop = match tax.kind {
                TaxKind::Mesh => format!(", {} per hop", figure::ms_bare(p50.per_hop.value)),
                _ => String::new(),
            };
            let unsure =
                |at: &super::TaxAt| if at.difference.excludes(0.0) { "" } else { " (not distinguishable from 0)" };
            let adds = match tax.kind {
                TaxKind::Limit => format!("The CPU limit of {name} adds"),
                _ => format!("{} add", capital(name)),
            };
            format!("{adds} {at_p50} at p50 over {baseline}{per_hop}{}; at p99 {at_p99}{}.", unsure(p50), unsure(p99))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_what_people_say() {
        for (label, name) in [
            ("none", "no mesh"),
            ("envoy, 500m", "Envoy sidecars (500m)"),
            ("ambient", "ambient node proxies"),
            ("embedded, 1 worker, 200/s", "embedded sidecars (1 worker, 200/s)"),
            ("500 req/s", "500 req/s"),
        ] {
            assert_eq!(person_name(label), name);
        }
        assert_eq!(capital("no mesh"), "No mesh");
        assert_eq!(capital(""), "");
    }
}
