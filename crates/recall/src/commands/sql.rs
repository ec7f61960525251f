//! `recall sql`.

use serde_json::{Value, json};

use crate::cli::Sql;
use crate::client::Client;
use crate::commands::search::warn_of_damage;
use crate::failure::Failure;
use crate::output;

/// Asks, and shows the rows.
pub fn run(options: &Sql, as_json: bool) -> Result<(), Failure> {
    let client = Client::open(&options.target)?;
    let answer = client.post_json("/v1/sql", &json!({"sql": options.sql}))?.success()?.json()?;
    client.close()?;
    warn_of_damage(answer.get("damaged"));
    if as_json {
        return output::json(&answer);
    }
    let array = |name: &str| answer.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let columns: Vec<String> = array("columns").iter().map(cell).collect();
    let header: Vec<&str> = columns.iter().map(String::as_str).collect();
    let rows = array("rows").iter().map(|row| row.as_array().into_iter().flatten().map(cell).collect()).collect();
    output::table(&header, rows)?;
    if answer.get("truncated").and_then(Value::as_bool) == Some(true) {
        output::note("there are more rows than an answer holds: narrow the question or add LIMIT and OFFSET");
    }
    Ok(())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
