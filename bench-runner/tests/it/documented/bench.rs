//! Where the commands of the documentation are run: a directory with the files that they name, and an echo to load.

use std::fs;
use std::io::{BufRead as _, BufReader, PipeReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::pages::starts_meshtax;
use crate::program::{Answer, change_run, json, meshtax};

/// A scenario with one service and no mesh.
const SMALL: &str = "name = \"small\"\n[chain]\nservices = 1\n[load]\nrate = 100\nconnections = 2\n\
                     [mesh]\ndataplane = \"none\"\n[trial]\nsettle = \"50ms\"\ncool_down = \"50ms\"\n";

/// The run of the README's first command is known by its label.
const PRICES: &str = "currency = \"EUR\"\n[[plan]]\nname = \"a\"\ncores = 2\nmemory = \"4Gi\"\nprice_per_month = 4.5\n\
                      runs = [\"first\"]\n";

/// The directory, with what was measured in it, and the echo.
pub(super) struct Bench {
    folder: TempDir,
    /// A run, from the folder.
    run: String,
    echo: Listening,
    directories: std::cell::Cell<u32>,
}

impl Bench {
    /// Makes the files, and the run by this command.
    pub(super) fn new(first: &str) -> Self {
        // On a disk, which is tested too: the temporary directory may be in memory.
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let at = folder.path();
        for name in ["mine.toml", "new.toml", "old.toml"] {
            fs::write(at.join(name), SMALL).unwrap();
        }
        fs::write(at.join("prices.toml"), PRICES).unwrap();
        fs::write(at.join("gate.json"), include_str!("../../../../reports/tests/it/gate.json")).unwrap();
        fs::create_dir(at.join("disk-test")).unwrap();
        let echo = Listening::start(&["service", "--name", "echo"].map(str::to_owned), at);
        let answer: Answer = meshtax(&words(first)).current_dir(at).output().unwrap().into();
        let run = answer.done().run_directory().to_string_lossy().into_owned();
        for copy in ["runs/a", "runs/b", "baselines/one"] {
            copied(&at.join(&run), &at.join(copy));
        }
        Self { folder, run, echo, directories: 0.into() }
    }

    /// Runs a command as it stands; what it prints goes where it says.
    pub(super) fn run(&self, command: &str) -> Answer {
        let args = starts_meshtax(command).unwrap_or(command);
        let (args, file) = args.split_once(" > ").map_or((args, None), |(args, file)| (args, Some(file)));
        let answer: Answer =
            meshtax(&[]).args(self.args(args)).current_dir(self.folder.path()).output().unwrap().into();
        if let Some(file) = file {
            fs::write(self.folder.path().join(file), &answer.stdout).unwrap();
        }
        answer
    }

    /// Starts a command that goes on until it is ended, and returns its first line.
    pub(super) fn first_line(&self, args: &str) -> String {
        Listening::start(&self.args(args), self.folder.path()).said.clone()
    }

    /// The arguments, with what is there in the place of what stands for it.
    fn args(&self, text: &str) -> Vec<String> {
        let own = std::process::id();
        let one = |word: &str| match word {
            "RUN" | "runs/..." => self.run.clone(),
            "URL" => self.url(),
            "proxy=4711" => format!("proxy={own}"),
            "DIR" if text.starts_with("gate ") => "baselines".to_owned(),
            // One of its own for each, since some want none that is there.
            "DIR" | "pictures" => {
                self.directories.set(self.directories.get() + 1);
                format!("directory-{}", self.directories.get())
            }
            other => other.to_owned(),
        };
        words(text).into_iter().map(one).collect()
    }

    /// Where the echo is.
    fn url(&self) -> String {
        let said: Value = serde_json::from_str(&self.echo.said).unwrap();
        format!("http://{}/", said["ready"]["listen"].as_str().unwrap())
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// A run of the same under another name.
fn copied(run: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    assert!(Command::new("cp").arg("-r").args([run, to]).status().unwrap().success());
    let name = to.file_name().unwrap().to_str().unwrap();
    change_run(to, |run| run["id"] = name.into());
    let mut findings = json(&to.join("findings.json"));
    findings["run"] = name.into();
    fs::write(to.join("findings.json"), findings.to_string()).unwrap();
}

/// A part that goes on until it is dropped, and the first line of what it says.
struct Listening {
    child: Child,
    said: String,
    // Nothing that it says later may end it.
    says: BufReader<PipeReader>,
}

impl Listening {
    fn start(args: &[String], folder: &Path) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = meshtax(&[]);
        command.args(args).current_dir(folder).stdout(writer.try_clone().unwrap()).stderr(writer);
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        // It has our ends of the pipe, and at its end there is to be none but the child's.
        drop(command);
        let mut listening = Self { child, said: String::new(), says: BufReader::new(reader) };
        listening.says.read_line(&mut listening.said).unwrap();
        listening
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
