//! The server's side of SCRAM: judges whether a client knows one of a user's passwords.
//!
//! It must not know why a user has no password: one that does not exist, or whose passwords expired, fails like one that mistyped. RFC 5802
//! sections 5 to 7. As in PostgreSQL the user's name is that of the startup message, and the one in the SCRAM message is ignored.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{
    END_POINT_FLAG, NONCE_BYTES, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramError, Secret, Secrets, attribute, binding_attribute,
    check_message, decode_key, equal, expect, expect_nonce, hmac_sha256, sha256, xor,
};

/// At least as many passwords are tried for each user, so that the time does not tell how many there are, or that there is none.
const TRIED: usize = 4;

/// Mechanisms to offer, best first: with channel binding where the connection has TLS.
pub fn mechanisms(tls: bool) -> &'static [&'static str] {
    if tls { &[SCRAM_SHA_256_PLUS, SCRAM_SHA_256] } else { &[SCRAM_SHA_256] }
}

/// An exchange before the client's first message.
pub struct Server {
    secrets: Secrets,
    end_point: Option<Vec<u8>>,
    nonce: String,
}

/// An exchange that waits for the client's proof.
pub struct Challenge {
    secrets: Secrets,
    /// What `c=` must be.
    binding: String,
    nonce: Vec<u8>,
    /// The client's first message without its header, and the server's first.
    first_messages: Vec<u8>,
    server_first: String,
}

impl Server {
    /// Begins one. `end_point` is the hash of the own certificate where the connection has TLS, and channel binding was offered exactly
    /// then; `nonce` is random and never used before.
    pub fn new(secrets: Secrets, end_point: Option<&[u8]>, nonce: [u8; NONCE_BYTES]) -> Self {
        Self { secrets, end_point: end_point.map(<[u8]>::to_vec), nonce: STANDARD.encode(nonce) }
    }

    /// Takes the mechanism and the message that the client chose to begin with.
    pub fn challenge(self, mechanism: &str, client_first: &[u8]) -> Result<Challenge, ScramError> {
        if !mechanisms(self.end_point.is_some()).contains(&mechanism) {
            return Err(ScramError::Mechanism);
        }
        check_message(client_first)?;
        let (flag, rest) = split_at_comma(client_first)?;
        let bound_to = self.bound_to(mechanism == SCRAM_SHA_256_PLUS, flag)?;
        let (identity, bare) = split_at_comma(rest)?;
        if !identity.is_empty() {
            return Err(if identity.starts_with(b"a=") {
                ScramError::AuthorizationIdentity
            } else {
                ScramError::Malformed("an authorization identity does not begin with a=")
            });
        }
        let mut rest = Some(bare);
        expect(&mut rest, b'n')?;
        let client_nonce = expect_nonce(&mut rest)?;
        while rest.is_some() {
            attribute(&mut rest)?;
        }
        let nonce = [client_nonce, self.nonce.as_bytes()].concat();
        // Printable ASCII, so nothing is lost.
        let shown = String::from_utf8_lossy(&nonce);
        let server_first = format!("r={shown},s={},i={}", STANDARD.encode(&self.secrets.salt), self.secrets.iterations);
        Ok(Challenge {
            binding: binding_attribute(&[flag, b",,"].concat(), bound_to),
            first_messages: [bare, b",", server_first.as_bytes()].concat(),
            secrets: self.secrets,
            nonce,
            server_first,
        })
    }

    /// What the client's channel must be bound to, by the flag that it begins with.
    fn bound_to(&self, plus: bool, flag: &[u8]) -> Result<&[u8], ScramError> {
        match (flag, &self.end_point) {
            (b"n" | b"y", _) if plus => Err(ScramError::BindingFlag),
            (b"n", _) | (b"y", None) => Ok(&[]),
            (b"y", Some(_)) => Err(ScramError::Downgrade),
            (END_POINT_FLAG, Some(end_point)) if plus => Ok(end_point),
            (END_POINT_FLAG, _) => Err(ScramError::BindingFlag),
            ([b'p', b'=', ..], _) => Err(ScramError::BindingType),
            _ => Err(ScramError::Malformed("the channel binding flag is none of n, y, p")),
        }
    }
}

impl Challenge {
    /// The server's first message.
    pub fn message(&self) -> &str {
        &self.server_first
    }

    /// Takes the client's proof and gives the server's, or refuses.
    pub fn verify(self, client_final: &[u8]) -> Result<String, ScramError> {
        check_message(client_final)?;
        let mut rest = Some(client_final);
        let binding = expect(&mut rest, b'c')?;
        let nonce = expect_nonce(&mut rest)?;
        // Extensions are signed and mean nothing here.
        let (without_proof_bytes, proof) = loop {
            let left = rest.map_or(0, <[u8]>::len);
            if let (b'p', proof) = attribute(&mut rest)? {
                // Without the comma before the proof too.
                break (client_final.len().saturating_sub(left).saturating_sub(1), decode_key(proof)?);
            }
        };
        if rest.is_some() {
            return Err(ScramError::Malformed("something follows the proof"));
        }
        if !equal(nonce, &self.nonce) {
            return Err(ScramError::Nonce);
        }
        if !equal(binding, self.binding.as_bytes()) {
            return Err(ScramError::Binding);
        }
        let without_proof = client_final.get(..without_proof_bytes).unwrap_or_default();
        let auth_message = [&self.first_messages, b",".as_slice(), without_proof].concat();
        let server_key = self.secret_behind(&proof, &auth_message).ok_or(ScramError::Password)?.server_key;
        Ok(format!("v={}", STANDARD.encode(hmac_sha256(&server_key, &auth_message))))
    }

    /// The secret that the proof is made with. Tries all, whichever fits.
    fn secret_behind(&self, proof: &[u8; 32], auth_message: &[u8]) -> Option<&Secret> {
        let padding = Secret { stored_key: [0; 32], server_key: [0; 32] };
        let fits = |secret: &Secret| {
            let client_key = xor(proof, &hmac_sha256(&secret.stored_key, auth_message));
            equal(&*sha256(&*client_key), &secret.stored_key)
        };
        let mut found = None;
        for secret in &self.secrets.keys {
            if fits(secret) {
                found = Some(secret);
            }
        }
        for _ in self.secrets.keys.len()..TRIED {
            std::hint::black_box(fits(&padding));
        }
        found
    }
}

fn split_at_comma(message: &[u8]) -> Result<(&[u8], &[u8]), ScramError> {
    let mut parts = message.splitn(2, |byte| *byte == b',');
    match (parts.next(), parts.next()) {
        (Some(before), Some(after)) => Ok((before, after)),
        _ => Err(ScramError::Malformed("its header is not whole")),
    }
}

#[cfg(test)]
mod tests;
