//! The public log: C2SP tlog-tiles and checkpoint, as they lie in the folder. They hold no health information and need no token.

use std::io::ErrorKind;
use std::path::PathBuf;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use recall_log::tile::TilePath;

use crate::app::Shared;
use crate::http::format::Segment;
use crate::http::problem::Problem;

/// `GET /checkpoint`
pub async fn checkpoint(State(app): State<Shared>) -> Result<Response, Problem> {
    let bytes = read(app.trail.log_dir().join("checkpoint")).await?;
    let bytes = bytes.ok_or_else(|| Problem::not_found("no checkpoint is published yet: it follows within seconds of the first event"))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], bytes).into_response())
}

/// `GET /tile/…`
pub async fn tile(State(app): State<Shared>, Segment(path): Segment) -> Result<Response, Problem> {
    // Only what the strict parser takes reaches the file system.
    let path = TilePath::parse(&format!("tile/{path}")).map_err(|error| Problem::not_found(error.to_string()))?;
    let bytes = read(app.trail.log_dir().join(path.to_string())).await?;
    let bytes = bytes.ok_or_else(|| Problem::not_found("the tree has no such tile yet"))?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "max-age=31536000, immutable")], bytes)
        .into_response())
}

async fn read(path: PathBuf) -> Result<Option<Vec<u8>>, Problem> {
    let read = tokio::task::spawn_blocking(move || match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    });
    match read.await {
        Ok(Ok(bytes)) => Ok(bytes),
        _ => Err(Problem::internal("a file of the public log cannot be read: see recall doctor")),
    }
}
