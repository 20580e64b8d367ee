//! The lines a service is told where its callees are by.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::answer::{Order, Settings};
use super::plan::Plan;
use super::{NextHop, Reply};
use crate::lifeline::Held;
use crate::workers::Workers;

/// Does what the lines say until they end.
pub(super) async fn converse(held: &mut Held, settings: &Settings, workers: &Workers<Order>) {
    while let Some(line) = held.line().await {
        let reply = match told(settings, line.trim()) {
            Ok((place, callee)) if name(workers, place, callee).await => Reply::Next(callee),
            Ok(_) => return,
            Err(problem) => Reply::Error(problem),
        };
        held.say(&reply);
    }
}

/// `next URL`, which may be said of an only callee, or `next NAME URL`: the place of a callee, and where it is.
fn told(settings: &Settings, line: &str) -> Result<(usize, NextHop), String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let named = matches!(settings.plan, Plan::Script { .. });
    let usual = if named { "next s2 http://127.0.0.1:8080/" } else { "next http://127.0.0.1:8080/" };
    let (place, url) = match (words.as_slice(), settings.callees.as_slice()) {
        (["next", url], [_]) => (0, url),
        (["next", _], [_, ..]) => return Err(format!("it calls {}; try: {usual}", settings.callees.join(", "))),
        (["next", _], []) => return Err("it calls nobody; try: a script with calls".to_owned()),
        (["next", name, _], _) if !named => return Err(format!("it calls nobody by the name {name}; try: {usual}")),
        (["next", name, url], callees) => match callees.iter().position(|callee: &Arc<str>| **callee == **name) {
            Some(place) => (place, url),
            None => return Err(format!("it does not call {name}; try: one of {}", callees.join(", "))),
        },
        _ => return Err(format!("'{line}' is not understood; try: {usual}")),
    };
    url.parse().map(|callee| (place, callee)).map_err(|error: crate::Error| error.to_string())
}

/// Returns when every worker knows, so that what is said to the parent holds for the very next request.
async fn name(workers: &Workers<Order>, place: usize, callee: NextHop) -> bool {
    let mut told = Vec::new();
    let sent = workers.tell_all(|| {
        let (done, heard) = oneshot::channel();
        told.push(heard);
        Order::Callee(place, callee, done)
    });
    for heard in told {
        if heard.await.is_err() {
            return false;
        }
    }
    sent
}
