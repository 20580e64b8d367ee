//! Plans of runs whose answer is known: what is chosen, what is refused, and how it is told.

use std::path::Path;

use record::{Dataplane, Factors};
use reports::gate::Metric;
use reports::planning::{
    Asked, Bound, Clause, Form, Measured, PlanReport, PlanVerdict, Prices, Slo, Workload, emit, markdown, plan, text,
};

use crate::made::{Made, MadeRun, factors, first_look, made};

const PRICES: &str = "currency = \"EUR\"\n[[plan]]\nname = \"medium\"\ncores = 4\nmemory = \"8Gi\"\nprice_per_month = 10\n\n[[plan]]\nname = \"huge\"\ncores = 64\nmemory = \"256Gi\"\nprice_per_month = 400\n";

/// Envoy with and without a limit at three rates: it holds 25 ms up to somewhere between the second and the third without
/// one, and between the first and the second with one.
pub(crate) fn swept(limits: &[Option<&str>]) -> MadeRun {
    let mut cells = vec![];
    for limit in limits {
        let medians = if limit.is_some() { [1.6, 40.0, 80.0] } else { [1.0, 1.6, 40.0] };
        for (rate, median_ms) in [250.0, 500.0, 1000.0].into_iter().zip(medians) {
            let factors = Factors { rate_per_second: rate, ..factors(Dataplane::Envoy, *limit) };
            let id = format!("chain3-envoy-{}-{rate}", limit.unwrap_or("free"));
            cells.push(made(&id, &id, factors, median_ms));
        }
    }
    MadeRun { cells, tenths: 20, repeats: 5, ..first_look() }
}

fn read(run: &MadeRun) -> Measured {
    let parent = tempfile::tempdir().unwrap();
    Measured::read(&run.write(parent.path()), None).unwrap()
}

pub(crate) fn asked(rps: f64) -> Asked {
    let clause = |metric, limit| Clause { metric, limit };
    let slo = Slo::new(vec![clause(Metric::P99, 25e6), clause(Metric::Errors, 0.001)]).unwrap();
    Asked { slo, rps, services: 30, headroom: 0.2, service_memory_bytes: Some(64 << 20), limits: vec![] }
}

pub(crate) fn prices() -> Prices {
    Prices::parse(PRICES, "prices.toml").unwrap()
}

pub(crate) fn planned(run: &MadeRun, rps: f64) -> PlanReport {
    plan(&[read(run)], &asked(rps), &prices()).unwrap()
}

#[test]
fn the_hosts_follow_from_the_lower_end_of_what_one_holds() {
    let report = planned(&swept(&[None, Some("200m")]), 2000.0);
    assert_eq!(report.verdict, PlanVerdict::Holds);
    let recommended = report.recommendation.as_ref().unwrap();
    let p = recommended.plan.placement.seen().unwrap();
    // The host is as good as it is without a limit, the sidecar as its limit lets it.
    let (host, sidecar) = (p.host_capacity, p.sidecar_capacity);
    assert!(host.value > 500.0 && host.value < 1000.0 && host.n == 5, "{host:?}");
    assert!(sidecar.value > 250.0 && sidecar.value < 500.0, "{sidecar:?}");
    assert_eq!(p.hosts, (2000.0 / (host.low.unwrap() * 0.8)).ceil() as u64);
    assert_eq!(p.cost_per_month, p.hosts as f64 * 10.0);
    assert_eq!(p.bound_by, Bound::Rate);
    // Of 30 services each gets 2000 * 3 / 30 = 200 a second, which one sidecar with the limit holds: so the limit is taken.
    assert_eq!((p.cpu_limit.unwrap().to_string(), p.replicas), ("200m".to_owned(), 1));
    assert!((p.rps_per_sidecar - 200.0).abs() < 1e-9);
    assert!((p.rps_per_core.value - host.value / 4.0).abs() < 1e-9);
    assert!((p.rps_per_currency.value - host.value / 10.0).abs() < 1e-9);
    // 0.1 cores at 500 requests/s are 40 m at 200, with a fifth more in steps of ten.
    assert_eq!(recommended.proxy.cpu_request.to_string(), "50m");
    assert_eq!(recommended.proxy.memory_request.to_string(), "48Mi");
    assert!(recommended.level_held > 0.95);
    let unmeasured = report.plans.last().unwrap();
    assert_eq!((unmeasured.name.as_str(), unmeasured.placement.reason()), ("huge", Some("no run was measured on it")));
}

#[test]
fn a_sidecar_with_a_small_limit_needs_replicas_and_is_left_where_those_cost_hosts() {
    // Each service gets 4000 a second: twelve replicas with the limit, six without.
    let few = Asked { services: 3, ..asked(4000.0) };
    let report = plan(&[read(&swept(&[None, Some("200m")]))], &few, &prices()).unwrap();
    let p = report.recommendation.unwrap().plan.placement.seen().unwrap().clone();
    assert_eq!(p.cpu_limit, None, "the fewest replicas for the same cost");
    assert_eq!(p.replicas, (4000.0 / (p.sidecar_capacity.low.unwrap() * 0.8)).ceil() as u64);
}

#[test]
fn nothing_above_the_highest_rate_is_claimed_and_the_command_that_shows_it_is_said() {
    let mut run = swept(&[None]);
    run.cells.truncate(2);
    let report = planned(&run, 2000.0);
    let p = report.recommendation.as_ref().unwrap().plan.placement.seen().unwrap();
    assert!(p.at_least && p.host_capacity.high.is_none() && (p.host_capacity.value - 500.0).abs() < 1e-6);
    assert!(report.answer[1].contains("was seen to hold 500/s"), "{:?}", report.answer);
    let wanted = |what: &str| report.to_measure.iter().find(|w| w.what.contains(what)).map(|w| w.command.as_str());
    assert!(wanted("above 500/s").unwrap().contains("--rate 500,750,1000,1500"), "{:?}", report.to_measure);
    assert!(wanted("what CPU limits do").unwrap().contains("--cpu-limit none,500m,200m"));
    assert!(wanted("huge").is_some());
}

#[test]
fn where_nothing_holds_there_is_no_recommendation_and_no_manifest() {
    let tight = Slo::new(vec![Clause { metric: Metric::P99, limit: 1e5 }]).unwrap();
    let report = plan(&[read(&swept(&[None]))], &Asked { slo: tight, ..asked(100.0) }, &prices()).unwrap();
    assert_eq!((report.verdict, &report.recommendation), (PlanVerdict::DoesNotHold, &None));
    assert!(report.answer[0].starts_with("Nothing in prices.toml is shown to hold p99=100us"), "{:?}", report.answer);
    let why = report.plans[0].placement.reason().unwrap();
    assert!(why.contains("lowest rate measured, 250/s"), "{why}");
    assert!(report.to_measure.iter().any(|w| w.what.contains("below 250/s")), "{:?}", report.to_measure);
    let workload = Workload::new("a", "b", "c").unwrap();
    let said = emit(&report, Form::Helm, &workload).unwrap_err().to_string();
    assert!(said.contains("nothing holds the SLO\n  try: "), "{said}");
    assert!(!text(&report, 80, false).contains("Ready to apply"));
}

#[test]
fn what_the_mesh_costs_is_said_where_no_mesh_was_measured() {
    let mut run = swept(&[None]);
    for (rate, median_ms) in [(500.0, 0.4), (1000.0, 0.5)] {
        let factors = Factors { rate_per_second: rate, ..factors(Dataplane::None, None) };
        run.cells.push(made(&format!("chain3-none-{rate}"), "none", factors, median_ms));
    }
    let report = planned(&run, 2000.0);
    let without = report.without_mesh.as_ref().unwrap().placement.seen().unwrap();
    assert_eq!((without.hosts, without.at_least), (3, true));
    assert!(
        report.answer.iter().any(|s| s.starts_with("Without the mesh the same needs 3 hosts")),
        "{:?}",
        report.answer
    );
}

#[test]
fn a_cliff_is_predicted_from_what_a_request_costs_and_stands_beside_the_sweep() {
    let report = planned(&swept(&[None, Some("200m")]), 2000.0);
    let [cliff] = report.cliffs.as_slice() else { panic!("{:?}", report.cliffs) };
    // 0.1 cores at 500 requests/s: 200 m are used up at 1000.
    let used_up = cliff.quota_used_up_at.seen().unwrap();
    assert!((used_up.value - 1000.0).abs() < 20.0, "{used_up:?}");
    let predicted = cliff.predicted.seen().unwrap();
    assert!(
        predicted.value > 900.0 && predicted.value < 1010.0,
        "evenly spaced requests reach the mean: {predicted:?}"
    );
    let swept = cliff.measured.as_ref().unwrap().seen().unwrap();
    assert!(swept.value > 250.0 && swept.value < 500.0);
}

#[test]
fn runs_that_do_not_belong_together_are_refused_with_the_reason() {
    let run = read(&swept(&[None]));
    let mut other = swept(&[None]);
    other.cells.iter_mut().for_each(|c: &mut Made| c.cell.factors.response_bytes = 4096);
    let said = plan(&[run.clone(), read(&other)], &asked(1.0), &prices()).unwrap_err().to_string();
    assert!(said.contains("differ in response_bytes: ") && said.contains("\n  try: "), "{said}");
    let method = Measured { method: 99, ..run.clone() };
    let said = plan(&[run.clone(), method], &asked(1.0), &prices()).unwrap_err().to_string();
    assert!(said.contains("do not mean the same"), "{said}");
    let said = plan(&[run.clone(), run.clone()], &asked(1.0), &prices()).unwrap_err().to_string();
    assert!(said.contains("is given twice"), "{said}");
    let small = Measured { cores: 1, ..run.clone() };
    let said = plan(&[small], &asked(1.0), &prices()).unwrap_err().to_string();
    assert!(said.contains("measured on 1 CPUs and 8.0 GiB, and prices.toml has no plan for it"), "{said}");
    for (asked, said) in [
        (Asked { rps: 0.0, ..asked(1.0) }, "--rps 0"),
        (Asked { services: 0, ..asked(1.0) }, "--services 0"),
        (Asked { headroom: 0.95, ..asked(1.0) }, "--headroom 0.95"),
    ] {
        let error = plan(std::slice::from_ref(&run), &asked, &prices()).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("\n  try: "), "{error}");
    }
    assert!(plan(&[], &asked(1.0), &prices()).unwrap_err().to_string().contains("no run is given"));
}

#[test]
fn a_chain_over_several_hosts_plans_nothing() {
    let mut run = swept(&[None]);
    run.cells.iter_mut().for_each(|c: &mut Made| c.cell.factors.placement = "s1+s3/s2".into());
    let parent = tempfile::tempdir().unwrap();
    let said = Measured::read(&run.write(parent.path()), None).map(drop).unwrap_err().to_string();
    assert!(said.contains("stood on several hosts (s1+s3/s2)") && said.contains("\n  try: "), "{said}");
}

#[test]
fn runs_without_the_mesh_or_of_several_say_what_to_do() {
    let said = |run: &MadeRun, dataplane| {
        let parent = tempfile::tempdir().unwrap();
        Measured::read(&run.write(parent.path()), dataplane).unwrap_err().to_string()
    };
    let several = said(&first_look(), None);
    assert!(several.contains("several dataplanes: embedded, envoy\n  try: --dataplane embedded, or"), "{several}");
    let other = said(&first_look(), Some(Dataplane::Nginx));
    assert!(other.contains("no cell of the dataplane 'nginx'\n  try: meshtax run --dataplane none,nginx"), "{other}");
    let unmeshed = MadeRun { cells: first_look().cells.drain(..1).collect(), ..first_look() };
    assert!(said(&unmeshed, None).contains("no cell with a mesh\n  try: meshtax run"), "{}", said(&unmeshed, None));
    let mut modes = swept(&[None]);
    modes.cells[0].cell.factors.mtls = record::Mtls::Permissive;
    let modes = said(&modes, None);
    assert!(modes.contains("cells with mtls permissive and with mtls strict"), "{modes}");
}

#[test]
fn the_text_fits_its_width_and_begins_with_the_answer() {
    let mut report = planned(&swept(&[None, Some("200m")]), 2000.0);
    for width in [60, 80, 120] {
        let text = text(&report, width, false);
        let longest = text.lines().map(|l| l.chars().count()).max().unwrap();
        assert!(longest <= width, "{longest} of {width}:\n{text}");
        assert!(text.contains("\n\n* Take "), "{text}");
        for section in ["Plans that hold", "Where a CPU limit breaks", "Ready to apply", "What is assumed", "Doubts"] {
            assert!(text.contains(section), "{section}: {text}");
        }
        for form in Form::ALL {
            assert!(text.contains(form.word()), "{text}");
        }
    }
    report.plans[0].name = "a|b\u{1b}[31m".into();
    assert!(!text(&report, 80, false).contains('\u{1b}'));
    let page = markdown(&report);
    assert!(page.contains("a\\|b") && page.contains("| plan |") && page.contains("## Doubts"), "{page}");
}

#[test]
fn what_is_written_as_json_keeps_to_the_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/plan.schema.json");
    let schema: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let report = planned(&swept(&[None, Some("200m")]), 2000.0);
    let mut json = serde_json::to_value(&report).unwrap();
    let errors: Vec<String> = validator.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path)).collect();
    assert_eq!(errors, Vec::<String>::new());
    let again: PlanReport = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(again, report);
    for path in ["/plans/0/use/hosts", "/recommendation/plan/use/cost_needed/high", "/cliffs/0/predicted/low"] {
        assert!(json.pointer(path).is_some(), "{path}");
    }
    json["plans"][0]["use"]["hosts"] = "many".into();
    assert!(!validator.is_valid(&json));
}
