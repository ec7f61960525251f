//! The configuration file `recall.toml`. Unknown keys are errors; secrets are named by file or command, never written here.
//! Precedence: file, then `RECALL_*`, then flags. Relative paths are relative to the file.

pub mod gateway;
pub mod secret_file;
pub mod upstream;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::LogFormat;
use crate::failure::Failure;

/// The largest configuration file that is read.
const LIMIT_BYTES: u64 = 1 << 20;

/// What `trail.segment_events` may be. The upper end is the size that memory is planned for.
const SEGMENT_EVENTS: RangeInclusive<u64> = 64..=262_144;

/// All that the file may say.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub server: Server,
    pub trail: Trail,
    pub log: Log,
    pub gateway: gateway::Gateways,
}

/// `[server]`
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port; loopback only, as there is no TLS.
    pub listen: Option<SocketAddr>,
    /// Hours between two scheduled verifications.
    pub verify_every_hours: Option<u32>,
}

/// `[trail]`
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Trail {
    pub data: Option<PathBuf>,
    pub root_key_file: Option<PathBuf>,
    pub root_key_command: Option<String>,
    /// Fresh events that make a segment: fewer need less memory, more make larger files.
    pub segment_events: Option<u64>,
    /// The second copy of the last checkpoint; best on another disk.
    pub anchor_file: Option<PathBuf>,
}

/// `[log]`
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub format: Option<LogFormat>,
}

impl Config {
    /// Reads and checks the file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let size = std::fs::metadata(path).map_err(|error| Failure::wrong(format!("{shown} cannot be read: {error}")))?.len();
        if size > LIMIT_BYTES {
            return Err(Failure::wrong(format!("{shown} is larger than 1 MiB: this is no configuration file")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| Failure::wrong(format!("{shown} cannot be read: {error}")))?;
        let mut config = Self::parse(&text).map_err(|problem| Failure::wrong(format!("{shown}: {problem}")))?;
        config.gateway.require_offered().map_err(|problem| Failure::wrong(format!("{shown}: {problem}")))?;
        config.resolve(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// Parses the text and checks what one key says against another.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| describe(text, &error))?;
        if config.trail.root_key_file.is_some() && config.trail.root_key_command.is_some() {
            return Err("trail.root_key_file and trail.root_key_command exclude each other: keep one".into());
        }
        if config.trail.segment_events.is_some_and(|events| !SEGMENT_EVENTS.contains(&events)) {
            return Err(format!("trail.segment_events must lie between {} and {}", SEGMENT_EVENTS.start(), SEGMENT_EVENTS.end()));
        }
        if config.server.verify_every_hours == Some(0) {
            return Err("server.verify_every_hours must be at least 1".into());
        }
        if let Some(listen) = config.server.listen {
            require_loopback(listen)?;
        }
        config.gateway.check()?;
        Ok(config)
    }

    fn resolve(&mut self, base: &Path) {
        for path in [&mut self.trail.data, &mut self.trail.root_key_file, &mut self.trail.anchor_file].into_iter().flatten() {
            *path = base.join(&path);
        }
        self.gateway.resolve(base);
    }
}

/// Refuses an address that others could reach: tokens and health information would cross the network in the clear.
pub fn require_loopback(listen: SocketAddr) -> Result<(), String> {
    if listen.ip().is_loopback() {
        return Ok(());
    }
    Err(format!("listening on {listen} would need TLS, which this version lacks: listen on 127.0.0.1 and put a TLS proxy in front"))
}

/// One line from the parser's several, without the text of the file: a secret may have been put there by mistake.
fn describe(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| text.get(..span.start).unwrap_or("").matches('\n').count() + 1);
    let message = error.message().replace('\n', " ");
    match line {
        Some(line) => format!("line {line}: {message}"),
        None => message,
    }
}

#[cfg(test)]
mod tests;
