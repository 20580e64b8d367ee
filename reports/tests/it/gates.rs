//! A gate's answer in the forms that forges, parsers and services read.

use std::io::Write as _;
use std::process::{Command, Stdio};

use reports::gate::{GateReport, GateVerdict, OnInconclusive};
use reports::trackers::{self, Tracked};
use serde_json::Value;

use crate::made::{MadeRun, first_look};

/// Two cells, three metrics: one failed, one passed, one undecided; with texts that could pass for mark-up.
fn report() -> GateReport {
    serde_json::from_str(include_str!("gate.json")).unwrap()
}

/// What a JUnit parser makes of it, and whether it keeps to the schema of Jenkins' xunit reader: elements, their order and
/// attributes, and sums that add up.
const READER: &str = r#"
import sys, json, xml.etree.ElementTree as E
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "disabled", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "time", "disabled", "skipped", "skips", "timestamp",
                  "hostname", "id", "package", "group", "log", "filepath", "url", "version"},
    "testcase": {"name", "time", "classname", "status", "class", "file", "line", "group"},
    "properties": set(), "property": {"name", "value"},
    "failure": {"type", "message"}, "skipped": {"type", "message"}, "system-out": set(),
}
CHILDREN = {
    "testsuites": ["testsuite"], "testsuite": ["properties", "testcase"], "properties": ["property"],
    "testcase": ["skipped", "failure", "system-out"], "property": [], "failure": [], "skipped": [], "system-out": [],
}
REQUIRED = {"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name", "classname"}, "property": {"name", "value"}}
def check(e):
    assert set(e.attrib) <= ATTRIBUTES[e.tag], (e.tag, e.attrib)
    assert REQUIRED.get(e.tag, set()) <= set(e.attrib), (e.tag, e.attrib)
    order = [CHILDREN[e.tag].index(c.tag) for c in e]
    assert order == sorted(order), (e.tag, [c.tag for c in e])
    for c in e: check(c)
root = E.fromstring(sys.stdin.buffer.read())
assert root.tag == "testsuites"
check(root)
cases = []
for suite in root:
    of = suite.findall("testcase")
    failed, skipped = (sum(c.find(w) is not None for c in of) for w in ("failure", "skipped"))
    assert (int(suite.get("tests")), int(suite.get("failures")), int(suite.get("skipped"))) == (len(of), failed, skipped)
    for c in of:
        outcome = "failure" if c.find("failure") is not None else "skipped" if c.find("skipped") is not None else "passed"
        said = c.find("failure")
        cases.append([suite.get("name"), c.get("classname"), c.get("name"), outcome, said.get("message") if said is not None else None])
assert int(root.get("tests")) == len(cases)
assert int(root.get("failures")) == sum(c[3] == "failure" for c in cases)
print(json.dumps(cases))
"#;

fn parsed(xml: &str) -> Option<Value> {
    let mut reader = Command::new("python3");
    let Ok(mut reader) = reader.args(["-c", READER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        assert!(std::env::var_os("REQUIRE_PYTHON").is_none_or(|v| v != "1"), "no python3, and REQUIRE_PYTHON=1");
        eprintln!("skipped: no python3 to read XML with (set REQUIRE_PYTHON=1 to fail)");
        return None;
    };
    reader.stdin.take().unwrap().write_all(xml.as_bytes()).unwrap();
    let read = reader.wait_with_output().unwrap();
    assert!(read.status.success(), "{xml}");
    Some(serde_json::from_slice(&read.stdout).unwrap())
}

#[test]
fn a_junit_parser_reads_what_was_decided_and_every_text_as_it_was() {
    let report = report();
    let Some(cases) = parsed(&reports::gate::junit(&report)) else { return };
    let label = &report.metrics[0].label;
    assert_eq!(cases[0][0], label.as_str());
    assert_eq!(cases[0][4], report.metrics[0].reason.as_str(), "with its line end");
    let outcome = |i: usize| cases[i][3].as_str().unwrap().to_owned();
    assert_eq!([outcome(0), outcome(1), outcome(2)], ["failure", "passed", "skipped"]);
    assert_eq!(cases[0][2], "p99: below +10 %");
    assert_eq!((&cases[2][1], &cases[2][2]), (&"meshtax.chain3-ambient".into(), &"p50: at most 25.00 ms".into()));
}

#[test]
fn what_is_undecided_is_in_junit_what_was_asked_for() {
    for (undecided, outcome) in
        [(OnInconclusive::Skip, "skipped"), (OnInconclusive::Fail, "failure"), (OnInconclusive::Pass, "passed")]
    {
        let Some(cases) = parsed(&reports::gate::junit_with(&report(), undecided)) else { return };
        assert_eq!(cases[2][3], outcome);
    }
}

/// The reader of workflow commands: `::command property=value,...::message`, unescaped in its order.
fn command(line: &str) -> (String, String, String) {
    let (head, message) = line.strip_prefix("::").unwrap().split_once("::").unwrap();
    let (command, properties) = head.split_once(' ').unwrap();
    let title = properties.split(',').find_map(|p| p.strip_prefix("title=")).unwrap();
    let data = |text: &str| text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%");
    let property = |text: &str| {
        let text = text.replace("%0D", "\r").replace("%0A", "\n").replace("%3A", ":").replace("%2C", ",");
        text.replace("%25", "%")
    };
    (command.to_owned(), property(title), data(message))
}

#[test]
fn annotations_are_read_back_as_they_were_meant() {
    let report = report();
    let text = reports::gate::annotations(&report);
    let read: Vec<_> = text.lines().map(command).collect();
    assert_eq!(read.len(), 2, "what passed needs no line:\n{text}");
    assert_eq!(read[0].0, "error");
    assert_eq!(read[0].1, format!("meshtax gate: {}, p99: fail", report.metrics[0].label));
    assert_eq!(read[0].2, report.metrics[0].reason, "two lines in one");
    assert_eq!((read[1].0.as_str(), &read[1].2), ("warning", &report.metrics[2].reason));
}

#[test]
fn a_forge_shows_ten_of_a_kind_and_the_last_says_how_many_more_there_are() {
    let mut report = report();
    report.metrics = vec![report.metrics[0].clone(); 13];
    let text = reports::gate::annotations(&report);
    assert_eq!(text.lines().count(), 10);
    assert!(text.lines().last().unwrap().ends_with("::4 further metrics are in the report"), "{text}");
    report.metrics.truncate(10);
    assert!(!reports::gate::annotations(&report).contains("further"));
    report.metrics.iter_mut().for_each(|m| m.verdict = GateVerdict::Pass);
    report.verdict = GateVerdict::Pass;
    let passed = reports::gate::annotations(&report);
    assert!(passed.starts_with("::notice title=") && passed.lines().count() == 1, "{passed}");
}

#[test]
fn a_comment_has_the_verdict_one_picture_and_a_table_that_holds_together() {
    let comment = reports::gate::markdown(&report());
    assert!(comment.starts_with(reports::gate::MARKER));
    assert!(comment.contains("❌ fail"), "{comment}");
    assert_eq!(comment.matches("```mermaid").count(), 1);
    let rows: Vec<&str> = comment.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 2 + 3);
    let cells = |row: &str| row.replace("\\|", "").matches('|').count();
    assert!(rows.iter().all(|row| cells(row) == cells(rows[0])), "{rows:#?}");
    assert!(!comment.contains("@org"), "nobody is called:\n{comment}");
    let name = "`envoy, <1 & \"2\"> \\| 500m`";
    assert_eq!(comment.matches(name).count(), 2, "a name is code:\n{comment}");
    let ours = [name, reports::gate::MARKER, "<details><summary>", "</summary>", "</details>"];
    let elsewhere = ours.iter().fold(comment.clone(), |text, ours| text.replace(ours, ""));
    assert!(!elsewhere.contains('<'), "and nowhere mark-up:\n{elsewhere}");
    let summary = reports::gate::summary(&report());
    for said in ["one cell of the baseline", "45 pairs would settle it", "the hypervisor took", "envoy `1.40.0`"] {
        assert!(summary.contains(said), "'{said}' is missing:\n{summary}");
    }
}

#[test]
fn a_comment_of_many_metrics_is_no_longer_than_a_forge_takes() {
    let mut report = report();
    let mut metric = report.metrics[0].clone();
    metric.label = "x".repeat(200);
    report.metrics = vec![metric; 500];
    report.deciders = vec!["x".repeat(300); 500];
    let comment = reports::gate::markdown(&report);
    assert!(comment.len() < 65_536, "{}", comment.len());
    assert!(comment.contains("440 further metrics"));
}

#[test]
fn services_get_figures_with_names_that_stay_the_same() {
    let parent = tempfile::tempdir().unwrap();
    let run = MadeRun { repeats: 3, ..first_look() };
    let findings = reports::findings(&run.write(parent.path())).unwrap();
    let tracked = Tracked::of_run(&findings);
    let list: Value = serde_json::from_str(&trackers::github_action_benchmark(&tracked).unwrap()).unwrap();
    let p99 = findings.cell("chain3-envoy").unwrap().response_ns.p99.seen().unwrap().value;
    let entry = list.as_array().unwrap().iter().find(|e| e["name"] == "first-look/chain3-envoy/p99").unwrap();
    assert_eq!((entry["unit"].as_str(), entry["value"].as_f64()), (Some("ms"), Some(p99 * 1e-6)));
    assert!(entry["range"].as_str().is_some_and(|r| r.starts_with('[')), "{entry}");
    let bmf: Value = serde_json::from_str(&trackers::bencher(&tracked).unwrap()).unwrap();
    let metric = &bmf["first-look/chain3-envoy"]["p99-ns"];
    assert_eq!(metric["value"].as_f64(), Some(p99));
    assert!(metric["lower_value"].as_f64() < Some(p99) && metric["upper_value"].as_f64() > Some(p99), "{metric}");
    assert!(bmf["first-look/chain3-none"].get("rss-bytes").is_none(), "absent is not zero");
    let gate: Value = serde_json::from_str(&trackers::bencher(&Tracked::of_gate(&report())).unwrap()).unwrap();
    assert_eq!(gate["checkout/chain3-envoy"]["p99-ns"]["value"], 4_310_000.0);
}
