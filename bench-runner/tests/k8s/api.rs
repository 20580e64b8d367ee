//! An API server of a kind, over HTTP: server-side apply into a store, lists, watches, the proxy for pods, and faults on
//! request.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::kubelet::Kubelet;
use crate::store::{Store, merged, selected};

type Body = BoxBody<Bytes, Infallible>;

/// Something that goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) method: Method,
    /// What its path and query hold.
    pub(crate) holds: &'static str,
    /// How often.
    pub(crate) times: u32,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// A refusal, with a header.
    Refuse(u16, &'static str, Option<(&'static str, &'static str)>),
    /// The connection ends without an answer.
    Disconnect,
    /// A watch that says it is too old.
    Gone,
    /// A watch that breaks off in the middle of a line.
    Break,
    /// A pod of a part gets a status once the load runs.
    Pod(&'static str, &'static str),
}

/// What was asked for, as rights are given: verb, group, resource.
pub(crate) type Right = (String, String, String);

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) kubelet: Kubelet,
    pub(crate) faults: Vec<Fault>,
    pub(crate) rights: Vec<Right>,
    /// Method and path of every request.
    pub(crate) heard: Vec<String>,
    pub(crate) version: &'static str,
    /// Statuses that pods get later.
    later: Vec<(Instant, String, Value)>,
}

/// How long a pod takes to be ready.
const READY_AFTER: Duration = Duration::from_millis(300);

/// The namespace of the cluster's own system, which every cluster has.
const SYSTEM: &str = "/api/v1/namespaces/kube-system";

impl State {
    /// The namespaces that are there beside the system's.
    pub(crate) fn namespaces(&self) -> Vec<&String> {
        self.store.below("/api/v1/namespaces").map(|(path, _)| path).filter(|path| *path != SYSTEM).collect()
    }

    /// What has come to pass meanwhile.
    fn settle(&mut self) {
        let now = Instant::now();
        let due: Vec<(Instant, String, Value)> = self.later.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, path, status) in due {
            if let Some(mut pod) = self.store.get(&path).cloned() {
                pod["status"] = status;
                self.store.put(&path, pod);
            }
        }
    }
}

/// The server; it ends with the test.
pub(crate) struct Api {
    pub(crate) state: Arc<Mutex<State>>,
    port: u16,
    _runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

impl Api {
    /// Waits until the load was told to go, while the run has not ended.
    pub(crate) fn until_the_load_goes(&self, mut ended: impl FnMut() -> bool) {
        let begun = std::time::Instant::now();
        while !self.lock().heard.iter().any(|line| line.contains("proxy/go")) {
            assert!(begun.elapsed().as_secs() < 60 && !ended(), "it never came to its load");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    pub(crate) fn start(net: u8) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (mut store, kubelet) = (Store::default(), Kubelet::new(net));
        let system = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system",
            "uid": format!("cluster-{net}"), "labels": {"kubernetes.io/metadata.name": "kube-system"}}});
        store.put(SYSTEM, system);
        let state = Arc::new(Mutex::new(State {
            store,
            kubelet,
            faults: Vec::new(),
            rights: Vec::new(),
            heard: Vec::new(),
            version: "v1.37.0-test",
            later: Vec::new(),
        }));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { state, port, _runtime: runtime, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fault(&self, method: Method, holds: &'static str, times: u32, what: What) {
        self.lock().faults.push(Fault { method, holds, times, what });
    }

    /// A kubeconfig that names it.
    pub(crate) fn kubeconfig(&self) -> String {
        let path = self.folder.path().join("kubeconfig");
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": format!("http://127.0.0.1:{}", self.port)}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        });
        std::fs::write(&path, text.to_string()).unwrap();
        path.to_string_lossy().into_owned()
    }
}

fn whole(status: u16, value: &Value) -> Response<Body> {
    raw(status, serde_json::to_vec(value).unwrap())
}

fn raw(status: u16, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(bytes)).boxed());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn refusal(code: u16, message: &str) -> Response<Body> {
    whole(code, &json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}))
}

/// A path taken apart.
#[derive(Debug, Default)]
struct At {
    group: String,
    namespace: Option<String>,
    resource: String,
    name: Option<String>,
    rest: String,
    /// Of the collection, or of the object.
    path: String,
}

fn taken_apart(path: &str) -> Option<At> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (group, mut rest) = match parts.as_slice() {
        ["api", "v1", rest @ ..] => (String::new(), rest),
        ["apis", group, _, rest @ ..] => ((*group).to_owned(), rest),
        _ => return None,
    };
    let mut namespace = None;
    if let ["namespaces", name, _resource, ..] = rest {
        namespace = Some((*name).to_owned());
        rest = &rest[2..];
    }
    let resource = (*rest.first()?).to_owned();
    let name = rest.get(1).map(|n| (*n).to_owned());
    let rest = rest.get(2..).unwrap_or_default().join("/");
    let object = path.strip_suffix(&format!("/{rest}")).filter(|_| !rest.is_empty()).unwrap_or(path).to_owned();
    Some(At { group, namespace, resource, name, rest, path: object })
}

fn decoded(text: &str) -> String {
    text.replace("%2F", "/").replace("%3D", "=").replace("%2C", ",")
}

fn query(uri: &hyper::Uri, key: &str) -> Option<String> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix(&format!("{key}="))).map(decoded)
}

async fn answer(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Response<Body>, std::io::Error> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let kind = request.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    let body = request.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    let text = uri.to_string();
    lock().settle();
    lock().heard.push(format!("{method} {text}"));
    let fault = {
        let mut state = lock();
        let found = state.faults.iter_mut().find(|f| f.times > 0 && f.method == method && text.contains(f.holds));
        found.map(|fault| {
            fault.times -= 1;
            fault.what.clone()
        })
    };
    match fault {
        Some(What::Refuse(code, message, header)) => {
            let mut response = refusal(code, message);
            if let Some((key, value)) = header {
                response.headers_mut().insert(key, value.parse().unwrap());
            }
            return Ok(response);
        }
        Some(What::Disconnect) => return Err(std::io::Error::other("gone")),
        Some(What::Gone) => {
            let event = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}});
            return Ok(raw(200, format!("{event}\n").into_bytes()));
        }
        Some(What::Break) => return Ok(raw(200, b"{\"type\":\"ADDED\",\"obj".to_vec())),
        Some(What::Pod(part, status)) => spoil(&mut lock(), part, status),
        None => {}
    }
    if uri.path() == "/version" {
        return Ok(whole(200, &json!({"gitVersion": lock().version})));
    }
    let Some(at) = taken_apart(uri.path()) else {
        return Ok(refusal(404, "the server could not find the requested resource"));
    };
    note_right(&mut lock(), &method, &uri, &at);
    Ok(match method {
        Method::GET if at.rest.starts_with("proxy") => proxied(&at, &uri, "GET", Vec::new(), &state).await,
        Method::POST if at.rest.starts_with("proxy") => proxied(&at, &uri, "POST", body.to_vec(), &state).await,
        Method::GET if query(&uri, "watch").is_some() => watched(&at, &uri, state).await,
        Method::GET if at.name.is_some() => {
            lock().store.get(&at.path).map_or_else(|| refusal(404, "not found"), |o| whole(200, o))
        }
        Method::GET => {
            let selector = query(&uri, "labelSelector").unwrap_or_default();
            let state = lock();
            let items: Vec<&Value> =
                state.store.below(&at.path).map(|(_, o)| o).filter(|o| selected(o, &selector)).collect();
            whole(
                200,
                &json!({"kind": "List", "metadata": {"resourceVersion": state.store.version().to_string()}, "items": items}),
            )
        }
        Method::PATCH => patched(&mut lock(), &at, &kind, &body),
        Method::DELETE => deleted(&mut lock(), &at, &query(&uri, "labelSelector").unwrap_or_default()),
        _ => refusal(405, "no such verb here"),
    })
}

fn note_right(state: &mut State, method: &Method, uri: &hyper::Uri, at: &At) {
    let resource = if at.rest.starts_with("proxy") { format!("{}/proxy", at.resource) } else { at.resource.clone() };
    let proxy = at.rest.starts_with("proxy");
    let verbs: &[&str] = match *method {
        Method::GET if proxy => &["get"],
        Method::POST if proxy => &["create"],
        Method::GET if query(uri, "watch").is_some() => &["watch"],
        Method::GET if at.name.is_some() => &["get"],
        Method::GET => &["list"],
        // Server-side apply makes what is not there.
        Method::PATCH if uri.query().is_some_and(|q| q.contains("fieldManager")) => &["create", "patch"],
        Method::PATCH => &["patch"],
        Method::DELETE if at.name.is_some() => &["delete"],
        Method::DELETE => &["deletecollection"],
        _ => &[],
    };
    state.rights.extend(verbs.iter().map(|verb| ((*verb).to_owned(), at.group.clone(), resource.clone())));
}

fn patched(state: &mut State, at: &At, kind: &str, body: &[u8]) -> Response<Body> {
    let patch: Value = serde_json::from_slice(body).unwrap();
    let known = state.store.get(&at.path).cloned();
    if known.is_none() && kind.contains("merge-patch") {
        return refusal(404, "not found");
    }
    if let Some(namespace) = &at.namespace
        && state.store.get(&format!("/api/v1/namespaces/{namespace}")).is_none()
    {
        return refusal(404, "namespaces not found");
    }
    let is_new = known.is_none();
    let mut object = known.unwrap_or_else(|| json!({}));
    merged(&mut object, &patch);
    let object = state.store.put(&at.path, object);
    if is_new && ["deployments", "jobs", "daemonsets"].contains(&at.resource.as_str()) {
        control(state, &object);
    }
    whole(if is_new { 201 } else { 200 }, &object)
}

/// What a controller and a kubelet make of it.
fn control(state: &mut State, object: &Value) {
    let namespace = object["metadata"]["namespace"].as_str().unwrap().to_owned();
    let name = object["metadata"]["name"].as_str().unwrap();
    if let Some(why) = state.kubelet.mood.not_made.clone() {
        let event = json!({"kind": "Event", "metadata": {"name": format!("{name}.1"), "namespace": namespace},
            "reason": "FailedCreate", "message": why, "involvedObject": {"name": name}});
        state.store.put(&format!("/api/v1/namespaces/{namespace}/events/{name}.1"), event);
        return;
    }
    if name == "gateway" {
        let secret = state.store.get(&format!("/api/v1/namespaces/{namespace}/secrets/gateway")).cloned();
        state.kubelet.mount(&secret.unwrap_or_default());
    }
    for mut pod in state.kubelet.pods(object) {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{}", pod["metadata"]["name"].as_str().unwrap());
        let status = pod["status"].take();
        pod["status"] = json!({"phase": "Pending"});
        state.store.put(&path, pod);
        state.later.push((Instant::now() + READY_AFTER, path, status));
    }
}

fn spoil(state: &mut State, part: &str, status: &str) {
    let status: Value = serde_json::from_str(status).unwrap();
    let mine: Vec<(String, Value)> = state
        .store
        .below("/api/v1/pods")
        .filter(|(_, pod)| pod["metadata"]["labels"]["meshtax/part"] == part)
        .map(|(path, pod)| (path.clone(), pod.clone()))
        .collect();
    for (path, mut pod) in mine {
        merged(&mut pod["status"], &status);
        state.store.put(&path, pod);
    }
}

fn deleted(state: &mut State, at: &At, selector: &str) -> Response<Body> {
    let paths: Vec<String> = match (&at.name, at.resource.as_str()) {
        (Some(_), "namespaces") => {
            let inside = format!("/namespaces/{}/", at.name.clone().unwrap());
            let all = ["/api/v1", "/apis"].iter().flat_map(|_| state.store.since(0)).map(|c| c.path);
            let mut paths: Vec<String> = all.filter(|path| path.contains(&inside)).collect();
            paths.sort();
            paths.dedup();
            paths.push(at.path.clone());
            paths
        }
        (Some(_), _) => vec![at.path.clone()],
        (None, _) => {
            let mine = state.store.below(&at.path).filter(|(_, o)| selected(o, selector)).map(|(p, _)| p.clone());
            mine.collect()
        }
    };
    if at.name.is_some() && state.store.get(&at.path).is_none() {
        return refusal(404, "not found");
    }
    for path in paths {
        let Some(object) = state.store.remove(&path) else { continue };
        // What a controller made goes with it.
        let (namespace, name) = (
            object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned(),
            object["metadata"]["name"].as_str().unwrap().to_owned(),
        );
        let pods: Vec<(String, String)> = state
            .store
            .below(&format!("/api/v1/namespaces/{namespace}/pods"))
            .filter(|(_, pod)| pod["metadata"]["name"].as_str().unwrap().rsplit_once('-').unwrap().0 == name)
            .map(|(path, pod)| (path.clone(), pod["metadata"]["name"].as_str().unwrap().to_owned()))
            .collect();
        if object["kind"] == "Pod" {
            state.kubelet.stop(&namespace, &name);
        }
        for (path, pod) in pods {
            state.kubelet.stop(&namespace, &pod);
            state.store.remove(&path);
        }
    }
    whole(200, &json!({"kind": "Status", "status": "Success"}))
}

async fn watched(at: &At, uri: &hyper::Uri, state: Arc<Mutex<State>>) -> Response<Body> {
    let mut since: u64 = query(uri, "resourceVersion").and_then(|v| v.parse().ok()).unwrap_or(0);
    let selector = query(uri, "labelSelector").unwrap_or_default();
    if since < state.lock().unwrap_or_else(PoisonError::into_inner).store.compacted {
        return refusal(410, "too old resource version");
    }
    let (sender, receiver) = mpsc::channel::<Bytes>(16);
    let collection = at.path.clone();
    tokio::spawn(async move {
        loop {
            let changes = {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                state.settle();
                state.store.since(since)
            };
            for change in changes {
                since = change.version;
                let name = change.path.strip_prefix(&collection).unwrap_or_default();
                if !name.starts_with('/') || !selected(&change.object, &selector) {
                    continue;
                }
                let line = format!("{}\n", json!({"type": change.kind, "object": change.object}));
                if sender.send(Bytes::from(line)).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            if sender.is_closed() {
                return;
            }
        }
    });
    Response::new(Lines(receiver).boxed())
}

/// What a channel gives, as a body.
struct Lines(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

async fn proxied(at: &At, uri: &hyper::Uri, method: &str, body: Vec<u8>, state: &Arc<Mutex<State>>) -> Response<Body> {
    let named = at.name.clone().unwrap_or_default();
    let (pod, port) = named.split_once(':').unwrap();
    let address =
        state.lock().unwrap_or_else(PoisonError::into_inner).kubelet.address(at.namespace.as_deref().unwrap(), pod);
    let Some(address) = address else { return refusal(503, "no endpoints available") };
    let path = at.rest.strip_prefix("proxy").unwrap_or_default();
    let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
    let head = format!(
        "{method} {path}{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let at = format!("{address}:{port}");
    let told = tokio::task::spawn_blocking(move || tell(&at, &head, &body)).await.unwrap();
    match told {
        Ok((status, body)) => raw(status, body),
        // As the real one says it.
        Err(error) => refusal(503, &format!("error trying to reach service: {error}")),
    }
}

fn tell(at: &str, head: &str, body: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(at)?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    let end = said.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(|| std::io::Error::other("no head"))?;
    let status = String::from_utf8_lossy(&said[9..12]).parse().map_err(std::io::Error::other)?;
    Ok((status, said[end + 4..].to_vec()))
}
