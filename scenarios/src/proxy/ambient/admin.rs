//! The admin port: `GET /ready`, `GET /stats` and `GET /metrics`, answered on the main thread so that asking disturbs no worker.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::prometheus;
use super::stats::Stats;
use super::workload::Mesh;
use crate::ports;

/// Answers until it is dropped.
pub(super) async fn answer(listener: TcpListener, mesh: Arc<Mesh>, workers: u32) {
    let complaints = &mesh.complaints;
    ports::accept(listener, complaints, |stream| {
        let mesh = Arc::clone(&mesh);
        tokio::task::spawn_local(async move {
            let reply = service_fn(move |request| {
                let response = reply(&request, &mesh, workers);
                async move { Ok::<_, Infallible>(response) }
            });
            // Who asks and goes away has no need of the answer.
            let _ = http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), reply).await;
        });
        true
    })
    .await;
}

fn reply(request: &Request<Incoming>, mesh: &Mesh, workers: u32) -> Response<Full<Bytes>> {
    let text = |status, text: &'static str| (status, "text/plain", Bytes::from_static(text.as_bytes()));
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        // This is answered only once the listeners are there, so there is nothing to look at.
        (&Method::GET, "/ready") => text(StatusCode::OK, "ready\n"),
        (&Method::GET, "/stats") => match serde_json::to_vec(&collect(mesh, workers)) {
            Ok(json) => (StatusCode::OK, "application/json", Bytes::from(json)),
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the counters cannot be written as JSON\n"),
        },
        (&Method::GET, "/metrics") => {
            (StatusCode::OK, "text/plain; version=0.0.4", Bytes::from(prometheus::text(&collect(mesh, workers))))
        }
        (_, "/ready" | "/stats" | "/metrics") => text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n"),
        _ => text(StatusCode::NOT_FOUND, "try /ready, /stats or /metrics\n"),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn collect(mesh: &Mesh, workers: u32) -> Stats {
    let workloads = mesh.workloads.iter().map(|workload| (workload.name.clone(), workload.stats(mesh))).collect();
    Stats { version: env!("CARGO_PKG_VERSION").to_owned(), workers, workloads }
}
