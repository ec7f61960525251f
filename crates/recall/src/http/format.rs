//! What handlers share of reading requests and writing answers: query, JSON bodies and path segments that fail as problems.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::app::Shared;
use crate::http::problem::Problem;

/// The largest JSON body of a request that is no ingest.
const JSON_BYTES: usize = 256 << 10;
/// How long such a body may take to arrive.
const JSON_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest segment of a path: tiles' paths and ids are no longer.
const SEGMENT_BYTES: usize = 512;

/// The query string; unknown names are refused.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Shared> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::bad_request(format!("query string: {}", harmless(&innermost(&rejection))))),
        }
    }
}

/// A JSON body; unknown fields are refused.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Shared> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, _: &Shared) -> Result<Self, Problem> {
        let read = tokio::time::timeout(JSON_TIMEOUT, to_bytes(request.into_body(), JSON_BYTES)).await;
        let read = read.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body stopped arriving: send it again"))?;
        let bytes = read.map_err(|_| {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body broke off or is larger than {} KiB", JSON_BYTES >> 10))
        })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| Problem::bad_request(format!("body: {}", harmless(&error.to_string()))))
    }
}

/// The one variable segment of a path.
pub struct Segment(pub String);

impl FromRequestParts<Shared> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Problem> {
        let Path(segment) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|_| Problem::bad_request("the path is not valid UTF-8"))?;
        if segment.len() > SEGMENT_BYTES {
            return Err(Problem::not_found("nothing has so long a name"));
        }
        Ok(Self(segment))
    }
}

/// Several variable segments of a path. What they name is looked up in memory, so that a long name is one that nothing has.
pub struct Segments<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Problem> {
        let read = Path::<T>::from_request_parts(parts, state).await;
        read.map(|Path(segments)| Self(segments)).map_err(|_| Problem::bad_request("the path is not valid UTF-8"))
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// A parser's message, if it names fields only; messages that quote what was sent are replaced.
fn harmless(message: &str) -> &str {
    // Some parsers put the field's path in front.
    let inner = message.split_once(": ").map_or(message, |(_, inner)| inner);
    let named = |text: &&str| ["unknown field", "missing field", "duplicate field"].iter().any(|start| text.starts_with(start));
    [message, inner].into_iter().find(named).unwrap_or("a value is malformed or of the wrong type; see /openapi.json")
}

/// An answer of JSON.
pub fn json(value: &Value) -> Response {
    json_bytes(value.to_string().into_bytes())
}

/// An answer of JSON that is already written.
pub fn json_bytes(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], bytes).into_response()
}

/// An answer of text.
pub fn text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], text).into_response()
}
