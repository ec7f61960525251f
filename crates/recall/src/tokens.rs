//! Tokens: `rcl_` ID `_` SECRET. The catalog holds SHA-256 of the secret and never the secret, which has 256 random bits, so that a
//! slow hash would add nothing. Knows neither HTTP nor the catalog.

use aws_lc_rs::{constant_time, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use recall_log::time::Timestamp;
use recall_store::seams::Random;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::identity::{Identity, Role};

const PREFIX: &str = "rcl_";
const ID_BYTES: usize = 6;
const ID_DIGITS: usize = 2 * ID_BYTES;
const SECRET_BYTES: usize = 32;

/// Longest name of a token, in bytes: as long as an actor's id may be.
pub const NAME_BYTES: usize = 512;
/// Most sources of a token.
pub const SOURCES: usize = 64;

/// What the catalog holds of a token.
#[derive(Serialize, Deserialize, Clone)]
pub struct Stored {
    /// Whose it is.
    pub name: Option<String>,
    /// The role's name.
    pub role: String,
    /// The sources it may send for; empty: all.
    #[serde(default)]
    pub sources: Vec<String>,
    /// When it was made, µs since 1970.
    pub created_at: i64,
    /// When it ends, µs since 1970.
    pub expires_at: Option<i64>,
    /// When it was revoked, µs since 1970.
    pub revoked_at: Option<i64>,
    /// SHA-256 of the secret, base64url.
    sha256: String,
}

/// A token as it is shown, once.
pub struct Shown(Zeroizing<String>);

impl Shown {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A token that somebody presents.
pub struct Presented<'a> {
    /// The id, which is no secret.
    pub id: &'a str,
    secret: Zeroizing<Vec<u8>>,
}

/// Makes a token: id, text to show, and what to store.
pub fn create(
    random: &dyn Random,
    name: Option<String>,
    role: Role,
    sources: Vec<String>,
    now: Timestamp,
    expires_at: Timestamp,
) -> (String, Shown, Stored) {
    let mut id_bytes = [0; ID_BYTES];
    random.fill(&mut id_bytes);
    let id: String = id_bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    random.fill(&mut *secret);
    let shown = Shown(Zeroizing::new(format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(*secret))));
    let stored = Stored {
        name,
        role: role.name().into(),
        sources,
        created_at: now.micros(),
        expires_at: Some(expires_at.micros()),
        revoked_at: None,
        sha256: hash(&*secret),
    };
    (id, shown, stored)
}

fn hash(secret: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, secret))
}

impl<'a> Presented<'a> {
    /// Reads the text of a token.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_at_checked(ID_DIGITS)?;
        if !id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let secret = URL_SAFE_NO_PAD.decode(secret.strip_prefix('_')?).ok()?;
        (secret.len() == SECRET_BYTES).then(|| Self { id, secret: Zeroizing::new(secret) })
    }

    /// The identity, if the secret is the stored one's and the token works now.
    pub fn identify(&self, stored: &Stored, now: Timestamp) -> Option<Identity> {
        let same = constant_time::verify_slices_are_equal(hash(&self.secret).as_bytes(), stored.sha256.as_bytes()).is_ok();
        (same && stored.works(now)).then(|| Role::stored(&stored.role)).flatten().map(|role| Identity {
            token_id: self.id.to_owned(),
            name: stored.name.clone(),
            role,
            sources: stored.sources.clone(),
        })
    }
}

impl Stored {
    /// Whether the token is neither revoked nor expired.
    pub fn works(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now.micros() < end)
    }

    /// From the catalog's bytes.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// For the catalog.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
