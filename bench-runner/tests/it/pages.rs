//! The page in a real browser.

use crate::browser::Browser;
use crate::program::{alone, call};

#[test]
fn the_report_opens_whole_and_asks_for_nothing() {
    let Some(mut browser) = Browser::start() else { return };
    let _alone = alone();
    let tmp = tempfile::tempdir().unwrap();
    let answer = call(&[
        "run",
        "--dataplane",
        "none,embedded",
        "--rate",
        "200",
        "--duration",
        "1s",
        "--warm-up",
        "0s",
        "--repeats",
        "2",
        "--out",
        tmp.path().to_str().unwrap(),
    ])
    .done();
    let path = answer.run_directory().join("report.html");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.len() < 1_500_000, "{} bytes", text.len());
    let mut page = browser.open_file(&path);
    let charts = page.count("svg");
    assert!(charts >= 3, "{charts} charts");
    for scheme in ["light", "dark"] {
        page.look(scheme, "screen");
        let picture = page.picture(&format!("report-{scheme}"));
        assert!(picture > 30_000, "a picture of {picture} bytes is an empty page");
        assert_eq!(page.faults(), Vec::<String>::new(), "{scheme}");
    }
    assert_eq!(page.complaints(), Vec::<String>::new());
    assert_eq!(page.requests(), [format!("file://{}", path.display())]);
}
