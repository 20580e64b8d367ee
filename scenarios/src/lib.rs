//! It receives the load: services, the chains they form, the proxies between them and the limits put on those.

mod anew;
pub mod certs;
pub mod cluster;
mod complaints;
mod deployment;
mod error;
mod event_log;
mod excerpt;
mod handshakes;
pub mod http;
mod istio;
pub mod launch;
pub mod lifeline;
pub mod limits;
pub mod neighbour;
pub mod network;
mod onlooker;
mod owner;
mod platform;
mod ports;
pub mod proxy;
pub mod ready;
pub mod scenario;
mod scraper;
pub mod service;
mod shape;
mod slice;
mod upstream;
mod workers;
mod yaml;

pub use deployment::{
    Came, Deployment, DeploymentSpec, Passage, Proven, Tended, Verdict, begin, deploy, prove_passages,
};
pub use error::{Error, Result};
pub use istio::Istio;
pub use scenario::{
    CanaryFactors, ChainFactors, Change, Form, HostFactors, Length, LoadFactors, Matrix, MeshFactors, PlanSettings,
    Scenario, library,
};
pub use scraper::{Scraper, Target};
pub use shape::{Call, Service, Shape, Step};
pub use slice::{Reached, ReachedAt, Slice, turns};
