//! A recommendation as what a cluster takes: Kubernetes objects, annotations, and values of an installation.

use std::fmt::Write as _;

use record::CpuQuantity;
use record::plain::blanked;

use crate::{Error, Result};

use super::advice::many;
use super::report::{Placement, PlanReport, Recommendation};

/// A form of the recommendation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A Deployment whose sidecar has the resources, and a ProxyConfig with its worker threads.
    Kubernetes,
    /// A patch of a Deployment with annotations that Istio's injection reads.
    IstioAnnotations,
    /// An IstioOperator: the same for all sidecars of a mesh.
    IstioOperator,
    /// Values of the chart istiod: the same for all sidecars of a mesh.
    Helm,
    /// A patch of a Deployment with annotations that Linkerd's injection reads.
    Linkerd,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Kubernetes, Self::IstioAnnotations, Self::IstioOperator, Self::Helm, Self::Linkerd];

    /// Its name on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::IstioAnnotations => "istio-annotations",
            Self::IstioOperator => "istio-operator",
            Self::Helm => "helm",
            Self::Linkerd => "linkerd",
        }
    }
}

/// The workload that Kubernetes objects and patches are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    name: String,
    namespace: String,
    image: String,
}

impl Workload {
    /// A service of the mesh, by the name of its Deployment, its namespace, and the image of its container.
    ///
    /// # Errors
    /// [`Error::PlanAsked`] for what Kubernetes would not take as a name, or what is no image.
    pub fn new(name: &str, namespace: &str, image: &str) -> Result<Self> {
        for (flag, text) in [("--workload", name), ("--namespace", namespace)] {
            if !is_dns_label(text) {
                return Err(Error::PlanAsked {
                    problem: format!("{flag} {text:?} is no name in Kubernetes"),
                    remedy: "at most 63 of a-z, 0-9 and '-', with a letter or digit at both ends",
                });
            }
        }
        let of_image = |c: char| c.is_ascii_alphanumeric() || "./:-_@".contains(c);
        if image.is_empty() || !image.chars().all(of_image) || image == "auto" {
            return Err(Error::PlanAsked {
                problem: format!("--image {image:?} is no image"),
                remedy: "the image of the service's container, such as my-service:1.0",
            });
        }
        Ok(Self { name: name.to_owned(), namespace: namespace.to_owned(), image: image.to_owned() })
    }
}

/// RFC 1123: what a namespace and the name of a Deployment's pods may be.
fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// What is to be written, with the placement that it is of.
struct Sized<'a> {
    report: &'a PlanReport,
    recommended: &'a Recommendation,
    placement: &'a Placement,
    workload: &'a Workload,
}

/// The recommendation in one form, as YAML that says in its first lines how it is applied.
///
/// # Errors
/// [`Error::PlanAsked`] where there is no recommendation.
pub fn emit(report: &PlanReport, form: Form, workload: &Workload) -> Result<String> {
    let found = report.recommendation.as_ref().and_then(|r| Some((r, r.plan.placement.seen()?)));
    let Some((recommended, placement)) = found else {
        return Err(Error::PlanAsked {
            problem: "there is no recommendation to emit: nothing holds the SLO".to_owned(),
            remedy: "the same without --emit, which says what would have to be measured",
        });
    };
    let sized = Sized { report, recommended, placement, workload };
    Ok(match form {
        Form::Kubernetes => sized.kubernetes(),
        Form::IstioAnnotations => sized.istio_annotations(),
        Form::IstioOperator => sized.istio_operator(),
        Form::Helm => sized.helm(),
        Form::Linkerd => sized.linkerd(),
    })
}

/// Each form in a line: its name, and what it sets.
pub(crate) fn in_short(report: &PlanReport) -> Vec<(&'static str, String)> {
    let Some(r) = &report.recommendation else { return Vec::new() };
    let p = &r.proxy;
    let limit = p.cpu_limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
    let sizes = format!("requests {} and {}, limits {limit} and {}", p.cpu_request, p.memory_request, p.memory_limit);
    let of = |form: Form| match form {
        Form::Kubernetes => format!("Deployment with istio-proxy: {sizes}; ProxyConfig: concurrency {}", p.workers),
        Form::IstioAnnotations => {
            let limit = p.cpu_limit.map_or_else(String::new, |limit| format!("proxyCPULimit {limit}, "));
            format!(
                "sidecar.istio.io/proxyCPU {}, {limit}proxyMemory {}, proxyMemoryLimit {}; concurrency {}",
                p.cpu_request, p.memory_request, p.memory_limit, p.workers
            )
        }
        Form::IstioOperator => format!("spec.values.global.proxy.resources: {sizes}; concurrency {}", p.workers),
        Form::Helm => format!("global.proxy.resources: {sizes}; concurrency {}", p.workers),
        Form::Linkerd => {
            let limit = p.cpu_limit.map_or_else(String::new, |limit| format!("proxy-cpu-limit {limit}, "));
            format!(
                "config.linkerd.io/proxy-cpu-request {}, {limit}proxy-memory-request {}, proxy-memory-limit {}",
                p.cpu_request, p.memory_request, p.memory_limit
            )
        }
    };
    Form::ALL.into_iter().map(|form| (form.word(), of(form))).collect()
}

impl Sized<'_> {
    /// What it is of, and how it is applied; a name from a price list cannot end the comment.
    fn head(&self, apply: &str) -> String {
        format!(
            "# {} of {}, {} at {} requests/s through {}.\n# {apply}\n",
            many(self.placement.hosts, "host"),
            blanked(&self.recommended.plan.name),
            blanked(&self.report.asked.slo),
            self.report.asked.rps,
            many(u64::from(self.report.asked.services), "service"),
        )
    }

    /// Requests and limits below `indent` columns. A limit that a default would set has to be taken back.
    fn resources(&self, indent: usize, defaults: bool) -> String {
        let p = &self.recommended.proxy;
        let pad = " ".repeat(indent);
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{pad}requests:\n{pad}  cpu: {}\n{pad}  memory: {}",
            quoted_cpu(p.cpu_request),
            p.memory_request
        );
        let _ = writeln!(text, "{pad}limits:");
        match p.cpu_limit {
            Some(limit) => {
                let _ = writeln!(text, "{pad}  cpu: {}", quoted_cpu(limit));
            }
            None if defaults => {
                let _ = writeln!(text, "{pad}  cpu: null");
            }
            None => {}
        }
        let _ = writeln!(text, "{pad}  memory: {}", p.memory_limit);
        text
    }

    fn kubernetes(&self) -> String {
        let Workload { name, namespace, image } = self.workload;
        let Placement { replicas, workers, .. } = self.placement;
        let head = self.head("kubectl apply -f FILE; for each service with its --workload and --image.");
        let proxy = self.resources(10, false);
        let service = self.service_requests(10);
        format!(
            "{head}apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: {namespace}
  labels:
    app: {name}
spec:
  replicas: {replicas}
  selector:
    matchLabels:
      app: {name}
  template:
    metadata:
      labels:
        app: {name}
        sidecar.istio.io/inject: \"true\"
    spec:
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: ScheduleAnyway
        labelSelector:
          matchLabels:
            app: {name}
      containers:
      - name: {name}
        image: {image}
        resources:
{service}      # Istio's injection fills in the rest of its sidecar.
      - name: istio-proxy
        image: auto
        resources:
{proxy}---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata:
  name: {name}
  namespace: {namespace}
spec:
  selector:
    matchLabels:
      app: {name}
  concurrency: {workers}
"
        )
    }

    /// What a replica of the service asks for, as the measured ones used it.
    fn service_requests(&self, indent: usize) -> String {
        let pad = " ".repeat(indent);
        let r = self.recommended;
        let cpu = r.service_cpu_request.map_or_else(String::new, |cpu| format!("{pad}  cpu: {}\n", quoted_cpu(cpu)));
        format!("{pad}requests:\n{cpu}{pad}  memory: {}\n", r.service_memory)
    }

    fn istio_annotations(&self) -> String {
        let p = &self.recommended.proxy;
        let mut annotations = vec![("sidecar.istio.io/proxyCPU", p.cpu_request.to_string())];
        annotations.extend(p.cpu_limit.map(|limit| ("sidecar.istio.io/proxyCPULimit", limit.to_string())));
        annotations.push(("sidecar.istio.io/proxyMemory", p.memory_request.to_string()));
        annotations.push(("sidecar.istio.io/proxyMemoryLimit", p.memory_limit.to_string()));
        let mut text = self.patch(&annotations);
        let _ = writeln!(text, "        proxy.istio.io/config: |\n          concurrency: {}", p.workers);
        text
    }

    fn linkerd(&self) -> String {
        let p = &self.recommended.proxy;
        let mut annotations = vec![("linkerd.io/inject", "enabled".to_owned())];
        annotations.push(("config.linkerd.io/proxy-cpu-request", p.cpu_request.to_string()));
        annotations.extend(p.cpu_limit.map(|limit| ("config.linkerd.io/proxy-cpu-limit", limit.to_string())));
        annotations.push(("config.linkerd.io/proxy-memory-request", p.memory_request.to_string()));
        annotations.push(("config.linkerd.io/proxy-memory-limit", p.memory_limit.to_string()));
        let own = p.cpu_limit.map_or_else(|| p.cpu_request.cores_rounded_up(), CpuQuantity::cores_rounded_up);
        let threads = if own == p.workers { String::new() } else { format!(", not {}", p.workers) };
        format!(
            "# Measured with the dataplane {}: Linkerd's proxy is another program, and was not measured. Its worker threads\n# follow from the limit, or else from the request: {own}{threads}.\n{}",
            p.dataplane,
            self.patch(&annotations)
        )
    }

    /// A strategic merge patch of a Deployment.
    fn patch(&self, annotations: &[(&str, String)]) -> String {
        let Workload { name, namespace, .. } = self.workload;
        let apply = format!("kubectl patch deployment {name} --namespace {namespace} --patch-file FILE");
        let mut text = self.head(&apply);
        let _ = writeln!(
            text,
            "spec:\n  replicas: {}\n  template:\n    metadata:\n      annotations:",
            self.placement.replicas
        );
        for (key, value) in annotations {
            let _ = writeln!(text, "        {key}: \"{value}\"");
        }
        text
    }

    fn istio_operator(&self) -> String {
        let head = self.head("istioctl install -f FILE; for all sidecars of the mesh that no annotation sizes.");
        format!(
            "{head}apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata:
  name: sidecar-sizes
  namespace: istio-system
spec:
  meshConfig:
    defaultConfig:
      concurrency: {}
  values:
    global:
      proxy:
        resources:
{}",
            self.placement.workers,
            self.resources(10, true)
        )
    }

    fn helm(&self) -> String {
        let apply = "helm upgrade istiod istio/istiod --namespace istio-system --reuse-values --values FILE";
        format!(
            "{}meshConfig:\n  defaultConfig:\n    concurrency: {}\nglobal:\n  proxy:\n    resources:\n{}",
            self.head(apply),
            self.placement.workers,
            self.resources(6, true)
        )
    }
}

/// A whole number of cores is text in Kubernetes' objects, and would be read as a number.
fn quoted_cpu(quantity: CpuQuantity) -> String {
    let text = quantity.to_string();
    if text.ends_with('m') { text } else { format!("\"{text}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_kubernetes_takes_is_a_workload() {
        assert!(Workload::new("my-service", "default", "my-service:1.0").is_ok());
        for (name, namespace, image, said) in [
            ("My", "default", "x", "--workload \"My\""),
            ("a", "-x", "x", "--namespace \"-x\""),
            ("a", "b", "x\nkind: Secret", "--image"),
            ("a", "b", "auto", "--image"),
            ("", "b", "x", "--workload"),
        ] {
            let error = Workload::new(name, namespace, image).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("\n  try: "), "{error}");
        }
    }
}
