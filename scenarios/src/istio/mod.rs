//! A user's own Istio configuration, read into the factors of a run: each field is used, without effect, or refused.
//!
//! What meshtax would have to pass over in silence is refused with its place; a user may accept that it is ignored.

mod book;
mod claims;
mod destinations;
mod host;
mod kinds;
mod mesh;
mod node;
mod peers;
mod pods;
mod reader;
mod resource;
mod routes;
mod settings;
mod settle;
mod telemetry;
#[cfg(test)]
mod tests;
mod tree;
mod values;
mod workload;

use std::path::Path;

use record::{IstioDefault, IstioField, IstioReading, IstioVerdict, SCHEMA};

use crate::{Error, Result, Scenario};
use book::{Book, Entry, Verdict};
use reader::Reader;
use resource::Resource;
use settings::Settings;
use workload::Workload;

/// A directory of Istio configuration, as it was read for one workload.
#[derive(Clone, Debug)]
pub struct Istio {
    settings: Settings,
    reading: IstioReading,
}

/// What one workload comes to.
struct Candidate<'a> {
    workload: &'a Workload<'a>,
    settings: Settings,
    book: Book<'a>,
    defaults: Vec<IstioDefault>,
}

/// Refused fields that are told at once: a screen has no room for more.
const TOLD: usize = 8;

impl Istio {
    /// Reads every YAML and JSON file under a directory, for the workload of this name, or for the one that there is.
    ///
    /// `accepted` names fields that the user accepts to have ignored, by their path or the end of it.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Scenario`] for what cannot be read; [`Error::Istio`] when fields would have to be
    /// ignored, contradict one another, or are of several workloads that differ.
    pub fn read(directory: &Path, workload: Option<&str>, accepted: &[String]) -> Result<Self> {
        let (resources, files) = resource::read(directory)?;
        let root = root_namespace(&resources);
        let workloads = candidates(&resources, &root, workload)?;
        let all: Vec<Candidate<'_>> = workloads.iter().map(|w| candidate(&resources, w, &root, accepted)).collect();
        let chosen = choose(&all)?;
        refuse(&chosen.book)?;
        let reading = IstioReading {
            schema: SCHEMA,
            directory: directory.display().to_string(),
            workload: chosen.workload.title.clone(),
            alike: all.iter().skip(1).map(|other| other.workload.title.clone()).collect(),
            files,
            accepted: accepted.to_vec(),
            fields: fields(&chosen.book),
            defaults: chosen.defaults.clone(),
        };
        Ok(Self { settings: chosen.settings.clone(), reading })
    }

    /// Puts the settings in the place of what a scenario says.
    pub fn put_in(&self, scenario: &mut Scenario) {
        self.settings.put_in(scenario);
    }

    /// How it was read; `scenario` is what is run, which may have been told otherwise since.
    pub fn reading(&self, scenario: &Scenario) -> IstioReading {
        let mut own = scenario.clone();
        self.settings.put_in(&mut own);
        let changed: Vec<(&str, String)> = settings::texts(&own)
            .into_iter()
            .zip(settings::texts(scenario))
            .filter(|(own, run)| own != run)
            .map(|(_, run)| run)
            .collect();
        let mut reading = self.reading.clone();
        for field in &mut reading.fields {
            if let IstioVerdict::Used { factors } = &field.verdict {
                let by = |factor: &str| changed.iter().find(|(name, _)| *name == factor);
                let by: Vec<String> = factors
                    .iter()
                    .filter_map(|f| by(&f.factor))
                    .map(|(name, value)| format!("{name} = {value}"))
                    .collect();
                if !by.is_empty() {
                    field.verdict = IstioVerdict::Overridden { factors: factors.clone(), by: by.join(", ") };
                }
            }
        }
        for default in &mut reading.defaults {
            if let Some((_, value)) = changed.iter().find(|(name, _)| *name == default.factor) {
                default.reason = format!("a flag; by Istio it were {} ({})", default.value, default.reason);
                default.value.clone_from(value);
            }
        }
        reading
    }
}

/// The namespace whose rules are for the whole mesh.
fn root_namespace(resources: &[Resource]) -> String {
    let places: [&[&str]; 3] = [
        &["spec", "meshConfig", "rootNamespace"],
        &["spec", "values", "meshConfig", "rootNamespace"],
        &["data", "mesh", "rootNamespace"],
    ];
    let named = resources.iter().find_map(|r| places.iter().find_map(|keys| r.root().far(keys)?.tree.text()));
    named.unwrap_or_else(|| "istio-system".to_owned())
}

/// The workloads that may be meant.
fn candidates<'a>(resources: &'a [Resource], root: &str, name: Option<&str>) -> Result<Vec<Workload<'a>>> {
    let (declared, spoken_of) = (workload::declared(resources), workload::spoken_of(resources, root));
    if let Some(name) = name {
        for all in [&declared, &spoken_of] {
            let called: Vec<Workload<'a>> = all.iter().filter(|w| w.is_called(name)).cloned().collect();
            if !called.is_empty() {
                return Ok(called);
            }
        }
        let known: Vec<&str> = declared.iter().chain(&spoken_of).map(|w| w.title.as_str()).collect();
        return Err(Error::Istio {
            problem: format!("no workload here is called {name}"),
            remedy: format!("--istio-workload with one of {}", known.join(", ")),
        });
    }
    // What carries the mesh is not what is measured in it.
    let programs: Vec<Workload<'a>> = declared.into_iter().filter(|w| w.namespace != root).collect();
    Ok(if programs.is_empty() { spoken_of } else { programs })
}

fn candidate<'a>(
    resources: &'a [Resource],
    workload: &'a Workload<'a>,
    root: &'a str,
    accepted: &'a [String],
) -> Candidate<'a> {
    let mut reader = Reader::new(resources, workload, root, accepted);
    reader.read();
    let settings = reader.settle();
    reader.close();
    Candidate { workload, settings, book: reader.book, defaults: reader.defaults }
}

/// The one that is measured: any, if all come to the same.
fn choose<'c, 'a>(all: &'c [Candidate<'a>]) -> Result<&'c Candidate<'a>> {
    let refused = |c: &Candidate<'a>| c.book.refused().iter().map(|e| e.node.place()).collect::<Vec<_>>();
    let alike = |a: &Candidate<'a>, b: &Candidate<'a>| a.settings == b.settings && refused(a) == refused(b);
    match all {
        [] => Err(Error::Istio {
            problem: "there is nothing here that Istio would give a proxy".to_owned(),
            remedy: "a directory with the rules and Deployments of a workload".to_owned(),
        }),
        [first, rest @ ..] if rest.iter().all(|other| alike(first, other)) => Ok(first),
        several => {
            let lines: Vec<String> = several.iter().take(TOLD).map(told).collect();
            let more = several.len().saturating_sub(TOLD);
            let rest = if more > 0 { format!("\n  and {more} more") } else { String::new() };
            Err(Error::Istio {
                problem: format!("{} workloads are set differently:\n{}{rest}", several.len(), lines.join("\n")),
                remedy: "--istio-workload NAME with the one to measure".to_owned(),
            })
        }
    }
}

/// A workload in a line, with what tells it from others.
fn told(candidate: &Candidate<'_>) -> String {
    let mut scenario = Scenario::default();
    candidate.settings.put_in(&mut scenario);
    let shown = ["mtls", "cpu_limit", "workers", "canary"];
    let texts = settings::texts(&scenario).into_iter().filter(|(name, _)| shown.contains(name));
    let texts: Vec<String> = texts.map(|(name, value)| format!("{name} {value}")).collect();
    format!("  {}: {}", candidate.workload.title, texts.join(", "))
}

fn refuse(book: &Book<'_>) -> Result<()> {
    let refused = book.refused();
    if refused.is_empty() {
        let idle: Vec<&str> = book.idle_words().into_iter().map(String::as_str).collect();
        if idle.is_empty() {
            return Ok(());
        }
        return Err(Error::Istio {
            problem: format!("--istio-accept {}: no field here that would be refused has this name", idle.join(",")),
            remedy: "leave it out".to_owned(),
        });
    }
    let mut ways: Vec<String> = Vec::new();
    let line = |entry: &&Entry<'_>| {
        let why = match &entry.verdict {
            Verdict::Wrong(why) | Verdict::Ignored(why) | Verdict::NoEffect(why) => why.as_str(),
            Verdict::Used(_) => "",
        };
        format!("  {}: {}: {why}", entry.node.place(), entry.node.path)
    };
    let lines: Vec<String> = refused.iter().take(TOLD).map(line).collect();
    for entry in refused.iter().filter(|e| matches!(e.verdict, Verdict::Ignored(_))) {
        let path = entry.node.plain_path();
        if !ways.contains(&path) {
            ways.push(path);
        }
    }
    let more = refused.len().saturating_sub(TOLD);
    let rest = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    let remedy = if ways.is_empty() {
        "what would also work in the cluster".to_owned()
    } else {
        let words: Vec<String> = ways.iter().take(TOLD).map(|way| format!("--istio-accept {way}")).collect();
        format!("take the field out, or accept that it is ignored: {}", words.join(" "))
    };
    Err(Error::Istio {
        problem: format!(
            "of Istio's configuration {} fields cannot be kept:\n{}{rest}",
            refused.len(),
            lines.join("\n")
        ),
        remedy,
    })
}

fn fields(book: &Book<'_>) -> Vec<IstioField> {
    let entries = book.entries();
    let within = |entry: &Entry<'_>| {
        entries.iter().any(|above| {
            let below = entry.node.path.strip_prefix(above.node.path.as_str());
            above.node.resource.at == entry.node.resource.at
                && below.is_some_and(|rest| rest.starts_with('.') || rest.starts_with('['))
        })
    };
    // What is within a field with a verdict of its own has that one, but for what is used all the same.
    let told = entries.iter().filter(|e| matches!(e.verdict, Verdict::Used(_)) || !within(e));
    told.map(|entry| field(entry)).collect()
}

fn field(entry: &Entry<'_>) -> IstioField {
    let Entry { node, verdict } = entry;
    IstioField {
        file: node.resource.file.clone(),
        line: node.tree.line,
        column: node.tree.column,
        resource: node.resource.title(),
        path: node.path.clone(),
        // What nothing is made of may be anything, a password in a program's environment too.
        value: match verdict {
            Verdict::Used(_) => node.tree.said(),
            Verdict::NoEffect(_) | Verdict::Ignored(_) | Verdict::Wrong(_) => record::redacted::REDACTED.to_owned(),
        },
        verdict: match verdict {
            Verdict::Used(factors) => IstioVerdict::Used { factors: factors.clone() },
            Verdict::NoEffect(reason) => IstioVerdict::NoEffect { reason: reason.clone() },
            Verdict::Ignored(reason) | Verdict::Wrong(reason) => IstioVerdict::Accepted { reason: reason.clone() },
        },
    }
}
