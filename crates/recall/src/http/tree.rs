//! The public log: C2SP tlog-tiles and checkpoint, as they lie in the folder. They hold no health information and need no token.

use std::io::ErrorKind;
use std::path::PathBuf;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use recall_log::tile::{TileKind, TilePath};

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
    let missing = || Problem::not_found("the tree has no such tile yet");
    // Beyond the checkpoint, files come, grow and are written again: nobody may keep what they say now.
    if !is_published(path, app.trail.published()) {
        return Err(missing());
    }
    let bytes = read(app.trail.log_dir().join(path.to_string())).await?.ok_or_else(missing)?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "max-age=31536000, immutable")], bytes)
        .into_response())
}

/// Does the tree of `size` events hold all that the file does?
fn is_published(path: TilePath, size: u64) -> bool {
    let level = match path.kind {
        TileKind::Entries => 0,
        TileKind::Level(level) => level,
    };
    let there = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
    path.index.checked_mul(256).and_then(|first| first.checked_add(path.width.into())).is_some_and(|end| end <= there)
}

#[cfg(test)]
mod tests;

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
