//! The columns of the one table, `events`: names, types, and where each comes from.
//!
//! Stored columns are read as they lie; derived ones are computed from an event's bytes, and only where somebody asks. Hidden
//! columns, the bytes and salts of the parts, serve filters and proofs; SQL cannot name them.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use recall_store::columns::Column;

/// Where a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A stored column.
    Stored(Column),
    /// The event's bytes.
    Derived(Derived),
}

/// What is computed from an event's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Derived {
    Id,
    Seq,
    Code,
    ActorName,
    Session,
    Ip,
    Rows,
    Event,
}

/// The columns in order, the hidden ones last.
const COLUMNS: [(&str, Origin); 26] = [
    ("index", Origin::Stored(Column::Index)),
    ("time", Origin::Stored(Column::Time)),
    ("received_at", Origin::Stored(Column::ReceivedAt)),
    ("id", Origin::Derived(Derived::Id)),
    ("source", Origin::Stored(Column::Source)),
    ("seq", Origin::Derived(Derived::Seq)),
    ("action", Origin::Stored(Column::Action)),
    ("op", Origin::Stored(Column::Op)),
    ("outcome", Origin::Stored(Column::Outcome)),
    ("code", Origin::Derived(Derived::Code)),
    ("actor_type", Origin::Stored(Column::ActorType)),
    ("actor", Origin::Stored(Column::Actor)),
    ("actor_name", Origin::Derived(Derived::ActorName)),
    ("session", Origin::Derived(Derived::Session)),
    ("purpose", Origin::Stored(Column::Purpose)),
    ("break_glass", Origin::Stored(Column::BreakGlass)),
    ("protocol", Origin::Stored(Column::Protocol)),
    ("app", Origin::Stored(Column::App)),
    ("ip", Origin::Derived(Derived::Ip)),
    ("rows", Origin::Derived(Derived::Rows)),
    (PATIENTS, Origin::Stored(Column::Patients)),
    ("event", Origin::Derived(Derived::Event)),
    (PUBLIC, Origin::Stored(Column::Public)),
    (PHI, Origin::Stored(Column::Phi)),
    (SALT_PUBLIC, Origin::Stored(Column::SaltPublic)),
    (SALT_PHI, Origin::Stored(Column::SaltPhi)),
];

/// The column that holds PHI.
pub const PATIENTS: &str = "patients";
/// The hidden column of the public part's bytes.
pub const PUBLIC: &str = "$public";
/// The hidden column of the PHI part's bytes; null where the reader may not see them.
pub const PHI: &str = "$phi";
/// The hidden columns of the parts' salts.
pub const SALT_PUBLIC: &str = "$salt_public";
/// See [`SALT_PUBLIC`].
pub const SALT_PHI: &str = "$salt_phi";
const HIDDEN: usize = 4;

/// The type of times.
#[must_use]
pub fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn data_type(origin: Origin) -> DataType {
    match origin {
        Origin::Stored(Column::Time | Column::ReceivedAt) => time_type(),
        Origin::Stored(column) => column.data_type(),
        Origin::Derived(Derived::Seq | Derived::Rows) => DataType::Int64,
        Origin::Derived(Derived::Event) => DataType::Utf8View,
        Origin::Derived(_) => DataType::Utf8,
    }
}

static ALL: LazyLock<SchemaRef> = LazyLock::new(|| {
    let fields: Vec<Field> = COLUMNS.iter().map(|(name, origin)| Field::new(*name, data_type(*origin), *name != "index")).collect();
    Arc::new(Schema::new(fields))
});

static VISIBLE: LazyLock<SchemaRef> = LazyLock::new(|| {
    let count = COLUMNS.len() - HIDDEN;
    Arc::new(Schema::new(ALL.fields().iter().take(count).cloned().collect::<Vec<_>>()))
});

/// The table's schema.
#[must_use]
pub fn schema() -> SchemaRef {
    Arc::clone(&VISIBLE)
}

/// The table's schema with the hidden columns behind it.
#[must_use]
pub fn all() -> SchemaRef {
    Arc::clone(&ALL)
}

/// Where the column of this name comes from.
#[must_use]
pub fn origin(name: &str) -> Option<Origin> {
    COLUMNS.iter().find(|(known, _)| *known == name).map(|(_, origin)| *origin)
}

/// Whether a column can be had without reading an event's bytes.
#[must_use]
pub fn is_cheap(name: &str) -> bool {
    matches!(origin(name), Some(Origin::Stored(column)) if !column.is_content())
}
