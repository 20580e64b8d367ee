//! What became of a user's Istio configuration, in groups of lines for every form of the report.

use std::fmt::Write as _;

use record::{IstioField, IstioReading, IstioSetting, IstioVerdict};
use serde::Serialize;

/// Fields, or defaults, of which the same holds.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Group {
    /// What holds of them: "used".
    pub(crate) title: &'static str,
    /// A line for each.
    pub(crate) lines: Vec<String>,
}

/// Whose configuration it is.
pub(crate) fn heading(reading: &IstioReading) -> String {
    let alike = reading.alike.len();
    let others = if alike > 0 { format!(" (and {alike} more that are set the same)") } else { String::new() };
    format!("Istio's configuration, as it was read: {}, {}{others}", reading.directory, reading.workload)
}

/// Everything, each group once and none that is empty.
pub(crate) fn groups(reading: &IstioReading) -> Vec<Group> {
    let IstioReading { schema: _, directory: _, workload: _, alike: _, files: _, accepted: _, fields, defaults } =
        reading;
    let of = |line: fn(&IstioField) -> Option<String>| fields.iter().filter_map(line).collect::<Vec<_>>();
    let defaults = defaults.iter().map(|d| format!("{} = {}: {}", d.factor, d.value, d.reason)).collect();
    let all = [
        Group { title: "used", lines: of(used) },
        Group { title: "told otherwise by a flag", lines: of(overridden) },
        Group { title: "ignored, as was accepted", lines: of(accepted) },
        Group { title: "said by no field", lines: defaults },
        Group { title: "without effect here", lines: without_effect(fields) },
    ];
    all.into_iter().filter(|group| !group.lines.is_empty()).collect()
}

/// The lines that are said when a run begins: what it took, in short.
pub fn summary(reading: &IstioReading) -> String {
    let mut text = format!("{}\n", heading(reading));
    let groups = groups(reading);
    for group in groups.iter().filter(|group| group.title != "without effect here") {
        for line in &group.lines {
            let _ = writeln!(text, "  {}: {line}", group.title);
        }
    }
    let idle = reading.fields.iter().filter(|f| matches!(f.verdict, IstioVerdict::NoEffect { .. })).count();
    let _ = writeln!(text, "  without effect here: {idle} fields; istio.json says why of each");
    text
}

fn settings(factors: &[IstioSetting]) -> String {
    factors.iter().map(|f| format!("{} = {}", f.factor, f.value)).collect::<Vec<_>>().join(", ")
}

fn place(field: &IstioField) -> String {
    format!("{}:{}:{}", field.file, field.line, field.column)
}

fn used(field: &IstioField) -> Option<String> {
    let IstioVerdict::Used { factors } = &field.verdict else { return None };
    Some(format!("{} by {}: {} ({})", settings(factors), field.path, field.value, place(field)))
}

fn overridden(field: &IstioField) -> Option<String> {
    let IstioVerdict::Overridden { factors, by } = &field.verdict else { return None };
    Some(format!("{by}, and not {} by {} ({})", settings(factors), field.path, place(field)))
}

fn accepted(field: &IstioField) -> Option<String> {
    let IstioVerdict::Accepted { reason } = &field.verdict else { return None };
    Some(format!("{} ({}): {reason}", field.path, place(field)))
}

/// By reason: a cluster's metadata alone would fill a page.
fn without_effect(fields: &[IstioField]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for field in fields {
        let IstioVerdict::NoEffect { reason } = &field.verdict else { continue };
        let at = reasons.iter().position(|(known, _)| known == reason).unwrap_or(reasons.len());
        if at == reasons.len() {
            reasons.push((reason, Vec::new()));
        }
        let paths = &mut reasons[at].1;
        if !paths.contains(&field.path.as_str()) {
            paths.push(&field.path);
        }
    }
    reasons.into_iter().map(|(reason, paths)| format!("{}: {reason}", paths.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use record::IstioDefault;

    use super::*;

    fn field(line: u32, path: &str, verdict: IstioVerdict) -> IstioField {
        let (file, resource, value) = ("r.yaml".into(), "X x in y".into(), "STRICT".into());
        IstioField { file, line, column: 3, resource, path: path.into(), value, verdict }
    }

    fn reading() -> IstioReading {
        let factors = vec![IstioSetting { factor: "mtls".into(), value: "strict".into() }];
        let idle = |reason: &str| IstioVerdict::NoEffect { reason: reason.into() };
        IstioReading {
            schema: 1,
            directory: "mesh".into(),
            workload: "Deployment a in b".into(),
            alike: vec!["Deployment c in b".into()],
            files: vec!["r.yaml".into()],
            accepted: vec!["fault".into()],
            fields: vec![
                field(1, "P.kind", idle("it names")),
                field(2, "P.mode", IstioVerdict::Used { factors: factors.clone() }),
                field(3, "P.other", idle("it is new")),
                field(4, "Q.kind", idle("it names")),
                field(5, "P.kind", idle("it names")),
                field(6, "P.port", IstioVerdict::Overridden { factors, by: "mtls = disable".into() }),
                field(7, "V.fault", IstioVerdict::Accepted { reason: "not done".into() }),
            ],
            defaults: vec![IstioDefault { factor: "retries".into(), value: "2".into(), reason: "a default".into() }],
        }
    }

    #[test]
    fn every_field_is_told_and_those_without_effect_by_their_reason() {
        let told: Vec<(&str, Vec<String>)> = groups(&reading()).into_iter().map(|g| (g.title, g.lines)).collect();
        let line = |text: &str| vec![text.to_owned()];
        assert_eq!(
            told,
            [
                ("used", line("mtls = strict by P.mode: STRICT (r.yaml:2:3)")),
                ("told otherwise by a flag", line("mtls = disable, and not mtls = strict by P.port (r.yaml:6:3)")),
                ("ignored, as was accepted", line("V.fault (r.yaml:7:3): not done")),
                ("said by no field", line("retries = 2: a default")),
                ("without effect here", vec!["P.kind, Q.kind: it names".into(), "P.other: it is new".into()]),
            ]
        );
    }

    #[test]
    fn a_run_begins_with_what_it_took() {
        let text = summary(&reading());
        assert!(
            text.starts_with("Istio's configuration, as it was read: mesh, Deployment a in b (and 1 more"),
            "{text}"
        );
        assert!(text.ends_with("  without effect here: 4 fields; istio.json says why of each\n"), "{text}");
        assert_eq!(text.lines().count(), 6, "{text}");
    }
}
