//! `meshtax plan`: which hosts, how many, and which proxy limits hold an SLO at the least cost.

mod confirm;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use record::{CpuQuantity, Dataplane, MemoryQuantity, RunDirectory};
use reports::gate::Metric;
use reports::planning::{Asked, Clause, Form, Measured, PlanReport, PlanVerdict, Prices, Slo, Workload};

use crate::exit::{Exit, Usage};
use crate::gate::asked::{Share, share, slo};
use crate::interrupt::Stopped;
use crate::programs::ProgramArgs;
use crate::report::{color, print, width, write_file};

/// A form of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a terminal.
    Text,
    /// For scripts.
    Json,
    /// For a review or a ticket.
    Markdown,
}

/// A form of what a cluster takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Emitted {
    /// A Deployment with a sized istio-proxy, and a ProxyConfig.
    Kubernetes,
    /// A patch with annotations for Istio's injection.
    IstioAnnotations,
    /// An IstioOperator.
    IstioOperator,
    /// Values of the chart istiod.
    Helm,
    /// A patch with annotations for Linkerd's injection.
    Linkerd,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run directories: of each host in question, with several rates and CPU limits.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// What must hold: p99=25ms,errors=0.1%.
    #[arg(long, required = true, value_delimiter = ',', value_parser = slo, value_name = "METRIC=BOUND")]
    slo: Vec<(Metric, f64)>,
    /// Requests a second that enter the mesh.
    #[arg(long, value_name = "N")]
    rps: f64,
    /// Services in the mesh, each with a sidecar.
    #[arg(long, value_name = "N")]
    services: u32,
    /// The price list: a TOML file with the plans that can be had.
    #[arg(long, value_name = "FILE")]
    prices: PathBuf,
    /// What is left free of every capacity.
    #[arg(long, value_parser = share, default_value = "20%", value_name = "SHARE")]
    headroom: Share,
    /// Memory of each replica of a service besides its sidecar; without it, what the measured services had.
    #[arg(long, value_name = "BYTES")]
    service_memory: Option<MemoryQuantity>,
    /// The dataplane to plan with, where runs hold several.
    #[arg(long)]
    dataplane: Option<Dataplane>,
    /// Predict where these CPU limits break the SLO, besides those that were measured.
    #[arg(long, value_delimiter = ',', value_name = "LIMIT,..")]
    limits: Vec<CpuQuantity>,
    /// Find the rate at which a CPU limit breaks the SLO by measuring it on this host: the recommended limit, or these.
    #[arg(long, num_args = 0..=1, require_equals = true, value_name = "LIMIT,..", value_delimiter = ',')]
    confirm: Option<Vec<CpuQuantity>>,
    /// How long each of these searches may take.
    #[arg(long, value_parser = crate::duration::parse, default_value = "90s", value_name = "TIME", requires = "confirm")]
    confirm_budget: Duration,
    #[command(flatten)]
    programs: ProgramArgs,
    /// The form of the plan.
    #[arg(long, value_enum, default_value = "text", conflicts_with = "emit")]
    format: Format,
    /// Print the recommendation as what a cluster takes, instead of the plan.
    #[arg(long, value_enum, value_name = "FORM", help_heading = "Recommendation for a cluster")]
    emit: Option<Emitted>,
    /// The Deployment that --emit writes or patches.
    #[arg(long, default_value = "my-service", value_name = "NAME", help_heading = "Recommendation for a cluster")]
    workload: String,
    /// Its namespace.
    #[arg(long, default_value = "default", value_name = "NAME", help_heading = "Recommendation for a cluster")]
    namespace: String,
    /// The image of its container.
    #[arg(
        long,
        default_value = "my-service:latest",
        value_name = "IMAGE",
        help_heading = "Recommendation for a cluster"
    )]
    image: String,
    /// Write to this file instead of stdout.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let asked = args.asked()?;
    let workload = Workload::new(&args.workload, &args.namespace, &args.image).map_err(usage)?;
    let prices = Prices::read(&args.prices).map_err(usage)?;
    let directories = args.runs.iter().map(|path| RunDirectory::open(path)).collect::<Result<Vec<_>, _>>()?;
    let runs = directories
        .iter()
        .map(|directory| Measured::read(directory, args.dataplane))
        .collect::<Result<Vec<_>, _>>()
        .map_err(usage)?;
    let mut report = reports::planning::plan(&runs, &asked, &prices).map_err(usage)?;
    if let Some(limits) = &args.confirm
        && let Some(directory) = directories.first()
    {
        let said = confirm::Asked { limits, budget: args.confirm_budget, programs: &args.programs };
        match confirm::execute(&mut report, directory, &said) {
            Err(error) if error.is::<Stopped>() => return Ok(Exit::Cut.into()),
            other => other?,
        }
    }
    let text = args.render(&report, &workload)?;
    match &args.output {
        Some(path) => write_file(path, &text)?,
        None => print(&text)?,
    }
    Ok(match report.verdict {
        PlanVerdict::Holds => Exit::Done,
        PlanVerdict::DoesNotHold => Exit::Failed,
    }
    .into())
}

impl Args {
    fn asked(&self) -> anyhow::Result<Asked> {
        let clauses = self.slo.iter().map(|(metric, limit)| Clause { metric: *metric, limit: *limit }).collect();
        let Share(headroom) = self.headroom;
        let mut limits = self.limits.clone();
        limits.extend(self.confirm.iter().flatten());
        Ok(Asked {
            slo: Slo::new(clauses).map_err(usage)?,
            rps: self.rps,
            services: self.services,
            headroom,
            service_memory_bytes: self.service_memory.map(MemoryQuantity::bytes),
            limits,
        })
    }

    fn render(&self, report: &PlanReport, workload: &Workload) -> anyhow::Result<String> {
        let Some(emitted) = self.emit else {
            return Ok(match self.format {
                Format::Text => reports::planning::text(report, width(), color()),
                Format::Json => serde_json::to_string_pretty(report).context("cannot write the plan as JSON")? + "\n",
                Format::Markdown => reports::planning::markdown(report),
            });
        };
        if report.recommendation.is_none() {
            // Nothing that could be applied is written; why stands on stderr, and the exit code says the rest.
            crate::progress::say(&reports::planning::text(report, width(), false));
            return Ok(String::new());
        }
        let form = match emitted {
            Emitted::Kubernetes => Form::Kubernetes,
            Emitted::IstioAnnotations => Form::IstioAnnotations,
            Emitted::IstioOperator => Form::IstioOperator,
            Emitted::Helm => Form::Helm,
            Emitted::Linkerd => Form::Linkerd,
        };
        Ok(reports::planning::emit(report, form, workload)?)
    }
}

/// What was asked for in a wrong way is told apart from what could not be done.
fn usage(error: reports::Error) -> anyhow::Error {
    match error {
        reports::Error::Prices { .. } | reports::Error::PlanAsked { .. } => Usage(error.to_string()).into(),
        other => other.into(),
    }
}
