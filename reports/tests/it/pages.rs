//! What people and scripts are shown: it fits, it holds together, and it says what the findings say.

use std::sync::LazyLock;

use record::Dataplane;
use reports::Findings;

use crate::made::{Explained, MadeRun, explain, factors, first_look, made};

const HOSTILE: &str = "<script>alert('x')</script>\u{1b}[31m|\"&";

fn run_with_everything() -> MadeRun {
    let mut run = first_look();
    let mut limited = made("chain3-envoy-200m", "envoy, 200m", factors(Dataplane::Envoy, Some("200m")), 1.6);
    limited.throttled = (3..50).step_by(4).collect();
    run.cells.push(limited);
    run.cells[3].stolen = (5..50).step_by(9).collect();
    run.cells[2].failed = 1;
    run
}

static EVERYTHING: LazyLock<Explained> = LazyLock::new(|| explain(&run_with_everything()));

/// Whether every tag is closed in its order; also finds a `<` that is no tag.
pub(crate) fn balanced(page: &str) -> Result<usize, String> {
    const VOID: [&str; 3] = ["meta", "!DOCTYPE", "br"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    let mut tags = 0;
    while let Some(at) = rest.find('<') {
        let end = rest[at..].find('>').ok_or("a tag is not closed")? + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        tags += 1;
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap_or("");
        if tag.starts_with('/') {
            let last = open.pop();
            if last != Some(name) {
                return Err(format!("</{name}> closes {last:?}"));
            }
        } else if !(tag.ends_with('/') || VOID.contains(&name)) {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
                return Err(format!("<{tag}> is no tag"));
            }
            open.push(name);
        }
    }
    if open.is_empty() { Ok(tags) } else { Err(format!("never closed: {open:?}")) }
}

fn numbers(value: &serde_json::Value, into: &mut Vec<f64>) {
    match value {
        serde_json::Value::Number(n) => into.extend(n.as_f64()),
        serde_json::Value::Array(a) => a.iter().for_each(|v| numbers(v, into)),
        serde_json::Value::Object(o) => o.values().for_each(|v| numbers(v, into)),
        _ => {}
    }
}

#[test]
fn text_fits_its_columns_and_begins_with_the_answer() {
    let f = &EVERYTHING.findings;
    for width in [60, 80, 132] {
        let text = reports::text::render(f, width, false);
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{} columns: {line}", line.chars().count());
        }
        assert!(!text.contains('\u{1b}'));
    }
    let text = reports::text::render(f, 80, false);
    let answer = text.find("Embedded sidecars add").unwrap();
    assert!(answer < text.find("p50").unwrap() + 80 && answer < text.find("Response time").unwrap());
    for said in ["ms", "Doubts", "try:", "How to read it", "MiB RSS", "% of CPU", "coincides with", "per hop"] {
        assert!(text.contains(said), "{said}");
    }
    let colored = reports::text::render(f, 80, true);
    let mut plain = colored.clone();
    for code in ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[33m", "\u{1b}[0m"] {
        plain = plain.replace(code, "");
    }
    let trimmed = |t: &str| t.lines().map(|l| l.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(trimmed(&plain), trimmed(&text));
}

#[test]
fn absent_figures_say_why_on_every_page() {
    let run = MadeRun { psi: false, steal_known: false, ..run_with_everything() };
    let Explained { findings: f, page } = explain(&run);
    let f = &f;
    // The page's escaping spells the slash out.
    let page = page.replace("&#x2f;", "/");
    let pages = [reports::text::render(f, 200, false), reports::markdown::render(f), page];
    for page in pages {
        assert!(page.contains("(PSI is off in this kernel)") && page.contains("n/a"), "{page}");
        assert!(page.contains("(gVisor shows no steal)"));
    }
}

#[test]
fn the_page_is_whole_needs_nothing_and_is_light() {
    let Explained { findings: f, page } = &*EVERYTHING;
    let tags = balanced(page).unwrap();
    assert!(tags > 500, "{tags}");
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    for outside in ["http://", "https://", "url(", "@import", "<script", "<link", "src="] {
        // The SVG's name space is a name, and is never fetched.
        let page = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!page.contains(outside), "{outside}");
    }
    // No fixed colour is left in a chart: each is the style's.
    let charts = page.split("<svg").skip(1).map(|c| c.split("</svg>").next().unwrap());
    let mut count = 0;
    for chart in charts {
        count += 1;
        assert!(!chart.contains("=\"#"), "{}", &chart[chart.find("=\"#").unwrap()..][..60]);
    }
    assert_eq!(count, 2 + f.cells.len());
    for scope in ["scope=\"col\"", "scope=\"row\"", "<caption>", "prefers-color-scheme: dark", "lang=\"en\""] {
        assert!(page.contains(scope), "{scope}");
    }
}

#[test]
fn a_hostile_name_stays_a_name() {
    let mut run = run_with_everything();
    run.scenario = HOSTILE.into();
    run.cells[2].cell.label = HOSTILE.into();
    run.cells[2].cell.id = "chain3-<b>bold".into();
    let Explained { findings: f, page } = explain(&run);
    let f = &f;
    balanced(&page).unwrap();
    assert!(!page.contains("<script") && !page.contains("<b>"));
    assert!(page.contains("&lt;script&gt;alert("));
    let markdown = reports::markdown::render(f);
    assert!(!markdown.contains("<script") && markdown.contains("&lt;script&gt;"));
    let text = reports::text::render(f, 80, false);
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn every_number_of_the_page_is_in_the_findings() {
    let Explained { findings: f, page } = &*EVERYTHING;
    let json: serde_json::Value = serde_json::from_str(&reports::json::render(f).unwrap()).unwrap();
    let mut known = Vec::new();
    numbers(&json, &mut known);
    let mut checked = 0;
    for cell in page.split("<data value=\"").skip(1) {
        let value: f64 = cell.split('"').next().unwrap().parse().unwrap();
        // Reading JSON may round the last binary digit.
        assert!(known.iter().any(|k| (k - value).abs() <= 1e-12 * value.abs()), "{value}");
        checked += 1;
    }
    // Five cells with five quantiles twice, and much more.
    assert!(checked > 150, "{checked}");
}

#[test]
fn json_is_read_again_and_the_same_text_is_made_of_it() {
    let f = &EVERYTHING.findings;
    let back: Findings = serde_json::from_str(&reports::json::render(f).unwrap()).unwrap();
    assert_eq!(reports::text::render(&back, 80, false), reports::text::render(f, 80, false));
    assert_eq!((back.cells.len(), &back.warnings, &back.host), (f.cells.len(), &f.warnings, &f.host));
}

#[test]
fn csv_tables_hold_every_cell_and_quantile() {
    let f = &EVERYTHING.findings;
    let tables = reports::csv::render(f).unwrap();
    let names: Vec<&str> = tables.iter().map(|(name, _)| name.as_str()).collect();
    let want = ["cells", "latencies", "taxes", "parts", "node", "attribution", "attribution_parts", "ledger"];
    let more = ["worst_windows", "warnings", "splits", "subsets", "shifts", "events", "lacks"];
    assert_eq!(names, want.into_iter().chain(more).map(|name| format!("{name}.csv")).collect::<Vec<_>>());
    let rows = |name: &str| {
        let text = &tables.iter().find(|(n, _)| n == name).unwrap().1;
        // The reader refuses rows of another length than the head's.
        csv::Reader::from_reader(text.as_bytes()).into_records().map(|r| r.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(rows("cells.csv").len(), 5);
    assert_eq!(rows("latencies.csv").len(), 5 * 13);
    assert_eq!(rows("taxes.csv").len(), f.taxes.len() * 10);
    let p99 = f.cells[4].response_ns.p99.seen().unwrap().value;
    let row = rows("latencies.csv").into_iter().find(|r| &r[0] == "chain3-envoy-200m" && &r[2] == "p99").unwrap();
    assert_eq!(row[3].parse::<f64>().unwrap(), p99);
    assert_eq!(rows("warnings.csv").len(), f.warnings.len());
    for (name, _) in &tables {
        rows(name);
    }
}

#[test]
fn markdown_tables_have_equal_rows() {
    let f = &EVERYTHING.findings;
    let page = reports::markdown::render(f);
    let mut columns = None;
    let mut rows = 0;
    for line in page.lines() {
        if !line.starts_with('|') {
            columns = None;
            continue;
        }
        let n = line.replace("\\|", "").matches('|').count();
        assert_eq!(*columns.get_or_insert(n), n, "{line}");
        rows += 1;
    }
    assert!(rows > 40, "{rows}");
}

/// Leaves the pages of a made run where `MESHTAX_PAGES` says, to be looked at.
#[test]
fn pages_are_left_where_they_are_asked_for() {
    let Explained { findings: f, page } = &*EVERYTHING;
    assert!(page.ends_with("</html>\n") || page.ends_with("</html>"));
    if let Some(at) = std::env::var_os("MESHTAX_PAGES") {
        let at = std::path::PathBuf::from(at);
        std::fs::create_dir_all(&at).unwrap();
        std::fs::write(at.join("report.html"), page).unwrap();
        std::fs::write(at.join("report.txt"), reports::text::render(f, 80, false)).unwrap();
        std::fs::write(at.join("report.md"), reports::markdown::render(f)).unwrap();
        std::fs::write(at.join("findings.json"), reports::json::render(f).unwrap()).unwrap();
    }
}

#[test]
fn what_became_of_istios_configuration_is_on_every_page() {
    let field = |path: &str, verdict| record::IstioField {
        file: "peers.yaml".into(),
        line: 4,
        column: 3,
        resource: "PeerAuthentication default in shop".into(),
        path: path.into(),
        value: HOSTILE.into(),
        verdict,
    };
    let factors = vec![record::IstioSetting { factor: "mtls".into(), value: "strict".into() }];
    let reading = record::IstioReading {
        schema: record::SCHEMA,
        directory: "mesh".into(),
        workload: "Deployment reviews-v1 in shop".into(),
        alike: vec![],
        files: vec!["peers.yaml".into()],
        accepted: vec!["fault".into()],
        fields: vec![
            field("PeerAuthentication.spec.mtls.mode", record::IstioVerdict::Used { factors }),
            field("VirtualService.fault", record::IstioVerdict::Accepted { reason: "no fault is made".into() }),
            field("Deployment.kind", record::IstioVerdict::NoEffect { reason: "it names".into() }),
        ],
        defaults: vec![],
    };
    let parent = tempfile::tempdir().unwrap();
    let dir = first_look().write(parent.path());
    let without = reports::text::render(&reports::findings(&dir).unwrap(), 80, false);
    assert!(!without.contains("Istio's configuration"), "{without}");
    dir.write_istio(&reading).unwrap();
    let findings = reports::findings(&dir).unwrap();
    assert_eq!(findings.istio.as_ref(), Some(&reading));
    let page = reports::html::render(&findings, &dir).unwrap();
    balanced(&page).unwrap();
    let text = reports::text::render(&findings, 60, false);
    assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    let pages = [reports::text::render(&findings, 400, false), reports::markdown::render(&findings), page];
    assert!(pages[1..].iter().all(|page| !page.contains("<script")));
    for page in pages {
        for line in [
            "mtls = strict by PeerAuthentication.spec.mtls.mode",
            "Deployment.kind: it names",
            "ignored, as was accepted",
        ] {
            assert!(page.contains(line), "'{line}' is missing: {page}");
        }
    }
}
