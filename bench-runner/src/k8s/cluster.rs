//! The conversation with an API server: every request has a deadline, and what passes is waited out.

use std::cell::Cell;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use hyper::{Method, Request};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::objects::{self, Kind};
use super::trouble::{self, Trouble};
use crate::interrupt::{Interrupt, Stopped};

/// Under which name fields are ours.
const MANAGER: &str = "meshtax";

/// How long an API server may be gone: an upgrade of a small one takes a minute.
pub(super) const AWAY_PATIENCE: Duration = Duration::from_secs(90);

/// How long one request may take; what parts recorded comes in one.
const REQUEST_TIME: Duration = Duration::from_secs(120);

/// How long a user waits at most to be heard.
const LISTEN_EVERY: Duration = Duration::from_millis(50);

/// The longest that the API server may ask us to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How often something is tried again that somebody else changed meanwhile.
const MOST_CONFLICTS: u32 = 8;

/// By what the namespace of the system is found: with the right to list namespaces, and no other.
const SYSTEM: &str = "kubernetes.io/metadata.name=kube-system";

/// An API server.
pub(crate) struct Cluster {
    client: Client,
    runtime: Runtime,
    interrupt: Interrupt,
    /// Cleaning up goes on though the user has asked to stop.
    heedless: Cell<bool>,
    patience: Duration,
    /// Where it is, for people.
    pub(crate) url: String,
    /// The context by which it was found; none for the cluster that this program runs in.
    pub(crate) context: Option<String>,
}

/// An answer.
struct Heard {
    status: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

/// What is asked for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    kind: &'static str,
    body: &'a [u8],
    /// Whether asking twice is the same as once.
    again: bool,
}

impl Cluster {
    /// Connects to the cluster of a context of the kubeconfig; without one to its current context, or to the cluster that
    /// this program runs in.
    pub(crate) fn connect(context: Option<&str>, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let config = runtime.block_on(configuration(context))?;
        let url = config.cluster_url.to_string();
        let client = runtime.block_on(async { Client::try_from(config) });
        let client = client.map_err(|e| Trouble::NoContext { why: e.to_string(), contexts: Vec::new() })?;
        Ok(Self {
            client,
            runtime,
            interrupt: interrupt.clone(),
            heedless: Cell::new(false),
            patience: AWAY_PATIENCE,
            url,
            context: context.map(str::to_owned).or_else(current_context),
        })
    }

    /// What no other cluster has: the uid of the namespace of its system.
    pub(crate) fn uid(&self) -> anyhow::Result<String> {
        let system = self.list(objects::NAMESPACE, None, SYSTEM)?;
        let uid = system.pointer("/items/0/metadata/uid").and_then(Value::as_str);
        let uid = uid.ok_or_else(|| {
            anyhow::anyhow!("the cluster has no namespace with the label {SYSTEM}, which every one has since Kubernetes 1.21\n  try: a newer one; sidecars beside the chain need 1.28")
        })?;
        Ok(uid.to_owned())
    }

    /// The version of its API server: "v1.37.0".
    pub(crate) fn version(&self) -> anyhow::Result<String> {
        let version = self.get("/version", "version")?;
        Ok(version.get("gitVersion").and_then(Value::as_str).unwrap_or("unknown").to_owned())
    }

    /// From now on it goes on though the user has asked to stop: for cleaning up.
    pub(crate) fn be_heedless(&self) {
        self.heedless.set(true);
    }

    /// Reads an object or a list.
    pub(crate) fn get(&self, path: &str, what: &str) -> anyhow::Result<Value> {
        let asked = Asked { method: &Method::GET, path, kind: "", body: b"", again: true };
        json(self.ask(asked, "get", what, "")?)
    }

    /// All of a kind with a label, in a namespace or in all.
    pub(crate) fn list(&self, kind: Kind, namespace: Option<&str>, selector: &str) -> anyhow::Result<Value> {
        let path = format!("{}?labelSelector={}", kind.path(namespace), encoded(selector));
        let asked = Asked { method: &Method::GET, path: &path, kind: "", body: b"", again: true };
        json(self.ask(asked, "list", kind.plural, namespace.unwrap_or_default())?)
    }

    /// Applies an object by server-side apply: what we say holds, and what others say of other fields stays.
    pub(crate) fn apply(&self, object: &Value, mesh: &str) -> anyhow::Result<Value> {
        let address = objects::address(object)
            .ok_or_else(|| anyhow::anyhow!("a manifest of a kind that no run has: {}", object["kind"]))?;
        let path = format!("{}?fieldManager={MANAGER}&force=true", address.path);
        let body = serde_json::to_vec(object)?;
        let kind = "application/apply-patch+yaml";
        let asked = Asked { method: &Method::PATCH, path: &path, kind, body: &body, again: true };
        match self.ask(asked, "apply", &address.what, &address.namespace) {
            Err(error) if address.of_mesh && is_absent(&error) => {
                let why = format!("it does not know {}", address.what.split(' ').next().unwrap_or_default());
                Err(Trouble::NoMesh { mesh: mesh.to_owned(), why }.into())
            }
            other => json(other?),
        }
    }

    /// Changes some fields of an object.
    pub(crate) fn merge(&self, path: &str, what: &str, patch: &Value) -> anyhow::Result<()> {
        let body = serde_json::to_vec(patch)?;
        let kind = "application/merge-patch+json";
        let asked = Asked { method: &Method::PATCH, path, kind, body: &body, again: true };
        self.ask(asked, "patch", what, "").map(drop)
    }

    /// Deletes an object or all of a list, with what belongs to it; one that is gone already is as good.
    pub(crate) fn delete(&self, path: &str, what: &str, namespace: &str) -> anyhow::Result<()> {
        let body = br#"{"apiVersion":"v1","kind":"DeleteOptions","propagationPolicy":"Background"}"#;
        let asked = Asked { method: &Method::DELETE, path, kind: "application/json", body, again: true };
        match self.ask(asked, "delete", what, namespace) {
            Err(error) if is_absent(&error) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Asks what listens in a pod, by way of the API server.
    pub(crate) fn ask_pod(
        &self,
        (namespace, pod, port): (&str, &str, u16),
        path: &str,
        body: Option<&[u8]>,
    ) -> anyhow::Result<Vec<u8>> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}");
        let (method, verb) = if body.is_some() { (Method::POST, "create") } else { (Method::GET, "get") };
        let asked = Asked {
            method: &method,
            path: &path,
            kind: "application/json",
            body: body.unwrap_or_default(),
            again: body.is_none(),
        };
        self.ask(asked, verb, &format!("pods/proxy {pod}"), namespace)
    }

    /// Watches a list until something is found in it; `look` is given all objects that there are, each time that one of
    /// them changes, and says what is missing while it finds nothing.
    ///
    /// # Errors
    /// [`Trouble::Late`] at the deadline, and what `look` makes of what no waiting will better.
    pub(crate) fn watch<T>(
        &self,
        list: &List<'_>,
        patience: Duration,
        mut look: impl FnMut(&[Value]) -> anyhow::Result<Result<T, String>>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        loop {
            let listed = self.list(list.kind, Some(list.namespace), list.selector)?;
            let mut seen = Seen::of(&listed);
            let mut last = match look(&seen.objects)? {
                Ok(found) => return Ok(found),
                Err(missing) => missing,
            };
            // Until the stream ends, or is too old to go on with: then all is listed anew.
            loop {
                let left = patience.saturating_sub(begun.elapsed());
                if left.is_zero() {
                    let (what, namespace) = (list.what.to_owned(), list.namespace.to_owned());
                    return Err(Trouble::Late { what, namespace, seconds: patience.as_secs_f64(), last }.into());
                }
                let mut found = None;
                let went_on = self.stream(list, &mut seen, left, &mut |objects| {
                    match look(objects)? {
                        Ok(it) => found = Some(it),
                        Err(missing) => last = missing,
                    }
                    Ok(found.is_some())
                })?;
                if let Some(found) = found {
                    return Ok(found);
                }
                if !went_on {
                    self.pause(Duration::from_millis(200))?;
                    break;
                }
            }
        }
    }

    /// One watch; false when it must begin with a new list. It ends by itself after a while, as every watch does.
    fn stream(
        &self,
        list: &List<'_>,
        seen: &mut Seen,
        left: Duration,
        look: &mut dyn FnMut(&[Value]) -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        let seconds = left.as_secs().clamp(1, 60);
        let path = format!(
            "{}?labelSelector={}&watch=1&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={seconds}",
            list.kind.path(Some(list.namespace)),
            encoded(list.selector),
            seen.version
        );
        let request = Request::get(&path).header(ACCEPT, "application/json").body(Body::empty())?;
        let end = Instant::now() + left.min(Duration::from_secs(seconds + 5));
        self.runtime.block_on(async {
            let Ok(Ok(answer)) = tokio::time::timeout(left, self.client.send(request)).await else { return Ok(false) };
            if answer.status().as_u16() == 403 {
                let why = "it may not be watched".to_owned();
                return Err(trouble::refused("watch", list.kind.plural, list.namespace, 403, why).into());
            }
            if !answer.status().is_success() {
                return Ok(false);
            }
            let (mut body, mut unread) = (answer.into_body(), Vec::new());
            while Instant::now() < end {
                self.heed()?;
                let frame = match tokio::time::timeout(LISTEN_EVERY, body.frame()).await {
                    Err(_) => continue,
                    Ok(None) => return Ok(true),
                    Ok(Some(Err(_))) => return Ok(false),
                    Ok(Some(Ok(frame))) => frame,
                };
                unread.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                while let Some(at) = unread.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = unread.drain(..=at).collect();
                    match seen.take(&line) {
                        Taken::Changed if look(&seen.objects)? => return Ok(true),
                        Taken::Changed | Taken::Nothing => {}
                        Taken::Stale => return Ok(false),
                    }
                }
            }
            Ok(true)
        })
    }

    fn heed(&self) -> anyhow::Result<()> {
        if self.interrupt.asked() && !self.heedless.get() { Err(Stopped.into()) } else { Ok(()) }
    }

    /// Sleeps; a user who wants to stop is heard.
    pub(crate) fn pause(&self, length: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + length;
        loop {
            self.heed()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LISTEN_EVERY));
        }
    }

    /// Asks until there is an answer that no waiting will better.
    fn ask(&self, asked: Asked<'_>, verb: &str, what: &str, namespace: &str) -> anyhow::Result<Vec<u8>> {
        let begun = Instant::now();
        let (mut wait, mut conflicts) = (Duration::from_millis(200), 0);
        loop {
            let why = match self.once(asked)? {
                Ok(Heard { status: 200..=299, body, .. }) => return Ok(body),
                Ok(heard) => {
                    let why = message(&heard.body);
                    match heard.status {
                        // Asked too often: it was not done, whatever it was.
                        429 => wait = heard.retry_after.unwrap_or(wait).min(LONGEST_WAIT),
                        409 if asked.again && conflicts < MOST_CONFLICTS => conflicts += 1,
                        500 | 502 | 503 | 504 if asked.again && !is_final(&why) => {
                            wait = heard.retry_after.unwrap_or(wait).min(LONGEST_WAIT);
                        }
                        status => return Err(trouble::refused(verb, what, namespace, status, why).into()),
                    }
                    format!("{} {why}", heard.status)
                }
                Err(why) if asked.again => why,
                Err(why) => {
                    let doing = format!("{verb} {what}");
                    return Err(Trouble::Away { doing, seconds: begun.elapsed().as_secs_f64(), why }.into());
                }
            };
            if begun.elapsed() + wait > self.patience {
                let doing = format!("{verb} {what}");
                return Err(Trouble::Away { doing, seconds: begun.elapsed().as_secs_f64(), why }.into());
            }
            self.pause(wait)?;
            wait = (wait * 2).min(Duration::from_secs(5));
        }
    }

    /// Asks once: what was heard, or why nothing was.
    fn once(&self, asked: Asked<'_>) -> anyhow::Result<Result<Heard, String>> {
        let mut request = Request::builder().method(asked.method).uri(asked.path).header(ACCEPT, "application/json");
        if !asked.kind.is_empty() {
            request = request.header(CONTENT_TYPE, asked.kind);
        }
        let request = request.body(Body::from(asked.body.to_vec()))?;
        self.runtime.block_on(async {
            let hearing = async {
                let answer = self.client.send(request).await.map_err(|e| chain(&e))?;
                let status = answer.status().as_u16();
                let retry_after = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
                let retry_after = retry_after.map(Duration::from_secs);
                let body = answer.into_body().collect().await.map_err(|e| chain(&e))?.to_bytes().to_vec();
                Ok(Heard { status, retry_after, body })
            };
            let hearing = tokio::time::timeout(REQUEST_TIME, hearing);
            tokio::pin!(hearing);
            loop {
                tokio::select! {
                    heard = &mut hearing => return Ok(heard.unwrap_or_else(|_| Err("no answer in time".to_owned()))),
                    () = tokio::time::sleep(LISTEN_EVERY) => self.heed()?,
                }
            }
        })
    }
}

/// A list that is watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List<'a> {
    pub(super) kind: Kind,
    pub(super) namespace: &'a str,
    pub(super) selector: &'a str,
    /// What is waited for, for people.
    pub(super) what: &'a str,
}

/// What a watch has shown so far.
struct Seen {
    version: String,
    objects: Vec<Value>,
}

enum Taken {
    Changed,
    Nothing,
    Stale,
}

impl Seen {
    fn of(list: &Value) -> Self {
        let version = list.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
        let objects = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        Self { version, objects }
    }

    /// A line of a watch.
    fn take(&mut self, line: &[u8]) -> Taken {
        let Ok(event) = serde_json::from_slice::<Value>(line) else { return Taken::Nothing };
        let object = event.get("object").cloned().unwrap_or_default();
        let text = |at: &str| object.pointer(at).and_then(Value::as_str).map(str::to_owned);
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        if kind == "ERROR" {
            // 410 as a rule: what we go on from is no longer kept.
            return Taken::Stale;
        }
        if let Some(version) = text("/metadata/resourceVersion") {
            self.version = version;
        }
        if kind == "BOOKMARK" {
            return Taken::Nothing;
        }
        let uid = text("/metadata/uid");
        self.objects.retain(|old| old.pointer("/metadata/uid").and_then(Value::as_str) != uid.as_deref());
        if kind != "DELETED" {
            self.objects.push(object);
        }
        Taken::Changed
    }
}

async fn configuration(context: Option<&str>) -> anyhow::Result<Config> {
    let found = match context {
        Some(name) => {
            let options = KubeConfigOptions { context: Some(name.to_owned()), ..KubeConfigOptions::default() };
            Config::from_kubeconfig(&options).await.map_err(|e| chain(&e))
        }
        None => Config::infer().await.map_err(|e| chain(&e)),
    };
    found.map_err(|why| {
        let contexts = Kubeconfig::read().map(|k| k.contexts.into_iter().map(|c| c.name).collect()).unwrap_or_default();
        Trouble::NoContext { why, contexts }.into()
    })
}

/// The context that a kubeconfig has chosen; none without a kubeconfig.
fn current_context() -> Option<String> {
    Kubeconfig::read().ok()?.current_context
}

/// An error with all that is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

/// What a refusal says: the message of a Status, or the text.
fn message(body: &[u8]) -> String {
    let status: Option<Value> = serde_json::from_slice(body).ok();
    let message = status.as_ref().and_then(|s| s.get("message")).and_then(Value::as_str);
    message.map_or_else(|| String::from_utf8_lossy(body).trim().to_owned(), str::to_owned)
}

/// A refusal that looks as if it would pass, and does not.
fn is_final(why: &str) -> bool {
    why.contains("webhook")
}

fn is_absent(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<Trouble>(), Some(Trouble::Refused { status: 404, .. }))
}

fn json(body: Vec<u8>) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&body)?)
}

/// A selector as it stands in a URL.
fn encoded(selector: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    selector.chars().map(|c| if plain(c) { c.to_string() } else { format!("%{:02X}", u32::from(c)) }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_watch_keeps_what_there_is_and_says_when_it_is_too_old() {
        let pod = |uid: &str, version: &str| json!({"metadata": {"uid": uid, "resourceVersion": version}});
        let mut seen = Seen::of(&json!({"metadata": {"resourceVersion": "5"}, "items": [pod("a", "4")]}));
        let line = |kind: &str, object: Value| serde_json::to_vec(&json!({"type": kind, "object": object})).unwrap();
        assert!(matches!(seen.take(&line("ADDED", pod("b", "6"))), Taken::Changed));
        assert!(matches!(seen.take(&line("MODIFIED", pod("a", "7"))), Taken::Changed));
        assert_eq!((seen.objects.len(), seen.version.as_str()), (2, "7"));
        assert!(matches!(seen.take(&line("DELETED", pod("b", "8"))), Taken::Changed));
        assert!(matches!(seen.take(&line("BOOKMARK", json!({"metadata": {"resourceVersion": "90"}}))), Taken::Nothing));
        assert_eq!((seen.objects.len(), seen.version.as_str()), (1, "90"));
        assert!(matches!(seen.take(&line("ERROR", json!({"code": 410, "reason": "Expired"}))), Taken::Stale));
        assert!(matches!(seen.take(b"{\"type\":\"AD"), Taken::Nothing));
    }

    #[test]
    fn a_refusal_is_its_message_and_a_selector_is_encoded() {
        assert_eq!(message(br#"{"kind":"Status","message":"no"}"#), "no");
        assert_eq!(message(b"upstream gone\n"), "upstream gone");
        assert_eq!(encoded("meshtax/run=a1,meshtax/role!=probe"), "meshtax%2Frun%3Da1%2Cmeshtax%2Frole%21%3Dprobe");
    }
}
