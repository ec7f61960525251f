//! The searched columns of a batch while it grows.
//!
//! Text stays plain in a batch: dictionaries are made when batches are joined, outside the path of a commit.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, BooleanBuilder, Int64Builder, ListBuilder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use recall_log::entry::Facets;

use crate::columns::{Column, patient_field};

/// The columns of a batch: the searched ones but `index`, which is known only once the batch is committed.
pub(crate) const BATCH_COLUMNS: [Column; 13] = [
    Column::Time,
    Column::ReceivedAt,
    Column::Source,
    Column::Action,
    Column::Op,
    Column::Outcome,
    Column::ActorType,
    Column::Actor,
    Column::Purpose,
    Column::Protocol,
    Column::App,
    Column::BreakGlass,
    Column::Patients,
];

/// The schema of a batch's columns, with plain text.
static BATCH_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let plain = |column: Column| {
        let field = column.field();
        if column.is_dictionary() { Field::new(column.name(), DataType::Utf8, field.is_nullable()) } else { field }
    };
    Arc::new(Schema::new(BATCH_COLUMNS.map(plain).to_vec()))
});

pub(crate) struct Builders {
    time: Int64Builder,
    received_at: Int64Builder,
    source: StringBuilder,
    action: StringBuilder,
    op: StringBuilder,
    outcome: StringBuilder,
    actor_type: StringBuilder,
    actor: StringBuilder,
    purpose: StringBuilder,
    protocol: StringBuilder,
    app: StringBuilder,
    break_glass: BooleanBuilder,
    patients: ListBuilder<StringBuilder>,
}

impl Builders {
    /// Small at first: many batches hold one event.
    pub(crate) fn new() -> Self {
        let text = || StringBuilder::with_capacity(1, 16);
        Self {
            time: Int64Builder::with_capacity(1),
            received_at: Int64Builder::with_capacity(1),
            source: text(),
            action: text(),
            op: text(),
            outcome: text(),
            actor_type: text(),
            actor: text(),
            purpose: text(),
            protocol: text(),
            app: text(),
            break_glass: BooleanBuilder::with_capacity(1),
            patients: ListBuilder::with_capacity(text(), 1).with_field(patient_field()),
        }
    }

    pub(crate) fn push(&mut self, facets: &Facets<'_>) {
        self.time.append_value(facets.time.micros());
        self.received_at.append_value(facets.received_at.micros());
        self.source.append_value(&facets.source);
        self.action.append_value(&facets.action);
        self.op.append_option(facets.op.map(|op| op.as_str()));
        self.outcome.append_option(facets.outcome.map(|status| status.as_str()));
        self.actor_type.append_value(facets.actor_type.as_str());
        self.actor.append_option(facets.actor.as_deref());
        self.purpose.append_option(Some(&*facets.purpose).filter(|purpose| !purpose.is_empty()));
        self.protocol.append_option(facets.protocol.as_deref());
        self.app.append_option(facets.app.as_deref());
        self.break_glass.append_value(facets.break_glass);
        for patient in &facets.patients {
            self.patients.values().append_value(patient);
        }
        self.patients.append(true);
    }

    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.time.finish()),
            Arc::new(self.received_at.finish()),
            Arc::new(self.source.finish()),
            Arc::new(self.action.finish()),
            Arc::new(self.op.finish()),
            Arc::new(self.outcome.finish()),
            Arc::new(self.actor_type.finish()),
            Arc::new(self.actor.finish()),
            Arc::new(self.purpose.finish()),
            Arc::new(self.protocol.finish()),
            Arc::new(self.app.finish()),
            Arc::new(self.break_glass.finish()),
            Arc::new(self.patients.finish()),
        ];
        RecordBatch::try_new(Arc::clone(&BATCH_SCHEMA), columns)
    }
}
