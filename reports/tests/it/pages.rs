//! What people and scripts are shown: it fits, it holds together, and it says what the findings say.

use std::sync::LazyLock;

use record::Dataplane;
use reports::Findings;

use crate::made::{Explained, MadeRun, explain, factors, first_look, made};

pub(crate) const HOSTILE: &str = "<script>alert('x')</script>\u{1b}[31m|\"&";

pub(crate) fn run_with_everything() -> MadeRun {
    let mut run = first_look();
    let mut limited = made("chain3-envoy-200m", "envoy, 200m", factors(Dataplane::Envoy, Some("200m")), 1.6);
    limited.throttled = (3..50).step_by(4).collect();
    run.cells.push(limited);
    // Swept limits, of which the smallest alone is throttled.
    run.cells.push(made("chain3-envoy-500m", "envoy, 500m", factors(Dataplane::Envoy, Some("500m")), 1.62));
    run.stamped = true;
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
    for outside in ["http://", "https://", "url(", "@import", "<link", "src="] {
        // The SVG's name space is a name, and is never fetched; the policy names where scripts may be from.
        let page = page.replace("http://www.w3.org/2000/svg", "").replace("script-src=", "");
        assert!(!page.contains(outside), "{outside}");
    }
    // No fixed colour is left in a chart: each is the style's.
    let charts = page.split("<svg").skip(1).map(|c| c.split("</svg>").next().unwrap());
    let mut count = 0;
    for chart in charts {
        count += 1;
        assert!(!chart.contains("=\"#"), "{}", &chart[chart.find("=\"#").unwrap()..][..60]);
    }
    // Taxes, quantiles, costs, the sweep; and of each cell its timeline and its slowest request.
    assert_eq!(count, 4 + 2 * f.cells.len());
    assert_eq!(page.matches("<script").count(), 1);
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
    // The one script is ours, which the policy names by its hash.
    assert!(page.matches("<script").count() == 1 && !page.contains("<b>"));
    assert!(page.contains("script-src &#x27;sha256-") || page.contains("script-src 'sha256-"));
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

/// The page without its style, script, drawings and the scenario, as words.
fn words(page: &str) -> Vec<String> {
    let mut text = page.to_owned();
    for tag in ["style", "script", "svg", "pre"] {
        while let Some(at) = text.find(&format!("<{tag}")) {
            let end = text[at..].find(&format!("</{tag}>")).unwrap() + at;
            text.replace_range(at..end + tag.len() + 3, " ");
        }
    }
    let mut words = String::new();
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' => in_tag = false,
            c if !in_tag => words.push(c),
            _ => continue,
        }
        // What stands in two elements is two words.
        if c == '>' {
            words.push(' ');
        }
    }
    let words = words.replace("&#x27;", "'").replace("&#x2f;", "/").replace("&quot;", "\"").replace("&amp;", "&");
    words.split_whitespace().map(str::to_owned).collect()
}

/// The number that a word is, as it stands there, without the marks and units around it.
fn number_in(word: &str) -> Option<&str> {
    let bare = word.trim_matches(|c: char| "()[],;:.%\"'…".contains(c));
    let bare = bare.strip_suffix("/s").unwrap_or(bare);
    let bare = bare.strip_suffix('m').unwrap_or(bare);
    bare.parse::<f64>().ok().filter(|v| v.is_finite()).map(|_| bare)
}

/// Every text of a value.
fn texts(value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => into.push(text.clone()),
        serde_json::Value::Array(a) => a.iter().for_each(|v| texts(v, into)),
        serde_json::Value::Object(o) => o.iter().for_each(|(key, v)| {
            into.push(key.clone());
            texts(v, into);
        }),
        _ => {}
    }
}

/// How many there are of something.
fn counts(value: &serde_json::Value, into: &mut Vec<f64>) {
    match value {
        serde_json::Value::Array(a) => {
            into.push(a.len() as f64);
            a.iter().for_each(|v| counts(v, into));
        }
        serde_json::Value::Object(o) => o.values().for_each(|v| counts(v, into)),
        _ => {}
    }
}

#[test]
fn every_number_in_a_sentence_is_in_the_findings() {
    let Explained { findings: f, page } = &*EVERYTHING;
    let mut json: serde_json::Value = serde_json::from_str(&reports::json::render(f).unwrap()).unwrap();
    // Thousands of windows would hold any number by chance.
    json.as_object_mut().unwrap().remove("timelines");
    let (mut known, mut said) = (Vec::new(), Vec::new());
    numbers(&json, &mut known);
    counts(&json, &mut known);
    texts(&json, &mut said);
    let said: Vec<&str> = said.iter().flat_map(|text| text.split_whitespace()).filter_map(number_in).collect();
    for cell in &f.cells {
        // Counts of a cell's warnings of one kind, of which one is told, and of what was read back of it.
        let warnings = f.warnings.iter().filter(|w| w.cell.as_ref() == Some(&cell.id)).count();
        known.extend([warnings as f64 - 1.0, f.proofs.iter().filter(|p| p.cell == cell.id).count() as f64]);
        let due = cell.requests.due as f64 / cell.trials as f64;
        known.extend([due, (due / 1000.0).round()]);
    }
    // Nanoseconds as milliseconds and seconds, shares as percent, bytes as KiB and MiB.
    let units = [1.0, 1e-6, 1e-9, 100.0, 1.0 / 1024.0, 1.0 / 1024.0 / 1024.0];
    // "99 of 100 requests took 1.20 ms or less", "tell from none in 8 of 10 runs", windows of 100 ms.
    let in_prose = ["99", "100", "1.20", "8", "10"];
    let mut checked = 0;
    for (at, word) in words(page).iter().enumerate() {
        let Some(number) = number_in(word) else { continue };
        let value: f64 = number.parse().unwrap();
        let decimals = number.split('.').nth(1).map_or(0, str::len) as i32;
        // Large ones are rounded to three digits.
        let rounded = if decimals == 0 && value >= 1000.0 { 10f64.powi(value.log10() as i32 - 2) } else { 1.0 };
        let half = 0.5 * rounded * 10f64.powi(-decimals) * (1.0 + 1e-9);
        let found = in_prose.contains(&number)
            || said.contains(&number)
            || known.iter().any(|k| units.iter().any(|unit| (k * unit - value).abs() <= half));
        assert!(found, "{number} in: {}", words(page)[at.saturating_sub(12)..][..20].join(" "));
        checked += 1;
    }
    assert!(checked > 1000, "{checked}");
}

#[test]
fn what_a_cursor_reads_out_is_in_the_findings() {
    let Explained { findings: f, page } = &*EVERYTHING;
    let mut timelines = f.timelines.iter();
    for figure in page.split("data-cursor=\"").skip(1) {
        let data = figure.split('"').next().unwrap().replace("&quot;", "\"").replace("&#x2f;", "/");
        let data: serde_json::Value = serde_json::from_str(&data).unwrap();
        let of = serde_json::to_value(timelines.next().unwrap()).unwrap();
        assert_eq!((&data["at"], &data["end"]), (&of["at_ns"], &of["end_ns"]));
        let names = [
            ("median", "p50_ns"),
            ("p99", "p99_ns"),
            ("longest", "max_ns"),
            ("throttled", "throttled_ns"),
            ("stolen", "steal_ns"),
            ("waiting for a CPU", "run_delay_ns"),
            ("disk", "disk_ns"),
        ];
        let lines = data["lines"].as_array().unwrap();
        assert!(lines.len() >= 5, "{lines:?}");
        for line in lines {
            let (_, key) = names.iter().find(|(name, _)| line[0] == *name).unwrap();
            assert_eq!(line[1], of[key], "{key}");
            assert_eq!(line[1].as_array().unwrap().len(), of["at_ns"].as_array().unwrap().len());
        }
    }
    assert!(timelines.next().is_none(), "every timeline has its chart");
}

#[test]
fn the_answer_begins_with_the_dearest_cell_and_what_its_tail_coincides_with() {
    let f = &EVERYTHING.findings;
    let headline = f.headline.as_ref().unwrap();
    assert_eq!((headline.cell.as_str(), headline.baseline.as_str()), ("chain3-envoy-200m", "chain3-none"));
    assert_eq!(headline.quantile, "p99");
    let tax = f.taxes.iter().find(|t| t.cell == headline.cell && t.baseline == headline.baseline).unwrap();
    assert_eq!(headline.per_hop_ns, tax.response_ns.p99.per_hop);
    let of_limit = f.taxes.iter().find(|t| t.cell == headline.cell && t.kind == reports::TaxKind::Limit).unwrap();
    assert_eq!(headline.limit_per_hop_ns, Some(of_limit.response_ns.p99.per_hop));
    assert_eq!(headline.cause, Some(reports::Cause::Throttling));
    assert_eq!(f.answer[0], headline.sentence);
    for said in [
        "On 4 × AMD EPYC 7B13 (KVM guest), Envoy sidecars with a CPU limit of 200m add ",
        " at p99 per hop at 500/s; ",
        " of it come with the limit; ",
        " coincides with CPU throttling.",
    ] {
        assert!(headline.sentence.contains(said), "{}", headline.sentence);
    }
}

#[test]
fn swept_limits_have_their_knee_where_p99_leaves_the_reference() {
    let factors = |limit| factors(Dataplane::Envoy, limit);
    let mut run = first_look();
    run.cells = vec![
        made("none", "none", self::factors(Dataplane::None, None), 0.4),
        made("free", "envoy", factors(None), 1.6),
        made("l800", "envoy, 800m", factors(Some("800m")), 1.6),
        made("l400", "envoy, 400m", factors(Some("400m")), 1.6),
        made("l200", "envoy, 200m", factors(Some("200m")), 4.0),
        made("l100", "envoy, 100m", factors(Some("100m")), 16.0),
    ];
    let f = explain(&run).findings;
    let [sweep] = f.limits.as_slice() else { panic!("{:?}", f.limits) };
    assert_eq!(sweep.reference, "free");
    let limits: Vec<Option<f64>> = sweep.points.iter().map(|p| p.limit_millicores).collect();
    assert_eq!(limits, [Some(100.0), Some(200.0), Some(400.0), Some(800.0), None]);
    // From 1 at 400m to 2.5 at 200m by a straight line of logarithms.
    let knee = sweep.knee_millicores.seen().unwrap();
    let truth = (400f64.ln() - 1.25f64.ln() / 2.5f64.ln() * 2f64.ln()).exp();
    assert!((knee.value / truth - 1.0).abs() < 0.05, "{} against {truth}", knee.value);
    assert!(knee.low.unwrap() <= truth && truth <= knee.high.unwrap(), "{knee:?}");
    assert!(f.answer.contains(&sweep.sentence));

    run.cells.retain(|c| !["l200", "l100"].contains(&c.cell.id.as_str()));
    let f = explain(&run).findings;
    assert!(f.limits[0].knee_millicores.reason().unwrap().starts_with("none within the sweep: with 400m"));
    run.cells.retain(|c| c.cell.id != "l400");
    assert!(explain(&run).findings.limits.is_empty(), "one limit is no sweep");
}

#[test]
fn the_slowest_requests_are_told_hop_by_hop() {
    let f = &EVERYTHING.findings;
    for cell in &f.cells {
        let of: Vec<_> = f.slowest.iter().filter(|s| s.cell == cell.id).collect();
        assert_eq!(of.len(), 3);
        assert!(of.windows(2).all(|pair| pair[0].response_ns >= pair[1].response_ns), "the slowest first");
        for request in of {
            assert_eq!(request.hops.iter().map(|h| h.service.as_str()).collect::<Vec<_>>(), ["s1", "s2", "s3"]);
            let sum: u64 = request.hops.iter().map(|h| h.own_ns + h.there_ns + h.back_ns).sum();
            assert_eq!(sum + request.sent_ns.unwrap(), request.response_ns, "every nanosecond has its place");
        }
    }
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
    let evidence = ["headline", "limits", "slowest", "timelines", "proofs"];
    let more = more.into_iter().chain(evidence);
    assert_eq!(names, want.into_iter().chain(more).map(|name| format!("{name}.csv")).collect::<Vec<_>>());
    let rows = |name: &str| {
        let text = &tables.iter().find(|(n, _)| n == name).unwrap().1;
        // The reader refuses rows of another length than the head's.
        csv::Reader::from_reader(text.as_bytes()).into_records().map(|r| r.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(rows("cells.csv").len(), 6);
    assert_eq!(rows("latencies.csv").len(), 6 * 13);
    // Three slow requests of each cell with three services each; and every window of each cell.
    assert_eq!(rows("slowest.csv").len(), 6 * 3 * 3);
    assert_eq!(rows("timelines.csv").len(), 6 * 50);
    assert_eq!(rows("limits.csv").len(), 3);
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
    assert!(pages[1..].iter().all(|page| !page.contains("<script>alert")));
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
