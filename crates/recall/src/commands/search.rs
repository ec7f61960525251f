//! `recall search`: a table for eyes, or an export that pages until all is there.

use serde_json::Value;

use crate::cli::{Search, SearchFormat};
use crate::client::{Answer, Client, path};
use crate::failure::Failure;
use crate::output;

/// Events of a table where no limit is given.
const TABLE_EVENTS: u64 = 50;
/// Events of a page of an export.
const PAGE_EVENTS: u64 = 1_000;
/// The header that names the next page of an export.
const NEXT_CURSOR: &str = "recall-next-cursor";
/// The header that names events that could not be read.
const DAMAGED: &str = "recall-damaged";
/// The header that counts the events of a page of an export.
const COUNT: &str = "recall-events";

/// Asks, and shows what was found.
pub fn run(options: &Search, as_json: bool) -> Result<(), Failure> {
    let client = Client::open(&options.target)?;
    let found = match options.format {
        SearchFormat::Table => table(&client, options, as_json),
        SearchFormat::Ndjson => export(&client, options, "ndjson"),
        SearchFormat::Csv => export(&client, options, "csv"),
    };
    client.close()?;
    if found? == 0 && options.require {
        return Err(Failure::check("nothing matched"));
    }
    Ok(())
}

fn ask(client: &Client, options: &Search, limit: u64, cursor: Option<&str>, format: Option<&str>) -> Result<Answer, Failure> {
    let limit = limit.to_string();
    let pairs = [
        ("q", Some(options.query.as_str())),
        ("from", options.from.as_deref()),
        ("to", options.to.as_deref()),
        ("limit", Some(limit.as_str())),
        ("cursor", cursor),
        ("format", format),
    ];
    client.get(&path("/v1/events", &pairs))?.success()
}

fn table(client: &Client, options: &Search, as_json: bool) -> Result<usize, Failure> {
    let answer = pages(client, options)?;
    let events = answer.get("events").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    warn_of_damage(answer.pointer("/coverage/damaged"));
    if as_json {
        output::json(&answer)?;
        return Ok(events.len());
    }
    output::table(&["index", "time", "actor", "action", "outcome", "patients", "source", "id"], events.iter().map(row).collect())?;
    let count = answer.get("count").and_then(Value::as_u64).unwrap_or(0);
    let capped = if answer.get("count_capped").and_then(Value::as_bool) == Some(true) { "+" } else { "" };
    output::note(&format!("{} of {count}{capped} events", events.len()));
    let sentence = answer.pointer("/coverage/sentence").and_then(Value::as_str);
    if let Some(sentence) = sentence {
        output::note(&output::printable(sentence));
    }
    Ok(events.len())
}

/// The first page, with the events of those that follow it as far as the limit goes.
fn pages(client: &Client, options: &Search) -> Result<Value, Failure> {
    let limit = options.limit.unwrap_or(TABLE_EVENTS);
    let mut answer = ask(client, options, limit.min(PAGE_EVENTS), None, None)?.json()?;
    loop {
        let held = answer.get("events").and_then(Value::as_array).map_or(0, Vec::len) as u64;
        let cursor = answer.get("next_cursor").and_then(Value::as_str).filter(|_| held < limit).map(str::to_owned);
        let Some(cursor) = cursor else { return Ok(answer) };
        let mut page = ask(client, options, (limit - held).min(PAGE_EVENTS), Some(&cursor), None)?.json()?;
        let more = page.get_mut("events").map(Value::take);
        if let (Some(all), Some(Value::Array(more))) = (answer.get_mut("events").and_then(Value::as_array_mut), more) {
            all.extend(more);
        }
        if let Some(next) = answer.get_mut("next_cursor") {
            *next = page.get_mut("next_cursor").map(Value::take).unwrap_or_default();
        }
    }
}

/// Says which events could not be read, and why: a line for each range.
pub fn warn_of_damage(damaged: Option<&Value>) {
    for range in damaged.and_then(Value::as_array).into_iter().flatten() {
        let number = |name: &str| range.get(name).and_then(Value::as_u64).unwrap_or(0);
        let what = range.get("what").and_then(Value::as_str).unwrap_or("");
        output::note(&format!(
            "recall: warning: events {} to {} could not be read and may be missing: {}",
            number("first"),
            number("last"),
            output::printable(what)
        ));
    }
}

fn row(event: &Value) -> Vec<String> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
    let mut patients: Vec<&str> = event
        .get("targets")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|target| target.get("patient_id")?.as_str())
        .collect();
    patients.dedup();
    vec![
        event.pointer("/integrity/index").map(ToString::to_string).unwrap_or_default(),
        text("/time"),
        text("/actor/id"),
        text("/action"),
        text("/outcome/status"),
        patients.join(" "),
        text("/source"),
        text("/id"),
    ]
}

fn export(client: &Client, options: &Search, format: &str) -> Result<usize, Failure> {
    let mut cursor: Option<String> = None;
    let mut found = 0_usize;
    let mut left = options.limit.unwrap_or(u64::MAX);
    let bar = output::progress(None, false, "events");
    loop {
        let page = ask(client, options, left.min(PAGE_EVENTS), cursor.as_deref(), Some(format))?;
        let header = |name: &str| page.headers.get(name).and_then(|value| value.to_str().ok());
        let count: usize = header(COUNT)
            .and_then(|count| count.parse().ok())
            .ok_or_else(|| Failure::unreachable("the server's answer counts no events"))?;
        let body = match (format, cursor.is_some()) {
            // Each page of CSV has the header line; one is enough.
            ("csv", true) => page.body.iter().position(|byte| *byte == b'\n').and_then(|end| page.body.get(end + 1..)).unwrap_or(&[]),
            _ => &page.body,
        };
        if let Some(ranges) = header(DAMAGED) {
            output::note(&format!("recall: warning: events {} could not be read and may be missing", output::printable(ranges)));
        }
        output::bytes(body)?;
        found += count;
        left = left.saturating_sub(count as u64);
        bar.set_position(found as u64);
        cursor = header(NEXT_CURSOR).map(str::to_owned);
        if cursor.is_none() || left == 0 {
            bar.finish_and_clear();
            return Ok(found);
        }
    }
}
