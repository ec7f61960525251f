//! Who somebody is at a gateway, asked at each login: read from the trail's rows as they are now, so that a removal works at once.
//!
//! A user without a secret that works is given all the same, with none: the exchange then runs to its end with the salt of always, and fails.

use std::num::NonZeroU32;

use recall_store::catalog::Kind;

use super::secret::{Keys, SALT_BYTES};
use super::users::{Roles, User, row_name};
use crate::app::App;

/// A user's row that can't be read. Nobody is let in on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a user's row cannot be read: see recall doctor")]
pub struct Unreadable;

/// A user as a login needs to know one. It does not print itself.
pub struct Person {
    /// The name by which the trail knows the person.
    pub name: String,
    /// Which role policies see, and who the person is upstream.
    pub roles: Roles,
    /// The salt of all secrets.
    pub salt: [u8; SALT_BYTES],
    /// How often secrets are hashed.
    pub iterations: NonZeroU32,
    /// The secrets that work now.
    pub secrets: Vec<Keys>,
}

impl App {
    /// The user of this name at this gateway, as kept.
    pub fn gateway_user(&self, gateway: &str, name: &str) -> Result<Option<User>, Unreadable> {
        let row = self.trail.row(Kind::User, &row_name(gateway, name));
        row.map(|bytes| User::read(&bytes).ok_or(Unreadable)).transpose()
    }

    /// The person of this name at this gateway, with the secrets that work at this moment; `None` where there never was such a user.
    pub fn person(&self, gateway: &str, name: &str) -> Result<Option<Person>, Unreadable> {
        let now = self.clock.now();
        Ok(self.gateway_user(gateway, name)?.map(|user| {
            let living = user.living(now).filter_map(|secret| secret.keys.clone());
            Person { secrets: living.collect(), roles: user.roles(), salt: user.salt, iterations: user.iterations, name: user.name.clone() }
        }))
    }
}

#[cfg(test)]
mod tests;
