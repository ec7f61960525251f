//! `/v1/users`: gateway users: make, give a further secret, list, remove. What is done is recorded in the transaction that does it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use recall_log::time::Timestamp;
use recall_store::catalog::{Kind, RowChange};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{App, Shared};
use crate::gateway::people::Unreadable;
use crate::gateway::users::{LIVING, NAME_BYTES, ROLE_BYTES, Roles, UPSTREAM_ROLE_BYTES, USERS, User, row_name};
use crate::gateway::{self, is_name};
use crate::http::format::{JsonBody, Segments, json as answer};
use crate::http::problem::Problem;
use crate::http::tokens::{EXPIRES_S, after};
use crate::identity::Identity;
use crate::record::Record;

/// How long a secret works where nothing is said, seconds: a quarter.
const STANDARD_EXPIRES_S: u64 = 90 * 86_400;

impl From<Unreadable> for Problem {
    fn from(error: Unreadable) -> Self {
        Self::internal(error.to_string())
    }
}

/// The body of a creation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    gateway: String,
    name: String,
    role: String,
    upstream_role: String,
    expires_in_s: Option<u64>,
    #[serde(default)]
    replace: bool,
}

impl Wanted {
    fn check(&self) -> Result<(), Problem> {
        let fits = |text: &str, most: usize| (1..=most).contains(&text.len()) && !text.chars().any(char::is_control);
        if !is_name(&self.gateway) {
            return Err(Problem::unprocessable(format!("gateway: give 1 to {} of the characters a-z, 0-9 and -", gateway::NAME_BYTES)));
        }
        if !fits(&self.name, NAME_BYTES) || self.name.trim() != self.name {
            return Err(Problem::unprocessable(format!(
                "name: give 1 to {NAME_BYTES} bytes without control characters, beginning and ending with no white space"
            )));
        }
        if !fits(&self.role, ROLE_BYTES) || self.role.contains(char::is_whitespace) {
            return Err(Problem::unprocessable(format!("role: give 1 to {ROLE_BYTES} bytes without control characters or white space")));
        }
        if !fits(&self.upstream_role, UPSTREAM_ROLE_BYTES) {
            return Err(Problem::unprocessable(format!(
                "upstream_role: give the name of a PostgreSQL role, 1 to {UPSTREAM_ROLE_BYTES} bytes without control characters"
            )));
        }
        if self.expires_in_s.is_some_and(|seconds| seconds == 0 || seconds > EXPIRES_S) {
            return Err(Problem::unprocessable("expires_in_s: give 1 second to a hundred years, or leave it out for 90 days"));
        }
        Ok(())
    }

    fn roles(&self) -> Roles {
        Roles { role: self.role.clone(), upstream_role: self.upstream_role.clone() }
    }
}

/// `POST /v1/users`
pub async fn create(State(app): State<Shared>, maker: Identity, JsonBody(wanted): JsonBody<Wanted>) -> Result<Response, Problem> {
    wanted.check()?;
    let _one_at_a_time = app.administration.lock().await;
    let now = app.clock.now();
    let found = app.gateway_user(&wanted.gateway, &wanted.name)?;
    let existed = found.is_some();
    let mut user = match found {
        Some(user) if user.roles() != wanted.roles() && !wanted.replace => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "this user has another role or upstream role: send the same, or \"replace\": true to change them for all of the user's secrets",
            ));
        }
        Some(user) => user,
        None if app.trail.rows(Kind::User).len() >= USERS => {
            return Err(Problem::unprocessable(format!("{USERS} users are kept, removed ones included, and no more")));
        }
        None => User::new(&*app.random, wanted.gateway.clone(), wanted.name.clone(), wanted.roles(), now),
    };
    let before = user.roles();
    user.set_roles(wanted.roles());
    let expires_at = after(now, wanted.expires_in_s.unwrap_or(STANDARD_EXPIRES_S));
    let Some((id, shown)) = user.add_secret(&*app.random, now, expires_at) else {
        return Err(Problem::unprocessable(format!("{LIVING} secrets of this user work, and no more may: revoke one first")));
    };
    let mut metadata = json!({"gateway": user.gateway, "user_role": wanted.role, "upstream_role": wanted.upstream_role,
        "secret_id": id, "secret_expires_at": expires_at.to_string(), "user_existed": existed.to_string()});
    if let (true, Some(members)) = (before != user.roles(), metadata.as_object_mut()) {
        members.insert("replaced_user_role".into(), before.role.into());
        members.insert("replaced_upstream_role".into(), before.upstream_role.into());
    }
    record(&app, &maker, ("recall.user.create", if existed { "U" } else { "C" }), &user, metadata).await?;
    Ok(answer(&json!({"id": id, "secret": shown.as_str(), "gateway": user.gateway, "name": user.name, "role": wanted.role,
        "upstream_role": wanted.upstream_role, "expires_at": expires_at.to_string()})))
}

/// Keeps the user as it is now, and the record of why.
async fn record(app: &App, by: &Identity, (action, op): (&str, &str), user: &User, metadata: Value) -> Result<(), Problem> {
    let name = row_name(&user.gateway, &user.name);
    let record = Record::new(by.actor(), action, op, json!({"type": "recall:user", "id": name})).with(metadata);
    app.record(record, vec![RowChange::put(Kind::User, name, user.write())]).await
}

/// `GET /v1/users`
pub async fn list(State(app): State<Shared>, reader: Identity) -> Result<Response, Problem> {
    let now = app.clock.now();
    // By name, as rows come.
    let users: Option<Vec<Value>> =
        app.trail.rows(Kind::User).iter().map(|(_, bytes)| User::read(bytes).map(|user| describe(&user, now))).collect();
    let users = users.ok_or(Unreadable)?;
    app.looked(&reader, "recall.user.list", "recall:users", users.len()).await?;
    Ok(answer(&json!({"users": users})))
}

fn describe(user: &User, now: Timestamp) -> Value {
    let time = |micros: i64| Timestamp::from_micros(micros).to_string();
    let secrets = user.secrets.iter().map(|secret| {
        let status = match (secret.revoked_at, secret.works(now)) {
            (Some(_), _) => "revoked",
            (None, true) => "works",
            (None, false) => "expired",
        };
        json!({"id": secret.id, "status": status, "created_at": time(secret.created_at), "expires_at": time(secret.expires_at),
            "revoked_at": secret.revoked_at.map(time)})
    });
    let status = match (user.removed_at, user.living(now).next()) {
        (Some(_), _) => "removed",
        (None, Some(_)) => "works",
        (None, None) => "ended",
    };
    let Roles { role, upstream_role } = user.roles();
    json!({"gateway": user.gateway, "name": user.name, "role": role, "upstream_role": upstream_role, "status": status,
        "created_at": time(user.created_at), "removed_at": user.removed_at.map(time), "secrets": secrets.collect::<Vec<_>>()})
}

/// `DELETE /v1/users/{gateway}/{name}`
pub async fn remove(
    State(app): State<Shared>,
    administrator: Identity,
    Segments((gateway, name)): Segments<(String, String)>,
) -> Result<Response, Problem> {
    let _one_at_a_time = app.administration.lock().await;
    let mut user = stored(&app, &gateway, &name)?;
    let now = app.clock.now();
    if user.remove(now) {
        let metadata = json!({"gateway": user.gateway});
        record(&app, &administrator, ("recall.user.remove", "D"), &user, metadata).await?;
    }
    Ok(answer(&describe(&user, now)))
}

/// `DELETE /v1/users/{gateway}/{name}/secrets/{id}`
pub async fn revoke(
    State(app): State<Shared>,
    administrator: Identity,
    Segments((gateway, name, id)): Segments<(String, String, String)>,
) -> Result<Response, Problem> {
    let _one_at_a_time = app.administration.lock().await;
    let mut user = stored(&app, &gateway, &name)?;
    let now = app.clock.now();
    let revoked = user.revoke(&id, now).ok_or_else(|| Problem::not_found("the user has no such secret: see recall user list --json"))?;
    if revoked {
        let metadata = json!({"gateway": user.gateway, "secret_id": id});
        record(&app, &administrator, ("recall.user.secret.revoke", "D"), &user, metadata).await?;
    }
    Ok(answer(&describe(&user, now)))
}

fn stored(app: &App, gateway: &str, name: &str) -> Result<User, Problem> {
    app.gateway_user(gateway, name)?.ok_or_else(|| Problem::not_found("there is no such user: see recall user list"))
}

#[cfg(test)]
mod tests;
