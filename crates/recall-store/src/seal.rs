//! Sealing and deriving: AES-256-GCM with a random nonce in front, HKDF-SHA-256 and HMAC-SHA-256 (`docs/format.md` section 3).
//!
//! It must not know what it seals. Callers give the key and the associated data, which names the place of the bytes.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use thiserror::Error;

use crate::seams::Random;
use crate::secret::Key32;

#[cfg(test)]
mod tests;

/// How much longer the sealed bytes are than the plain ones: nonce and tag.
pub const OVERHEAD: usize = NONCE_LEN + 16;

/// Why bytes could not be sealed or opened. It names no content; the caller adds the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// The bytes are too short to hold a nonce and a tag.
    #[error("the sealed bytes are cut short")]
    Short,
    /// Bytes, place or key differ from those at sealing.
    #[error("the sealed bytes were changed, moved, or belong to another key")]
    Changed,
    /// More bytes than one AES-GCM message may hold.
    #[error("the bytes are too long to be sealed at once")]
    Long,
}

fn cipher(key: &Key32) -> Result<LessSafeKey, SealError> {
    UnboundKey::new(&AES_256_GCM, key.as_bytes()).map(LessSafeKey::new).map_err(|_| SealError::Changed)
}

/// Seals `plain`: nonce || ciphertext || tag.
pub fn seal(key: &Key32, random: &dyn Random, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce);
    let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let body = sealed.get_mut(NONCE_LEN..).ok_or(SealError::Short)?;
    let tag =
        cipher(key)?.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), body).map_err(|_| SealError::Long)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

/// Opens what `seal` made under the same key and associated data.
pub fn open(key: &Key32, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Short)?;
    let mut plain = body.to_vec();
    let length =
        cipher(key)?.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut plain).map_err(|_| SealError::Changed)?.len();
    plain.truncate(length);
    Ok(plain)
}

/// Random bytes in front that choose the derived key of `seal_often`.
const CHOICE: usize = 16;

/// Seals under a key that seals without end, such as the catalog's: choice (16) || what `seal` makes under a key derived from the choice.
/// Random nonces alone would come near their bound of 2^32 messages within weeks of a commit each millisecond.
pub fn seal_often(key: &Key32, random: &dyn Random, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut choice = [0; CHOICE];
    random.fill(&mut choice);
    let sealed = seal(&derive(key, "often", &choice), random, aad, plain)?;
    Ok([choice.as_slice(), &sealed].concat())
}

/// Opens what `seal_often` made.
pub fn open_often(key: &Key32, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let (choice, sealed) = sealed.split_first_chunk::<CHOICE>().ok_or(SealError::Short)?;
    open(&derive(key, "often", choice), aad, sealed)
}

/// HKDF-SHA-256 without salt, info = "recall/" || purpose || 0x00 || subject.
pub fn derive(key: &Key32, purpose: &str, subject: &[u8]) -> Key32 {
    let prk = hkdf::Salt::none(hkdf::HKDF_SHA256).extract(key.as_bytes());
    let mut out = [0; 32];
    let info: [&[u8]; 4] = [b"recall/", purpose.as_bytes(), &[0], subject];
    let filled = prk.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut out));
    if filled.is_err() {
        // 32 bytes are asked of a function that gives up to 8,160; going on with zeros would be worse than stopping.
        std::process::abort();
    }
    Key32::from_bytes(out)
}

/// An HMAC-SHA-256 key made ready once and used often. Cloning it is cheap and shares nothing mutable.
#[derive(Clone)]
pub struct Mac(hmac::Key);

impl Mac {
    /// Prepares `key`.
    pub fn new(key: &Key32) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))
    }

    /// The MAC over the parts, one after the other.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let mut out = [0; 32];
        for (to, from) in out.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        out
    }
}

/// A fast keyed checksum of long content: the tag of AES-256-GCM over nothing but associated data. It is a universal hash, so that what is
/// chosen without the key and without having seen a checksum meets another by chance alone. Checksums must not be shown to anybody.
pub struct Checksum(LessSafeKey);

impl Checksum {
    /// Prepares `key`, which must serve nothing else.
    pub fn new(key: &Key32) -> Self {
        match cipher(key) {
            Ok(key) => Self(key),
            // A key of 32 bytes is what the cipher asks for.
            Err(_) => std::process::abort(),
        }
    }

    /// The checksum of `content`, which can be compared with others of the same `name` only.
    pub fn of(&self, name: [u8; NONCE_LEN], content: &[u8]) -> u64 {
        match self.0.seal_in_place_separate_tag(Nonce::assume_unique_for_key(name), Aad::from(content), &mut []) {
            Ok(tag) => tag.as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes),
            // Associated data may be as long as memory is.
            Err(_) => std::process::abort(),
        }
    }
}
