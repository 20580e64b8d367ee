//! `meshtax plan` on a run of this machine: exit codes, forms, files, errors with their line, and a cliff confirmed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use scenarios::limits::{CgroupTree, Limits};
use serde_json::Value;
use tempfile::TempDir;

use crate::errors::refused;
use crate::program::{Answer, alone, call, json, processes_of, skip};

/// A short run of embedded sidecars at two rates, and a price list with this machine in it.
struct Lab {
    folder: TempDir,
    run: PathBuf,
    prices: PathBuf,
}

static LAB: LazyLock<Lab> = LazyLock::new(|| {
    // A second in which others keep the CPUs is one in which the lowest rate is not held.
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("runs");
    let run = call(&[
        "run",
        "--dataplane",
        "none,embedded",
        "--services",
        "1",
        "--rate",
        "20,40",
        "--workers",
        "1",
        "--quick",
        "--duration",
        "1s",
        "--repeats",
        "2",
        "--out",
        out.to_str().unwrap(),
    ])
    .done()
    .run_directory();
    let host = &json(&run.join("run.json"))["host"];
    let prices = folder.path().join("prices.toml");
    let list = format!(
        "currency = \"EUR\"\n[[plan]]\nname = \"here\"\ncores = {}\nmemory = \"{}\"\nprice_per_month = 5\n",
        host["cpus_online"].as_array().unwrap().len(),
        host["memory_bytes"],
    );
    fs::write(&prices, list).unwrap();
    Lab { folder, run, prices }
});

fn plan(prices: &Path, slo: &str, more: &[&str]) -> Answer {
    let run = LAB.run.to_str().unwrap();
    let mut args = vec!["plan", run, "--slo", slo, "--rps", "1000", "--services", "20", "--prices"];
    args.push(prices.to_str().unwrap());
    args.extend(more);
    call(&args)
}

/// A bound that any machine holds.
const LOOSE: &str = "p99=9s,errors=50%";

#[test]
fn a_run_of_this_machine_becomes_a_plan_in_each_form() {
    let text = plan(&LAB.prices, LOOSE, &[]).done().stdout;
    assert!(text.contains("* Take ") && text.contains("Not shown by these runs"), "{text}");
    assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
    let report: Value = serde_json::from_str(&plan(&LAB.prices, LOOSE, &["--format", "json"]).done().stdout).unwrap();
    // 40 a second were seen to hold, of which a fifth is left free.
    let placement = &report["recommendation"]["plan"]["use"];
    assert_eq!((placement["hosts"].as_u64(), placement["at_least"].as_bool()), (Some(32), Some(true)), "{placement}");
    assert_eq!(placement["cost_per_month"], 160.0);
    assert!(report["without_mesh"]["use"]["hosts"].as_u64().is_some());
    let markdown = plan(&LAB.prices, LOOSE, &["--format", "markdown"]).done().stdout;
    assert!(markdown.starts_with("# meshtax: a plan for p99=9000ms,errors=50%"), "{markdown}");
}

#[test]
fn what_is_emitted_is_named_and_written_to_its_file() {
    let path = LAB.folder.path().join("values.yaml");
    let more = ["--emit", "helm", "--output", path.to_str().unwrap()];
    assert_eq!(plan(&LAB.prices, LOOSE, &more).done().stdout, "");
    let values: Value = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(values["meshConfig"]["defaultConfig"]["concurrency"], 1);
    let more = ["--emit", "kubernetes", "--workload", "cart", "--namespace", "shop", "--image", "cart:2.1"];
    let text = plan(&LAB.prices, LOOSE, &more).done().stdout;
    assert!(text.contains("  name: cart\n  namespace: shop\n") && text.contains("image: cart:2.1"), "{text}");
    for form in ["istio-annotations", "istio-operator", "linkerd"] {
        assert!(plan(&LAB.prices, LOOSE, &["--emit", form]).done().stdout.starts_with("# "));
    }
}

#[test]
fn an_slo_that_nothing_holds_is_1_and_emits_nothing() {
    let answer = plan(&LAB.prices, "p99=1ns", &[]);
    assert_eq!(answer.code, Some(1), "{answer:#?}");
    assert!(
        answer.stdout.contains("is shown to hold p99=0us at 1000 requests/s") || answer.stdout.contains("Nothing in")
    );
    let answer = plan(&LAB.prices, "p99=1ns", &["--emit", "helm"]);
    assert_eq!((answer.code, answer.stdout.trim()), (Some(1), ""), "{answer:#?}");
    assert!(answer.stderr.contains("Nothing in"), "{answer:#?}");
}

#[test]
fn what_was_asked_wrongly_is_64_and_says_where() {
    let bad = LAB.folder.path().join("bad.toml");
    fs::write(&bad, "currency = \"EUR\"\n[[plan]]\nname = \"x\"\ncores = 0\nmemory = \"1Gi\"\nprice_per_month = 1\n")
        .unwrap();
    refused(&plan(&bad, LOOSE, &[]), 64, &["bad.toml, line 4", "has no core", "try: cores = 2"]);
    refused(&plan(Path::new("/nowhere.toml"), LOOSE, &[]), 64, &["/nowhere.toml", "[[plan]]"]);
    refused(&plan(&LAB.prices, "errors=1%", &[]), 64, &["--slo bounds no response time", "try:"]);
    refused(&plan(&LAB.prices, "cpu=100m", &[]), 64, &["no response time", "try:"]);
    refused(&plan(&LAB.prices, LOOSE, &["--headroom", "95%"]), 64, &["--headroom 0.95", "try:"]);
    refused(&plan(&LAB.prices, LOOSE, &["--workload", "My_Service"]), 64, &["--workload", "try:"]);
    refused(&plan(&LAB.prices, LOOSE, &["--confirm"]), 64, &["--confirm", "try: --confirm=200m,500m"]);
}

#[test]
fn what_the_runs_lack_is_2_and_says_how_to_measure_it() {
    let other = LAB.folder.path().join("other.toml");
    fs::write(
        &other,
        "currency = \"EUR\"\n[[plan]]\nname = \"x\"\ncores = 99\nmemory = \"1Ti\"\nprice_per_month = 1\n",
    )
    .unwrap();
    refused(&plan(&other, LOOSE, &[]), 2, &["has no plan for it", "try: runs = [\""]);
    refused(
        &plan(&LAB.prices, LOOSE, &["--dataplane", "envoy"]),
        2,
        &["no cell of the dataplane 'envoy'", "try: meshtax run"],
    );
}

#[test]
fn a_cliff_is_confirmed_on_this_machine_and_nothing_is_left() {
    let limits = Limits { cpu: "200m".parse().ok(), ..Limits::default() };
    if let Err(error) = CgroupTree::create("try").and_then(|tree| tree.check(&limits)) {
        assert!(skip(&error.to_string(), "REQUIRE_ROOT"));
        return;
    }
    let run = LAB.run.clone();
    let _alone = alone();
    let more = ["--confirm=200m", "--confirm-budget", "12s", "--format", "json"];
    let answer = plan(&LAB.prices, "p99=60ms", &more);
    let report: Value = serde_json::from_str(&answer.done().stdout).unwrap();
    let cliff = &report["cliffs"][0];
    assert_eq!(cliff["cpu_limit"], "200m");
    // Whether it is near the prediction is a benchmark (benches/cliff.py): this machine may be busy.
    assert!(cliff["confirmed"]["rate"]["value"].as_f64().unwrap() > 0.0, "{cliff}");
    assert!(cliff["confirmed"]["rate"]["n"].as_u64().unwrap() >= 2, "{cliff}");
    let predicted = cliff["predicted"]["value"].as_f64().unwrap();
    let apart = predicted / cliff["confirmed"]["rate"]["value"].as_f64().unwrap() - 1.0;
    assert!((cliff["confirmed"]["apart"].as_f64().unwrap() - apart).abs() < 1e-9, "{cliff}");
    assert_eq!(processes_of(&run), Vec::<String>::new());
}
