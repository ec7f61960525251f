//! The server as an HTTP client sees it.

use recall_bench::stuck::Stuck;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

/// An HTTP client of one server.
pub struct Api {
    agent: Agent,
    base: String,
}

/// Status and body of an answer.
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Api {
    pub fn new(base: &str) -> Self {
        let agent = Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(120))).build().into();
        Self { agent, base: base.to_owned() }
    }

    /// Asks for a path; every status is an answer.
    pub fn get(&self, path: &str, token: &str) -> Result<Answer, Stuck> {
        let request = self.agent.get(format!("{}{path}", self.base)).header("authorization", format!("Bearer {token}"));
        read(path, request.call())
    }

    /// Sends events, one a line.
    pub fn send(&self, body: &[u8], token: &str) -> Result<Answer, Stuck> {
        let request = self
            .agent
            .post(format!("{}/v1/events", self.base))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/x-ndjson");
        read("/v1/events", request.send(body))
    }

    /// Searches; gives the answer's body.
    pub fn search(&self, query: &str, limit: u32, token: &str) -> Result<Value, Stuck> {
        let path = format!("/v1/events?q={}&limit={limit}", encode(query));
        expect(self.get(&path, token)?, "a search")
    }

    /// Searches page after page until there is no next one.
    pub fn search_all(&self, query: &str, token: &str) -> Result<Vec<Value>, Stuck> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut path = format!("/v1/events?q={}&limit=1000", encode(query));
            if !cursor.is_empty() {
                path.push_str(&format!("&cursor={}", encode(&cursor)));
            }
            let mut page = expect(self.get(&path, token)?, "a search")?;
            if let Some(events) = page.get_mut("events").and_then(Value::as_array_mut) {
                found.append(events);
            }
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(next) => next.clone_into(&mut cursor),
                None => return Ok(found),
            }
        }
    }

    /// Asks in SQL; gives the rows.
    pub fn sql(&self, sql: &str, token: &str) -> Result<Vec<Vec<Value>>, Stuck> {
        let request = self.agent.post(format!("{}/v1/sql", self.base)).header("authorization", format!("Bearer {token}"));
        let body = expect(read("/v1/sql", request.send_json(json!({ "sql": sql })))?, "SQL")?;
        let rows = body.get("rows").and_then(Value::as_array).ok_or_else(|| Stuck("the answer to SQL has no rows".into()))?;
        Ok(rows.iter().map(|row| row.as_array().cloned().unwrap_or_default()).collect())
    }
}

/// The body of an answer that has to be 200.
pub fn expect(answer: Answer, what: &str) -> Result<Value, Stuck> {
    if answer.status == 200 { Ok(answer.body) } else { Err(Stuck(format!("{what} was answered {}: {}", answer.status, answer.body))) }
}

fn read(path: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer, Stuck> {
    let broken = |error: ureq::Error| Stuck(format!("{path} broke off: {error}"));
    let mut answer = answer.map_err(broken)?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(256 << 20).read_to_vec().map_err(broken)?;
    let body = serde_json::from_slice(&body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
    Ok(Answer { status, body })
}

/// Percent-encoding of everything that is not unreserved.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
