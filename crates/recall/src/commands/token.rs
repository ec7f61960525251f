//! `recall token`: create, list, revoke.

use serde_json::{Value, json};

use crate::cli::{TargetOnly, Token, TokenCreate, TokenRevoke};
use crate::client::{Client, encode};
use crate::failure::Failure;
use crate::{duration, output};

/// Does what is asked.
pub fn run(command: &Token, as_json: bool) -> Result<(), Failure> {
    match command {
        Token::Create(options) => create(options, as_json),
        Token::List(options) => list(options, as_json),
        Token::Revoke(options) => revoke(options, as_json),
    }
}

fn create(options: &TokenCreate, as_json: bool) -> Result<(), Failure> {
    let expires_in_s = options.expires.as_deref().map(duration::seconds).transpose()?;
    let client = Client::open(&options.target)?;
    let body = json!({"role": options.role, "name": options.name, "expires_in_s": expires_in_s, "sources": options.sources});
    let answer = client.post_json("/v1/tokens", &body)?.success()?.json()?;
    client.close()?;
    if as_json {
        return output::json(&answer);
    }
    let token = answer.get("token").and_then(Value::as_str).ok_or_else(|| Failure::unreachable("the server's answer holds no token"))?;
    output::line(token)?;
    if let (None, Some(end)) = (&options.expires, answer.get("expires_at").and_then(Value::as_str)) {
        output::note(&format!("it works until {}; --expires says otherwise", output::printable(end)));
    }
    if options.role == "ingest" && options.sources.is_empty() && !options.any_source {
        output::note("it may send for any source: bind it to its own with --source URN, or say --any-source");
    }
    Ok(())
}

fn list(options: &TargetOnly, as_json: bool) -> Result<(), Failure> {
    let client = Client::open(&options.target)?;
    let answer = client.get("/v1/tokens")?.success()?.json()?;
    client.close()?;
    if as_json {
        return output::json(&answer);
    }
    let text = |token: &Value, name: &str| token.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    let rows = answer.get("tokens").and_then(Value::as_array).into_iter().flatten().map(|token| {
        let sources = token.get("sources").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        vec![
            text(token, "id"),
            text(token, "role"),
            text(token, "name"),
            if token.get("any_source").and_then(Value::as_bool) == Some(true) {
                "any".into()
            } else {
                sources.collect::<Vec<_>>().join(" ")
            },
            text(token, "status"),
            text(token, "expires_at"),
        ]
    });
    output::table(&["id", "role", "name", "sources", "status", "expires"], rows.collect())
}

fn revoke(options: &TokenRevoke, as_json: bool) -> Result<(), Failure> {
    let client = Client::open(&options.target)?;
    let answer = client.delete(&format!("/v1/tokens/{}", encode(&options.id)))?.success()?.json()?;
    client.close()?;
    if as_json {
        return output::json(&answer);
    }
    output::line(&format!("token {} is revoked", output::printable(&options.id)))
}
