//! A run whose numbers somebody changed: it is explained, or what does not hold together is said; no order of stamps, no length
//! and no count stops the program.
//!
//! An input is changes of four bytes each: the file, the line in it, the number in that line, and what it becomes.

use std::cell::LazyCell;
use std::fs;
use std::path::PathBuf;

use record::{Dataplane, RunDirectory};
use tempfile::TempDir;

use crate::made::{MadeRun, change_seal, factors, first_look, made as cell};

/// What a number becomes. None is so large that a sum of such goes past the end of a number: that is asked of what reads them
/// (`histogram`, `run_directory`), and here whether what is made of them holds for any.
const VALUES: [&str; 8] = ["0", "1", "17", "100000000", "1000000000", "4294967295", "1099511627776", "281474976710656"];

/// More changes than this make no other file of it.
const CHANGES: usize = 6;

/// A run, and its files as they were written.
struct Whole {
    folder: TempDir,
    files: Vec<(PathBuf, String)>,
}

thread_local! {
    static WHOLE: LazyCell<Whole> = LazyCell::new(whole);
}

/// Two cells of one trial each; lines plain, so that they can be changed.
fn whole() -> Whole {
    let folder = tempfile::tempdir().expect("a directory");
    let mut meshed = cell("chain3-embedded", "embedded", factors(Dataplane::Embedded, None), 1.0);
    meshed.throttled = vec![1];
    let cells = vec![cell("chain3-none", "none", factors(Dataplane::None, None), 0.4), meshed];
    let run = MadeRun { cells, repeats: 2, tenths: 4, per_tenth: 6, stamped: true, ..first_look() };
    let directory = run.write(folder.path());
    let mut files = vec![directory.path().join("run.json")];
    // Whoever changes figures changes their sums: without them what is changed is read.
    let plan = fs::read_to_string(&files[0]).expect("a file");
    let mut plan: serde_json::Value = serde_json::from_str(&plan).expect("a plan");
    plan.as_object_mut().expect("an object").remove("sum");
    fs::write(&files[0], serde_json::to_string_pretty(&plan).expect("a plan")).expect("a file");
    for planned in directory.run().expect("it was written").trials {
        let trial = directory.trial_path(&planned.id);
        for lines in ["intervals.jsonl", "samples.jsonl"] {
            let packed = trial.join(format!("{lines}.zst"));
            let bytes = zstd::decode_all(fs::File::open(&packed).expect("a file")).expect("lines");
            fs::write(trial.join(lines), bytes).expect("a file");
            fs::remove_file(packed).expect("a file");
        }
        change_seal(&trial.join("trial.json"), |seal| seal);
        files.extend(["trial.json", "intervals.jsonl", "samples.jsonl", "slow.jsonl"].map(|name| trial.join(name)));
    }
    let read = |path: PathBuf| (path.clone(), fs::read_to_string(path).expect("a file"));
    Whole { folder, files: files.into_iter().map(read).collect() }
}

pub(crate) fn check(data: &[u8]) {
    WHOLE.with(|whole| {
        let mut touched = Vec::new();
        for change in data.as_chunks::<4>().0.iter().take(CHANGES) {
            let at = usize::from(change[0]) % whole.files.len();
            let path = &whole.files[at].0;
            let text = fs::read_to_string(path).expect("a file");
            fs::write(path, changed(&text, change)).expect("a file");
            touched.push(at);
        }
        let run = fs::read_dir(whole.folder.path()).expect("a directory").next().expect("a run").expect("a run").path();
        let directory = RunDirectory::open(&run).expect("a run");
        match reports::findings(&directory) {
            Ok(findings) => {
                let json = reports::json::render(&findings).expect("findings can be written");
                assert!(!json.contains("NaN"));
                assert!(!reports::text::render(&findings, 80, false).is_empty());
            }
            // Else nothing would be asked of what explains it.
            Err(error) if touched.is_empty() => panic!("untouched, and refused: {error}"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        for at in touched {
            let (path, text) = &whole.files[at];
            fs::write(path, text).expect("a file");
        }
    });
}

/// The text with one number of one of its lines replaced.
fn changed(text: &str, [_, line, number, value]: &[u8; 4]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let Some(at) = usize::from(*line).checked_rem(lines.len()) else { return text.to_owned() };
    let (digit, mut places, mut before) = (|c: char| c.is_ascii_digit(), Vec::new(), ':');
    for (place, c) in lines[at].char_indices() {
        // A number in its own right: behind a colon or in a list, and no part of a text.
        if digit(c) && [':', ',', '[', ' '].contains(&before) {
            places.push(place);
        }
        before = c;
    }
    let Some(place) = usize::from(*number).checked_rem(places.len()).map(|n| places[n]) else { return text.to_owned() };
    let end = lines[at][place..].find(|c: char| !digit(c)).map_or(lines[at].len(), |n| place + n);
    lines[at].replace_range(place..end, VALUES[usize::from(*value) % VALUES.len()]);
    lines.join("\n") + "\n"
}
