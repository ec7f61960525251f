//! The connection to the server behind the gateway: signing in as a role whose secret no person sees, and the gateway's own questions.
//!
//! It must not know whose session it is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::reply::code_of;
use super::scram::client::Client;
use super::scram::{ScramError, md5, sasl};
use super::startup::{Key, Startup};
use super::talk::{Talk, TalkError};
use super::tls::{TlsError, UpstreamTls, server_name, upstream_end_point};
use super::wire::{Fields, WireError, write, write_text, write_untagged};
use crate::seams::Seams;

/// How long a connection may take to be made and signed in.
const SIGN_IN: Duration = Duration::from_secs(15);
/// Rows that the gateway's own questions may be answered with.
const ROWS: usize = 2_000_000;
/// ParameterStatus and notices while signing in, in bytes.
const BEGUN_BYTES: usize = 64 << 10;

/// Where upstream is, and its roles' passwords.
pub struct Target {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The database that the gateway is for.
    pub database: String,
    /// Verifies the server; `None` on loopback only.
    pub tls: Option<UpstreamTls>,
    /// Roles and their passwords.
    pub passwords: HashMap<String, Zeroizing<Vec<u8>>>,
}

/// Why upstream could not be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No answer.
    #[error("the upstream server cannot be reached: {0}")]
    Talk(#[from] TalkError),
    /// No answer in time.
    #[error("the upstream server did not let the gateway in within {} seconds", SIGN_IN.as_secs())]
    Slow,
    /// It has no TLS.
    #[error("the upstream server offers no TLS, which is required beyond loopback")]
    NoTls,
    /// Its certificate can't be asked for.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Password exchange.
    #[error("signing in upstream failed: {0}")]
    Scram(#[from] ScramError),
    /// It wants what the gateway can't do, or would not do in the clear.
    #[error("the upstream server asks for a way of signing in that the gateway does not offer")]
    Method,
    /// It refused, with SQLSTATE.
    #[error("the upstream server refused: SQLSTATE {0}")]
    Refused(String),
    /// No password is configured for the role.
    #[error("no password is configured for the upstream role: add it to upstream_roles")]
    NoPassword,
    /// It answered what does not belong here.
    #[error("the upstream server's answer is not understood")]
    Unexpected,
}

impl From<WireError> for UpstreamError {
    fn from(error: WireError) -> Self {
        Self::Talk(error.into())
    }
}

/// A connection that is signed in and ready.
pub struct Upstream {
    /// The connection.
    pub talk: Talk,
    /// What cancels its queries.
    pub key: Option<Key>,
    /// The messages that told parameters, as they came.
    pub begun: Vec<u8>,
}

impl Target {
    /// Is a person's role one that can sign in?
    pub fn has_role(&self, role: &str) -> bool {
        self.passwords.contains_key(role)
    }

    /// Connects and signs in as `role`, asking for what `startup` asks for.
    pub async fn connect(&self, role: &str, startup: &Startup, seams: &Seams) -> Result<Upstream, UpstreamError> {
        let password = self.passwords.get(role).ok_or(UpstreamError::NoPassword)?;
        let signing_in = async {
            let (mut talk, end_point) = self.open().await?;
            let mut hello = Vec::new();
            startup.write(&mut hello, role);
            talk.send(&hello).await?;
            let mut upstream = Upstream { talk, key: None, begun: Vec::new() };
            upstream.sign_in(role, password, end_point.as_deref(), seams).await?;
            Ok(upstream)
        };
        timeout(SIGN_IN, signing_in).await.map_err(|_| UpstreamError::Slow)?
    }

    /// Asks the server to end what the connection with this key is doing.
    pub async fn cancel(&self, key: Key) -> Result<(), UpstreamError> {
        let cancelling = async {
            let (mut talk, _) = self.open().await?;
            let mut packet = Vec::new();
            write_untagged(&mut packet, |out| {
                out.extend_from_slice(&80_877_102_u32.to_be_bytes());
                out.extend_from_slice(&key.process.to_be_bytes());
                out.extend_from_slice(&key.secret.to_be_bytes());
            });
            talk.send(&packet).await?;
            Ok(())
        };
        timeout(SIGN_IN, cancelling).await.map_err(|_| UpstreamError::Slow)?
    }

    async fn open(&self) -> Result<(Talk, Option<Vec<u8>>), UpstreamError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(TalkError::from)?;
        stream.set_nodelay(true).map_err(TalkError::from)?;
        let loopback = stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
        let Some(tls) = &self.tls else {
            return if loopback { Ok((Talk::new(Box::new(stream)), None)) } else { Err(UpstreamError::NoTls) };
        };
        let mut talk = Talk::new(Box::new(stream));
        talk.send(&[0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]).await?;
        let mut answer = [0];
        tokio::io::AsyncReadExt::read_exact(&mut talk.stream, &mut answer).await.map_err(TalkError::from)?;
        if answer != *b"S" {
            return Err(UpstreamError::NoTls);
        }
        let stream = tls.connector().connect(server_name(&self.host)?, talk.stream).await.map_err(TalkError::from)?;
        let end_point = upstream_end_point(stream.get_ref().1).map(|hash| hash.as_ref().to_vec());
        Ok((Talk::new(Box::new(stream)), end_point))
    }

    /// May the server be spoken to without TLS?
    pub fn is_loopback(host: &str) -> bool {
        host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }
}

impl Upstream {
    async fn sign_in(&mut self, role: &str, password: &[u8], end_point: Option<&[u8]>, seams: &Seams) -> Result<(), UpstreamError> {
        loop {
            let (tag, body) = self.talk.message().await?;
            match tag {
                b'R' => self.prove(role, password, end_point, seams, &body).await?,
                b'E' => return Err(UpstreamError::Refused(code_of(&body).to_owned())),
                b'S' | b'N' => {
                    if self.begun.len().saturating_add(body.len()) > BEGUN_BYTES {
                        return Err(UpstreamError::Unexpected);
                    }
                    write(&mut self.begun, tag, |out| out.extend_from_slice(&body));
                }
                b'K' => {
                    let mut fields = Fields(&body);
                    self.key = Some(Key { process: fields.oid()?, secret: fields.oid()? });
                }
                b'Z' => return Ok(()),
                _ => return Err(UpstreamError::Unexpected),
            }
        }
    }

    /// Answers one request for proof. A password in the clear is given to nobody.
    async fn prove(
        &mut self,
        role: &str,
        password: &[u8],
        end_point: Option<&[u8]>,
        seams: &Seams,
        body: &[u8],
    ) -> Result<(), UpstreamError> {
        let mut fields = Fields(body);
        match fields.long()? {
            0 => Ok(()),
            5 => {
                let salt = fields.bytes(4)?.try_into().map_err(|_| UpstreamError::Unexpected)?;
                let answer = md5::response(role.as_bytes(), password, salt);
                self.say(|out| write_text(out, answer.as_bytes())).await
            }
            10 => {
                let client = Client::new(password, &sasl::read_mechanisms(fields.0)?, end_point, seams.bytes())?;
                let first = sasl::write_initial_response(client.mechanism(), &client.message());
                self.say(|out| out.extend_from_slice(&first)).await?;
                // Hashing takes milliseconds of processor time, which other sessions need not wait for.
                let challenge = self.sasl(11).await?;
                let answer =
                    tokio::task::spawn_blocking(move || client.answer(&challenge)).await.map_err(|_| UpstreamError::Unexpected)??;
                self.say(|out| out.extend_from_slice(answer.message().as_bytes())).await?;
                Ok(answer.verify(&self.sasl(12).await?)?)
            }
            _ => Err(UpstreamError::Method),
        }
    }

    async fn say(&mut self, body: impl FnOnce(&mut Vec<u8>)) -> Result<(), UpstreamError> {
        let mut message = Vec::new();
        write(&mut message, b'p', body);
        Ok(self.talk.send(&message).await?)
    }

    async fn sasl(&mut self, wanted: i32) -> Result<Vec<u8>, UpstreamError> {
        let (tag, body) = self.talk.message().await?;
        let mut fields = Fields(&body);
        match tag {
            b'R' if fields.long()? == wanted => Ok(fields.0.to_vec()),
            b'E' => Err(UpstreamError::Refused(code_of(&body).to_owned())),
            _ => Err(UpstreamError::Unexpected),
        }
    }

    /// The rows that a question of the gateway's own is answered with, as text.
    pub async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, UpstreamError> {
        let mut question = Vec::new();
        write(&mut question, b'Q', |out| write_text(out, sql.as_bytes()));
        self.talk.send(&question).await?;
        let mut rows = Vec::new();
        let mut refused = None;
        loop {
            let (tag, body) = self.talk.message().await?;
            match tag {
                b'D' if rows.len() < ROWS => {
                    let mut fields = Fields(&body);
                    let mut row = Vec::new();
                    for _ in 0..fields.count()? {
                        let value = fields.value()?.map(|value| String::from_utf8(value.to_vec()));
                        row.push(value.transpose().map_err(|_| UpstreamError::Unexpected)?);
                    }
                    rows.push(row);
                }
                b'T' | b'C' | b'N' | b'S' | b'A' | b'I' => {}
                b'E' => refused = Some(code_of(&body).to_owned()),
                b'Z' => return refused.map_or(Ok(rows), |code| Err(UpstreamError::Refused(code))),
                _ => return Err(UpstreamError::Unexpected),
            }
        }
    }
}
