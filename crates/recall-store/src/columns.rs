//! The columns of an event: their names, Arrow types, and which of them hold PHI (`docs/format.md` section 5).
//!
//! Public columns come first and PHI columns last, in files as in memory, so that a reader without the PHI key knows a prefix of the file.
//! It must not know where columns are kept.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

/// Bytes of one salt.
pub(crate) const SALT_BYTES: i32 = 16;

/// A column of an event, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum Column {
    /// Position in the trail, `Int64`.
    Index,
    /// When it happened, `Int64`, microseconds since 1970.
    Time,
    /// When the server took it, `Int64`, microseconds since 1970.
    ReceivedAt,
    /// Who sent it.
    Source,
    /// What was done.
    Action,
    /// One letter: C, R, U, D, E, Q or A; null where the sender gave none.
    Op,
    /// `outcome.status`; null where the sender gave none.
    Outcome,
    /// `actor.type`.
    ActorType,
    /// `actor.id`; null where the actor is in the PHI part.
    Actor,
    /// Purposes joined by a space; null where there are none.
    Purpose,
    /// `request.protocol`.
    Protocol,
    /// `context.app`.
    App,
    /// `break_glass`, `Boolean`.
    BreakGlass,
    /// The salt of the public part, `FixedSizeBinary(16)`.
    SaltPublic,
    /// The canonical bytes of the public part, `LargeBinary`.
    Public,
    /// Each distinct patient id, `List(Utf8)`. PHI.
    Patients,
    /// The salt of the PHI part, `FixedSizeBinary(16)`. PHI.
    SaltPhi,
    /// The canonical bytes of the PHI part, `LargeBinary`. PHI.
    Phi,
}

impl Column {
    /// Every column, in file order.
    pub const ALL: [Self; 18] = [
        Self::Index,
        Self::Time,
        Self::ReceivedAt,
        Self::Source,
        Self::Action,
        Self::Op,
        Self::Outcome,
        Self::ActorType,
        Self::Actor,
        Self::Purpose,
        Self::Protocol,
        Self::App,
        Self::BreakGlass,
        Self::SaltPublic,
        Self::Public,
        Self::Patients,
        Self::SaltPhi,
        Self::Phi,
    ];

    /// How many of `ALL` are public: a prefix.
    pub(crate) const PUBLIC_COUNT: usize = Self::Patients as usize;

    /// The name in files and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Time => "time",
            Self::ReceivedAt => "received_at",
            Self::Source => "source",
            Self::Action => "action",
            Self::Op => "op",
            Self::Outcome => "outcome",
            Self::ActorType => "actor_type",
            Self::Actor => "actor",
            Self::Purpose => "purpose",
            Self::Protocol => "protocol",
            Self::App => "app",
            Self::BreakGlass => "break_glass",
            Self::SaltPublic => "salt_public",
            Self::Public => "public",
            Self::Patients => "patients",
            Self::SaltPhi => "salt_phi",
            Self::Phi => "phi",
        }
    }

    /// The path of the one Parquet leaf that holds it.
    pub(crate) const fn leaf_path(self) -> &'static str {
        match self {
            Self::Patients => "patients.list.element",
            other => other.name(),
        }
    }

    /// Does it hold PHI?
    pub const fn is_phi(self) -> bool {
        matches!(self, Self::Patients | Self::SaltPhi | Self::Phi)
    }

    /// Is it kept in the sealed sections of a batch, and not among its searched columns?
    pub const fn is_content(self) -> bool {
        matches!(self, Self::SaltPublic | Self::Public | Self::SaltPhi | Self::Phi)
    }

    /// Is it text of few distinct values, read as `Dictionary(Int32, Utf8)`?
    pub const fn is_dictionary(self) -> bool {
        matches!(
            self,
            Self::Source
                | Self::Action
                | Self::Op
                | Self::Outcome
                | Self::ActorType
                | Self::Actor
                | Self::Purpose
                | Self::Protocol
                | Self::App
        )
    }

    const fn is_nullable(self) -> bool {
        matches!(self, Self::Op | Self::Outcome | Self::Actor | Self::Purpose | Self::Protocol | Self::App)
    }

    /// The type in which it is read.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Index | Self::Time | Self::ReceivedAt => DataType::Int64,
            Self::BreakGlass => DataType::Boolean,
            Self::SaltPublic | Self::SaltPhi => DataType::FixedSizeBinary(SALT_BYTES),
            Self::Public | Self::Phi => DataType::LargeBinary,
            Self::Patients => DataType::List(patient_field()),
            _ => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        }
    }

    /// The Arrow field in which it is read.
    pub fn field(self) -> Field {
        Field::new(self.name(), self.data_type(), self.is_nullable())
    }
}

/// The field of the items of `patients`.
pub(crate) fn patient_field() -> FieldRef {
    Arc::new(Field::new("element", DataType::Utf8, false))
}

static ALL: LazyLock<SchemaRef> = LazyLock::new(|| schema_of(&Column::ALL));

/// The schema of all columns.
pub fn schema() -> SchemaRef {
    Arc::clone(&ALL)
}

/// The schema of some columns, in the order given.
pub fn schema_of(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|column| column.field()).collect::<Vec<_>>()))
}
