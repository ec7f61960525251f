//! `recall backup`.

use serde_json::json;

use crate::cli::Backup;
use crate::client::Client;
use crate::failure::Failure;
use crate::output;

/// Has the trail copied to a folder of the machine that holds it.
pub fn run(options: &Backup, as_json: bool) -> Result<(), Failure> {
    let to = std::path::absolute(&options.to).map_err(|error| Failure::wrong(format!("{} is no path: {error}", options.to.display())))?;
    let to = to.to_str().ok_or_else(|| Failure::wrong("the backup's path must be UTF-8"))?;
    let client = Client::open(&options.target)?;
    let answer = client.post_json_and_wait("/v1/backups", &json!({"to": to}))?.success()?.json()?;
    client.close()?;
    if as_json {
        return output::json(&answer);
    }
    let size = answer.get("size").map(ToString::to_string).unwrap_or_default();
    if let Some(stale) = answer.get("keyring").and_then(serde_json::Value::as_str) {
        output::note(stale);
    }
    output::line(&format!("{to} holds the trail up to {size} events, without its keys: keep them elsewhere with recall keys export"))
}
