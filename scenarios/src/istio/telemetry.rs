//! Telemetry: access logs for a part of the mesh.

use record::{AccessLog, LogSink};

use super::node::Node;
use super::reader::Reader;
use super::resource::Resource;

/// Where Istio's own provider of access logs writes.
const STDOUT: &str = "/dev/stdout";

impl<'a> Reader<'a> {
    pub(super) fn telemetry(&mut self, resource: &'a Resource) {
        let Some(spec) = resource.root().get("spec") else { return };
        let Some(rank) = self.scope(resource, &spec) else { return };
        for item in spec.get("accessLogging").map(|list| list.items()).unwrap_or_default() {
            self.access_logging(&item, rank);
        }
        for item in spec.get("tracing").map(|list| list.items()).unwrap_or_default() {
            let zero = item.text_of("randomSamplingPercentage").and_then(|text| text.parse::<f64>().ok()) == Some(0.0);
            let off = item.text_of("disableSpanReporting").as_deref() == Some("true");
            if zero || off {
                self.book.no_effect(&item, "nothing is reported, and no trace is sent here");
            } else {
                self.book.ignored(&item, "no trace is sent here");
            }
        }
        if let Some(metrics) = spec.get("metrics") {
            self.book.ignored(&metrics, "proxies here have no istio.stats, so that its metrics cannot be changed");
        }
    }

    fn access_logging(&mut self, item: &Node<'a>, rank: u32) {
        if let Some(filter) = item.get("filter") {
            self.book.ignored(&filter, "every request has its line here");
        }
        if let Some(mode) = item.far(&["match", "mode"]) {
            if mode.tree.text().as_deref() == Some("CLIENT_AND_SERVER") {
                self.book.no_effect(&mode, "proxies of both sides write lines here");
            } else {
                self.book.ignored(&mode, "proxies of both sides write lines here");
            }
        }
        if let Some(off) = item.get("disabled") {
            if off.tree.text().as_deref() == Some("true") {
                self.claims.telemetry.add(rank, &off, (AccessLog::Off, LogSink::File));
                if let Some(providers) = item.get("providers") {
                    self.book.no_effect(&providers, "it is disabled");
                }
                return;
            }
            self.book.no_effect(&off, "false is the default");
        }
        let named: Vec<Node<'a>> = item
            .get("providers")
            .map(|list| list.items())
            .unwrap_or_default()
            .iter()
            .filter_map(|p| p.get("name"))
            .collect();
        for name in &named {
            self.provider(name, rank);
        }
        if named.is_empty() && item.get("filter").is_none() && item.get("match").is_none() {
            self.book.ignored(item, "it names no provider, and which one is then taken depends on the mesh");
        }
    }

    /// Providers as the mesh names them for everybody.
    pub(super) fn providers(&mut self, list: &Node<'a>, rank: u32) {
        for name in list.items() {
            self.provider(&name, rank);
        }
    }

    fn provider(&mut self, name: &Node<'a>, rank: u32) {
        let said = name.tree.text().unwrap_or_default();
        if said == "envoy" {
            self.claims.telemetry.add(rank, name, (AccessLog::Text, LogSink::Stdout));
            return;
        }
        let Some(provider) = self.extension_provider(&said) else {
            self.book.ignored(name, format!("no MeshConfig here has a provider {said}"));
            return;
        };
        let Some(file) = provider.get("envoyFileAccessLog") else {
            self.book.ignored(name, "lines are not sent to a service here");
            return;
        };
        if file.get("logFormat").is_some() {
            self.book.ignored(name, "lines here have Istio's default fields");
            return;
        }
        let sink = if file.text_of("path").is_none_or(|path| path == STDOUT) { LogSink::Stdout } else { LogSink::File };
        self.claims.telemetry.add(rank, name, (AccessLog::Text, sink));
    }

    fn extension_provider(&self, name: &str) -> Option<Node<'a>> {
        let places: [&[&str]; 3] = [&["spec", "meshConfig"], &["spec", "values", "meshConfig"], &["data", "mesh"]];
        let roots = self.resources.iter().map(Resource::root);
        let lists = roots.flat_map(|root| places.map(|keys| root.far(keys)));
        let lists = lists.filter_map(|mesh| mesh?.get("extensionProviders"));
        lists.flat_map(|list| list.items()).find(|p| p.text_of("name").as_deref() == Some(name))
    }

    /// The access log, its sink, and what they are from.
    pub(super) fn access_log(&mut self) -> (AccessLog, LogSink) {
        let file = std::mem::take(&mut self.claims.log_file).settle(&mut self.book);
        let encoding = std::mem::take(&mut self.claims.log_encoding).settle(&mut self.book);
        let texts = |log: AccessLog, to: LogSink| [("access_log", log.to_string()), ("access_log_to", to.to_string())];
        if let Some(claim) = std::mem::take(&mut self.claims.telemetry).settle(&mut self.book) {
            let (log, to) = claim.value;
            self.book.used(&claim.node, &texts(log, to));
            for node in [file.map(|c| c.node), encoding.map(|c| c.node)].into_iter().flatten() {
                self.book.no_effect(&node, format!("{} says it, and wins", claim.node.place()));
            }
            return claim.value;
        }
        let encoded = encoding.as_ref().map_or(AccessLog::Text, |claim| claim.value);
        let path = file.as_ref().map(|claim| claim.value.as_str()).unwrap_or_default();
        let (log, to) = match path {
            "" => (AccessLog::Off, LogSink::File),
            STDOUT => (encoded, LogSink::Stdout),
            _ => (encoded, LogSink::File),
        };
        match &file {
            Some(claim) => self.book.used(&claim.node, &texts(log, to)),
            None => self.default("access_log", log, "no field turns it on"),
        }
        if let Some(claim) = encoding {
            if log == AccessLog::Off {
                self.book.no_effect(&claim.node, "there is no access log");
            } else {
                self.book.used(&claim.node, &[("access_log", log.to_string())]);
            }
        }
        (log, to)
    }
}
