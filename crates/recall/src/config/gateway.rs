//! `[[gateway.postgres]]`: what stands between people and a PostgreSQL server, and what in that server is health information.
//!
//! Names and forms are those of the published configuration. It must not know protocols, nor how records are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::secret_file;
use super::upstream::Upstream;
use crate::failure::Failure;
use crate::gateway::{self, is_name, users};

/// Longest name that PostgreSQL keeps, bytes.
const IDENTIFIER_BYTES: usize = 63;
/// Longest name of a category, bytes.
const CATEGORY_BYTES: usize = 64;

/// `[gateway]`
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Gateways {
    pub postgres: Vec<Postgres>,
}

/// One `[[gateway.postgres]]`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// Its name, in records and for its users.
    pub name: Name,
    /// Where clients come; loopback only without TLS.
    pub listen: SocketAddr,
    /// The server behind it, and the role it is for whoever has no other.
    pub upstream: Upstream,
    /// The password of the role in `upstream`.
    pub upstream_password_file: Option<PathBuf>,
    /// Other roles that people may have upstream, each with the file of its password.
    #[serde(default)]
    pub upstream_roles: BTreeMap<Role, PathBuf>,
    /// Who vouches for the server's certificate.
    pub upstream_ca_file: Option<PathBuf>,
    /// The gateway's certificate, and those between it and whom clients trust.
    pub tls_cert_file: Option<PathBuf>,
    /// The certificate's private key.
    pub tls_key_file: Option<PathBuf>,
    #[serde(default)]
    pub durability: Durability,
    /// The columns that say whom a row is about.
    #[serde(default)]
    pub subjects: Vec<Column>,
    /// The columns that hold health information, each with its category.
    #[serde(default)]
    pub phi: BTreeMap<Column, Category>,
    /// What is shown of which columns to whom.
    #[serde(default)]
    pub mask: Vec<Mask>,
}

/// When a record counts as written.
#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Once it is synced.
    #[default]
    Strict,
    /// Once it is written; it is synced soon after.
    Relaxed,
}

/// One `[[gateway.postgres.mask]]`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(test), expect(dead_code, reason = "masking is not there yet, and a file that asks for it is refused"))]
pub struct Mask {
    pub columns: Vec<Column>,
    pub mode: Mode,
    /// Roles of users who see the columns as they are.
    #[serde(default)]
    pub except_roles: Vec<UserRole>,
}

/// What stands in place of a masked value.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing.
    Drop,
    /// A part of it, by category.
    Partial,
    /// A name for it that is always the same.
    Token,
    /// The same for all.
    Fixed,
}

/// Texts of which only some are taken; what is wrong with others is said without repeating them.
macro_rules! names {
    ($($(#[$meta:meta])* $name:ident, $takes:expr, $wrong:expr;)+) => {$(
        $(#[$meta])*
        #[derive(Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[allow(dead_code, reason = "what is served reads them all")]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let takes: fn(&str) -> bool = $takes;
                if takes(&text) { Ok(Self(text)) } else { Err($wrong) }
            }
        }
    )+};
}

names! {
    /// The name of a gateway.
    Name, is_name, format!("a gateway's name is 1 to {} of the characters a-z, 0-9 and -", gateway::NAME_BYTES);
    /// A role of the upstream server.
    Role, is_identifier, format!("a role's name is 1 to {IDENTIFIER_BYTES} bytes without control characters");
    /// A role of users, as policies see it.
    UserRole, is_user_role, format!("a user's role is 1 to {} bytes without white space or control characters", users::ROLE_BYTES);
    /// A category of health information.
    Category, is_category, format!("a category is 1 to {CATEGORY_BYTES} of the characters a-z, 0-9, - and _");
}

fn is_identifier(text: &str) -> bool {
    (1..=IDENTIFIER_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn is_user_role(text: &str) -> bool {
    (1..=users::ROLE_BYTES).contains(&text.len()) && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

fn is_category(text: &str) -> bool {
    (1..=CATEGORY_BYTES).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

/// `[schema.]table.column`, each as the server's catalog spells it: no quotes, no folding to lower case.
#[derive(Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(try_from = "String")]
pub struct Column {
    /// Without one: of the schema `public`.
    pub schema: Option<String>,
    pub table: String,
    pub column: String,
}

impl TryFrom<String> for Column {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('.').collect();
        let (schema, table, column) = match parts[..] {
            [table, column] => (None, table, column),
            [schema, table, column] => (Some(schema), table, column),
            _ => return Err("a column is written table.column or schema.table.column".into()),
        };
        if !schema.iter().chain([&table, &column]).all(|part| is_identifier(part) && part.trim() == *part && !part.contains('"')) {
            return Err(format!(
                "a column's parts are 1 to {IDENTIFIER_BYTES} bytes each, as the server's catalog spells them, without quotes or control characters"
            ));
        }
        Ok(Self { schema: schema.map(str::to_owned), table: table.into(), column: column.into() })
    }
}

impl Gateways {
    /// Checks what one key says against another.
    pub fn check(&self) -> Result<(), String> {
        let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        for gateway in &self.postgres {
            let name = gateway.name.as_str();
            if !names.insert(name) {
                return Err(format!("gateway.postgres: two are named {name}: name each as no other"));
            }
            if gateway.listen.port() != 0 && !addresses.insert(gateway.listen) {
                return Err(format!("gateway.postgres {name}: another listens on {}: choose another address", gateway.listen));
            }
            gateway.check().map_err(|problem| format!("gateway.postgres {name}: {problem}"))?;
        }
        Ok(())
    }

    /// What the file may say and this version does not do. To leave it out in silence would show what was to be hidden.
    pub fn require_offered(&self) -> Result<(), String> {
        if let Some(gateway) = self.postgres.iter().find(|gateway| !gateway.mask.is_empty()) {
            return Err(format!(
                "gateway.postgres {}: masking is not in this version, and without it everybody would see these columns: remove mask, or give those who must not see them no access",
                gateway.name.as_str()
            ));
        }
        match self.postgres.iter().find(|gateway| gateway.durability == Durability::Relaxed) {
            None => Ok(()),
            Some(gateway) => Err(format!(
                "gateway.postgres {}: durability = \"relaxed\" is not in this version, which syncs each record: remove it",
                gateway.name.as_str()
            )),
        }
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        self.postgres.iter_mut().for_each(|gateway| gateway.resolve(base));
    }
}

impl Postgres {
    fn check(&self) -> Result<(), String> {
        match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(_), None) | (None, Some(_)) => return Err("tls_cert_file and tls_key_file go together: name both".into()),
            (None, None) if !self.listen.ip().is_loopback() => {
                return Err(format!("listening on {} needs TLS: name tls_cert_file and tls_key_file, or listen on 127.0.0.1", self.listen));
            }
            _ => {}
        }
        if self.upstream_roles.keys().any(|role| role.as_str() == self.upstream.role) {
            return Err("upstream_roles: the role in upstream has its password in upstream_password_file: leave it out here".into());
        }
        if self.mask.iter().any(|mask| mask.columns.is_empty()) {
            return Err("mask: columns names none: name at least one, or remove the rule".into());
        }
        Ok(())
    }

    fn resolve(&mut self, base: &Path) {
        let single = [&mut self.upstream_password_file, &mut self.upstream_ca_file, &mut self.tls_cert_file, &mut self.tls_key_file];
        for path in single.into_iter().flatten().chain(self.upstream_roles.values_mut()) {
            *path = base.join(&path);
        }
    }

    /// Looks whether the files that it names can be used; keeps nothing of them.
    pub fn check_files(&self) -> Result<(), Failure> {
        for password in self.upstream_password_file.iter().chain(self.upstream_roles.values()) {
            secret_file::password(password)?;
        }
        if let Some(key) = &self.tls_key_file {
            secret_file::read(key, secret_file::PRIVATE_KEY_BYTES)?;
        }
        for certificate in self.tls_cert_file.iter().chain(&self.upstream_ca_file) {
            crate::folder::read_small(certificate)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
