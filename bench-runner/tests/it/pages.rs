//! The page in a real browser.

use std::path::Path;
use std::process::Command;

use crate::program::{alone, call, skip};

fn chromium() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success()))
}

/// Opens a page; returns the document after it was rendered, and what the browser said.
fn open(browser: &str, page: &Path, more: &[&str]) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-extensions",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1200,4000",
        ])
        .args(["--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(more)
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_report_opens_whole_and_asks_for_nothing() {
    let Some(browser) = chromium() else {
        assert!(skip("there is no Chromium", "REQUIRE_BROWSER"));
        return;
    };
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
    let page = answer.run_directory().join("report.html");
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.len() < 1_500_000, "{} bytes", text.len());
    for outside in ["src=\"http", "href=\"http", "url(http", "@import"] {
        assert!(!text.contains(outside), "the page would ask the network: {outside}");
    }
    let (document, said) = open(browser, &page, &["--dump-dom"]);
    let complaints: Vec<&str> = said.lines().filter(|l| l.contains(":CONSOLE")).collect();
    assert_eq!(complaints, Vec::<&str>::new());
    let charts = document.matches("<svg").count();
    assert!(charts >= 3, "{charts} charts");
    let shot = tmp.path().join("report.png");
    open(browser, &page, &[&format!("--screenshot={}", shot.display())]);
    let picture = std::fs::metadata(&shot).unwrap().len();
    assert!(picture > 30_000, "a picture of {picture} bytes is an empty page");
    if let Some(keep) = std::env::var_os("KEEP_SCREENSHOTS") {
        std::fs::copy(&shot, Path::new(&keep).join("report.png")).unwrap();
    }
}
