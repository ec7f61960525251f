//! How a client comes in: encryption, the startup message, and the proof of who it is (SCRAM-SHA-256 of a secret that Recall issued).
//!
//! It must not know what the session will do. An unknown name, a wrong secret and an expired one look the same from outside.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::reply::sqlstate;
use super::scram::{ScramError, Secrets, sasl, server};
use super::startup::{First, Key, Startup, StartupError, negotiate};
use super::talk::{Stream, Talk, TalkError};
use super::tls::{ALPN, ServerTls};
use super::wire;
use crate::seams::Seams;

/// How long a client may take to come in.
const SIGN_IN: Duration = Duration::from_secs(30);
/// The first byte of a TLS handshake, which no startup packet has.
const TLS_HANDSHAKE: u8 = 0x16;

/// Who may come in.
pub trait People: Send + Sync {
    /// The person of that name, with the secrets that work now; for a name that nobody has, secrets that nobody can know.
    fn find(&self, gateway: &str, name: &str) -> Found;
}

/// What is known of a name.
pub struct Found {
    /// The person, if there is one.
    pub person: Option<Person>,
    /// What verifies a secret.
    pub secrets: Secrets,
}

/// A person that may use a gateway.
#[derive(Debug, Clone)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The role that policies know.
    pub role: String,
    /// The role upstream.
    pub upstream_role: String,
}

/// A client that has proven who it is.
pub struct Admitted {
    /// The connection.
    pub talk: Talk,
    /// What it asked for.
    pub startup: Startup,
    /// Who it is.
    pub person: Person,
    /// How that was proven.
    pub method: &'static str,
}

/// What came of a connection.
pub enum Came {
    /// Somebody comes in.
    In(Box<Admitted>),
    /// Somebody wants a query to be ended.
    Cancel(Key),
    /// Nobody comes in, and there is nothing to record: the connection closed or said nothing.
    Nobody,
    /// Somebody is refused, and to be told when that is on record.
    Refused(Talk, Box<Refused>),
}

/// Somebody who is refused.
pub struct Refused {
    /// The name they gave.
    pub user: String,
    /// The database they asked for.
    pub database: String,
    /// SQLSTATE.
    pub code: &'static str,
    /// Why, in words that hold nothing they sent.
    pub reason: String,
}

/// The door of one gateway.
pub struct Door {
    /// Its name.
    pub gateway: String,
    /// The database behind it.
    pub database: String,
    /// TLS, where it is configured; then nobody comes in without.
    pub tls: Option<ServerTls>,
    /// Who may come in.
    pub people: Arc<dyn People>,
    /// Time and randomness.
    pub seams: Seams,
}

enum Failure {
    Talk,
    Say(&'static str, String),
}

impl From<TalkError> for Failure {
    fn from(_: TalkError) -> Self {
        Self::Talk
    }
}

impl From<StartupError> for Failure {
    fn from(error: StartupError) -> Self {
        let code = match error {
            StartupError::Wire(_) | StartupError::Encoding => sqlstate::PROTOCOL,
            StartupError::User => sqlstate::AUTHORIZATION,
            StartupError::Version | StartupError::Replication => sqlstate::UNSUPPORTED,
            StartupError::Setting => sqlstate::DENIED,
        };
        Self::Say(code, error.to_string())
    }
}

impl Door {
    /// Lets a client in, or not.
    pub async fn admit(&self, stream: Box<dyn Stream>) -> Came {
        timeout(SIGN_IN, self.come(Talk::new(stream))).await.unwrap_or(Came::Nobody)
    }

    async fn come(&self, mut talk: Talk) -> Came {
        let mut encrypted = false;
        let startup = match self.first(&mut talk, &mut encrypted).await {
            Ok(First::Cancel(key)) => return Came::Cancel(key),
            Ok(First::Start(startup)) => startup,
            Ok(_) | Err(Failure::Talk) => return Came::Nobody,
            Err(Failure::Say(code, reason)) => return refuse(talk, Startup::default(), code, reason),
        };
        match self.prove(&mut talk, &startup, encrypted).await {
            Ok((person, method)) => Came::In(Box::new(Admitted { talk, startup, person, method })),
            Err(Failure::Talk) => Came::Nobody,
            Err(Failure::Say(code, reason)) => refuse(talk, startup, code, reason),
        }
    }

    /// Packets up to the one that says what is wanted.
    async fn first(&self, talk: &mut Talk, encrypted: &mut bool) -> Result<First, Failure> {
        let (mut asked_tls, mut asked_gssenc) = (false, false);
        loop {
            if !*encrypted && !asked_tls && !asked_gssenc && self.tls.is_some() && talk.first_byte().await? == TLS_HANDSHAKE {
                self.encrypt(talk, true).await?;
                *encrypted = true;
            }
            match First::read(&talk.packet().await?)? {
                First::Tls if !asked_tls && !*encrypted => {
                    asked_tls = true;
                    talk.send(if self.tls.is_some() { b"S" } else { b"N" }).await?;
                    if self.tls.is_some() {
                        self.encrypt(talk, false).await?;
                        *encrypted = true;
                    }
                }
                First::Gssenc if !asked_gssenc && !*encrypted => {
                    asked_gssenc = true;
                    talk.send(b"N").await?;
                }
                First::Tls | First::Gssenc => return Err(StartupError::Wire(wire::WireError::Unexpected).into()),
                First::Start(_) if self.tls.is_some() && !*encrypted => {
                    return Err(Failure::Say(
                        sqlstate::AUTHORIZATION,
                        "this gateway asks for TLS: connect with sslmode=require".to_owned(),
                    ));
                }
                first => return Ok(first),
            }
        }
    }

    /// Puts TLS on the connection. Bytes that came before it would be taken for encrypted ones later.
    async fn encrypt(&self, talk: &mut Talk, direct: bool) -> Result<(), Failure> {
        let Some(tls) = &self.tls else { return Err(Failure::Talk) };
        let bare = std::mem::replace(&mut talk.stream, Box::new(tokio::io::empty()));
        let before = talk.inbox.take();
        if !direct && !before.is_empty() {
            return Err(Failure::Talk);
        }
        let stream = tls.acceptor().accept(super::talk::Preceded::new(before, bare)).await.map_err(TalkError::from)?;
        if direct && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(Failure::Talk);
        }
        talk.stream = Box::new(stream);
        Ok(())
    }

    async fn prove(&self, talk: &mut Talk, startup: &Startup, encrypted: bool) -> Result<(Person, &'static str), Failure> {
        let mut hello = Vec::new();
        negotiate(&mut hello, startup);
        wire::write(&mut hello, b'R', |out| {
            out.extend_from_slice(&10_u32.to_be_bytes());
            out.extend_from_slice(&sasl::write_mechanisms(server::mechanisms(encrypted)));
        });
        talk.send(&hello).await?;
        let end_point = self.tls.as_ref().filter(|_| encrypted).map(ServerTls::end_point);
        let found = self.people.find(&self.gateway, &startup.user);
        let exchange = server::Server::new(found.secrets, end_point, self.seams.bytes());
        let proof = password_message(talk).await?;
        let (mechanism, first) = sasl::read_initial_response(&proof).map_err(refused)?;
        let method = if mechanism.ends_with("-PLUS") { "scram-sha-256-plus" } else { "scram-sha-256" };
        let challenge = exchange.challenge(mechanism, first).map_err(refused)?;
        authentication(talk, 11, challenge.message().as_bytes()).await?;
        let last = challenge.verify(&password_message(talk).await?).map_err(refused)?;
        let person = found.person.ok_or_else(|| refused(ScramError::Password))?;
        // Only who is known learns which database there is.
        if startup.database != self.database {
            return Err(Failure::Say(sqlstate::DATABASE, "this gateway is for another database: name the configured one".to_owned()));
        }
        authentication(talk, 12, last.as_bytes()).await?;
        Ok((person, method))
    }
}

fn refused(error: ScramError) -> Failure {
    let reason = match error {
        ScramError::Password => "the name or the secret is wrong, or the secret has ended: ask for a new one".to_owned(),
        other => other.to_string(),
    };
    Failure::Say(error.sqlstate(), reason)
}

async fn password_message(talk: &mut Talk) -> Result<Vec<u8>, Failure> {
    match talk.message_within(wire::SIGN_IN_BYTES).await? {
        (b'p', body) => Ok(body),
        _ => Err(StartupError::Wire(wire::WireError::Unexpected).into()),
    }
}

async fn authentication(talk: &mut Talk, code: u32, data: &[u8]) -> Result<(), Failure> {
    let mut message = Vec::new();
    wire::write(&mut message, b'R', |out| {
        out.extend_from_slice(&code.to_be_bytes());
        out.extend_from_slice(data);
    });
    Ok(talk.send(&message).await?)
}

fn refuse(talk: Talk, startup: Startup, code: &'static str, reason: String) -> Came {
    Came::Refused(talk, Box::new(Refused { user: startup.user, database: startup.database, code, reason }))
}
