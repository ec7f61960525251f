//! Who asks: `Authorization: Bearer TOKEN` to an identity. Refused attempts are recorded, a few a second one by one, the rest counted.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use recall_log::time::Timestamp;
use serde_json::json;

use crate::app::Shared;
use crate::http::problem::Problem;
use crate::identity::Identity;
use crate::record::Record;
use crate::tokens::Presented;

/// Refused attempts that are recorded one by one in a second.
const RECORDED_EACH_SECOND: u32 = 5;

/// Refused attempts of the second that runs.
#[derive(Default)]
pub struct Refused(Mutex<Window>);

#[derive(Default, Clone, Copy)]
struct Window {
    second: i64,
    recorded: u32,
    counted: u64,
}

impl Refused {
    /// Notes an attempt at `now`: whether to record it by itself, and how many of an earlier second wait for one record together.
    fn note(&self, now: Timestamp) -> (bool, u64) {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.micros().div_euclid(1_000_000);
        let waiting =
            if window.second == second { 0 } else { std::mem::replace(&mut *window, Window { second, ..Window::default() }).counted };
        if window.recorded < RECORDED_EACH_SECOND {
            window.recorded += 1;
            (true, waiting)
        } else {
            window.counted += 1;
            (false, waiting)
        }
    }

    /// How many attempts of a second that is over wait for one record together; they wait no more.
    pub fn take_counted(&self, now: Timestamp) -> u64 {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.second == now.micros().div_euclid(1_000_000) { 0 } else { std::mem::take(&mut window.counted) }
    }
}

/// Lets in whoever shows a token that works.
pub async fn by_token(State(app): State<Shared>, mut request: Request<Body>, next: Next) -> Response {
    match identify(&app, request.headers()) {
        Ok(Some(identity)) => {
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Ok(None) => {
            let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_string());
            let claimed = bearer(request.headers()).and_then(Presented::parse).map(|presented| presented.id.to_owned());
            note_refusal(&app, peer, claimed);
            Problem::unauthorized().into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

/// Lets in the machine's own administrator: whoever works on the folder itself.
pub async fn as_machine(mut request: Request<Body>, next: Next) -> Response {
    request.extensions_mut().insert(Identity::machine());
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn identify(app: &Shared, headers: &HeaderMap) -> Result<Option<Identity>, Problem> {
    let Some(presented) = bearer(headers).and_then(Presented::parse) else { return Ok(None) };
    let Some(stored) = app.stored_token(presented.id)? else { return Ok(None) };
    Ok(presented.identify(&stored, app.clock.now()))
}

fn note_refusal(app: &Shared, peer: Option<String>, claimed: Option<String>) {
    metrics::counter!("recall_refused_sign_ins_total").increment(1);
    let (by_itself, waiting) = app.refused.note(app.clock.now());
    if waiting > 0 {
        let app = Arc::clone(app);
        tokio::spawn(async move { record_counted(&app, waiting).await });
    }
    if !by_itself {
        return;
    }
    let record = Record::new(json!({"type": "anonymous"}), "recall.authenticate", "A", json!({"type": "recall:server"}))
        .ended("denied", "no valid token")
        .with(json!({"token_id": claimed.unwrap_or_else(|| "none".into())}))
        .at_address(peer);
    // Nothing was shown, so nobody waits for this record.
    let app = Arc::clone(app);
    tokio::spawn(async move { write(&app, record).await });
}

/// Records the refused attempts together that wait for it, if there are any.
pub async fn record_counted(app: &Shared, count: u64) {
    if count == 0 {
        return;
    }
    let target = json!({"type": "recall:server", "count": count});
    let record =
        Record::new(json!({"type": "anonymous"}), "recall.authenticate", "A", target).ended("denied", "no valid token, several attempts");
    write(app, record).await;
}

/// A record that could not be written is in the log.
async fn write(app: &Shared, record: Record) {
    if let Err(problem) = app.record(record, Vec::new()).await {
        tracing::warn!(reason = problem.detail(), "a refused attempt could not be recorded");
    }
}

impl FromRequestParts<Shared> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::unauthorized)
    }
}

#[cfg(test)]
mod tests;
