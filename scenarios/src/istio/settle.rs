//! From claims to settings: what contradicts is wrong, what nobody says is Istio's default.

use std::str::FromStr;

use record::{CpuQuantity, MemoryQuantity, Mtls, Protocol, Sidecars, WorkerRule};

use super::claims::{Claim, Claims};
use super::reader::{ClientTls, Reader, Resources};
use super::settings::{Settings, length};
use crate::scenario::{Length, cpus};

/// The block of resources that Istio's chart gives a proxy.
const CPU: &str = "100m";
const CPU_LIMIT: &str = "2";
const MEMORY_LIMIT: &str = "1Gi";

/// Tries that Istio adds by default.
const RETRIES: u32 = 2;
/// How Istio starts Envoy.
const FLUSH: Length = Length { ns: 1_000_000_000 };
const FLUSH_KB: u32 = 64;

/// What a proxy may take.
#[derive(Debug, Default)]
struct Amounts {
    cpu: Option<CpuQuantity>,
    cpu_limit: Option<CpuQuantity>,
    memory_limit: Option<MemoryQuantity>,
}

impl<'a> Reader<'a> {
    /// The settings that the resources come to; what contradicts is in the book.
    pub(super) fn settle(&mut self) -> Settings {
        let sidecars = self.sidecars();
        let (mtls, port_mtls) = self.modes(sidecars);
        let (access_log, access_log_to) = self.access_log();
        let Amounts { cpu, cpu_limit, memory_limit } = self.amounts();
        let claims = &mut self.claims;
        let (retries, flush, kb) = (
            std::mem::take(&mut claims.retries),
            std::mem::take(&mut claims.flush),
            std::mem::take(&mut claims.flush_kb),
        );
        let per_connection = std::mem::take(&mut claims.per_connection);
        let protocol = self.protocol();
        Settings {
            mtls,
            port_mtls,
            sidecars,
            protocol,
            retries: self.number("retries", retries, RETRIES, "Istio's default policy"),
            requests_per_connection: self.number("requests_per_connection", per_connection, 0, "no bound"),
            access_log,
            access_log_to,
            log_flush: self.flush(flush),
            log_flush_kb: self.number("log_flush_kb", kb, FLUSH_KB, "Envoy's default"),
            cpu_limit,
            cpu_request: cpu,
            memory_limit,
            workers: self.workers(),
            weights: self.weights(),
        }
    }

    fn number(&mut self, factor: &str, claims: Claims<'a, u32>, default: u32, why: &str) -> u32 {
        match claims.settle(&mut self.book) {
            Some(Claim { node, value, .. }) => {
                self.book.used(&node, &[(factor, value.to_string())]);
                value
            }
            None => {
                self.default(factor, default, why);
                default
            }
        }
    }

    fn flush(&mut self, claims: Claims<'a, Length>) -> Length {
        match claims.settle(&mut self.book) {
            Some(Claim { node, value, .. }) => {
                self.book.used(&node, &[("log_flush", length(value))]);
                value
            }
            None => {
                self.default("log_flush", length(FLUSH), "how Istio starts Envoy");
                FLUSH
            }
        }
    }

    fn sidecars(&mut self) -> Sidecars {
        let Some(Claim { node, value, .. }) = std::mem::take(&mut self.claims.injected).settle(&mut self.book) else {
            self.default("sidecars", Sidecars::Both, "no label and no annotation leaves the sidecar out");
            return Sidecars::Both;
        };
        let sidecars = if value { Sidecars::Both } else { Sidecars::Client };
        self.book.used(&node, &[("sidecars", sidecars.to_string())]);
        sidecars
    }

    fn protocol(&mut self) -> Option<Protocol> {
        let Claim { node, value, .. } = std::mem::take(&mut self.claims.protocol).settle(&mut self.book)?;
        self.book.used(&node, &[("protocol", value.to_string())]);
        Some(value)
    }

    fn workers(&mut self) -> WorkerRule {
        match std::mem::take(&mut self.claims.concurrency).settle(&mut self.book) {
            Some(Claim { node, value, .. }) => {
                // Istio's word for all cores of the machine.
                let threads = if value == 0 { cpus() } else { value };
                self.book.used(&node, &[("workers", threads.to_string())]);
                WorkerRule::Fixed(threads)
            }
            None => {
                let why = "no concurrency is set: the CPU limit rounded up, or all CPUs without one";
                self.default("workers", WorkerRule::Istio, why);
                WorkerRule::Istio
            }
        }
    }

    fn weights(&mut self) -> Option<record::Weights> {
        let claims = std::mem::take(&mut self.claims.weights);
        let nodes = claims.nodes();
        let Some(Claim { value, .. }) = claims.settle(&mut self.book) else {
            self.default("canary", "none", "no route splits the requests to the workload");
            return None;
        };
        for node in nodes {
            self.book.used(&node, &[("canary", value.to_string())]);
        }
        Some(value)
    }

    /// The workload's mode and that of the called port, where they fit what callers do.
    fn modes(&mut self, sidecars: Sidecars) -> (Mtls, Option<Mtls>) {
        let claims = &mut self.claims;
        let (mode, port) = (std::mem::take(&mut claims.mode), std::mem::take(&mut claims.port_mode));
        let (client, auto) = (std::mem::take(&mut claims.client), std::mem::take(&mut claims.auto_mtls));
        let (mode, port) = (mode.settle(&mut self.book), port.settle(&mut self.book));
        let (client, auto) = (client.settle(&mut self.book), auto.settle(&mut self.book));
        let mtls = mode.as_ref().map_or(Mtls::Permissive, |claim| claim.value);
        let own = port.as_ref().map_or(mtls, |claim| claim.value);
        if sidecars == Sidecars::Client {
            let nodes = [mode.map(|c| c.node), port.map(|c| c.node), client.map(|c| c.node), auto.map(|c| c.node)];
            for node in nodes.into_iter().flatten() {
                self.book.no_effect(&node, "the workload has no sidecar, and callers speak to it in clear");
            }
            self.default("mtls", Mtls::Disable, "the workload has no sidecar to speak TLS");
            return (Mtls::Disable, None);
        }
        match &mode {
            Some(claim) => self.book.used(&claim.node, &[("mtls", mtls.to_string())]),
            None => self.default("mtls", mtls, "Istio's default, for no PeerAuthentication is for the workload"),
        }
        if let Some(claim) = &port {
            let text = if own == mtls { "same".to_owned() } else { own.to_string() };
            self.book.used(&claim.node, &[("port_mtls", text)]);
        }
        let source = port.as_ref().or(mode.as_ref()).map_or("Istio's default".to_owned(), |claim| claim.node.place());
        self.fit(own, &source, client, auto);
        (mtls, port.map(|claim| claim.value).filter(|mode| *mode != mtls))
    }

    /// Whether callers do what the called port takes.
    fn fit(&mut self, own: Mtls, source: &str, client: Option<Claim<'a, ClientTls>>, auto: Option<Claim<'a, bool>>) {
        let (node, tls) = match (client, auto) {
            (Some(client), auto) => {
                if let Some(auto) = auto {
                    self.book.no_effect(&auto.node, format!("{} tells callers what to do", client.node.place()));
                }
                (client.node, client.value)
            }
            (None, Some(auto)) if !auto.value => (auto.node, ClientTls::Clear),
            (None, Some(auto)) => {
                self.book.no_effect(&auto.node, "it is Istio's default: callers do what the workload takes");
                return;
            }
            (None, None) => return,
        };
        match (own, tls) {
            (Mtls::Strict, ClientTls::Clear) => {
                let why = format!(
                    "callers are to speak in clear to a workload that takes mTLS alone ({source}): each request would \
                     fail in the cluster too"
                );
                self.book.wrong(&node, why);
            }
            (Mtls::Disable, ClientTls::Mutual) => {
                let why = format!(
                    "callers are to speak mTLS to a workload that takes none ({source}): each request would fail in \
                     the cluster too"
                );
                self.book.wrong(&node, why);
            }
            (Mtls::Permissive, ClientTls::Clear) => {
                let why = "callers with a sidecar speak mTLS to a permissive workload here; `--entry plain` or \
                           `--sidecars server` measures clear ones";
                self.book.ignored(&node, why);
            }
            (Mtls::Strict | Mtls::Permissive, ClientTls::Mutual) | (Mtls::Disable, ClientTls::Clear) => {
                self.book.used(&node, &[("mtls", own.to_string())]);
            }
        }
    }

    fn amounts(&mut self) -> Amounts {
        let annotated = std::mem::take(&mut self.claims.annotated);
        let installed = std::mem::take(&mut self.claims.installed);
        let first =
            [annotated.cpu.any(), annotated.cpu_limit.any(), annotated.memory.any(), annotated.memory_limit.any()];
        // Where there is one annotation the default block is dropped whole.
        let dropped_by = first.into_iter().flatten().next().map(|node| node.place());
        let mut amounts = match &dropped_by {
            Some(place) => {
                self.dropped(installed, place);
                let why = format!("an annotation ({place}) drops the whole default block");
                self.block(annotated, &Amounts::default(), &why)
            }
            None => {
                let default =
                    Amounts { cpu: parsed(CPU), cpu_limit: parsed(CPU_LIMIT), memory_limit: parsed(MEMORY_LIMIT) };
                self.block(installed, &default, "the default block of Istio's chart")
            }
        };
        if amounts.cpu.is_none()
            && let Some(limit) = amounts.cpu_limit
        {
            amounts.cpu = Some(limit);
            self.defaults.retain(|default| default.factor != "cpu_request");
            self.default("cpu_request", limit, "Kubernetes takes the limit for a request that is not there");
        }
        amounts
    }

    /// What the installation says of the block that annotations drop.
    fn dropped(&mut self, installed: Resources<'a>, place: &str) {
        let Resources { cpu, cpu_limit, memory, memory_limit } = installed;
        let nodes = [cpu.nodes(), cpu_limit.nodes(), memory.nodes(), memory_limit.nodes()].concat();
        for node in nodes {
            self.book.no_effect(&node, format!("an annotation of the pod ({place}) drops the whole default block"));
        }
    }

    fn block(&mut self, resources: Resources<'a>, default: &Amounts, why: &str) -> Amounts {
        let Resources { cpu, cpu_limit, memory, memory_limit } = resources;
        if let Some(claim) = memory.settle(&mut self.book) {
            self.book.no_effect(&claim.node, "a request of memory is for the scheduler");
        }
        Amounts {
            cpu: self.amount("cpu_request", cpu, default.cpu, why),
            cpu_limit: self.amount("cpu_limit", cpu_limit, default.cpu_limit, why),
            memory_limit: self.amount("memory_limit", memory_limit, default.memory_limit, why),
        }
    }

    fn amount<T>(&mut self, factor: &str, claims: Claims<'a, Option<T>>, default: Option<T>, why: &str) -> Option<T>
    where
        T: Clone + PartialEq + ToString,
    {
        let text = |value: &Option<T>| value.as_ref().map_or_else(|| "none".to_owned(), T::to_string);
        match claims.settle(&mut self.book) {
            Some(Claim { node, value, .. }) => {
                self.book.used(&node, &[(factor, text(&value))]);
                value
            }
            None => {
                self.default(factor, text(&default), why);
                default
            }
        }
    }
}

/// One of the constants above; a test holds that each is an amount.
fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_block_is_that_of_the_chart() {
        let [request, limit] = [CPU, CPU_LIMIT].map(|text| parsed::<CpuQuantity>(text).unwrap().millicores());
        let memory = parsed::<MemoryQuantity>(MEMORY_LIMIT).unwrap().bytes();
        assert_eq!((request, limit, memory), (100, 2000, 1024 << 20));
    }
}
