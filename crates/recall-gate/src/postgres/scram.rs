//! Proof that two parties know the same password, without sending it: SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, both sides.
//!
//! Owns secrets, the messages' syntax and the arithmetic; [`server`] judges clients, [`client`] answers upstream servers, [`sasl`] packs
//! both into PostgreSQL's messages, [`md5`] answers servers older than SCRAM. It must not know sockets, where secrets are kept, or where
//! random bytes come from. RFC 5802, RFC 7677, RFC 5929 section 4; PostgreSQL's manual, "SASL Authentication".

pub mod client;
pub mod md5;
pub mod sasl;
pub mod server;

use std::borrow::Cow;
use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The mechanism without channel binding.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
/// The mechanism bound to the server's certificate.
pub const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";
/// Longest message that is read, in bytes. Honest ones have less than 300.
pub const MESSAGE_BYTES: usize = 4096;
/// Random bytes of each side's nonce, as many as PostgreSQL takes.
pub const NONCE_BYTES: usize = 18;
/// Bytes of a salt, as many as PostgreSQL takes. All users have this many, those that do not exist too.
pub const SALT_BYTES: usize = 16;
/// Most iterations that a server may ask of the client side: each costs time before the server has proved anything.
pub const ITERATIONS: u32 = 1_000_000;

const KEY_BYTES: usize = digest::SHA256_OUTPUT_LEN;
const END_POINT_FLAG: &[u8] = b"p=tls-server-end-point";

type Key = Zeroizing<[u8; KEY_BYTES]>;

/// Why an exchange ended. Names the rule, never what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ScramError {
    /// A message is longer than [`MESSAGE_BYTES`].
    #[error("a SCRAM message is longer than {MESSAGE_BYTES} bytes")]
    TooLong,
    /// A message does not follow the grammar.
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    /// No mechanism that both sides have.
    #[error("the SASL mechanism is none of those offered")]
    Mechanism,
    /// `m=` asks for what nobody defined.
    #[error("the SCRAM message requires an extension that is not supported")]
    Extension,
    /// `a=` asks to act as somebody else.
    #[error("the SCRAM message names an authorization identity, which is not supported")]
    AuthorizationIdentity,
    /// Another channel binding than `tls-server-end-point`.
    #[error("the SCRAM channel binding type is not supported: use tls-server-end-point")]
    BindingType,
    /// The flag does not fit the mechanism.
    #[error("the SCRAM channel binding flag does not fit the mechanism")]
    BindingFlag,
    /// The client believes that no channel binding was offered: somebody between took the offer away.
    #[error("SCRAM channel binding was offered, and the client says it was not: somebody may be between")]
    Downgrade,
    /// The client is bound to another certificate: somebody is between.
    #[error("SCRAM channel binding check failed: the client sees another certificate")]
    Binding,
    /// The other side does not repeat the nonce that it was sent.
    #[error("the SCRAM nonce does not match")]
    Nonce,
    /// The server asks for no iterations or more than [`ITERATIONS`].
    #[error("the server asks for an iteration count out of the range 1 to {ITERATIONS}")]
    Iterations,
    /// The client does not know a password that is valid.
    #[error("password authentication failed")]
    Password,
    /// The server says that the exchange failed.
    #[error("the server refused the SCRAM exchange")]
    Refused,
    /// The server does not know the password: it is not the one it claims to be.
    #[error("the server did not prove that it knows the password")]
    ServerSignature,
}

impl ScramError {
    /// The code that PostgreSQL gives a client for the same failure.
    pub fn sqlstate(self) -> &'static str {
        match self {
            Self::Extension | Self::AuthorizationIdentity => "0A000",
            Self::Downgrade | Self::Binding => "28000",
            Self::Password | Self::Refused | Self::ServerSignature => "28P01",
            _ => "08P01",
        }
    }
}

/// What verifies one password. Whoever has it can pose as the server and, with one overheard exchange, as the client.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret {
    /// SHA-256 of the client's key.
    pub stored_key: [u8; KEY_BYTES],
    /// The server's key.
    pub server_key: [u8; KEY_BYTES],
}

impl Secret {
    /// Computes it. Takes as long as the iterations do: milliseconds for thousands.
    pub fn of(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Self {
        let salted = salted_password(password, salt, iterations);
        let client_key = hmac_sha256(&*salted, b"Client Key");
        Self { stored_key: *sha256(&*client_key), server_key: *hmac_sha256(&*salted, b"Server Key") }
    }
}

/// What verifies one user. Has as many passwords as may be used now; with none the exchange runs to its end and fails.
#[derive(Clone)]
pub struct Secrets {
    /// Random, or derived from the name of a user that does not exist; no secret.
    pub salt: Vec<u8>,
    /// How often the password is hashed; the same for all users, so that it tells nobody which of them exist.
    pub iterations: NonZeroU32,
    /// One for each password.
    pub keys: Vec<Secret>,
}

impl Secrets {
    /// Of one password. Another is added by pushing [`Secret::of`] with the same salt and iterations.
    pub fn of(password: &[u8], salt: [u8; SALT_BYTES], iterations: NonZeroU32) -> Self {
        Self { salt: salt.into(), iterations, keys: vec![Secret::of(password, &salt, iterations)] }
    }

    /// Of a user that does not exist. `derived` is an HMAC of the name under a key that only this server has, so that the same name
    /// always has the same salt and nobody can tell it from a random one.
    pub fn of_nobody(derived: &[u8; KEY_BYTES], iterations: NonZeroU32) -> Self {
        Self { salt: derived.iter().copied().take(SALT_BYTES).collect(), iterations, keys: Vec::new() }
    }
}

/// PBKDF2 of the prepared password.
fn salted_password(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Key {
    let mut salted = Key::default();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, &prepared(password), &mut *salted);
    salted
}

/// SASLprep, as far as PostgreSQL goes: a password that is ASCII, not UTF-8, or that SASLprep forbids is taken byte for byte.
fn prepared(password: &[u8]) -> Zeroizing<Vec<u8>> {
    let prepared = match std::str::from_utf8(password) {
        Ok(text) if !text.is_ascii() => stringprep::saslprep(text).ok(),
        _ => None,
    };
    // Nothing left means that SASLprep forbids it too.
    match prepared {
        Some(Cow::Owned(text)) if !text.is_empty() => Zeroizing::new(text.into_bytes()),
        _ => Zeroizing::new(password.to_vec()),
    }
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Key {
    let mut tag = Key::default();
    tag.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref());
    tag
}

fn sha256(bytes: &[u8]) -> Key {
    let mut hash = Key::default();
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// A proof from a key and a signature, or a key from a proof and a signature.
fn xor(a: &[u8; KEY_BYTES], b: &[u8; KEY_BYTES]) -> Key {
    let mut out = Zeroizing::new(*a);
    out.iter_mut().zip(b).for_each(|(out, b)| *out ^= b);
    out
}

fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// What `c=` carries: the header that the client began with, and what its channel is bound to.
fn binding_attribute(gs2_header: &[u8], bound_to: &[u8]) -> String {
    STANDARD.encode([gs2_header, bound_to].concat())
}

/// Messages are byte strings without NUL: a user's name, which is ignored, may be in any encoding.
fn check_message(message: &[u8]) -> Result<(), ScramError> {
    if message.len() > MESSAGE_BYTES {
        return Err(ScramError::TooLong);
    }
    if message.contains(&0) {
        return Err(ScramError::Malformed("it contains a zero byte"));
    }
    Ok(())
}

/// Reads `name=value` from the front of a message; what follows the comma after it stays, `None` at the end.
fn attribute<'a>(rest: &mut Option<&'a [u8]>) -> Result<(u8, &'a [u8]), ScramError> {
    let Some(message) = *rest else { return Err(ScramError::Malformed("it ends early")) };
    let mut parts = message.splitn(2, |byte| *byte == b',');
    let attribute = parts.next().unwrap_or_default();
    *rest = parts.next();
    match attribute {
        [b'm', b'=', ..] => Err(ScramError::Extension),
        [name, b'=', value @ ..] if name.is_ascii_alphabetic() && !value.is_empty() => Ok((*name, value)),
        // PostgreSQL's clients leave the user's name empty.
        [b'n', b'='] => Ok((b'n', &[])),
        _ => Err(ScramError::Malformed("an attribute is not written name=value")),
    }
}

/// Reads the attribute that must come next.
fn expect<'a>(rest: &mut Option<&'a [u8]>, name: u8) -> Result<&'a [u8], ScramError> {
    match attribute(rest)? {
        (found, value) if found == name => Ok(value),
        _ => Err(ScramError::Malformed("an attribute is missing or not in its place")),
    }
}

/// Reads a nonce: printable ASCII.
fn expect_nonce<'a>(rest: &mut Option<&'a [u8]>) -> Result<&'a [u8], ScramError> {
    let nonce = expect(rest, b'r')?;
    if !nonce.iter().all(u8::is_ascii_graphic) {
        return Err(ScramError::Malformed("a nonce has characters that are not printable"));
    }
    Ok(nonce)
}

/// Reads base64 that must be whole and canonical.
fn decode(value: &[u8]) -> Result<Vec<u8>, ScramError> {
    STANDARD.decode(value).map_err(|_| ScramError::Malformed("a value is not base64"))
}

/// Reads a proof or signature.
fn decode_key(value: &[u8]) -> Result<[u8; KEY_BYTES], ScramError> {
    decode(value)?.try_into().map_err(|_| ScramError::Malformed("a proof or signature has the wrong length"))
}

#[cfg(test)]
mod tests;
