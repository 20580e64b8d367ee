//! The live view of `run`, on a terminal and elsewhere.

use std::process::{Command, Stdio};

use crate::program::{Answer, alone, among_others, call, skip};

/// Runs meshtax on a terminal of its own, of 80 columns; what it shows and prints comes as one stream.
fn on_a_terminal(args: &[&str]) -> Option<String> {
    let words: Vec<String> = args.iter().map(|arg| format!("'{arg}'")).collect();
    let command = format!("stty cols 80 rows 24; exec '{}' {}", env!("CARGO_BIN_EXE_meshtax"), words.join(" "));
    let done = Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .stdin(Stdio::null())
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .output();
    let Ok(done) = done else {
        assert!(skip("there is no `script` to make a terminal with", "REQUIRE_TERMINAL"));
        return None;
    };
    let answer = Answer::from(done);
    Some(answer.done().stdout)
}

const RUN: [&str; 13] = [
    "run",
    "--dataplane",
    "embedded",
    "--rate",
    "200",
    "--duration",
    "2s",
    "--warm-up",
    "500ms",
    "--repeats",
    "1",
    "--connections",
    "4",
];

#[test]
fn a_terminal_shows_how_it_goes_and_keeps_nothing_of_it() {
    // The view gives way to everything else, and has three seconds to be seen in.
    let _alone = alone();
    let tmp = tempfile::tempdir().unwrap();
    let args = [&RUN[..], &["--out", tmp.path().to_str().unwrap()]].concat();
    let Some(shown) = on_a_terminal(&args) else { return };
    for words in [
        "trial 1 of 1: embedded",
        "measure",
        "last second  p50",
        "so far       p50",
        "of 200/s",
        "machine      CPU",
        "proxies ",
    ] {
        assert!(shown.contains(words), "no '{words}' in:\n{shown}");
    }
    // From one line's clearing to the next, no line is wider than the terminal.
    for line in shown.split("\x1b[K").flat_map(|part| part.rsplit(['\r', '\n']).next()) {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    // The view ends by clearing itself away, and the report stands where it was.
    let end = shown.rfind("\x1b[J").expect("it is taken away");
    assert!(!shown[end..].contains("last second") && shown[end..].contains("How to read it"), "{}", &shown[end..]);
}

#[test]
fn it_can_be_left_off_and_is_where_there_is_no_terminal() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().to_str().unwrap();
    for off in [&["--no-live"][..], &["--live", "never"]] {
        let Some(shown) = on_a_terminal(&[&RUN[..], &["--out", out], off].concat()) else { return };
        assert!(shown.contains("trial 1 of 1") && !shown.contains("last second"), "{shown}");
    }
    let answer = call(&[&RUN[..], &["--out", out]].concat()).done();
    assert!(!answer.stderr.contains('\x1b') && !answer.stderr.contains("last second"), "{}", answer.stderr);
    let answer = call(&[&RUN[..], &["--out", out, "--live", "auto", "--no-live"]].concat());
    assert_eq!(answer.code, Some(64), "{answer:#?}");
}
