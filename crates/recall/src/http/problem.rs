//! Errors as RFC 9457 problem details. They name field and remedy and never repeat what was sent.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::identity::Denied;

/// A request that was not done, and why.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    retry_after_s: Option<u32>,
    accept_encoding: bool,
    recorded: bool,
}

/// Goes with the answer, so that whoever passes it on knows why the request was not done.
#[derive(Clone)]
pub struct NotDone(pub Problem);

impl Problem {
    /// A problem of this status; `detail` is one sentence with the remedy.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after_s: None, accept_encoding: false, recorded: false }
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401: nobody known asks.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "no valid token: send Authorization: Bearer TOKEN; a token may have expired or been revoked")
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 415: a content coding that is not known.
    pub fn content_encoding() -> Self {
        let detail = "Content-Encoding names an unknown coding: send gzip, zstd or none";
        Self { accept_encoding: true, ..Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail) }
    }

    /// 422: understood, but wrong.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 429: come back later.
    pub fn busy() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "more events are waiting than can be written: send again after Retry-After seconds")
            .retry_after(1)
    }

    /// 503: not now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// 507: no room.
    pub fn disk_full() -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "the disk that holds the trail is full: make room; the request was not done")
    }

    /// 500: what should not happen.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// Says when to come back.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Says that the trail holds it.
    pub fn recorded(mut self) -> Self {
        self.recorded = true;
        self
    }

    /// Whether the trail holds it.
    pub fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// How the record of it ends.
    pub fn outcome(&self) -> &'static str {
        if self.status == StatusCode::FORBIDDEN { "denied" } else { "failure" }
    }

    /// The sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        Self::new(StatusCode::FORBIDDEN, denied.0)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": &self.detail,
        });
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"recall\""));
        }
        if self.accept_encoding {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"));
        }
        response.extensions_mut().insert(NotDone(self));
        response
    }
}
