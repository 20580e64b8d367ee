//! Answers one request: who asks, what for, and with what a browser is told to be careful.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, StatusCode};
use reports::shelf::{self, State};

use super::compare;
use super::desk::Desk;
use super::maker::Maker;
use super::route::{self, Route};
use super::visitor::Names;
use crate::exit;
use crate::listener::{Reply, reply};

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// For our own pages: what they load is ours, and nobody frames them.
const OWN: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                   form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// For reports, which are files that anybody may have written: none of their scripts but those of our own template, no
/// request, and an origin of their own, so that nothing of it reads the other runs.
fn report_policy() -> String {
    let mut policy = reports::html::policy();
    for more in ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "sandbox allow-scripts"] {
        // A browser complains of what it is told twice.
        let directive = more.split(' ').next().unwrap_or(more);
        if !policy.contains(directive) {
            policy.push_str("; ");
            policy.push_str(more);
        }
    }
    policy
}

/// A page or a file, and how a browser is to treat it.
struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: Bytes,
    policy: Option<String>,
}

impl Answer {
    fn page(status: StatusCode, page: String) -> Self {
        Self { status, kind: HTML, body: page.into(), policy: None }
    }

    fn file(kind: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, kind, body: body.into(), policy: None }
    }
}

/// The answer to a request that came in at `here`.
pub(super) async fn to(request: Request<Incoming>, here: SocketAddr, maker: Arc<Maker>, names: Arc<Names>) -> Reply {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let answer = if !names.admit(host, here) {
        refusal(host)
    } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let said = "only GET and HEAD\n".to_owned();
        Answer {
            status: StatusCode::METHOD_NOT_ALLOWED,
            kind: "text/plain; charset=utf-8",
            body: said.into(),
            policy: None,
        }
    } else {
        let route = route::of(request.uri().path(), request.uri().query());
        let made = maker.make(move |desk| of(route, desk)).await;
        made.unwrap_or_else(|| {
            Answer::page(StatusCode::INTERNAL_SERVER_ERROR, "this page could not be made".to_owned())
        })
    };
    finish(answer)
}

fn refusal(host: &str) -> Answer {
    let shown: String = host.chars().filter(|c| !c.is_control()).take(80).collect();
    let said = format!(
        "'{shown}' is no name of this machine, so this may be another site asking in your name\n\
         try: http://localhost, or meshtax serve --name HOST\n"
    );
    Answer { status: StatusCode::FORBIDDEN, kind: "text/plain; charset=utf-8", body: said.into(), policy: None }
}

fn finish(answer: Answer) -> Reply {
    let Answer { status, kind, body, policy } = answer;
    let mut reply = reply(status, kind, body);
    let headers = reply.headers_mut();
    let policy = policy.and_then(|policy| HeaderValue::from_str(&policy).ok());
    headers.insert(CONTENT_SECURITY_POLICY, policy.unwrap_or(HeaderValue::from_static(OWN)));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let no_other_site = HeaderValue::from_static("same-origin");
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), no_other_site.clone());
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), no_other_site);
    reply
}

fn of(route: Option<Route>, desk: &Desk) -> Answer {
    let Some(route) = route else { return not_there(desk) };
    match made(route, desk) {
        Ok(Some(answer)) => answer,
        Ok(None) => not_there(desk),
        Err(error) => message(desk, StatusCode::INTERNAL_SERVER_ERROR, "This cannot be shown", &exit::say(&error)),
    }
}

fn made(route: Route, desk: &Desk) -> anyhow::Result<Option<Answer>> {
    Ok(Some(match route {
        Route::List(wanted) => Answer::page(StatusCode::OK, shelf::list_page(desk.folder(), &desk.rows()?, &wanted)?),
        Route::State => Answer::file(JSON, state(desk)?),
        Route::Run(name) => {
            let Some(row) = desk.row(&name) else { return Ok(None) };
            return run(desk, &row);
        }
        Route::Live(name) => {
            let Some(now) = desk.now(&name)? else { return Ok(None) };
            Answer::file(JSON, serde_json::to_string(&now)?)
        }
        Route::Findings(name) => {
            let Some(findings) = desk.findings(&name)? else { return Ok(None) };
            Answer::file(JSON, findings)
        }
        Route::Compare(names) => {
            let rows: Vec<_> = names.iter().filter_map(|name| desk.row(name)).collect();
            if rows.len() < 2 || rows.len() < names.len() {
                let text = "Choose two or more runs that are there, from the list of all runs.";
                return Ok(Some(message(desk, StatusCode::BAD_REQUEST, "There is nothing to compare", text)));
            }
            match compare::page(desk.folder(), &rows) {
                Ok(page) => Answer { policy: Some(report_policy()), ..Answer::page(StatusCode::OK, page) },
                Err(error) => {
                    let heading = "These runs cannot be compared";
                    message(desk, StatusCode::BAD_REQUEST, heading, &exit::say(&error))
                }
            }
        }
        Route::Style => Answer::file("text/css; charset=utf-8", shelf::STYLE),
        Route::Script => Answer::file("text/javascript; charset=utf-8", shelf::SCRIPT),
        Route::Icon => Answer::file("image/svg+xml", shelf::ICON),
    }))
}

/// A run that is being made as it goes, any other as its report.
fn run(desk: &Desk, row: &shelf::Row) -> anyhow::Result<Option<Answer>> {
    match &row.state {
        State::BeingMade => {
            let Some(now) = desk.now(&row.name)? else { return Ok(None) };
            Ok(Some(Answer::page(StatusCode::OK, shelf::live_page(desk.folder(), row, &now)?)))
        }
        State::CutOff if row.sealed == 0 => {
            let text = format!("It was cut off before a trial was made.\n{}", resume(desk, row));
            Ok(Some(message(desk, StatusCode::OK, "Nothing is measured yet", &text)))
        }
        State::Ended | State::CutOff | State::Broken(_) => {
            let report = desk.report(&row.name)?;
            let policy = Some(report_policy());
            Ok(report.map(|body| Answer { status: StatusCode::OK, kind: HTML, body, policy }))
        }
    }
}

fn resume(desk: &Desk, row: &shelf::Row) -> String {
    format!("Go on with: meshtax resume {}", desk.folder().join(row.name.as_str()).display())
}

/// What the list's script asks for.
fn state(desk: &Desk) -> anyhow::Result<String> {
    let rows = desk.rows()?;
    let being_made: Vec<_> = rows
        .iter()
        .filter(|row| row.state == State::BeingMade)
        .map(|row| serde_json::json!({"address": row.name.in_address(), "sealed": row.sealed, "planned": row.planned}))
        .collect();
    Ok(serde_json::json!({"schema": record::SCHEMA, "all": rows.len(), "being_made": being_made}).to_string())
}

fn not_there(desk: &Desk) -> Answer {
    message(desk, StatusCode::NOT_FOUND, "There is no such page", "It may have been a run that was removed since.")
}

fn message(desk: &Desk, status: StatusCode, heading: &str, text: &str) -> Answer {
    let page = shelf::message_page(desk.folder(), heading, text);
    Answer::page(status, page.unwrap_or_else(|error| error.to_string()))
}
