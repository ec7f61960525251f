//! `recall source`: the register of sources.

use serde_json::{Value, json};

use crate::cli::{Source, SourceExpect, TargetOnly};
use crate::client::Client;
use crate::failure::Failure;
use crate::{duration, output};

/// Does what is asked.
pub fn run(command: &Source, as_json: bool) -> Result<(), Failure> {
    match command {
        Source::List(options) => list(options, as_json),
        Source::Expect(options) => expect(options, as_json),
    }
}

fn list(options: &TargetOnly, as_json: bool) -> Result<(), Failure> {
    let client = Client::open(&options.target)?;
    let answer = client.get("/v1/sources")?.success()?.json()?;
    client.close()?;
    if as_json {
        return output::json(&answer);
    }
    let rows = answer.get("sources").and_then(Value::as_array).into_iter().flatten().map(|source| {
        ["source", "events", "last_heard", "expected_every_s", "silent", "missing", "skew_ms"]
            .iter()
            .map(|name| match source.get(*name) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            })
            .collect()
    });
    output::table(&["source", "events", "last heard", "expected every, s", "silent", "missing", "clock skew, ms"], rows.collect())
}

fn expect(options: &SourceExpect, as_json: bool) -> Result<(), Failure> {
    let every_s = if options.every == "never" { None } else { Some(duration::seconds(&options.every)?) };
    let client = Client::open(&options.target)?;
    let answer = client.post_json("/v1/sources", &json!({"source": options.source, "expected_every_s": every_s}))?.success()?.json()?;
    client.close()?;
    if as_json {
        return output::json(&answer);
    }
    output::line(&match every_s {
        Some(seconds) => format!("{} is expected at least every {seconds} s", output::printable(&options.source)),
        None => format!("{} is expected no more", output::printable(&options.source)),
    })
}
