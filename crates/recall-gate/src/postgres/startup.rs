//! The packets before a session: requests for encryption, cancellation, and the startup message (PostgreSQL documentation, 55.2.1, 55.7).
//!
//! It must not know who may come in.

use super::wire::{self, Fields, WireError};

const SSL: i32 = 80_877_103;
const GSSENC: i32 = 80_877_104;
const CANCEL: i32 = 80_877_102;
/// The newest minor version of protocol 3 that is spoken here.
const MINOR: i32 = 0;

/// The first packet of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum First {
    /// The client asks for TLS.
    Tls,
    /// The client asks for GSSAPI encryption, which is not offered.
    Gssenc,
    /// The client wants what another connection is doing to be ended.
    Cancel(Key),
    /// A session is to begin.
    Start(Startup),
}

/// What a client shows to cancel: process and secret, as the gateway gave them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// The number of the "process".
    pub process: u32,
    /// Its secret.
    pub secret: u32,
}

/// The startup message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Startup {
    /// Who wants to come in.
    pub user: String,
    /// The database; the user's name where none is said.
    pub database: String,
    /// All else that is asked for, in order.
    pub settings: Vec<(String, String)>,
    /// A newer minor version was asked for.
    pub newer: bool,
    /// Options of the protocol that are not known here.
    pub unknown: Vec<String>,
}

/// Why a first packet is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartupError {
    /// It is no packet.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A protocol that is not spoken here.
    #[error("only protocol 3 is spoken here")]
    Version,
    /// Names or values that are no UTF-8.
    #[error("the startup message is not UTF-8")]
    Encoding,
    /// No user.
    #[error("the startup message names no user")]
    User,
    /// Replication, which would pass everything by the gateway.
    #[error("replication is not offered by this gateway")]
    Replication,
    /// A setting by which the person would become another role, or load code.
    #[error("the startup message asks for a setting that this gateway does not pass on")]
    Setting,
}

impl First {
    /// Reads the packet behind its length.
    pub fn read(body: &[u8]) -> Result<Self, StartupError> {
        let mut fields = Fields(body);
        match fields.long()? {
            SSL => fields.end().map(|()| Self::Tls).map_err(Into::into),
            GSSENC => fields.end().map(|()| Self::Gssenc).map_err(Into::into),
            CANCEL => {
                let key = Key { process: fields.oid()?, secret: fields.oid()? };
                fields.end()?;
                Ok(Self::Cancel(key))
            }
            version if version >> 16 == 3 => Startup::read(fields, version & 0xFFFF).map(Self::Start),
            _ => Err(StartupError::Version),
        }
    }
}

impl Startup {
    fn read(mut fields: Fields<'_>, minor: i32) -> Result<Self, StartupError> {
        let mut startup = Self { newer: minor > MINOR, ..Self::default() };
        loop {
            let name = text(fields.text()?)?;
            if name.is_empty() {
                break;
            }
            let value = text(fields.text()?)?;
            match name.as_str() {
                "user" => startup.user = value,
                "database" => startup.database = value,
                "replication" if !matches!(value.as_str(), "false" | "off" | "no" | "0") => return Err(StartupError::Replication),
                "replication" => {}
                name if name.starts_with("_pq_.") => startup.unknown.push(name.to_owned()),
                "options" => startup.options(&value)?,
                _ => startup.set(name, value)?,
            }
        }
        fields.end()?;
        if startup.user.is_empty() {
            return Err(StartupError::User);
        }
        if startup.database.is_empty() {
            startup.database.clone_from(&startup.user);
        }
        Ok(startup)
    }

    fn set(&mut self, name: String, value: String) -> Result<(), StartupError> {
        let lower = name.to_ascii_lowercase().replace('-', "_");
        let plain = lower.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
        let utf8 = || matches!(value.trim_matches('\'').to_ascii_lowercase().as_str(), "utf8" | "utf-8" | "unicode" | "auto");
        let misread = (lower == "client_encoding" && !utf8()) || lower == "standard_conforming_strings";
        if !plain || misread || WITHHELD.contains(&lower.as_str()) {
            return Err(StartupError::Setting);
        }
        if lower == "client_encoding" {
            return Ok(());
        }
        self.settings.push((lower, value));
        Ok(())
    }

    /// `-c name=value` and `--name=value`, blanks in values behind a backslash, as the server reads them. All else is refused.
    fn options(&mut self, options: &str) -> Result<(), StartupError> {
        let mut words = words(options).into_iter();
        while let Some(word) = words.next() {
            let setting = match (word.strip_prefix("-c"), word.strip_prefix("--")) {
                (Some(""), _) => words.next().ok_or(StartupError::Setting)?,
                (Some(setting), _) | (None, Some(setting)) => setting.to_owned(),
                (None, None) => return Err(StartupError::Setting),
            };
            let (name, value) = setting.split_once('=').ok_or(StartupError::Setting)?;
            self.set(name.trim().to_owned(), value.to_owned())?;
        }
        Ok(())
    }

    /// The message for upstream, for another role.
    pub fn write(&self, out: &mut Vec<u8>, role: &str) {
        wire::write_untagged(out, |out| {
            out.extend_from_slice(&(3_i32 << 16).to_be_bytes());
            // Texts are read as UTF-8, whatever the server's default is.
            let own = [("user", role), ("database", self.database.as_str()), ("client_encoding", "UTF8")];
            let settings = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            for (name, value) in own.into_iter().chain(settings) {
                wire::write_text(out, name.as_bytes());
                wire::write_text(out, value.as_bytes());
            }
            out.push(0);
        });
    }

    /// The value of a setting.
    pub fn setting(&self, wanted: &str) -> Option<&str> {
        self.settings.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }
}

/// Settings that a startup message may not carry.
const WITHHELD: [&str; 6] =
    ["role", "session_authorization", "session_preload_libraries", "local_preload_libraries", "is_superuser", "dynamic_library_path"];

fn text(bytes: &[u8]) -> Result<String, StartupError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| StartupError::Encoding)
}

/// Words between blanks; a backslash takes the next character as it is (`pg_split_opts`).
fn words(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => word.get_or_insert_default().extend(characters.next()),
            blank if blank.is_ascii_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// NegotiateProtocolVersion, where the client asked for what is not spoken here.
pub fn negotiate(out: &mut Vec<u8>, startup: &Startup) {
    if !startup.newer && startup.unknown.is_empty() {
        return;
    }
    wire::write(out, b'v', |out| {
        out.extend_from_slice(&((3 << 16) | MINOR).to_be_bytes());
        out.extend_from_slice(&u32::try_from(startup.unknown.len()).unwrap_or(0).to_be_bytes());
        startup.unknown.iter().for_each(|name| wire::write_text(out, name.as_bytes()));
    });
}

#[cfg(test)]
mod tests;
