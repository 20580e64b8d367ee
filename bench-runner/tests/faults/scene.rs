//! A run to do something to: made once of each kind, and copied for each row.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use tempfile::TempDir;

use crate::live::{self, Ended};
use crate::program::{Mounted, call, change_run, is_root, meshtax, skip};

/// What the id of the trial begins with to which things are done; the one before it is sealed.
pub(crate) const HIT: &str = "0002-";

/// What kind of run it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Built-in sidecars, mutual TLS, kept connections.
    Embedded,
    /// The same, with new connections for each request, all along the chain.
    Churn,
    /// The same in network namespaces.
    Pods,
    /// The same with a memory limit on each sidecar.
    Memory,
    /// Real Envoys.
    Envoy,
    /// Real HAProxies.
    Haproxy,
    /// Real nginxes.
    Nginx,
    /// One node proxy for all services.
    Ambient,
}

const KINDS: [(&str, Kind); 8] = [
    ("embedded", Kind::Embedded),
    ("churn", Kind::Churn),
    ("pods", Kind::Pods),
    ("memory", Kind::Memory),
    ("envoy", Kind::Envoy),
    ("haproxy", Kind::Haproxy),
    ("nginx", Kind::Nginx),
    ("ambient", Kind::Ambient),
];

/// A cell is measured twice: the first trial stands for what was sealed before, the second one is hit.
const SCENARIO: &str = r#"
name = "faults"
[chain]
services = 2
[load]
rate = 100
connections = 4
keepalive = KEEPALIVE
[mesh]
dataplane = "DATAPLANE"
mtls = "strict"
requests_per_connection = REQUESTS
MEMORY
[trial]
settle = "500ms"
warm_up = "200ms"
measure = "1500ms"
cool_down = "300ms"
[plan]
repeats = 2
platform = "PLATFORM"
"#;

impl Kind {
    pub(crate) fn named(word: &str) -> Result<Self, String> {
        let found = KINDS.iter().find(|(known, _)| *known == word);
        found.map(|(_, kind)| *kind).ok_or_else(|| format!("'{word}' is no kind of run"))
    }

    pub(crate) fn word(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("?", |(word, _)| word)
    }

    fn scenario(self) -> String {
        let dataplane = match self {
            Self::Embedded | Self::Churn | Self::Pods | Self::Memory => "embedded",
            Self::Envoy => "envoy",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Ambient => "ambient",
        };
        SCENARIO
            .replace("DATAPLANE", dataplane)
            .replace("KEEPALIVE", if self == Self::Churn { "false" } else { "true" })
            .replace("REQUESTS", if self == Self::Churn { "1" } else { "0" })
            .replace("MEMORY", if self == Self::Memory { "memory_limit = \"64Mi\"" } else { "" })
            .replace("PLATFORM", if self == Self::Pods { "pods" } else { "processes" })
    }

    /// What this machine lacks for it; says so when a row is skipped for it.
    pub(crate) fn missing(self) -> bool {
        match self {
            Self::Embedded | Self::Churn | Self::Ambient => false,
            Self::Pods | Self::Memory => !is_root() && skip("namespaces and limits need root", "REQUIRE_ROOT"),
            Self::Envoy => !found("envoy") && skip("there is no Envoy", "REQUIRE_PROXIES"),
            Self::Haproxy => !found("haproxy") && skip("there is no HAProxy", "REQUIRE_PROXIES"),
            Self::Nginx => !found("nginx") && skip("there is no nginx", "REQUIRE_PROXIES"),
        }
    }

    /// Where the run of this kind is, made by the first who asks; and its scenario's file beside it.
    fn made(self) -> &'static Path {
        static MADE: [OnceLock<PathBuf>; KINDS.len()] = [const { OnceLock::new() }; KINDS.len()];
        let at = KINDS.iter().position(|(_, kind)| *kind == self).unwrap();
        MADE[at].get_or_init(|| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults").join(self.word());
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("scenario.toml"), self.scenario()).unwrap();
            let (scenario, out) = (folder.join("scenario.toml"), folder.join("runs"));
            let ended = live::to_its_end(
                meshtax(&["run", scenario.to_str().unwrap(), "--out", out.to_str().unwrap()]),
                &folder,
            );
            assert_eq!(ended.how, "0", "the run that rows are made of failed: {:#?}", ended.answer);
            ended.answer.run_directory()
        })
    }
}

/// Whether a proxy is on this machine, as `meshtax doctor` finds it.
fn found(proxy: &str) -> bool {
    static SAID: OnceLock<serde_json::Value> = OnceLock::new();
    let said = SAID.get_or_init(|| serde_json::from_str(&call(&["doctor", "--format", "json"]).stdout).unwrap());
    said.as_array().unwrap().iter().any(|f| f["what"] == proxy && f["weight"] == "good")
}

/// Where a row is played.
pub(crate) struct Scene {
    pub(crate) kind: Kind,
    /// A small disk of its own, where that is what is done to it; gone before the folder that it lies in.
    mounted: Option<Mounted>,
    folder: TempDir,
}

impl Scene {
    /// With nothing in it.
    pub(crate) fn empty(kind: Kind, small_disk: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in ["disk", "tmp", "other"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
        }
        let mounted = small_disk.then(|| Mounted::tmpfs(&folder.path().join("disk"), "4m"));
        Self { kind, mounted, folder }
    }

    /// With a copy of the run: whole, or as if it had been cut off after its first trial.
    pub(crate) fn copied(kind: Kind, small_disk: bool, whole: bool) -> Self {
        let scene = Self::empty(kind, small_disk);
        copy(kind.made(), &scene.run());
        if !whole {
            std::fs::remove_dir_all(scene.hit()).unwrap();
            for entry in std::fs::read_dir(scene.run()).unwrap().flatten() {
                let kept = entry.file_name() == "run.json" || entry.path().is_dir();
                if !kept {
                    std::fs::remove_file(entry.path()).unwrap();
                }
            }
        }
        scene
    }

    /// A second whole run of the same kind, which is told from the first by its name.
    pub(crate) fn another(&self) -> PathBuf {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let to = self.folder.path().join("other").join("run");
        if !to.exists() {
            copy(self.kind.made(), &to);
            change_run(&to, |plan| plan["id"] = "2026-01-01T0000-0000".into());
        }
        to
    }

    /// The scenario of the run, as a file.
    pub(crate) fn scenario(&self) -> PathBuf {
        self.kind.made().parent().unwrap().parent().unwrap().join("scenario.toml")
    }

    /// Where runs are; a disk of its own where there is one.
    pub(crate) fn disk(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Where the row may leave files of its own.
    pub(crate) fn aside(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The run directory: the copy, or the only one that was begun here.
    pub(crate) fn run(&self) -> PathBuf {
        self.begun().unwrap_or_else(|| self.disk().join("runs").join("run"))
    }

    /// The run directory, once there is one.
    pub(crate) fn begun(&self) -> Option<PathBuf> {
        let mut entries = std::fs::read_dir(self.disk().join("runs")).ok()?.flatten();
        entries.next().map(|entry| entry.path())
    }

    /// The directory of the trial that is hit.
    pub(crate) fn hit(&self) -> PathBuf {
        let trials = std::fs::read_dir(self.run().join("trials")).unwrap().flatten();
        let hit =
            trials.map(|entry| entry.path()).find(|path| path.file_name().unwrap().to_string_lossy().starts_with(HIT));
        hit.unwrap_or_else(|| panic!("no trial {HIT}* in {}", self.run().display()))
    }

    /// How many trials are sealed.
    pub(crate) fn sealed_trials(&self) -> usize {
        let trials = std::fs::read_dir(self.run().join("trials")).into_iter().flatten().flatten();
        trials.filter(|entry| entry.path().join("trial.json").is_file()).count()
    }

    /// The seals that there are, with their bytes and those of what they seal.
    pub(crate) fn sealed(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let Some(run) = self.begun() else { return Vec::new() };
        let trials = std::fs::read_dir(run.join("trials")).map(|t| t.flatten().collect::<Vec<_>>()).unwrap_or_default();
        let mut found = Vec::new();
        for trial in trials.into_iter().map(|entry| entry.path()).filter(|path| path.join("trial.json").is_file()) {
            for file in std::fs::read_dir(&trial).unwrap().flatten().filter(|file| file.path().is_file()) {
                found.push((file.path(), std::fs::read(file.path()).unwrap()));
            }
        }
        found.sort();
        found
    }

    /// A command of meshtax whose traces can be told from those of other rows, brought to its end.
    pub(crate) fn command(&self, args: &[&str]) -> Ended {
        live::to_its_end(meshtax(args), &self.aside())
    }

    /// Whether it is on a disk of its own.
    pub(crate) fn has_small_disk(&self) -> bool {
        self.mounted.is_some()
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
