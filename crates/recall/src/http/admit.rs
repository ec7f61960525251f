//! What every request passes through: a bound on how many are under way, a time limit, counters, and headers of every answer.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, State};
use axum::http::{HeaderValue, Method, Request, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use crate::app::Shared;
use crate::http::problem::Problem;

/// Requests under way at a time on each lane; one more is told to come back.
const REQUESTS: usize = 256;
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);

/// Requests that share a bound: senders that are slow keep no reader out, nor readers a sender, and nobody the operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lane {
    /// Whether it lives, is ready, and how it does: no bound.
    Operations,
    /// Events come in.
    Ingest,
    /// All else.
    Reading,
    /// Work that may take hours and whose end is waited for; `long_work` lets one at a time begin.
    Long,
}

impl Lane {
    fn of(method: &Method, route: &str) -> Self {
        match route {
            "/livez" | "/readyz" | "/metrics" | "/version" => Self::Operations,
            "/v1/events" if method == Method::POST => Self::Ingest,
            "/v1/backups" | "/v1/keys/rotate-root" | "/v1/keys/shred" => Self::Long,
            _ => Self::Reading,
        }
    }
}

/// Requests under way.
pub struct Lanes {
    ingest: Semaphore,
    reading: Semaphore,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { ingest: Semaphore::new(REQUESTS), reading: Semaphore::new(REQUESTS) }
    }
}

/// A method as a label: senders may invent methods, and each label is kept for ever.
fn label(method: &Method) -> &'static str {
    const KNOWN: [(Method, &str); 7] = [
        (Method::GET, "GET"),
        (Method::POST, "POST"),
        (Method::DELETE, "DELETE"),
        (Method::HEAD, "HEAD"),
        (Method::PUT, "PUT"),
        (Method::PATCH, "PATCH"),
        (Method::OPTIONS, "OPTIONS"),
    ];
    KNOWN.iter().find(|(known, _)| known == method).map_or("other", |(_, label)| label)
}

fn too_many() -> Problem {
    Problem::unavailable("too many requests are under way: send again after Retry-After seconds").retry_after(1)
}

fn timed_out() -> Problem {
    Problem::unavailable("the request took too long and was ended; events it held may be stored, so send it again with the same ids")
        .retry_after(1)
}

async fn run(app: &Shared, lane: Lane, request: Request<Body>, next: Next) -> Response {
    let lanes = match lane {
        Lane::Operations | Lane::Long => None,
        Lane::Ingest => Some(&app.lanes.ingest),
        Lane::Reading => Some(&app.lanes.reading),
    };
    let Ok(_permit) = lanes.map(Semaphore::try_acquire).transpose() else { return too_many().into_response() };
    if lane == Lane::Long {
        return next.run(request).await;
    }
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => timed_out().into_response(),
    }
}

/// The middleware.
#[expect(clippy::disallowed_methods, reason = "how long a request took is measured for metrics, and nothing depends on it")]
pub async fn admit(State(app): State<Shared>, request: Request<Body>, next: Next) -> Response {
    let started = Instant::now();
    // The template of the path, never the path: a label must hold no identifier.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = label(request.method());
    let lane = Lane::of(request.method(), &route);
    let mut response = run(&app, lane, request, next).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    );
    let status = response.status().as_u16().to_string();
    let elapsed = started.elapsed();
    tracing::debug!(method, %route, %status, elapsed_us = elapsed.as_micros(), "request");
    metrics::counter!("recall_requests_total", "method" => method, "route" => route.clone(), "status" => status).increment(1);
    metrics::histogram!("recall_request_seconds", "route" => route).record(elapsed.as_secs_f64());
    response
}

#[cfg(test)]
mod tests;
