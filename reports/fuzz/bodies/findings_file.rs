//! A folder with a findings.json of any bytes beside a whole one: a history over both is drawn, or the one is left out with the
//! reason; no figure is not a number.

use std::fs;

use reports::history::{Followed, Glance, History, csv, page, text};

pub(crate) fn check(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a directory");
    let run = folder.path().join("a");
    fs::create_dir(&run).expect("a directory");
    fs::write(run.join("findings.json"), data).expect("a file");
    let Some(glance) = Glance::kept(&run) else {
        // Without its trials nothing can be made anew.
        let error = Glance::of(&run).expect_err("there is no run");
        assert!(error.to_string().contains(&run.display().to_string()), "{error}");
        return;
    };
    assert!(!glance.host.name().is_empty());
    for name in ["p99", "service-p50", "tax-p999", "cpu", "rss", "errors", "rate"] {
        let followed: Followed = name.parse().expect("a figure");
        let history = match History::of(folder.path(), followed, None) {
            Ok(history) => history,
            Err(error) => panic!("{name}: {error}"),
        };
        assert_eq!(history.runs, 1);
        assert!(history.series.iter().map(|series| series.points.len()).sum::<usize>() <= glance.cells.len());
        let shown = text(&history, 80, None);
        assert!(!shown.contains("NaN"), "{name}");
        assert!(!shown.chars().any(|c| c != '\n' && record::plain::steers(c)), "{name} steers a terminal: {shown:?}");
        let rows = csv(&history).expect("a table can be written");
        assert!(
            rows.lines().count() > history.series.iter().map(|series| series.points.len()).sum::<usize>(),
            "{rows}"
        );
        page(&history).expect("a page can be written");
        serde_json::to_vec(&history).expect("a history can be written");
    }
}
