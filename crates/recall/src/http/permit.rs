//! Whether whoever asks may do it, asked in one place before a handler reads anything; and what was refused or failed is recorded.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Request, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::Shared;
use crate::http::problem::{NotDone, Problem};
use crate::identity::{Identity, Permission};
use crate::record::Record;
use crate::router::Act;

/// What one path needs.
#[derive(Clone)]
pub struct Permits {
    pub app: Shared,
    pub acts: &'static [Act],
}

/// The middleware behind the door.
pub async fn permit(State(Permits { app, acts }): State<Permits>, request: Request<Body>, next: Next) -> Response {
    // The router gives HEAD to what serves GET.
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let act = acts.iter().find(|act| act.method.eq_ignore_ascii_case(method.as_str()));
    let Some(identity) = request.extensions().get::<Identity>().cloned() else { return Problem::unauthorized().into_response() };
    let Some(act) = act else {
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not know the method; see /openapi.json").into_response();
    };
    // Reading: the handler asks, as its record holds the question.
    let Some(needs) = act.needs else { return next.run(request).await };
    let record = || Record::new(identity.actor(), act.action, "E", json!({"type": "recall:trail"}));
    if let Err(denied) = identity.role.may(needs) {
        return app.not_done(record(), denied.into()).await.into_response();
    }
    let response = next.run(request).await;
    // Events that are not taken are counted, not recorded: a feed that sends them again and again would fill the trail.
    let failed = response.extensions().get::<NotDone>().filter(|_| needs != Permission::Ingest);
    if let Some(problem) = failed.map(|NotDone(problem)| problem.clone()).filter(|problem| !problem.is_recorded()) {
        return app.not_done(record(), problem).await.into_response();
    }
    response
}
