//! How a client command asks: over HTTP, or by the same router in this process over a folder that no server holds.

use std::path::PathBuf;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt;
use ureq::Agent;

use crate::cli::{Folder, Target, variable};
use crate::commands::serve::Running;
use crate::failure::Failure;
use crate::folder;

/// The server that is asked where none is named.
const DEFAULT_URL: &str = "http://127.0.0.1:7080";
/// The largest answer that is read.
const ANSWER_BYTES: u64 = 1 << 30;
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Whom to ask.
pub enum Client {
    /// A server.
    Remote { agent: Agent, base: String, token: Option<String> },
    /// A folder, opened by this process.
    Local(Box<Running>),
}

/// What came back.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| Failure::unreachable("the server's answer is not JSON: is this a Recall server?"))
    }

    /// A problem's sentence, if the answer is one.
    fn problem(&self) -> String {
        let detail = serde_json::from_slice::<Value>(&self.body).ok();
        let detail = detail.as_ref().and_then(|problem| problem.get("detail")).and_then(Value::as_str);
        detail.map_or_else(|| format!("the server answered {}", self.status), str::to_owned)
    }

    /// The answer, unless it is a problem.
    pub fn success(self) -> Result<Self, Failure> {
        match self.status.as_u16() {
            200..300 => Ok(self),
            400..500 if self.status != StatusCode::TOO_MANY_REQUESTS => Err(Failure::wrong(self.problem())),
            _ => Err(Failure::unreachable(self.problem())),
        }
    }
}

impl Client {
    /// Opens the folder, if one is named; otherwise prepares to talk to the server. Nothing is sent yet.
    pub fn open(target: &Target) -> Result<Self, Failure> {
        if let Some(data) = &target.data {
            let folder = Folder { data: Some(data.clone()), beside: target.beside.clone() };
            return Ok(Self::Local(Box::new(Running::local(&folder)?)));
        }
        let base = target.url.clone().unwrap_or_else(|| DEFAULT_URL.into());
        let token = token(target)?;
        Ok(Self::Remote { agent: agent(), base: base_url(&base)?, token })
    }

    /// Asks without a body.
    pub fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, &[], Vec::new())
    }

    /// Asks with a JSON body.
    pub fn post_json(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        self.send(Method::POST, path, &[("content-type", "application/json")], body.to_string().into_bytes())
    }

    /// As `post_json`, for work that may take hours: waits as long as it takes.
    pub fn post_json_and_wait(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        self.ask(Method::POST, path, &[("content-type", "application/json")], body.to_string().into_bytes(), true)
    }

    /// Asks for a removal.
    pub fn delete(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::DELETE, path, &[], Vec::new())
    }

    /// Asks; any status is an answer.
    pub fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<Answer, Failure> {
        self.ask(method, path, headers, body, false)
    }

    fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>, waits: bool) -> Result<Answer, Failure> {
        let base = match self {
            Self::Remote { base, .. } => base,
            Self::Local(_) => "",
        };
        let mut request = Request::builder().method(method).uri(format!("{base}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match self {
            Self::Remote { agent, base, token } => {
                let waiting;
                let agent = if waits {
                    waiting = waiting_agent();
                    &waiting
                } else {
                    agent
                };
                if let Some(token) = token {
                    request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
                }
                let request =
                    request.body(body).map_err(|_| Failure::wrong("the server's URL or the token holds characters that cannot be sent"))?;
                remote(agent, base, request)
            }
            Self::Local(running) => {
                let request =
                    request.body(Body::from(body)).map_err(|_| Failure::wrong("the request holds characters that cannot be sent"))?;
                local(running, request)
            }
        }
    }

    /// Ends the work: a folder that was opened is closed.
    pub fn close(self) -> Result<(), Failure> {
        match self {
            Self::Remote { .. } => Ok(()),
            Self::Local(running) => running.close(),
        }
    }
}

/// The token to show: a flag goes before any variable of the environment.
fn token(target: &Target) -> Result<Option<String>, Failure> {
    let from = |token: Option<String>, file: Option<PathBuf>| match (token, file) {
        (Some(token), _) => Ok(Some(token.trim().to_owned())),
        (None, Some(file)) => Ok(Some(folder::read_small(&file)?.trim().to_owned())),
        (None, None) => Ok(None),
    };
    let flag = from(target.token.clone(), target.token_file.clone())?;
    if flag.is_some() {
        return Ok(flag);
    }
    let set = variable("RECALL_TOKEN").map(|token| token.into_string().map_err(|_| Failure::wrong("RECALL_TOKEN must be UTF-8")));
    from(set.transpose()?, variable("RECALL_TOKEN_FILE").map(PathBuf::from))
}

/// An HTTP client that takes every status as an answer.
pub fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).max_redirects(0).build().into()
}

/// One that waits as long as it takes for the answer, though not for the connection.
fn waiting_agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).timeout_connect(Some(TIMEOUT)).max_redirects(0).build().into()
}

/// A server's URL without its last slash.
pub fn base_url(url: &str) -> Result<String, Failure> {
    if !url.starts_with("http://") {
        return Err(Failure::wrong(
            "the server's URL must start with http://; this version speaks no TLS, so use a tunnel to another machine",
        ));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn remote(agent: &Agent, base: &str, request: Request<Vec<u8>>) -> Result<Answer, Failure> {
    let unreachable = |error: ureq::Error| Failure::unreachable(format!("{base} cannot be reached: {error}; is the server running?"));
    let bodyless = request.method() == Method::GET || request.method() == Method::DELETE;
    let response = if bodyless { agent.run(request.map(|_| ())) } else { agent.run(request) }.map_err(unreachable)?;
    let (parts, mut body) = response.into_parts();
    let body = body.with_config().limit(ANSWER_BYTES).read_to_vec().map_err(unreachable)?;
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

fn local(running: &Running, request: Request<Body>) -> Result<Answer, Failure> {
    running.block_on(async {
        let Ok(response) = running.router.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.map_err(|error| Failure::unreachable(format!("the answer broke off: {error}")))?;
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.into() })
    })
}

/// A path with its query: `pairs` whose value is `None` are left out, and values are percent-encoded.
pub fn path(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut out = path.to_owned();
    let mut separator = '?';
    for (name, value) in pairs {
        let Some(value) = value else { continue };
        out.push(separator);
        out.push_str(name);
        out.push('=');
        out.push_str(&encode(value));
        separator = '&';
    }
    out
}

/// Percent-encoding of everything that is not unreserved (RFC 3986 section 2.3).
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
