//! What every request passes through: a bound on how many are under way, a time limit, counters, and headers of every answer.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, State};
use axum::http::{HeaderValue, Request, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::Shared;
use crate::http::problem::Problem;

/// Requests under way at a time; one more is told to come back.
pub const REQUESTS: usize = 512;
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);

/// The middleware.
#[expect(clippy::disallowed_methods, reason = "how long a request took is measured for metrics, and nothing depends on it")]
pub async fn admit(State(app): State<Shared>, request: Request<Body>, next: Next) -> Response {
    let started = Instant::now();
    // The template of the path, never the path: a label must hold no identifier.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().as_str().to_owned();
    let mut response = match app.requests.try_acquire() {
        Err(_) => {
            Problem::unavailable("too many requests are under way: send again after Retry-After seconds").retry_after(1).into_response()
        }
        Ok(_permit) => match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::unavailable(
                "the request took too long and was ended; events it held may be stored, so send it again with the same ids",
            )
            .into_response(),
        },
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    );
    let status = response.status().as_u16().to_string();
    let elapsed = started.elapsed();
    tracing::debug!(%method, %route, %status, elapsed_us = elapsed.as_micros(), "request");
    metrics::counter!("recall_requests_total", "method" => method, "route" => route.clone(), "status" => status).increment(1);
    metrics::histogram!("recall_request_seconds", "route" => route).record(elapsed.as_secs_f64());
    response
}
