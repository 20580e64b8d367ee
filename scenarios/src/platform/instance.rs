//! The processes of a service, and what each of them is told, on whatever ground it stands.

use record::Factors;

use crate::service::Script;
use crate::shape::{Service, Shape};
use crate::{Error, Result};

/// One process of a service: without a canary its only one.
pub(crate) struct Instance<'a> {
    pub(crate) service: &'a Service,
    /// "s3", and "s3-v2" for another subset.
    pub(crate) name: String,
    /// The subset it answers as; none without a canary.
    pub(crate) subset: Option<&'a str>,
    /// CPU work and share of errors beyond those of the service.
    more_work_us: u64,
    more_errors: f64,
}

/// The processes of a service.
pub(crate) fn instances<'s>(factors: &'s Factors, service: &'s Service) -> Vec<Instance<'s>> {
    let plain = |name: String, subset| Instance { service, name, subset, more_work_us: 0, more_errors: 0.0 };
    match factors.canary.as_ref().filter(|canary| canary.service == service.name) {
        None => vec![plain(service.name.clone(), None)],
        Some(canary) => {
            let subsets = canary.weights.subsets().iter().enumerate();
            let of = |(at, (subset, _)): (usize, &'s (String, u32))| match at {
                0 => plain(service.name.clone(), Some(subset.as_str())),
                _ => Instance {
                    more_work_us: canary.work_us,
                    more_errors: canary.error_rate,
                    ..plain(format!("{}-{subset}", service.name), Some(subset.as_str()))
                },
            };
            subsets.map(of).collect()
        }
    }
}

impl Instance<'_> {
    /// The arguments of its `meshtax service`, but for where it listens.
    pub(crate) fn args(&self, factors: &Factors, shape: &Shape) -> Result<Vec<String>> {
        let service = self.service;
        let work_us = service.work_us.unwrap_or(factors.work_us) + self.more_work_us;
        let response_bytes = service.response_bytes.unwrap_or(factors.response_bytes);
        let mut args = vec!["--name".to_owned(), service.name.clone()];
        args.extend(["--work-us".to_owned(), work_us.to_string()]);
        args.extend(["--response-bytes".to_owned(), response_bytes.to_string()]);
        let errors = service.error_rate.unwrap_or(factors.error_rate).max(self.more_errors);
        let place = shape.services.iter().position(|s| s.name == service.name).unwrap_or_default();
        if errors > 0.0 {
            args.extend(["--error-rate".to_owned(), errors.to_string()]);
        }
        if !service.steps.is_empty() {
            let script = Script::of(shape, place);
            let text = serde_json::to_string(&script)
                .map_err(|e| Error::Config { part: service.name.clone(), problem: e.to_string() })?;
            args.extend(["--script".to_owned(), text]);
        }
        if let Some(subset) = self.subset {
            args.extend(["--subset".to_owned(), subset.to_owned()]);
        }
        // Services draw errors and calls each for itself.
        args.extend(["--seed".to_owned(), (place + 1).to_string()]);
        Ok(args)
    }
}
