//! Gateway users: people who sign in at a gateway, and what they become behind it. One row of the catalog each (`docs/format.md` section 4).
//!
//! Owns what is kept of a user and how secrets come and go; several may live at once, so that one can be replaced without a pause. A user who
//! was removed stays, without a secret that works, so that what the trail says of him can be read. Knows neither HTTP nor the catalog.

use std::num::NonZeroU32;

use recall_log::time::Timestamp;
use recall_store::seams::Random;
use serde::{Deserialize, Serialize};

use super::secret::{ITERATIONS, Keys, SALT_BYTES, Shown, base64url};

/// Most users that are kept, removed ones included.
pub const USERS: usize = 10_000;
/// Most secrets of a user that work at once.
pub const LIVING: usize = 8;
/// Most secrets of a user that are kept; the oldest of those that ended are forgotten first.
const KEPT: usize = 16;
/// Longest name of a user, bytes.
pub const NAME_BYTES: usize = 128;
/// Longest role, bytes.
pub const ROLE_BYTES: usize = 64;
/// Longest role of the upstream server, bytes: what PostgreSQL keeps of a name.
pub const UPSTREAM_ROLE_BYTES: usize = 63;

const ID_BYTES: usize = 6;

/// What is said of a user from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roles {
    /// What policies call the person; it grants nothing on the trail.
    pub role: String,
    /// Who the person is to the upstream server.
    pub upstream_role: String,
}

/// What the catalog holds of a user. It does not print itself: its keys are secrets.
#[derive(Serialize, Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The gateway's name.
    pub gateway: String,
    /// The user's name, by which the trail knows the person.
    pub name: String,
    role: String,
    upstream_role: String,
    /// Of all secrets, for life: an exchange begins with it, before it is known which secret it is about.
    #[serde(with = "base64url")]
    pub salt: [u8; SALT_BYTES],
    /// Of all secrets, likewise.
    pub iterations: NonZeroU32,
    /// When the user was made, µs since 1970.
    pub created_at: i64,
    /// When the user was removed, µs since 1970, unless made again since.
    pub removed_at: Option<i64>,
    /// Those that work, and the latest that ended; oldest first.
    pub secrets: Vec<Secret>,
}

/// One secret of a user.
#[derive(Serialize, Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Which one, for those who revoke it.
    pub id: String,
    /// None once it is revoked.
    pub keys: Option<Keys>,
    /// When it was made, µs since 1970.
    pub created_at: i64,
    /// When it ends, µs since 1970.
    pub expires_at: i64,
    /// When it was revoked, µs since 1970.
    pub revoked_at: Option<i64>,
}

impl Secret {
    /// Whether it is neither revoked nor expired.
    pub fn works(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.keys.is_some() && now.micros() < self.expires_at
    }

    fn revoke(&mut self, now: Timestamp) -> bool {
        self.keys = None;
        let living = self.revoked_at.is_none();
        self.revoked_at.get_or_insert(now.micros());
        living
    }
}

/// The name of a user's row. A gateway's name holds no slash, so that no two users share one.
pub fn row_name(gateway: &str, name: &str) -> String {
    format!("{gateway}/{name}")
}

impl User {
    /// One without a secret.
    pub fn new(random: &dyn Random, gateway: String, name: String, roles: Roles, now: Timestamp) -> Self {
        let mut salt = [0; SALT_BYTES];
        random.fill(&mut salt);
        let Roles { role, upstream_role } = roles;
        let (iterations, created_at) = (ITERATIONS, now.micros());
        Self { gateway, name, role, upstream_role, salt, iterations, created_at, removed_at: None, secrets: Vec::new() }
    }

    /// What the user is.
    pub fn roles(&self) -> Roles {
        Roles { role: self.role.clone(), upstream_role: self.upstream_role.clone() }
    }

    /// From now on the user is this, with every secret.
    pub fn set_roles(&mut self, roles: Roles) {
        (self.role, self.upstream_role) = (roles.role, roles.upstream_role);
    }

    /// The secrets that work.
    pub fn living(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        self.secrets.iter().filter(move |secret| self.removed_at.is_none() && secret.works(now))
    }

    /// Adds a secret, and takes the user back who was removed; `None` where so many work already that no more is taken. Gives its id and
    /// the text to show.
    pub fn add_secret(&mut self, random: &dyn Random, now: Timestamp, expires_at: Timestamp) -> Option<(String, Shown)> {
        if self.living(now).count() >= LIVING {
            return None;
        }
        while self.secrets.len() >= KEPT {
            let ended = self.secrets.iter().position(|secret| !secret.works(now))?;
            self.secrets.remove(ended);
        }
        let mut bytes = [0; ID_BYTES];
        random.fill(&mut bytes);
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = Shown::random(random);
        self.secrets.push(Secret {
            id: id.clone(),
            keys: Some(Keys::of(shown.as_str().as_bytes(), &self.salt, self.iterations)),
            created_at: now.micros(),
            expires_at: expires_at.micros(),
            revoked_at: None,
        });
        self.removed_at = None;
        Some((id, shown))
    }

    /// Ends one secret: whether it was not revoked before. `None` if there is no such secret.
    pub fn revoke(&mut self, id: &str, now: Timestamp) -> Option<bool> {
        self.secrets.iter_mut().find(|secret| secret.id == id).map(|secret| secret.revoke(now))
    }

    /// Ends them all, and the user with them: whether that was not so before.
    pub fn remove(&mut self, now: Timestamp) -> bool {
        for secret in &mut self.secrets {
            secret.revoke(now);
        }
        let was_there = self.removed_at.is_none();
        self.removed_at.get_or_insert(now.micros());
        was_there
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
