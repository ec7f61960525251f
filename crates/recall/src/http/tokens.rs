//! `/v1/tokens`: create, list, revoke. What is done is recorded in the transaction that does it.

use axum::extract::State;
use axum::response::Response;
use recall_log::time::Timestamp;
use recall_store::catalog::{Kind, RowChange};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{App, Shared};
use crate::http::format::{JsonBody, Segment, json as answer};
use crate::http::problem::Problem;
use crate::identity::{Identity, ONE_TIME, ROLES, Role};
use crate::record::{RESERVED_SOURCES, Record};
use crate::tokens::{self, NAME_BYTES, SOURCES, Stored};

/// Most tokens that are kept, ended ones included.
const TOKENS: usize = 10_000;
/// Longest source, in bytes: as long as an event's may be.
const SOURCE_BYTES: usize = 512;
/// How long a token of a feed works where nothing is said, seconds: a quarter.
const FEED_EXPIRES_S: u64 = 90 * 86_400;
/// How long a token of a person works where nothing is said, seconds: a week.
const PERSON_EXPIRES_S: u64 = 7 * 86_400;
/// Longest time that a token or a secret may work, seconds: a hundred years.
pub const EXPIRES_S: u64 = 100 * 366 * 86_400;

/// The body of a creation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    role: String,
    name: Option<String>,
    expires_in_s: Option<u64>,
    #[serde(default)]
    sources: Vec<String>,
}

impl Wanted {
    fn check(&self) -> Result<Role, Problem> {
        let role = Role::parse(&self.role).ok_or_else(|| {
            let known: Vec<&str> = ROLES.iter().map(|(name, _)| *name).collect();
            Problem::unprocessable(format!("role: choose one of {}", known.join(", ")))
        })?;
        if self.name.as_ref().is_some_and(|name| name.is_empty() || name.len() > NAME_BYTES || name.chars().any(char::is_control)) {
            return Err(Problem::unprocessable(format!("name: give 1 to {NAME_BYTES} bytes without control characters, or leave it out")));
        }
        if self.expires_in_s.is_some_and(|seconds| seconds == 0 || seconds > EXPIRES_S) {
            return Err(Problem::unprocessable(
                "expires_in_s: give 1 second to a hundred years, or leave it out for 90 days (ingest) or 7 days (others)",
            ));
        }
        if !self.sources.is_empty() && role != Role::Ingest {
            return Err(Problem::unprocessable("sources: only tokens of role ingest are scoped to sources; leave it out"));
        }
        let bad = |source: &String| source.is_empty() || source.len() > SOURCE_BYTES || source.starts_with(RESERVED_SOURCES);
        if self.sources.len() > SOURCES || self.sources.iter().any(bad) {
            return Err(Problem::unprocessable(format!(
                "sources: give at most {SOURCES}, each 1 to {SOURCE_BYTES} bytes and none beginning with {RESERVED_SOURCES}"
            )));
        }
        Ok(role)
    }
}

/// `POST /v1/tokens`
pub async fn create(State(app): State<Shared>, maker: Identity, JsonBody(wanted): JsonBody<Wanted>) -> Result<Response, Problem> {
    let role = wanted.check()?;
    let _one_at_a_time = app.administration.lock().await;
    if app.trail.rows(Kind::Token).len() >= TOKENS {
        return Err(Problem::unprocessable(format!("{TOKENS} tokens are kept, and no more: tokens that live longer serve the same")));
    }
    let now = app.clock.now();
    let mut rows = Vec::new();
    if maker.role == Role::FirstAdministrator {
        if role != Role::Administrator {
            return Err(ONE_TIME.into());
        }
        // Asked again now that nobody else is at it: the one-time token works once.
        if app.stored_token(&maker.token_id)?.is_none() {
            return Err(Problem::unauthorized());
        }
        rows.push(RowChange::remove(Kind::Token, maker.token_id.clone()));
    }
    let standard = if role == Role::Ingest { FEED_EXPIRES_S } else { PERSON_EXPIRES_S };
    let expires_at = after(now, wanted.expires_in_s.unwrap_or(standard));
    let (id, shown, stored) = tokens::create(&*app.random, wanted.name, role, wanted.sources, now, expires_at);
    rows.push(RowChange::put(Kind::Token, id.clone(), stored.write()));
    let record = Record::new(maker.actor(), "recall.token.create", "C", json!({"type": "recall:token", "id": id}))
        .with(json!({"token_id": id, "token_role": role.name(), "token_name": stored.name.clone().unwrap_or_default(),
            "token_expires_at": expires_at.to_string()}));
    app.record(record, rows).await?;
    Ok(answer(
        &json!({"id": id, "token": shown.as_str(), "role": role.name(), "expires_at": expires_at.to_string(), "sources": stored.sources}),
    ))
}

/// A time so much later.
pub fn after(now: Timestamp, seconds: u64) -> Timestamp {
    let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    Timestamp::from_micros(now.micros().saturating_add(micros))
}

/// `GET /v1/tokens`
pub async fn list(State(app): State<Shared>, reader: Identity) -> Result<Response, Problem> {
    let now = app.clock.now();
    let mut tokens = Vec::new();
    for (id, bytes) in app.trail.rows(Kind::Token) {
        let stored = Stored::read(&bytes).ok_or_else(|| Problem::internal("a token's row cannot be read: see recall doctor"))?;
        tokens.push((stored.created_at, describe(&id, &stored, now)));
    }
    app.looked(&reader, "recall.token.list", "recall:tokens", tokens.len()).await?;
    tokens.sort_by_key(|(created_at, _)| *created_at);
    Ok(answer(&json!({"tokens": tokens.into_iter().map(|(_, token)| token).collect::<Vec<_>>()})))
}

fn describe(id: &str, stored: &Stored, now: Timestamp) -> Value {
    let time = |micros: Option<i64>| micros.map(|micros| Timestamp::from_micros(micros).to_string());
    let status = match (stored.revoked_at, stored.works(now)) {
        (Some(_), _) => "revoked",
        (None, true) => "works",
        (None, false) => "expired",
    };
    json!({
        "id": id, "role": stored.role, "name": stored.name, "sources": stored.sources,
        "any_source": stored.role == Role::Ingest.name() && stored.sources.is_empty(), "status": status,
        "created_at": time(Some(stored.created_at)), "expires_at": time(stored.expires_at), "revoked_at": time(stored.revoked_at),
    })
}

/// `DELETE /v1/tokens/{id}`
pub async fn revoke(State(app): State<Shared>, administrator: Identity, Segment(id): Segment) -> Result<Response, Problem> {
    let _one_at_a_time = app.administration.lock().await;
    let mut stored = stored(&app, &id)?;
    if stored.revoked_at.is_none() {
        stored.revoked_at = Some(app.clock.now().micros());
        let row = RowChange::put(Kind::Token, id.clone(), stored.write());
        let record = Record::new(administrator.actor(), "recall.token.revoke", "D", json!({"type": "recall:token", "id": id}))
            .with(json!({"token_id": id}));
        app.record(record, vec![row]).await?;
    }
    Ok(answer(&describe(&id, &stored, app.clock.now())))
}

fn stored(app: &App, id: &str) -> Result<Stored, Problem> {
    app.stored_token(id)?.ok_or_else(|| Problem::not_found("there is no such token: see recall token list"))
}
