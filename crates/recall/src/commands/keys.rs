//! `recall keys`: list, public, rotate-root, shred, export.

use serde_json::{Value, json};

use crate::cli::{Keys, KeysExport, Shred, TargetOnly};
use crate::client::Client;
use crate::failure::Failure;
use crate::{folder, output};

/// Does what is asked.
pub fn run(command: &Keys, as_json: bool) -> Result<(), Failure> {
    match command {
        Keys::List(options) => list(options, as_json),
        Keys::Public(options) => public(options, as_json),
        Keys::RotateRoot(options) => rotate(options, as_json),
        Keys::Shred(options) => shred(options, as_json),
        Keys::Export(options) => export(options, as_json),
    }
}

fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn list(options: &TargetOnly, as_json: bool) -> Result<(), Failure> {
    let client = Client::open(&options.target)?;
    let answer = client.get("/v1/keys")?.success()?.json()?;
    client.close()?;
    if as_json {
        return output::json(&answer);
    }
    output::line(&format!("root key {}\nlog      {}", text(&answer, "root_key_id"), text(&answer, "vkey")))?;
    let sets = answer.get("sets").and_then(Value::as_array).into_iter().flatten();
    output::table(&["set", "epoch", "class"], sets.map(|set| vec![text(set, "id"), text(set, "epoch"), text(set, "class")]).collect())
}

fn public(options: &TargetOnly, as_json: bool) -> Result<(), Failure> {
    // The key is public: a folder tells it without its root key.
    let vkey = match &options.target.data {
        Some(data) => folder::vkey(data)?,
        None => {
            let client = Client::open(&options.target)?;
            String::from_utf8_lossy(&client.get("/v1/keys/public")?.success()?.body).trim().to_owned()
        }
    };
    if as_json { output::json(&json!({"vkey": vkey})) } else { output::line(&vkey) }
}

fn rotate(options: &TargetOnly, as_json: bool) -> Result<(), Failure> {
    let client = Client::open(&options.target)?;
    let answer = client.post_json_and_wait("/v1/keys/rotate-root", &json!({}))?.success()?.json()?;
    client.close()?;
    if as_json {
        return output::json(&answer);
    }
    output::line(&format!(
        "the root key is now {}; export the keyring anew for your backups: recall keys export FILE",
        text(&answer, "root_key_id")
    ))
}

fn shred(options: &Shred, as_json: bool) -> Result<(), Failure> {
    if !options.yes {
        return Err(Failure::wrong("shredding destroys the content of an epoch's events for ever: add --yes if that is meant"));
    }
    let client = Client::open(&options.target)?;
    let body = json!({"epoch": options.epoch, "class": options.class, "rule": options.rule, "approvers": options.approvers});
    let answer = client.post_json_and_wait("/v1/keys/shred", &body)?.success()?.json()?;
    client.close()?;
    if as_json {
        return output::json(&answer);
    }
    output::line(&format!("epoch {} is shredded; recorded as event {}", output::printable(&options.epoch), text(&answer, "recorded_as")))?;
    output::note(&text(&answer, "destroy"));
    Ok(())
}

fn export(options: &KeysExport, as_json: bool) -> Result<(), Failure> {
    let client = Client::open(&options.target)?;
    let answer = client.get("/v1/keys/export")?.success()?;
    client.close()?;
    folder::write_new(&options.file, &answer.body)?;
    let file = options.file.display().to_string();
    if as_json {
        return output::json(&json!({"file": file}));
    }
    output::line(&format!("{file} holds the wrapped keys; without the root key it opens nothing, and without it no backup opens"))
}
