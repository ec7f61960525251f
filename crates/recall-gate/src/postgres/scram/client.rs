//! The client's side of SCRAM: proves the gateway's password to an upstream server and makes the server prove that it knows it too.
//!
//! It must not know how the connection was made; whoever made it says what certificate the server showed. RFC 5802 sections 5 to 7.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{
    ITERATIONS, Key, NONCE_BYTES, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramError, binding_attribute, check_message, decode, decode_key,
    equal, expect, expect_nonce, hmac_sha256, salted_password, sha256, xor,
};

/// An exchange before the server's first message.
pub struct Client {
    mechanism: &'static str,
    gs2_header: &'static str,
    bound_to: Vec<u8>,
    nonce: String,
    /// The first message without its header.
    first_bare: String,
    password: Zeroizing<Vec<u8>>,
}

/// An exchange that waits for the server's proof.
pub struct Answer {
    message: String,
    signature: Key,
}

impl Client {
    /// Begins one with a server that offers these mechanisms. `end_point` is the hash of the certificate that the server showed, where the
    /// connection has TLS and the certificate has one; `nonce` is random and never used before.
    pub fn new(password: &[u8], offered: &[&str], end_point: Option<&[u8]>, nonce: [u8; NONCE_BYTES]) -> Result<Self, ScramError> {
        let (mechanism, gs2_header, bound_to) = match end_point {
            Some(end_point) if offered.contains(&SCRAM_SHA_256_PLUS) => (SCRAM_SHA_256_PLUS, "p=tls-server-end-point,,", end_point),
            _ if !offered.contains(&SCRAM_SHA_256) => return Err(ScramError::Mechanism),
            // Tells the server that it seems not to offer channel binding: if it does, it ends the exchange.
            Some(_) => (SCRAM_SHA_256, "y,,", [].as_slice()),
            None => (SCRAM_SHA_256, "n,,", [].as_slice()),
        };
        let nonce = STANDARD.encode(nonce);
        // PostgreSQL takes the user's name from the startup message.
        let first_bare = format!("n=,r={nonce}");
        Ok(Self { mechanism, gs2_header, bound_to: bound_to.to_vec(), nonce, first_bare, password: Zeroizing::new(password.to_vec()) })
    }

    /// The mechanism that was chosen.
    pub fn mechanism(&self) -> &'static str {
        self.mechanism
    }

    /// The client's first message.
    pub fn message(&self) -> String {
        [self.gs2_header, &self.first_bare].concat()
    }

    /// Takes the server's first message. Takes as long as its iterations do: about a second for [`ITERATIONS`].
    pub fn answer(self, server_first: &[u8]) -> Result<Answer, ScramError> {
        check_message(server_first)?;
        let mut rest = Some(server_first);
        let nonce = expect_nonce(&mut rest)?;
        let salt = decode(expect(&mut rest, b's')?)?;
        let iterations = iterations(expect(&mut rest, b'i')?)?;
        if rest.is_some() {
            return Err(ScramError::Malformed("something follows the iteration count"));
        }
        if !nonce.starts_with(self.nonce.as_bytes()) || nonce.len() == self.nonce.len() {
            return Err(ScramError::Nonce);
        }
        let salted = salted_password(&self.password, &salt, iterations);
        let client_key = hmac_sha256(&*salted, b"Client Key");
        let binding = binding_attribute(self.gs2_header.as_bytes(), &self.bound_to);
        // Printable ASCII, so nothing is lost.
        let without_proof = format!("c={binding},r={}", String::from_utf8_lossy(nonce));
        let auth_message = [self.first_bare.as_bytes(), b",", server_first, b",", without_proof.as_bytes()].concat();
        let proof = xor(&client_key, &hmac_sha256(&*sha256(&*client_key), &auth_message));
        Ok(Answer {
            message: format!("{without_proof},p={}", STANDARD.encode(proof)),
            signature: hmac_sha256(&*hmac_sha256(&*salted, b"Server Key"), &auth_message),
        })
    }
}

fn iterations(value: &[u8]) -> Result<NonZeroU32, ScramError> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let text = text.ok_or(ScramError::Malformed("the iteration count is no number"))?;
    text.parse().ok().filter(|iterations: &NonZeroU32| iterations.get() <= ITERATIONS).ok_or(ScramError::Iterations)
}

impl Answer {
    /// The client's final message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Takes the server's final message. Only after this is the server the one that knows the password.
    pub fn verify(self, server_final: &[u8]) -> Result<(), ScramError> {
        check_message(server_final)?;
        if server_final.starts_with(b"e=") {
            return Err(ScramError::Refused);
        }
        let mut rest = Some(server_final);
        let signature = decode_key(expect(&mut rest, b'v')?)?;
        if rest.is_some() {
            return Err(ScramError::Malformed("something follows the signature"));
        }
        if equal(&signature, &*self.signature) { Ok(()) } else { Err(ScramError::ServerSignature) }
    }
}

#[cfg(test)]
mod tests;
