//! `recall user`: people who sign in at a gateway: add, list, remove.

use serde_json::{Value, json};

use crate::cli::{TargetOnly, User, UserAdd, UserRemove};
use crate::client::{Client, encode};
use crate::failure::Failure;
use crate::{duration, output};

/// Does what is asked.
pub fn run(command: &User, as_json: bool) -> Result<(), Failure> {
    match command {
        User::Add(options) => add(options, as_json),
        User::List(options) => list(options, as_json),
        User::Remove(options) => remove(options, as_json),
    }
}

fn add(options: &UserAdd, as_json: bool) -> Result<(), Failure> {
    let (Some(gateway), Some(upstream_role)) = (&options.gateway, &options.upstream_role) else {
        return Err(Failure::wrong("users without a gateway are not in this version: for access to the trail use recall token create"));
    };
    let expires_in_s = options.expires.as_deref().map(duration::seconds).transpose()?;
    let client = Client::open(&options.target)?;
    let body = json!({"gateway": gateway, "name": options.name, "role": options.role, "upstream_role": upstream_role,
        "expires_in_s": expires_in_s, "replace": options.replace});
    let answer = client.post_json("/v1/users", &body)?.success()?.json()?;
    client.close()?;
    if as_json {
        return output::json(&answer);
    }
    let secret = answer.get("secret").and_then(Value::as_str).ok_or_else(|| Failure::unreachable("the server's answer holds no secret"))?;
    output::line(secret)?;
    if let Some(end) = answer.get("expires_at").and_then(Value::as_str) {
        let other = if options.expires.is_none() { "; --expires says otherwise" } else { "" };
        output::note(&format!("it is shown only now and works until {}{other}", output::printable(end)));
    }
    Ok(())
}

fn list(options: &TargetOnly, as_json: bool) -> Result<(), Failure> {
    let client = Client::open(&options.target)?;
    let answer = client.get("/v1/users")?.success()?.json()?;
    client.close()?;
    if as_json {
        return output::json(&answer);
    }
    let rows = answer.get("users").and_then(Value::as_array).into_iter().flatten().map(|user| {
        let works = |secret: &&Value| secret.get("status").and_then(Value::as_str) == Some("works");
        let living: Vec<&Value> = user.get("secrets").and_then(Value::as_array).into_iter().flatten().filter(works).collect();
        let last = living.iter().filter_map(|secret| secret.get("expires_at").and_then(Value::as_str)).max().unwrap_or("");
        let mut row: Vec<String> = ["gateway", "name", "role", "upstream_role", "status"]
            .iter()
            .map(|name| user.get(*name).and_then(Value::as_str).unwrap_or("").to_owned())
            .collect();
        row.extend([living.len().to_string(), last.to_owned()]);
        row
    });
    output::table(&["gateway", "name", "role", "upstream role", "status", "secrets", "last expires"], rows.collect())
}

fn remove(options: &UserRemove, as_json: bool) -> Result<(), Failure> {
    let client = Client::open(&options.target)?;
    let mut path = format!("/v1/users/{}/{}", encode(&options.gateway), encode(&options.name));
    if let Some(id) = &options.secret {
        path.push_str(&format!("/secrets/{}", encode(id)));
    }
    let answer = client.delete(&path)?.success()?.json()?;
    client.close()?;
    if as_json {
        return output::json(&answer);
    }
    let name = output::printable(&options.name);
    output::line(&match &options.secret {
        Some(id) => format!("secret {} of {name} is revoked", output::printable(id)),
        None => format!("{name} is removed, and none of the user's secrets works any more"),
    })
}
