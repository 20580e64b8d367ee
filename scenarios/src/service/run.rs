//! A script run for one request: step after step, what belongs to a step at once.

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use tokio::task::JoinSet;

use super::answer::{Answer, Calls, Server, drain};
use super::call::{Asked, Called, Callee, Sent};
use super::plan::PlannedStep;

/// Runs the steps until one has a call that failed: what would come after it is not done.
pub(super) async fn script(
    server: &Rc<Server>,
    steps: &[PlannedStep],
    forwards: bool,
    request: Request<Incoming>,
) -> Answer {
    let (head, body) = request.into_parts();
    let asked = Asked::of(head);
    let mut incoming = Some(body);
    if !forwards {
        // What it passes on is its own, and it begins when the request is whole.
        drain_rest(&mut incoming).await;
    }
    if let Some(name) = server.unnamed() {
        drain_rest(&mut incoming).await;
        return Answer::failed(StatusCode::SERVICE_UNAVAILABLE, format!("{name} was not named yet"));
    }
    let mut made = Vec::new();
    for step in steps {
        let due = due(server, step, &mut incoming);
        let (called, slept) = tokio::join!(at_once(due, &asked), server.timers().sleep(step.sleep_ns));
        let failed = called.iter().any(|call| call.failure.is_some());
        made.extend(called);
        if let Err(error) = slept {
            let failure = Some((StatusCode::INTERNAL_SERVER_ERROR, format!("it cannot sleep: {error}")));
            return Answer { failure, ..Answer::of(Calls::Many(made)) };
        }
        if failed {
            break;
        }
    }
    // Of a call that was not made, which would have passed it on.
    drain_rest(&mut incoming).await;
    Answer::of(Calls::Many(made))
}

async fn drain_rest(incoming: &mut Option<Incoming>) {
    if let Some(body) = incoming.take() {
        drain(body).await;
    }
}

/// The calls of a step that are made this time, each with its body.
fn due(server: &Server, step: &PlannedStep, incoming: &mut Option<Incoming>) -> Vec<(Rc<Callee>, Sent)> {
    let mut due = Vec::with_capacity(step.calls.len());
    for call in &step.calls {
        if let Some(callee) = server.callee(call.callee)
            && server.draw().happens(call.probability)
        {
            let body = incoming.take().map_or_else(|| Sent::Own(call.body.clone()), Sent::Forwarded);
            due.push((callee, body));
        }
    }
    due
}

/// Makes calls at the same time; what came of them, in the order they were given in.
async fn at_once(mut due: Vec<(Rc<Callee>, Sent)>, asked: &Asked) -> Vec<Called> {
    if due.len() <= 1 {
        return match due.pop() {
            None => Vec::new(),
            Some((callee, body)) => vec![callee.call(asked.clone(), body).await],
        };
    }
    // Each in a task of its own, so that one that moves on does not have all the others looked at. They end with this
    // request if its caller goes away.
    let mut tasks = JoinSet::new();
    let mut called: Vec<Option<Called>> = due.iter().map(|_| None).collect();
    for (place, (callee, body)) in due.into_iter().enumerate() {
        let asked = asked.clone();
        tasks.spawn_local(async move { (place, callee.call(asked, body).await) });
    }
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok((place, call)) => called[place] = Some(call),
            // A fault of ours, which must not pass for an answer: it ends this request's connection.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    called.into_iter().flatten().collect()
}
