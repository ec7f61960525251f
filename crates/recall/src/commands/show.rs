//! `recall show`: one event, as this reader may see it.

use serde_json::Value;

use crate::cli::Show;
use crate::client::{Client, encode};
use crate::failure::Failure;
use crate::output;

/// Fetches the event and shows it.
pub fn run(options: &Show, as_json: bool) -> Result<(), Failure> {
    let client = Client::open(&options.target)?;
    let answer = client.get(&format!("/v1/events/{}", encode(&options.event)))?;
    if answer.status == axum::http::StatusCode::NOT_FOUND {
        client.close()?;
        return Err(Failure::check("there is no such event"));
    }
    let event = answer.success()?.json()?;
    client.close()?;
    if as_json {
        return output::json(&event);
    }
    for change in event.get("changes").and_then(Value::as_array).into_iter().flatten() {
        let side = |name: &str| change.get(name).map_or_else(|| "(nothing)".to_owned(), Value::to_string);
        let path = change.get("path").and_then(Value::as_str).unwrap_or("");
        output::line(&format!("changed {}: {} -> {}", output::printable(path), side("before"), side("after")))?;
    }
    let text = serde_json::to_string_pretty(&event).map_err(|error| Failure::unreachable(format!("the event cannot be shown: {error}")))?;
    output::line(&text)
}
