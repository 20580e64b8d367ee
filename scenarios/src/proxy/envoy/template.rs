//! The templates under `proxies/envoy`, and how their holes are filled.

use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;
use serde_json::Value;

use super::sheet::{Sheet, TableSheet};
use crate::proxy::Place;
use crate::{Error, Result};

const TEMPLATES: [(&str, &str); 6] = [
    ("bootstrap.yaml.j2", include_str!("../../../proxies/envoy/bootstrap.yaml.j2")),
    ("listeners.yaml.j2", include_str!("../../../proxies/envoy/listeners.yaml.j2")),
    ("clusters.yaml.j2", include_str!("../../../proxies/envoy/clusters.yaml.j2")),
    ("routes.yaml.j2", include_str!("../../../proxies/envoy/routes.yaml.j2")),
    ("certificate.yaml.j2", include_str!("../../../proxies/envoy/certificate.yaml.j2")),
    ("table.yaml.j2", include_str!("../../../proxies/envoy/table.yaml.j2")),
];

/// The whole of a configuration but its routes and secrets.
pub(super) fn bootstrap(place: &Place, sheet: &Sheet) -> Result<String> {
    fill(place, "bootstrap.yaml.j2", sheet)
}

/// A route table.
pub(super) fn table(place: &Place, sheet: &TableSheet<'_>) -> Result<String> {
    Ok(fill(place, "table.yaml.j2", sheet)?.trim_end().to_owned())
}

/// The file of a route table that is watched.
pub(super) fn routes(place: &Place, table: &str) -> Result<String> {
    fill(place, "routes.yaml.j2", context! { table })
}

/// A certificate with its key, both PEM.
pub(super) fn certificate(place: &Place, chain: &str, key: &str) -> Result<String> {
    fill(place, "certificate.yaml.j2", context! { chain, key })
}

fn fill(place: &Place, name: &str, values: impl Serialize) -> Result<String> {
    let problem = |e: minijinja::Error| Error::Config { part: place.name.clone(), problem: format!("{e:#}") };
    let mut environment = Environment::new();
    // A hole that nobody filled must not become an empty value.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_keep_trailing_newline(true);
    // YAML takes JSON's strings, which carry any path unharmed.
    environment.add_filter("quoted", |text: String| Value::String(text).to_string());
    for (name, text) in TEMPLATES {
        environment.add_template(name, text).map_err(problem)?;
    }
    environment.get_template(name).and_then(|template| template.render(values)).map_err(problem)
}
