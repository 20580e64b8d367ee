//! `--istio DIR`: the factors of a mesh from a user's own Istio configuration.

use std::path::PathBuf;

use record::IstioReading;
use scenarios::{Istio, Scenario};

use crate::exit::Usage;

#[derive(clap::Args)]
#[command(next_help_heading = "Istio's own configuration")]
pub(super) struct IstioArgs {
    /// Take mode, weights, limits, annotations and concurrency from the YAML and JSON files under this directory; a
    /// flag says otherwise, and a field that would be ignored is refused.
    #[arg(long, value_name = "DIR")]
    istio: Option<PathBuf>,
    /// The workload to measure, where several are set differently: reviews-v1, reviews, shop/reviews.
    #[arg(long, value_name = "NAME", requires = "istio")]
    istio_workload: Option<String>,
    /// Accept that this field is ignored: its path, or the end of it, such as outlierDetection. Again for more.
    #[arg(long, value_name = "FIELD", requires = "istio", value_delimiter = ',')]
    istio_accept: Vec<String>,
}

impl IstioArgs {
    /// Reads the directory, if one was named.
    pub(super) fn read(&self) -> anyhow::Result<Option<Istio>> {
        let Some(directory) = &self.istio else { return Ok(None) };
        if !directory.is_dir() {
            let name = directory.display();
            return Err(
                Usage(format!("--istio {name}: it is no directory\n  try: the one that your YAML is in")).into()
            );
        }
        Ok(Some(Istio::read(directory, self.istio_workload.as_deref(), &self.istio_accept)?))
    }
}

/// How it was read, with what the run was told otherwise.
pub(super) fn reading(istio: Option<&Istio>, scenario: &Scenario) -> Option<IstioReading> {
    istio.map(|istio| istio.reading(scenario))
}
