//! The session against a server that others wrote (the `h2` crate), over memory.

use std::sync::Arc;

use ::h2::server::{self, SendResponse};
use ::h2::{Reason, RecvStream};
use bytes::Bytes;
use http::{HeaderMap, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{End, Event, Request, Session};

const LARGE: usize = 10 << 20;

/// Answers by the path.
async fn answer(request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let mut response = Response::new(());
    response.headers_mut().insert("x-kept", "kept".parse().unwrap());
    let path = request.uri().path().to_owned();
    let mut body = request.into_body();
    match path.as_str() {
        "/reset" => respond.send_reset(Reason::INTERNAL_ERROR),
        "/refuse" => respond.send_reset(Reason::REFUSED_STREAM),
        // Without a look at the body.
        "/early" => drop(respond.send_response(response, true).unwrap()),
        "/grpc" => {
            response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(Bytes::from_static(b"\0\0\0\0\x03abc\0\0\0\0\0"), false).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "7".parse().unwrap());
            stream.send_trailers(trailers).unwrap();
        }
        "/large" => {
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(vec![7; LARGE].into(), true).unwrap();
        }
        _ => {
            let mut read = 0;
            while let Some(piece) = body.data().await {
                let piece = piece.unwrap();
                body.flow_control().release_capacity(piece.len()).unwrap();
                assert!(piece.iter().all(|b| *b == b'x'));
                read += piece.len();
            }
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(read.to_string().into(), true).unwrap();
        }
    }
}

/// Serves one connection; after so many requests it goes away.
async fn serve(socket: DuplexStream, settings: server::Builder, leave_after: usize) {
    let mut connection = settings.handshake::<_, Bytes>(socket).await.unwrap();
    let mut count = 0;
    while let Some(accepted) = connection.accept().await {
        let Ok((request, respond)) = accepted else { return };
        tokio::spawn(answer(request, respond));
        count += 1;
        if count == leave_after {
            connection.graceful_shutdown();
        }
    }
}

/// How each request ended, in their order; none: it could not be opened any more.
struct Load {
    ends: Vec<Option<End>>,
    begun: usize,
    most_under_way: u32,
    session: Session,
}

/// Sends these requests over so many places.
async fn load(socket: DuplexStream, places: u32, requests: &[Request]) -> Load {
    let (mut input, mut output) = tokio::io::split(socket);
    let session = Session::new(places, Arc::new(["x-kept".to_owned()]));
    let mut load = Load { ends: vec![None; requests.len()], begun: 0, most_under_way: 0, session };
    let (mut out, mut events, mut buffer) = (Vec::new(), Vec::new(), vec![0; 10_000]);
    let mut free: Vec<u32> = (0..places).collect();
    let mut holds = vec![0; places as usize];
    let mut next = 0;
    load.session.begin(&mut out);
    // What the peer permits must be known before the first request.
    let mut greeted = false;
    loop {
        while greeted && next < requests.len() && load.session.can_open() {
            let place = free.pop().unwrap();
            assert!(load.session.open(place, &requests[next], &mut out));
            holds[place as usize] = next;
            next += 1;
        }
        load.most_under_way = load.most_under_way.max(load.session.under_way());
        let over = next == requests.len() || load.session.closing();
        if over && load.session.under_way() == 0 {
            return load;
        }
        tokio::select! {
            written = output.write(&out), if !out.is_empty() => drop(out.drain(..written.unwrap())),
            read = input.read(&mut buffer) => {
                let read = read.unwrap();
                assert!(read > 0, "the server closed: {:?}", load.ends);
                load.session.feed(&buffer[..read], &mut out, &mut events).unwrap();
                greeted = true;
            }
        }
        for event in events.drain(..) {
            match event {
                Event::FirstByte { .. } => load.begun += 1,
                Event::Ended { place, end } => {
                    assert_eq!(load.ends[holds[place as usize]].replace(end), None);
                    free.push(place);
                }
            }
        }
    }
}

fn run(places: u32, settings: server::Builder, leave_after: usize, requests: &[Request]) -> Load {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (ours, theirs) = tokio::io::duplex(50_000);
        tokio::spawn(serve(theirs, settings, leave_after));
        load(ours, places, requests).await
    })
}

fn request(path: &str, body: usize) -> Request {
    let headers = [("user-agent", "meshtax"), ("x-secret", "a"), ("authorization", "b"), ("te", "trailers")];
    let headers = headers.map(|(n, v)| (n.to_owned(), v.to_owned()));
    Request::new("POST", "http", "h:1", path, &headers, vec![b'x'; body])
}

fn ok(bytes: u64) -> Option<End> {
    Some(End::Answered { status: 200, grpc_status: None, messages: 0, bytes })
}

#[test]
fn one_after_the_other_and_many_at_once() {
    let requests: Vec<Request> = (0..1000).map(|i| request(&format!("/{}", i % 70), i % 3)).collect();
    for places in [1, 10, 300] {
        let load = run(places, server::Builder::new(), 0, &requests);
        assert!(load.ends.iter().all(|e| *e == ok(1)));
        assert_eq!((load.begun, load.most_under_way), (1000, places));
        assert_eq!(load.session.value(0, 0), b"kept");
    }
}

#[test]
fn bodies_larger_than_all_windows() {
    let requests = [request("/large", 0), request("/up", 3 << 20), request("/large", 0), request("/up", 70_000)];
    let load = run(3, server::Builder::new(), 0, &requests);
    assert_eq!(load.ends, [ok(LARGE as u64), ok(7), ok(LARGE as u64), ok(5)]);
}

#[test]
fn grpc_resets_and_early_answers() {
    let paths = ["/grpc", "/reset", "/refuse", "/early", "/grpc", "/x"];
    let requests = paths.map(|p| request(p, if p == "/early" { 1 << 20 } else { 0 }));
    let grpc = Some(End::Answered { status: 200, grpc_status: Some(7), messages: 2, bytes: 13 });
    for places in [1, 6] {
        let load = run(places, server::Builder::new(), 0, &requests);
        let reset = Some(End::Reset { code: 2 });
        assert_eq!(load.ends, [grpc, reset, Some(End::Refused), ok(0), grpc, ok(1)]);
    }
}

#[test]
fn a_server_that_takes_one_at_a_time() {
    let mut settings = server::Builder::new();
    settings.max_concurrent_streams(1).initial_window_size(10).max_header_list_size(1 << 14);
    let requests: Vec<Request> = (0..50).map(|i| request("/", i)).collect();
    let load = run(8, settings, 0, &requests);
    assert!(load.ends.iter().all(Option::is_some));
    assert_eq!(load.most_under_way, 1);
}

#[test]
fn a_server_that_goes_away() {
    let requests: Vec<Request> = (0..50).map(|_| request("/", 0)).collect();
    let load = run(1, server::Builder::new(), 20, &requests);
    let answers = load.ends.iter().filter(|e| **e == ok(1)).count();
    assert!((20..50).contains(&answers), "{answers}");
    assert!(load.session.closing());
    assert!(load.ends[answers..].iter().all(|e| matches!(e, None | Some(End::Refused))));
}
