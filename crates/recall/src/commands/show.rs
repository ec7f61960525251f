//! `recall show`: one event as this reader may see it, its changes, and its proof.

use serde_json::Value;

use crate::cli::{By, Show};
use crate::client::{Client, encode, path};
use crate::failure::Failure;
use crate::output;

/// Fetches event and receipt, and shows them; in JSON the receipt is `integrity.proof`.
pub fn run(options: &Show, as_json: bool) -> Result<(), Failure> {
    let client = Client::open(&options.target)?;
    let answer = client.get(&path(&format!("/v1/events/{}", encode(&options.event)), &[("by", options.by.map(By::name))]))?;
    if answer.status == axum::http::StatusCode::NOT_FOUND {
        client.close()?;
        return Err(Failure::check("there is no such event, or its content is erased"));
    }
    let mut event = answer.success()?.json()?;
    // By index: an id may stand for events of several sources.
    let index = event.pointer("/integrity/index").map(ToString::to_string).unwrap_or_default();
    let proof = client.get(&format!("/v1/events/{index}/proof?by=index"))?.success()?;
    client.close()?;
    let proof = String::from_utf8_lossy(&proof.body).into_owned();
    if as_json {
        if let Some(integrity) = event.get_mut("integrity").and_then(Value::as_object_mut) {
            integrity.insert("proof".into(), proof.into());
        }
        return output::json(&event);
    }
    let text = serde_json::to_string_pretty(&event).map_err(|error| Failure::unreachable(format!("the event cannot be shown: {error}")))?;
    output::line(&text)?;
    for change in event.get("changes").and_then(Value::as_array).into_iter().flatten() {
        let side = |name: &str| change.get(name).map_or_else(|| "(nothing)".to_owned(), Value::to_string);
        let path = change.get("path").and_then(Value::as_str).unwrap_or("");
        output::line(&format!("changed {}: {} -> {}", output::printable(path), side("before"), side("after")))?;
    }
    output::line(&format!("\nproof:\n{proof}"))
}
