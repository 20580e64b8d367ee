//! What pairs of trials with known differences are judged to be.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use record::Reading;

use super::*;
use crate::stats::chance::normal;

/// A trial with this p99, half of it as p50, and a CPU use in proportion to `cpu`.
fn trial(p99_ns: f64, cpu: f64, steal: f64) -> TrialFigures {
    TrialFigures {
        trial: "t".into(),
        cell: "c".into(),
        block: 1,
        times_ns: vec![(Metric::P50, p99_ns / 2.0), (Metric::P99, p99_ns)],
        cpu: Reading::Seen(cpu),
        rss_bytes: Reading::absent("no proxies in this cell"),
        due: 1000,
        bad: 0,
        steal_share: Reading::Seen(steal),
        steal_step: 0.001,
        cpu_pressure: Reading::absent("not read"),
        lag_p99_ns: 1e5,
        invalid: None,
    }
}

fn cell(candidate: Vec<TrialFigures>, baseline: Vec<TrialFigures>) -> CellTrials {
    CellTrials { cell: "c".into(), baseline_cell: Some("b".into()), label: "envoy".into(), candidate, baseline }
}

/// Pairs of which the candidate is slower by this, with this scatter.
fn pairs(n: usize, change: f64, sd: f64, seed: u64) -> CellTrials {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut of = |change: f64| trial(4e6 * (change.ln_1p() + sd * normal(&mut rng)).exp(), 100.0, 0.0);
    let candidate = (0..n).map(|_| of(change)).collect();
    cell(candidate, (0..n).map(|_| of(0.0)).collect())
}

fn regress(limit: f64) -> Question {
    Question::Regress { limit, tolerance: 0.0 }
}

fn asked(questions: &[(Metric, Question)]) -> Asked {
    Asked { questions: questions.to_vec(), alpha: 0.05, beta: 0.05, pairs_max: 20, level: 0.95, adjust_steal: false }
}

#[test]
fn what_did_not_change_passes_what_doubled_fails_and_neither_needs_all_pairs() {
    let asked = asked(&[(Metric::P99, regress(0.1))]);
    let same = judge(&asked, &[pairs(12, 0.0, 0.02, 1)]);
    assert_eq!((same.verdict, same.settled), (GateVerdict::Pass, true));
    let metric = &same.metrics[0];
    assert!(metric.primary && metric.decided_at == Some(7), "{metric:?}");
    assert!(metric.p_below.unwrap() <= 0.05 && metric.p_slower.unwrap() > 0.05, "{metric:?}");
    assert!(metric.reason.ends_with("under the limit of 10 % for sure, after 7 pairs"), "{}", metric.reason);
    let doubled = judge(&asked, &[pairs(12, 1.0, 0.02, 1)]);
    assert_eq!((doubled.verdict, doubled.metrics[0].decided_at), (GateVerdict::Fail, Some(7)));
    let change = doubled.metrics[0].change.unwrap();
    assert!((change.value - 1.0).abs() < 0.05 && change.low.unwrap() > 0.8, "{change:?}");
    let few = judge(&asked, &[pairs(3, 1.0, 0.02, 1)]);
    assert_eq!((few.verdict, few.settled), (GateVerdict::Inconclusive, false));
    assert!(few.metrics[0].reason.ends_with("in 3 pairs: too few to tell"), "{}", few.metrics[0].reason);
}

#[test]
fn one_metric_that_fails_fails_all_and_all_must_pass_to_pass() {
    let mut pairs = pairs(20, 0.0, 0.02, 3);
    pairs.candidate.iter_mut().for_each(|t| t.cpu = Reading::Seen(150.0));
    let judged =
        judge(&asked(&[(Metric::P99, regress(0.1)), (Metric::Cpu, regress(0.2))]), std::slice::from_ref(&pairs));
    let verdicts: Vec<GateVerdict> = judged.metrics.iter().map(|m| m.verdict).collect();
    assert_eq!(verdicts, [GateVerdict::Pass, GateVerdict::Fail]);
    assert_eq!((judged.verdict, judged.settled), (GateVerdict::Fail, true));
    for metric in &judged.metrics {
        assert!(metric.p_slower_adjusted >= metric.p_slower, "{metric:?}");
    }
    let missing = judge(&asked(&[(Metric::P99, regress(0.1)), (Metric::Rss, regress(0.2))]), &[pairs]);
    assert_eq!((missing.verdict, missing.settled), (GateVerdict::Inconclusive, true));
    assert_eq!(missing.metrics[1].reason, "memory of the proxies was not measured: no proxies in this cell");
}

#[test]
fn quick_failures_do_not_pass_for_quick_answers() {
    let mut pairs = pairs(20, -0.5, 0.02, 5);
    pairs.candidate.iter_mut().for_each(|t| t.bad = 300);
    let times = (Metric::P99, regress(0.1));
    let judged = judge(&asked(&[times]), std::slice::from_ref(&pairs));
    assert_eq!((judged.verdict, judged.settled), (GateVerdict::Inconclusive, true));
    assert!(judged.metrics[0].reason.starts_with("30.0 % of the candidate's requests failed"), "{judged:?}");
    let with_errors = [times, (Metric::Errors, Question::Slo { limit: 0.01 })];
    assert_eq!(judge(&asked(&with_errors), &[pairs]).verdict, GateVerdict::Fail);
}

#[test]
fn a_bound_of_its_own_needs_no_baseline() {
    let alone = CellTrials { baseline: Vec::new(), baseline_cell: None, ..pairs(10, 0.0, 0.05, 4) };
    let asked = |bound: f64| Asked {
        pairs_max: 10,
        ..asked(&[(Metric::P99, Question::Slo { limit: bound }), (Metric::Errors, Question::Slo { limit: 0.01 })])
    };
    let kept = judge(&asked(5e6), std::slice::from_ref(&alone));
    assert_eq!(kept.verdict, GateVerdict::Pass, "{:#?}", kept.metrics);
    assert_eq!(judge(&asked(3e6), std::slice::from_ref(&alone)).verdict, GateVerdict::Fail);
    assert_eq!(judge(&asked(4e6), &[alone]).metrics[0].verdict, GateVerdict::Inconclusive);
}

#[test]
fn metrics_that_did_not_change_fail_together_no_more_often_than_alpha() {
    let questions = [(Metric::P99, regress(0.05)), (Metric::P50, regress(0.05)), (Metric::Cpu, regress(0.05))];
    let asked = asked(&questions);
    let draws = 150;
    let mut failed = 0;
    for seed in 0..draws {
        let mut rng = ChaCha8Rng::seed_from_u64(1000 + seed);
        let mut draw = || {
            let mut t = trial(4e6 * (0.15 * normal(&mut rng)).exp(), 100.0 * (0.15 * normal(&mut rng)).exp(), 0.0);
            t.times_ns[0].1 = 2e6 * (0.15 * normal(&mut rng)).exp();
            t
        };
        let one = cell((0..20).map(|_| draw()).collect(), (0..20).map(|_| draw()).collect());
        failed += usize::from(judge(&asked, &[one]).verdict == GateVerdict::Fail);
    }
    // 5 % of 150 is 7.5; three standard deviations are 8.
    assert!(failed <= 15, "{failed} of {draws}");
}

#[test]
fn steal_is_accounted_for_where_both_sides_had_the_same_of_it() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let mut stolen = |shift: f64| {
        let steal = 0.02 * (shift + 0.8 * normal(&mut rng)).exp();
        trial(4e6 * ((steal + 0.001) / 0.021f64).powf(0.4) * (0.02 * normal(&mut rng)).exp(), 100.0, steal)
    };
    let candidate: Vec<TrialFigures> = (0..20).map(|_| stolen(0.0)).collect();
    let baseline: Vec<TrialFigures> = (0..20).map(|_| stolen(0.0)).collect();
    let caused: Vec<TrialFigures> = (0..20).map(|_| stolen(1.5)).collect();
    let asked = Asked { adjust_steal: true, ..asked(&[(Metric::P99, regress(0.1))]) };
    let judged = judge(&asked, &[cell(candidate, baseline.clone())]);
    let metric = &judged.metrics[0];
    let steal = metric.steal_adjusted.as_ref().unwrap();
    assert_eq!((metric.raw_verdict, metric.verdict), (GateVerdict::Inconclusive, GateVerdict::Pass), "{metric:#?}");
    assert!(steal.used && (steal.slope.unwrap() - 0.4).abs() < 0.05, "{steal:?}");
    let judged = judge(&asked, &[cell(caused, baseline)]);
    let metric = &judged.metrics[0];
    let steal = metric.steal_adjusted.as_ref().unwrap();
    assert!(!steal.used && steal.reason.contains("which it may have caused itself"), "{steal:?}");
    assert_eq!(metric.verdict, metric.raw_verdict);
}

#[test]
fn a_pair_with_an_invalid_trial_is_taken_out_whole() {
    let mut pairs = pairs(3, 0.0, 0.1, 9);
    pairs.baseline[1].invalid = Some("it was late".into());
    let kept: Vec<f64> = [0, 2].iter().map(|at| pairs.candidate[*at].times_ns[1].1).collect();
    let said = pairs.without_invalid();
    assert_eq!(said, ["trial t does not count, nor does its pair: it was late"]);
    let left: Vec<f64> = pairs.candidate.iter().map(|t| t.times_ns[1].1).collect();
    assert_eq!((left, pairs.baseline.len()), (kept, 2));
}
