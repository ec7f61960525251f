//! Who asks, and what that allows. Default deny: a role may do only what is written here. Knows no HTTP and no storage.

use serde_json::{Value, json};

/// What a token's holder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends events and nothing else.
    Ingest,
    /// Manages tokens, sources and keys; sees no health information.
    Administrator,
    /// Sees all.
    PrivacyOfficer,
    /// Sees all, changes nothing.
    Auditor,
    /// Keeps the machine running; sees no health information.
    Engineer,
    /// Owner of a service that is recorded.
    ServiceOwner,
    /// A patient.
    Patient,
    /// The one-time token of `recall init`.
    FirstAdministrator,
    /// Whoever holds folder and root key, working without a server.
    Machine,
}

/// The roles a token may be created with, with the names that users write.
pub const ROLES: [(&str, Role); 7] = [
    ("ingest", Role::Ingest),
    ("administrator", Role::Administrator),
    ("privacy-officer", Role::PrivacyOfficer),
    ("auditor", Role::Auditor),
    ("engineer", Role::Engineer),
    ("service-owner", Role::ServiceOwner),
    ("patient", Role::Patient),
];

/// What a request needs to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Add events.
    Ingest,
    /// Make a token.
    CreateToken,
    /// Manage tokens, sources and keys; make backups.
    Administer,
    /// Look at the register of sources, the integrity report and the list of keys.
    Operate,
}

/// How much of an event a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The public part only.
    Public,
    /// All of it.
    Phi,
}

/// Why a role may not do something: a sentence with the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Denied(pub &'static str);

/// What the one-time token is for.
pub const ONE_TIME: Denied =
    Denied("the one-time token only makes the first administrator's token: recall token create --role administrator");

impl Role {
    /// The role that users write as `name`.
    pub fn parse(name: &str) -> Option<Self> {
        ROLES.iter().find(|(known, _)| *known == name).map(|(_, role)| *role)
    }

    /// The name of the role, in records and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstAdministrator => "first-administrator",
            Self::Machine => "machine-administrator",
            _ => ROLES.iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name),
        }
    }

    /// The role whose `name` is stored.
    pub fn stored(name: &str) -> Option<Self> {
        if name == Self::FirstAdministrator.name() { Some(Self::FirstAdministrator) } else { Self::parse(name) }
    }

    /// Whether the role may do this.
    pub fn may(self, permission: Permission) -> Result<(), Denied> {
        use Permission::{Administer, CreateToken, Ingest, Operate};
        let allowed = match self {
            Self::Machine => true,
            Self::Ingest => permission == Ingest,
            Self::Administrator => matches!(permission, CreateToken | Administer | Operate),
            Self::PrivacyOfficer | Self::Auditor | Self::Engineer => permission == Operate,
            Self::FirstAdministrator => permission == CreateToken,
            Self::ServiceOwner | Self::Patient => false,
        };
        if allowed {
            return Ok(());
        }
        Err(Denied(match (self, permission) {
            (Self::FirstAdministrator, _) => ONE_TIME.0,
            (_, Ingest) => "this token may not send events: use a token of role ingest",
            (_, CreateToken | Administer) => "this needs a token of role administrator",
            (_, Operate) => "this needs a token of role administrator, privacy-officer, auditor or engineer",
        }))
    }

    /// How much the role sees of an event, if it may read at all.
    pub fn sight(self) -> Result<Sight, Denied> {
        match self {
            Self::Machine | Self::PrivacyOfficer | Self::Auditor => Ok(Sight::Phi),
            Self::Administrator | Self::Engineer => Ok(Sight::Public),
            Self::Ingest => Err(Denied("ingest tokens only send events: read with a token of role auditor or privacy-officer")),
            Self::ServiceOwner => Err(Denied("reading as a service's owner is not offered yet: ask a privacy officer")),
            Self::Patient => {
                Err(Denied("reading as a patient is not offered yet: ask the privacy officer for an accounting of disclosures"))
            }
            Self::FirstAdministrator => Err(ONE_TIME),
        }
    }
}

/// Who asks. It is found by the token, never by what a request claims.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The token's id; `machine` where there is none.
    pub token_id: String,
    /// What the token was named.
    pub name: Option<String>,
    /// What it may do.
    pub role: Role,
    /// The sources it may send for; empty: all.
    pub sources: Vec<String>,
}

impl Identity {
    /// Whoever works on the folder itself.
    pub fn machine() -> Self {
        Self { token_id: "machine".into(), name: None, role: Role::Machine, sources: Vec::new() }
    }

    /// The actor of the events that record what this identity does.
    pub fn actor(&self) -> Value {
        if self.role == Role::Machine {
            return json!({"type": "service", "id": "machine:administrator", "roles": [self.role.name()], "auth_method": "root key"});
        }
        let kind = match self.role {
            Role::Ingest | Role::ServiceOwner => "service",
            Role::Patient => "patient",
            _ => "user",
        };
        let id = self.name.clone().unwrap_or_else(|| format!("token:{}", self.token_id));
        json!({"type": kind, "id": id, "roles": [self.role.name()], "session_id": format!("token:{}", self.token_id), "auth_method": "token"})
    }
}

#[cfg(test)]
mod tests;
