//! The manifests of a run: templates under `scenarios/manifests`, filled, as text and as objects.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior, context};
use record::{Protocol, Role, Weights};
use serde::Serialize;
use serde_json::Value;

use super::sheet::{Marked, Marks, PodSheet, Sheet, mesh};
use super::workload::workloads;
use super::{ATTEND_PORT, CellSpec, Mesh, RunSpec, RunnerSpec};
use crate::{Error, Result};

macro_rules! templates {
    ($($path:literal),+ $(,)?) => { &[$(($path, include_str!(concat!("../../manifests/", $path, ".yaml.j2")))),+] };
}

const TEMPLATES: &[(&str, &str)] = templates![
    "base/namespace",
    "base/affinity",
    "base/pod",
    "base/workload",
    "base/service",
    "base/load",
    "base/probe",
    "base/runner",
    "none/namespace",
    "none/pod",
    "none/policies",
    "none/gateway",
    "none/split",
    "istio-sidecar/namespace",
    "istio-sidecar/pod",
    "istio-sidecar/policies",
    "istio-sidecar/gateway",
    "istio-sidecar/split",
    "istio-ambient/namespace",
    "istio-ambient/pod",
    "istio-ambient/policies",
    "istio-ambient/gateway",
    "istio-ambient/split",
    "linkerd/namespace",
    "linkerd/pod",
    "linkerd/policies",
    "linkerd/gateway",
    "linkerd/split",
];

/// Manifests, in the order in which they are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documents {
    texts: Vec<String>,
}

impl Documents {
    fn add(&mut self, text: &str) {
        for one in text.split("\n---\n") {
            let one = one.trim_matches('\n');
            // A file may have nothing to say, and says why in a comment.
            if one.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
                self.texts.push(tidied(one));
            }
        }
    }

    /// All of them in one text of YAML.
    pub fn text(&self) -> String {
        self.texts.iter().map(|text| format!("---\n{text}\n")).collect()
    }

    /// Each as an object.
    ///
    /// # Errors
    /// [`Error::Config`] for one that is no YAML, which a test of all of them rules out.
    pub fn objects(&self) -> Result<Vec<Value>> {
        self.texts.iter().map(|text| object(text)).collect()
    }

    /// These and those.
    #[must_use]
    pub fn and(mut self, others: Documents) -> Self {
        self.texts.extend(others.texts);
        self
    }

    /// Pods alone, as the controllers among these would make them: what `podman kube play` takes.
    ///
    /// # Errors
    /// As [`Self::objects`].
    pub fn pods(&self) -> Result<Vec<Value>> {
        let pod = |object: &Value| {
            let template = object.pointer("/spec/template")?;
            let name = object.pointer("/metadata/labels/meshtax~1part").or_else(|| object.pointer("/metadata/name"))?;
            let mut pod = template.clone();
            // What a container says of its ports is for people in a cluster; podman would take them on the host, of which
            // there is one for all pods. So it is with volumes of one name.
            if let Some(container) = pod.pointer_mut("/spec/containers/0").and_then(Value::as_object_mut) {
                container.remove("ports");
            }
            let volume = format!("{}-work", name.as_str()?);
            for at in ["/spec/volumes", "/spec/containers/0/volumeMounts"] {
                for volumes in pod.pointer_mut(at).and_then(Value::as_array_mut).into_iter().flatten() {
                    if volumes["name"] == "work" {
                        volumes["name"] = volume.clone().into();
                    }
                }
            }
            pod["apiVersion"] = "v1".into();
            pod["kind"] = "Pod".into();
            pod["metadata"]["name"] = name.clone();
            Some(pod)
        };
        Ok(self.objects()?.iter().filter_map(pod).collect())
    }
}

/// No line ends in blanks, and no line is empty: templates leave both behind.
fn tidied(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

fn object(text: &str) -> Result<Value> {
    serde_saphyr::from_str(text).map_err(|e| fault("a manifest", &e))
}

fn fault(what: &str, problem: &dyn std::fmt::Display) -> Error {
    Error::Config { part: what.to_owned(), problem: problem.to_string() }
}

/// The namespace of a run, with the probe of each node.
///
/// # Errors
/// [`Error::Config`] for a template that cannot be filled, which a test of all of them rules out.
pub fn probe(spec: &RunSpec<'_>) -> Result<Documents> {
    let templates = Templates::load()?;
    let (common, namespace) = (spec.labels(), spec.namespace());
    let mut labels: BTreeMap<String, String> = common.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    labels.insert("meshtax/role".to_owned(), "probe".to_owned());
    labels.insert("istio-injection".to_owned(), "disabled".to_owned());
    labels.insert("istio.io/dataplane-mode".to_owned(), "none".to_owned());
    // It sees the processes of its node.
    labels.insert("pod-security.kubernetes.io/enforce".to_owned(), "privileged".to_owned());
    let annotations = BTreeMap::from([("linkerd.io/inject", "disabled")]);
    let mut documents = Documents::default();
    documents.add(&templates.fill("base/namespace", context! { namespace, labels, annotations })?);
    let (run, image, attend_port) = (spec.run, spec.image, ATTEND_PORT);
    documents.add(&templates.fill("base/probe", context! { run, namespace, image, common, attend_port })?);
    Ok(documents)
}

/// A cell: its namespace, what its mesh is told, its Services, its services and its load generators.
///
/// # Errors
/// [`Error::Value`] for a service whose name no cluster takes, and as [`probe`].
pub fn cell(spec: &CellSpec<'_>) -> Result<Documents> {
    let templates = Templates::load()?;
    let (sheet, mesh) = (Sheet::of(spec).with_door()?, mesh(spec.factors));
    let mut documents = Documents::default();
    documents.add(&templates.namespace(spec, &sheet, mesh)?);
    documents.add(&templates.fill(&format!("{}/policies", mesh.folder()), &sheet)?);
    for service in &spec.shape.services {
        let port_name = if spec.factors.protocol == Protocol::Http || mesh == Mesh::None { "http" } else { "any" };
        let names = context! { service => service.name, port_name };
        documents
            .add(&templates.fill("base/service", context! { ..names, ..minijinja::Value::from_serialize(&sheet) })?);
    }
    for workload in workloads(spec.factors, spec.shape, spec.timing, spec.run.generators)? {
        let marked = Marked::of(&sheet, &workload);
        let marks = templates.marks(&format!("{}/pod", mesh.folder()), &marked)?;
        let pod = PodSheet::of(spec, &workload, marks);
        let of_mesh = format!("{}/gateway", mesh.folder());
        let template = match workload.role {
            Role::Load => "base/load",
            Role::Gateway => of_mesh.as_str(),
            _ => "base/workload",
        };
        let values = context! { pod, ..minijinja::Value::from_serialize(&sheet) };
        documents.add(&templates.fill(template, values)?);
    }
    Ok(documents)
}

/// What a cell's mesh is told of where calls go, with these weights for its canary.
///
/// # Errors
/// As [`probe`].
pub fn split(spec: &CellSpec<'_>, weights: &Weights) -> Result<Documents> {
    let mut factors = spec.factors.clone();
    if let Some(canary) = &mut factors.canary {
        canary.weights = weights.clone();
    }
    let spec = CellSpec { factors: &factors, ..spec.clone() };
    let mut documents = Documents::default();
    let text = Templates::load()?.fill(&format!("{}/split", mesh(&factors).folder()), Sheet::of(&spec))?;
    documents.add(&text);
    Ok(documents)
}

/// The runner inside of the cluster, with its rights.
///
/// # Errors
/// As [`probe`].
pub fn runner(spec: &RunnerSpec<'_>) -> Result<Documents> {
    let RunnerSpec { image, scenario, args, istio, json_log, gateway } = spec;
    let mut documents = Documents::default();
    let values =
        context! { namespace => "meshtax", image, scenario => scenario.trim_end(), args, istio, json_log, gateway };
    documents.add(&Templates::load()?.fill("base/runner", values)?);
    Ok(documents)
}

/// The templates, read.
struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    fn load() -> Result<Self> {
        let mut environment = Environment::new();
        // A hole that nobody filled must not become an empty value.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        // YAML takes JSON's strings, which carry any text unharmed.
        environment.add_filter("quoted", |text: String| Value::String(text).to_string());
        for (name, text) in TEMPLATES {
            environment.add_template(name, text).map_err(|e| fault(name, &e))?;
            environment.add_template_owned(format!("{name}.yaml.j2"), *text).map_err(|e| fault(name, &e))?;
        }
        Ok(Self { environment })
    }

    fn fill(&self, name: &str, values: impl Serialize) -> Result<String> {
        let filled = self.environment.get_template(name).and_then(|template| template.render(values));
        filled.map_err(|e| fault(name, &format!("{e:#}")))
    }

    fn marks(&self, name: &str, values: impl Serialize) -> Result<Marks> {
        let text = self.fill(name, values)?;
        serde_saphyr::from_str(&text).map_err(|e| fault(name, &e))
    }

    fn namespace(&self, spec: &CellSpec<'_>, sheet: &Sheet, mesh: Mesh) -> Result<String> {
        let Marks { mut labels, mut annotations } = self.marks(&format!("{}/namespace", mesh.folder()), sheet)?;
        labels.extend(spec.labels().into_iter().map(|(key, value)| (key.to_owned(), value)));
        annotations.insert("meshtax/cell-id".to_owned(), spec.id.to_owned());
        self.fill("base/namespace", context! { namespace => spec.namespace(), labels, annotations })
    }
}
