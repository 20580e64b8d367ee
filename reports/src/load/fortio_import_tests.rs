//! Tests of the importer, on results that Fortio 1.66 wrote and on broken ones.

use super::*;

/// Fortio's default, `-r 0.001`, against a server that answers 60 % at once, 35 % late, 5 % later still.
const MS: &str = include_str!("fixtures/fortio-r-1ms.json");
/// The same with `-r 0.000001`.
const US: &str = include_str!("fixtures/fortio-r-1us.json");

const EFFECT_NS: u64 = 200_000;

fn read(text: &str) -> Imported {
    import(text, Path::new("result.json"), EFFECT_NS).unwrap()
}

fn said(text: &str) -> String {
    import(text, Path::new("runs/result.json"), EFFECT_NS).unwrap_err().to_string()
}

fn at(imported: &Imported, percentile: f64) -> ImportedQuantile {
    *imported.quantiles.iter().find(|q| q.percentile == percentile).unwrap()
}

#[test]
fn fortios_own_values_come_out_of_its_buckets_again() {
    for text in [MS, US] {
        let imported = read(text);
        assert_eq!((imported.count, imported.requested_qps.as_deref()), (800, Some("400")));
        let stated: Vec<&ImportedQuantile> = imported.quantiles.iter().filter(|q| q.stated_ns.is_some()).collect();
        assert_eq!(stated.iter().map(|q| q.percentile).collect::<Vec<_>>(), [50.0, 75.0, 90.0, 99.0, 99.9]);
        for q in stated {
            assert!(q.stated_ns.unwrap().abs_diff(q.interpolated_ns) <= 1, "{q:?}");
            assert!((q.start_ns..=q.end_ns).contains(&q.interpolated_ns), "{q:?}");
        }
    }
}

#[test]
fn the_default_resolution_hides_an_effect_everywhere_and_a_fine_one_above_a_millisecond() {
    let coarse = read(MS);
    for p in [50.0, 90.0] {
        let q = at(&coarse, p);
        assert!(q.too_coarse && q.width_ns() > 500_000 && q.width_ns() <= 1_000_000, "{q:?}");
    }
    let fine = read(US);
    let (median, p90) = (at(&fine, 50.0), at(&fine, 90.0));
    assert!(!median.too_coarse && median.width_ns() <= 100_000, "{median:?}");
    assert_eq!((p90.too_coarse, p90.start_ns, p90.end_ns), (true, 1_000_000, 2_000_000));
}

#[test]
fn the_table_fits_a_terminal_and_says_what_it_means() {
    for text in [MS, US] {
        let table = render(&read(text));
        assert!(table.lines().all(|l| l.chars().count() <= 80), "{table}");
        for part in ["lies anywhere in", "too coarse", "p99.9", "An effect of 0.200 ms cannot be told", "  try: "] {
            assert!(table.contains(part), "{part}:\n{table}");
        }
    }
    // At an effect of 1 ms every bucket will do; at 1 us none of Fortio's can.
    let told = |effect_ns| render(&import(US, Path::new("r"), effect_ns).unwrap());
    assert!(told(50_000_000).contains("an effect of that size can show"), "{}", told(50_000_000));
    assert!(told(1_000).contains("no -r helps at p99.9"), "{}", told(1_000));
}

#[test]
fn words_of_a_foreign_file_do_not_steer_the_terminal() {
    let text = SMALL.replacen('{', "{\"Labels\": \"a\\u001b[2J\", \"URL\": \"b\\u009bK\",", 1);
    let shown = render(&read(&text));
    assert!(shown.contains("a\u{fffd}[2J") && shown.contains("b\u{fffd}K"), "{shown}");
}

/// 10 requests: one of 1 ms exactly, then 5 up to 2 ms and 4 up to 4 ms.
const SMALL: &str = r#"{"DurationHistogram": {"Count": 10, "Min": 0.001, "Max": 0.004, "Data": [
    {"Start": 0.001, "End": 0.001, "Percent": 10, "Count": 1},
    {"Start": 0.001, "End": 0.002, "Percent": 60, "Count": 5},
    {"Start": 0.003, "End": 0.004, "Percent": 100, "Count": 4}
], "Percentiles": [{"Percentile": 5, "Value": 0.001}, {"Percentile": 100, "Value": 0.004}]}}"#;

#[test]
fn the_line_through_a_bucket_is_fortios() {
    let imported = read(SMALL);
    let ends = |p| {
        let q = at(&imported, p);
        (q.interpolated_ns, q.start_ns, q.end_ns, q.count)
    };
    // 40 of 50 parts of the way from 1 to 2 ms; 30 of 40 from 3 to 4 ms; the ends are known exactly.
    assert_eq!(ends(50.0), (1_800_000, 1_000_000, 2_000_000, 5));
    assert_eq!(ends(90.0), (3_750_000, 3_000_000, 4_000_000, 4));
    assert_eq!(ends(5.0), (1_000_000, 1_000_000, 1_000_000, 1));
    assert_eq!(ends(100.0), (4_000_000, 4_000_000, 4_000_000, 4));
    assert!(!at(&imported, 100.0).too_coarse && at(&imported, 50.0).too_coarse);
    let told = |effect_ns| render(&import(SMALL, Path::new("r"), effect_ns).unwrap());
    // 4 ms is within twelve steps of 0.4 ms, and 0.3 ms is too narrow for that.
    assert!(told(400_000).contains("try: fortio load -r 0.0004\n"), "{}", told(400_000));
    assert!(
        told(300_000).contains("no -r helps at p99.9: Fortio's buckets around 4.00 ms are 0.333 ms or wider"),
        "{}",
        told(300_000)
    );
}

#[test]
fn what_is_no_result_of_fortio_is_named_with_the_file_and_the_way_out() {
    let text = said("Fortio 1.75.3 running at 400 queries per second\n");
    assert!(text.starts_with("runs/result.json is no JSON: ") && text.contains("fortio load -json runs/result.json"));
    for (text, key, problem) in [
        ("{}", "DurationHistogram", "missing"),
        (r#"{"DurationHistogram": {}}"#, "DurationHistogram.Count", "missing"),
        (r#"{"DurationHistogram": {"Count": "1"}}"#, "DurationHistogram.Count", "no count"),
        (r#"{"DurationHistogram": {"Count": 1, "Min": 0, "Max": 1}}"#, "DurationHistogram.Data", "missing"),
        (&SMALL.replacen("\"End\"", "\"Ende\"", 1), "DurationHistogram.Data[0].End", "missing"),
        (&SMALL.replace("\"Value\": 0.004", "\"Value\": null"), "DurationHistogram.Percentiles[1].Value", "no number"),
    ] {
        let said = said(text);
        assert!(said.contains(&format!("'{key}' is {problem}")) && said.contains("fortio load -json FILE"), "{said}");
    }
}

#[test]
fn an_empty_and_a_cut_result_are_errors_of_their_own() {
    let text = said(r#"{"DurationHistogram": {"Count": 0, "Min": 0, "Max": 0, "Data": null}}"#);
    assert!(text.starts_with("runs/result.json holds no request") && text.contains("run Fortio again"), "{text}");
    let text = said(&SMALL.replace("\"Count\": 5", "\"Count\": 4"));
    assert!(text.contains("its buckets hold 9 requests, and its Count is 10\n  it was cut or edited"), "{text}");
    let text = said(&SMALL.replace("\"Start\": 0.003", "\"Start\": 0.0005"));
    assert!(text.contains("its buckets are not in rising order"), "{text}");
}
