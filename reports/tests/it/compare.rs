//! Runs of which it is known what differs, side by side.

use std::path::Path;
use std::sync::LazyLock;

use record::{CpuQuantity, Dataplane, Factors, Reading, Run, RunDirectory};
use reports::compare::{Allowed, Compared, FlagKind, Named, Point, Told, compare, csv, markdown, page, text};
use reports::stats::components::Source;

use crate::made::{Made, MadeRun, change_seal, factors, first_look, made};
use crate::pages::balanced;

/// A run in a directory of its own, with its run.json changed afterwards.
fn written(parent: &Path, id: &str, run: &MadeRun, change: impl Fn(&mut Run)) -> Named {
    let at = parent.join(format!("{id}-made"));
    std::fs::create_dir(&at).unwrap();
    let directory = run.write(&at);
    let mut read = directory.run().unwrap();
    read.id = id.to_owned();
    read.sum = None;
    change(&mut read);
    std::fs::write(directory.path().join("run.json"), serde_json::to_string(&read).unwrap()).unwrap();
    let path = parent.join(id);
    std::fs::rename(directory.path(), &path).unwrap();
    Named { directory: RunDirectory::open(&path).unwrap(), name: None }
}

/// No mesh and Envoy, with these medians in milliseconds.
fn two_cells(none_ms: f64, envoy_ms: f64, seed: u64) -> MadeRun {
    let cells = vec![
        made("chain3-none", "none", factors(Dataplane::None, None), none_ms),
        made("chain3-envoy", "envoy", factors(Dataplane::Envoy, None), envoy_ms),
    ];
    MadeRun { cells, seed, drift: 0.05, tenths: 20, per_tenth: 100, repeats: 9, ..first_look() }
}

fn other_host(run: &mut Run) {
    run.host.cpu_model = Reading::Seen("Intel Xeon".into());
    run.host.memory_bytes = Reading::Seen(4 << 30);
    run.host.kernel_traits.tick_hz = Reading::Seen(1000);
}

fn at_p50(runs: &[Named]) -> Compared {
    compare(runs, Point::P50, &Allowed::default()).unwrap()
}

/// Three hosts: one with a small tax, one with a large one, and one like the first.
static THREE: LazyLock<Compared> = LazyLock::new(|| {
    let parent = tempfile::tempdir().unwrap();
    let runs = [
        written(parent.path(), "a", &two_cells(0.4, 1.2, 1), |_| {}),
        written(parent.path(), "b", &two_cells(1.2, 6.0, 2), other_host),
        written(parent.path(), "c", &two_cells(0.4, 1.21, 3), |run| run.host.cpus_online = vec![0, 1]),
    ];
    at_p50(&runs)
});

fn near(found: f64, truth: f64, by: f64) {
    assert!((found / truth - 1.0).abs() < by, "{found} against {truth}");
}

#[test]
fn the_answer_is_what_was_made() {
    let of = &THREE.comparison;
    let envoy = of.cells.iter().find(|c| c.id == "chain3-envoy").unwrap();
    // Of itself 0.8 ms here and 4.8 ms there.
    let over = envoy.runs[1].tax_over_first_ns.as_ref().unwrap().at(Point::P50).unwrap();
    near(over.these_runs.value, 4.0e6, 0.05);
    assert!(over.these_runs.excludes(0.0) && over.told == Told::Apart, "{over:?}");
    let ratio = envoy.runs[1].ratio.at(Point::P50).unwrap();
    near(ratio.these_runs.value, 5.0, 0.05);
    assert!(!ratio.these_runs.excludes(5.0), "{ratio:?}");
    assert!(ratio.made_again.low < ratio.these_runs.low && ratio.made_again.high > ratio.these_runs.high);
    // A ratio is that of the figures beside it.
    let value = |run: usize| envoy.runs[run].response_ns.p50.seen().unwrap().value;
    near(ratio.these_runs.value, value(1) / value(0), 1e-9);
    assert_eq!(envoy.runs[2].ratio.at(Point::P50).unwrap().told, Told::Not);
    assert!(envoy.runs[0].ratio.at(Point::P50).is_none());
    assert_eq!(of.smallest[0].may_be, [of.runs[0].name.clone(), of.runs[2].name.clone()]);
    let first = &of.answer[0];
    assert!(
        first.starts_with("At p50, Envoy sidecars cost 4.0") || first.starts_with("At p50, Envoy sidecars cost 3.9"),
        "{first}"
    );
    assert!(first.contains("more on") && first.contains("(not told apart)"), "{first}");
    assert!(of.answer[1].contains("The smallest tax of Envoy sidecars at p50"), "{:?}", of.answer);
}

#[test]
fn what_differs_is_named_and_names_the_runs() {
    let of = &THREE.comparison;
    let names: Vec<&str> = of.runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["4 × AMD EPYC 7B13", "4 × Intel Xeon", "2 × AMD EPYC 7B13"]);
    assert_eq!(of.runs.iter().map(|run| run.machine).collect::<Vec<_>>(), [1, 2, 3]);
    let of_what = |what: &str| of.differences.iter().find(|d| d.what == what).map(|d| d.values.join("|"));
    assert_eq!(of_what("CPU").unwrap(), "AMD EPYC 7B13|Intel Xeon|AMD EPYC 7B13");
    assert_eq!(of_what("memory").unwrap(), "8.0 GiB|4.0 GiB|8.0 GiB");
    assert_eq!(of_what("number of CPUs").unwrap(), "4|4|2");
    assert_eq!(of_what("kernel traits, tick hz").unwrap(), "n/a|1000|n/a");
    assert_eq!(of.differences.len(), 4, "{:?}", of.differences);
}

#[test]
fn effects_are_paired_within_runs_and_welchs_between_them() {
    let of = &THREE.comparison;
    let mesh = of.effects.iter().find(|e| e.factor == "dataplane").unwrap();
    assert_eq!((mesh.from.as_str(), mesh.to.as_str(), mesh.pairs), ("none", "envoy", 1));
    let each: Vec<f64> = mesh.by_run.iter().map(|e| e.ratio.value).collect();
    for (found, truth) in each.iter().zip([3.0, 5.0, 3.025]) {
        near(*found, truth, 0.05);
    }
    near(mesh.ratio.value, (3.0f64 * 5.0 * 3.025).cbrt(), 0.04);
    assert!(mesh.ratio.excludes(1.0));
    let hosts: Vec<_> = of.effects.iter().filter(|e| e.factor == "host").collect();
    assert_eq!(hosts.len(), 2);
    // 3 times as long without a mesh, 5 times with it.
    near(hosts[0].ratio.value, 15.0f64.sqrt(), 0.05);
    assert!(!hosts[1].ratio.excludes(1.0), "{:?}", hosts[1]);
}

#[test]
fn the_variance_is_parted_into_what_was_made() {
    let parts = THREE.comparison.variance.seen().unwrap();
    let share = |source: Source| parts.iter().find(|p| p.source == source).map_or(0.0, |p| p.share.value);
    // Hosts and the mesh are factors of several; blocks and repeats of a few percent.
    assert!(share(Source::Host) + share(Source::Mesh) > 0.8, "{parts:?}");
    assert!(share(Source::Repeat) < 0.01 && share(Source::Block) < 0.02, "{parts:?}");
    let all: f64 = parts.iter().map(|p| p.share.value).sum();
    assert!((all - 1.0).abs() < 1e-9);
    assert!(parts.windows(2).all(|w| w[0].share.value >= w[1].share.value));
    let host = parts.iter().find(|p| p.source == Source::Host).unwrap();
    // Squares of the hosts' logarithms about their mean: ln 3 and ln 5 of two in three, by cell, against ln 3 to ln 5.
    assert!(host.degrees == 2 && (0.4..0.6).contains(&host.share.value), "{host:?}");
    assert!(host.share.low.unwrap() > 0.4 && host.share.high.unwrap() < 0.6, "{host:?}");
}

#[test]
fn with_several_runs_of_a_machine_its_scatter_is_measured() {
    let parent = tempfile::tempdir().unwrap();
    let runs: Vec<Named> = [("a", 1.2), ("b", 1.3), ("c", 1.15), ("d", 1.8), ("e", 1.9)]
        .into_iter()
        .enumerate()
        .map(|(seed, (id, envoy))| {
            let hosts = |run: &mut Run| {
                if envoy > 1.5 {
                    run.host.kernel = "6.12.0".into()
                }
            };
            written(parent.path(), id, &two_cells(envoy / 3.0, envoy, seed as u64), hosts)
        })
        .collect();
    let of = at_p50(&runs).comparison;
    assert_eq!(of.runs.iter().map(|run| run.machine).collect::<Vec<_>>(), [1, 1, 1, 2, 2]);
    let scatter = of.between_runs.at(Point::P50);
    assert_eq!(scatter.degrees, Some(3));
    // ln of 1.2, 1.3, 1.15 about their mean, and of 1.8, 1.9: 0.0077 + 0.0015 over three.
    near(scatter.sd, 0.055, 0.25);
    let parts = of.variance.seen().unwrap();
    assert!(parts.iter().any(|p| p.source == Source::Run), "{parts:?}");
    let of_cell = &of.cells[1].runs[3].ratio.at(Point::P50).unwrap();
    assert_eq!(of_cell.told, Told::Apart, "1.5 times is more than 5 % explains: {of_cell:?}");
    assert!(of.answer.iter().any(|s| s.contains("as these show")), "{:?}", of.answer);
}

#[test]
fn one_run_of_each_does_not_tell_hosts_apart_that_another_hour_explains() {
    let parent = tempfile::tempdir().unwrap();
    let runs = [
        written(parent.path(), "a", &two_cells(0.4, 1.2, 1), |_| {}),
        written(parent.path(), "b", &two_cells(0.5, 1.6, 2), other_host),
    ];
    let of = at_p50(&runs).comparison;
    let over = of.cells[1].runs[1].tax_over_first_ns.as_ref().unwrap().at(Point::P50).unwrap();
    assert_eq!(over.told, Told::OnlyTheseRuns);
    assert!(
        of.answer.iter().any(|s| s.contains("may not be one between the hosts") && s.contains("assumed")),
        "{:?}",
        of.answer
    );
}

#[test]
fn burst_credits_that_run_out_and_a_drift_are_told_apart() {
    let parent = tempfile::tempdir().unwrap();
    let ends_slow: fn(u32) -> f64 = |block| if block > 6 { 0.4 } else { 0.0 };
    let burst = MadeRun { trend: ends_slow, work: |block| if block > 6 { 1.5 } else { 1.0 }, ..two_cells(0.4, 1.2, 1) };
    let drift = MadeRun { trend: ends_slow, ..two_cells(0.4, 1.2, 2) };
    let runs = [
        written(parent.path(), "a", &burst, |_| {}),
        written(parent.path(), "b", &drift, other_host),
        written(parent.path(), "c", &two_cells(0.4, 1.2, 3), |run| run.host.cpus_online = vec![0, 1]),
    ];
    let of = at_p50(&runs).comparison;
    let kinds = |at: usize| -> Vec<FlagKind> {
        of.flags
            .iter()
            .filter(|f| f.run == of.runs[at].name)
            .map(|f| f.kind)
            .filter(|k| *k != FlagKind::Doubts)
            .collect()
    };
    assert_eq!(
        (kinds(0), kinds(1), kinds(2)),
        (vec![FlagKind::BurstCredits], vec![FlagKind::Drift], vec![]),
        "{:?}",
        of.flags
    );
    let thirds = of.runs[0].thirds.seen().unwrap();
    assert_eq!((thirds.of.as_str(), thirds.trials), ("no mesh", 3));
    near(thirds.p50.seen().unwrap().value, 1.49, 0.1);
    near(thirds.work.seen().unwrap().value, 1.5, 0.02);
    let shown = text(&of, 80, false);
    assert!(shown.contains("[credits?") && shown.contains("[drift"), "flags stand beside the figures:\n{shown}");
}

#[test]
fn stolen_time_is_flagged_with_its_evidence() {
    let parent = tempfile::tempdir().unwrap();
    let mut noisy = two_cells(0.4, 1.2, 1);
    noisy.cells.iter_mut().for_each(|cell: &mut Made| cell.stolen = (0..15).collect());
    let runs =
        [written(parent.path(), "a", &noisy, |_| {}), written(parent.path(), "b", &two_cells(0.4, 1.2, 2), other_host)];
    let of = at_p50(&runs).comparison;
    let flag = of.flags.iter().find(|f| f.kind == FlagKind::Steal).unwrap();
    // 50 ms of every 400 ms in 15 of 20 tenths.
    assert!(
        flag.run == of.runs[0].name && flag.evidence.contains("9.") && flag.evidence.contains("18 trials"),
        "{flag:?}"
    );
    assert!(of.answer.iter().any(|s| s.contains(&flag.run) && s.contains("has flags")), "{:?}", of.answer);
}

fn refused(runs: &[Named], allowed: &Allowed) -> String {
    compare(runs, Point::P99, allowed).unwrap_err().to_string()
}

#[test]
fn what_is_not_comparable_is_refused_and_the_flag_lets_it_pass() {
    let parent = tempfile::tempdir().unwrap();
    let a = || written(&parent.path().join("."), "a", &two_cells(0.4, 1.2, 1), |_| {});
    let run = a();
    let again = Named { directory: RunDirectory::open(run.directory.path()).unwrap(), name: Some("other".into()) };
    let said = refused(&[run, again], &Allowed::default());
    assert!(said.contains("are the same run, a") && said.contains("try:"), "{said}");
    let open = || Named { directory: RunDirectory::open(&parent.path().join("a")).unwrap(), name: None };

    let pods = written(parent.path(), "pods", &two_cells(0.4, 1.2, 2), |run| {
        run.cells.iter_mut().for_each(|c| c.factors.platform = record::Platform::Pods);
    });
    let pair = [open(), pods];
    let said = refused(&pair, &Allowed::default());
    assert!(
        said.contains("platform 'processes'") && said.contains("'pods'") && said.contains("or: --allow-platform"),
        "{said}"
    );
    let of = compare(&pair, Point::P99, &Allowed { platform: true, ..Allowed::default() }).unwrap().comparison;
    assert_eq!(of.cells.len(), 2);
    assert!(of.notes[0].contains("--allow-platform"), "{:?}", of.notes);

    let newer = written(parent.path(), "newer", &two_cells(0.4, 1.2, 3), |run| run.schema = record::SCHEMA + 1);
    let said = refused(&[open(), newer], &Allowed::default());
    assert!(said.contains("schema") || said.contains("newer"), "{said}");
}

#[test]
fn figures_of_another_method_are_refused_until_allowed() {
    let parent = tempfile::tempdir().unwrap();
    let a = written(parent.path(), "a", &two_cells(0.4, 1.2, 1), |_| {});
    let b = written(parent.path(), "b", &two_cells(0.4, 1.2, 2), |run| run.method += 1);
    for entry in std::fs::read_dir(b.directory.path().join("trials")).unwrap() {
        let path = entry.unwrap().path().join("trial.json");
        change_seal(&path, |text| text.replace("\"method\": 1", "\"method\": 2"));
    }
    let pair = [a, b];
    let said = refused(&pair, &Allowed::default());
    assert!(said.contains("method 1") && said.contains("or: --allow-method"), "{said}");
    let of = compare(&pair, Point::P99, &Allowed { method: true, ..Allowed::default() }).unwrap().comparison;
    assert!(of.notes[0].contains("--allow-method"), "{:?}", of.notes);
}

#[test]
fn cells_that_only_some_have_are_refused_left_out_or_compared_across_a_factor() {
    let parent = tempfile::tempdir().unwrap();
    let limited = |limit: &str, seed| {
        let quantity: CpuQuantity = limit.parse().unwrap();
        let of = Factors { cpu_limit: Some(quantity), ..factors(Dataplane::Envoy, None) };
        let mut run = two_cells(0.4, 1.2, seed);
        run.cells[1] = made(&format!("chain3-envoy-{limit}"), &format!("envoy, {limit}"), of, 1.2);
        run
    };
    let pair = [
        written(parent.path(), "a", &limited("500m", 1), |_| {}),
        written(parent.path(), "b", &limited("200m", 2), |_| {}),
    ];
    let said = refused(&pair, &Allowed::default());
    assert!(said.contains("a has chain3-envoy-500m") && said.contains("b has chain3-envoy-200m"), "{said}");
    assert!(said.contains("--shared-cells, to compare the 1 that all have"), "{said}");
    let of = compare(&pair, Point::P50, &Allowed { shared_cells: true, ..Allowed::default() }).unwrap().comparison;
    assert_eq!((of.cells.len(), of.cells[0].id.as_str()), (1, "chain3-none"));
    assert!(of.notes.iter().any(|n| n.contains("left out (--shared-cells)")), "{:?}", of.notes);
    // Without a mesh the answer is of response times.
    assert!(of.answer[0].starts_with("No mesh: p50 is "), "{:?}", of.answer);

    let across = Allowed { across: vec!["cpu_limit".parse().unwrap()], ..Allowed::default() };
    let of = compare(&pair, Point::P50, &across).unwrap().comparison;
    assert_eq!(of.cells.len(), 2);
    assert_eq!(of.cells[1].runs[1].cell, "chain3-envoy-200m");
    assert_eq!(of.runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>(), ["cpu_limit 500m", "cpu_limit 200m"]);
    assert_eq!(of.effects[0].factor, "cpu_limit", "nothing else differs between the two");
    assert!(of.notes.iter().any(|n| n.contains("--across")), "{:?}", of.notes);

    let mut only = limited("500m", 3);
    only.cells.remove(0);
    let mut other = limited("200m", 4);
    other.cells.remove(0);
    let alone = [written(parent.path(), "c", &only, |_| {}), written(parent.path(), "d", &other, |_| {})];
    let said = refused(&alone, &Allowed { shared_cells: true, ..Allowed::default() });
    assert!(said.contains("no cell stands in all runs") && said.contains("cpu_limit (500m, and 200m in d)"), "{said}");
    assert!(said.contains("--across cpu_limit"), "{said}");

    let mut both = limited("500m", 5);
    both.cells.push(limited("200m", 5).cells.remove(1));
    let twice = [written(parent.path(), "e", &both, |_| {}), written(parent.path(), "f", &limited("500m", 6), |_| {})];
    let said = refused(&twice, &across);
    assert!(said.contains("chain3-envoy-500m and chain3-envoy-200m of the run e are the same"), "{said}");
}

#[test]
fn single_trials_have_no_intervals_and_say_why_nothing_is_parted() {
    let parent = tempfile::tempdir().unwrap();
    let once = |seed| MadeRun { repeats: 1, ..two_cells(0.4, 1.2, seed) };
    let pair = [written(parent.path(), "a", &once(1), |_| {}), written(parent.path(), "b", &once(2), other_host)];
    let of = at_p50(&pair).comparison;
    assert!(of.variance.reason().unwrap().contains("two blocks"), "{:?}", of.variance);
    let ratio = of.cells[0].runs[1].ratio.at(Point::P50).unwrap();
    assert_eq!((ratio.these_runs.low, ratio.told), (None, Told::Not));
    assert!(of.runs[0].thirds.reason().unwrap().contains("3 trials in each third"));
    assert!(text(&of, 80, false).contains("is not parted"));
}

#[test]
fn every_form_holds_the_same_and_stays_within_its_bounds() {
    let of = &THREE.comparison;
    for width in [60, 80, 120] {
        let shown = text(of, width, false);
        assert!(shown.lines().all(|line| line.chars().count() <= width), "{width}:\n{shown}");
    }
    let html = page(&THREE).unwrap();
    balanced(&html).unwrap();
    assert_eq!(html.matches("<svg").count(), 4);
    // The one script is that of the report, which the policy knows by its hash.
    assert_eq!((html.matches("<script>").count(), html.matches("<script").count()), (1, 1));
    for outside in ["src=\"http", "href=\"http", "url(http", "@import"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(html.len() < 400_000, "{}", html.len());
    for run in &of.runs {
        assert!(html.contains(&run.name) && markdown(of).contains(&run.name));
    }
    // Every figure on the page stands in the JSON, digit by digit.
    let json = serde_json::to_string(of).unwrap();
    let shown: Vec<&str> = html.split("<data value=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(shown.len() > 60, "{}", shown.len());
    let numbers: std::collections::BTreeSet<u64> = numbers(&serde_json::from_str(&json).unwrap());
    for value in shown {
        let value: f64 = value.parse().unwrap();
        // The typical size of a part is said as a percentage of what the JSON has as a logarithm.
        let known =
            numbers.contains(&value.to_bits()) || of.variance.seen().unwrap().iter().any(|p| p.sd.exp_m1() == value);
        assert!(known, "{value} is not in the JSON");
    }
    let tables = csv(of).unwrap();
    let names: Vec<&str> = tables.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["cells.csv", "contrasts.csv", "effects.csv", "variance.csv", "state.csv", "differences.csv", "flags.csv"]
    );
    for (name, table) in &tables {
        // The reader refuses rows of another length than the head's.
        let rows = csv_rows(table);
        assert!(rows > 0 || name == "flags.csv", "{name}");
    }
}

fn csv_rows(table: &str) -> usize {
    ::csv::Reader::from_reader(table.as_bytes()).into_records().collect::<Result<Vec<_>, _>>().unwrap().len()
}

fn numbers(value: &serde_json::Value) -> std::collections::BTreeSet<u64> {
    match value {
        serde_json::Value::Array(all) => all.iter().flat_map(numbers).collect(),
        serde_json::Value::Object(all) => all.values().flat_map(numbers).collect(),
        serde_json::Value::Number(n) => n.as_f64().map(f64::to_bits).into_iter().collect(),
        _ => Default::default(),
    }
}

#[test]
fn json_keeps_to_its_schema_and_is_read_again() {
    let of = &THREE.comparison;
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/comparison.schema.json");
    let schema: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    let json = serde_json::to_value(of).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path)).collect();
    assert_eq!(errors, Vec::<String>::new());
    let back: reports::compare::Comparison = serde_json::from_value(json).unwrap();
    assert_eq!(text(&back, 80, false), text(of, 80, false));
}

/// Leaves the forms of the made comparison where `MESHTAX_PAGES` says, to be looked at.
#[test]
fn forms_are_left_where_they_are_asked_for() {
    let html = page(&THREE).unwrap();
    assert!(html.trim_end().ends_with("</html>"));
    if let Some(at) = std::env::var_os("MESHTAX_PAGES") {
        let at = std::path::PathBuf::from(at);
        std::fs::create_dir_all(&at).unwrap();
        std::fs::write(at.join("comparison.html"), html).unwrap();
        std::fs::write(at.join("comparison.txt"), text(&THREE.comparison, 80, false)).unwrap();
        std::fs::write(at.join("comparison.md"), markdown(&THREE.comparison)).unwrap();
    }
}
