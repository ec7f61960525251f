//! Secrets of gateway users: made here, shown once, kept as the two keys that SCRAM-SHA-256 checks them with (RFC 5802, RFC 7677).
//!
//! A secret is 32 random bytes in base64url: all of it is ASCII, so that SASLprep changes nothing, and it has so many bits that the keys are
//! as hard to turn back as it is to guess, whatever the iterations. Knows neither users nor the catalog.

use std::num::NonZeroU32;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use recall_gate::postgres::scram;
use recall_store::seams::Random;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a salt, as many as PostgreSQL takes.
pub const SALT_BYTES: usize = 16;
/// How often a secret is hashed: what PostgreSQL does, and the same for all, so that it tells nobody which users exist.
pub const ITERATIONS: NonZeroU32 = match NonZeroU32::new(4_096) {
    Some(iterations) => iterations,
    None => NonZeroU32::MIN,
};

const SECRET_BYTES: usize = 32;
const KEY_BYTES: usize = digest::SHA256_OUTPUT_LEN;

/// A secret as it is shown, once. It does not print itself.
pub struct Shown(Zeroizing<String>);

impl Shown {
    /// Makes one.
    pub fn random(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        random.fill(&mut *bytes);
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What checks one secret. Whoever has it can pose as the gateway and, with one overheard exchange, as the person.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// SHA-256 of the client's key.
    #[serde(with = "base64url")]
    pub stored_key: [u8; KEY_BYTES],
    /// The server's key.
    #[serde(with = "base64url")]
    pub server_key: [u8; KEY_BYTES],
}

impl Keys {
    /// Computes them; milliseconds for thousands of iterations.
    pub fn of(secret: &[u8], salt: &[u8], iterations: NonZeroU32) -> Self {
        let secret = scram::Secret::of(secret, salt, iterations);
        Self { stored_key: secret.stored_key, server_key: secret.server_key }
    }
}

/// Arrays of bytes as base64url.
pub mod base64url {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde::{Deserialize, Deserializer, Serializer, de};
    use zeroize::Zeroizing;

    pub fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(from: D) -> Result<[u8; N], D::Error> {
        let text = Zeroizing::new(String::deserialize(from)?);
        let bytes = URL_SAFE_NO_PAD.decode(&*text).map(Zeroizing::new).map_err(|_| de::Error::custom("no base64url"))?;
        bytes.as_slice().try_into().map_err(|_| de::Error::custom("of another length"))
    }
}

#[cfg(test)]
mod tests;
