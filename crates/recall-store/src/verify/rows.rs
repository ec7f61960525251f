//! Checking the rows of a batch that was read: commitments, and searched columns against the event.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, LargeBinaryArray, RecordBatch, StringArray,
};
use arrow::datatypes::{Int32Type, Int64Type};
use recall_log::entry::{Entry, Facets, PartError, Salt, commit};

use crate::batch::{Encoder, Facts};
use crate::columns::Column;
use crate::dedupe::Record;
use crate::postings::Posting;
use crate::token::TokenCache;

/// What is read: everything.
pub(super) const WANTED: [Column; 18] = Column::ALL;

/// What one event turned out to be.
pub(super) struct Checked<'c> {
    /// Its postings, with the row given.
    pub(super) postings: &'c [Posting],
    /// What the index of repeats must hold of it.
    pub(super) record: Record,
    /// The first column that does not say what the event says.
    pub(super) differs: Option<Column>,
}

/// Derives anew what is stored beside events. Each thread has its own.
pub(super) struct Checker {
    encoder: Encoder,
    tokens: TokenCache,
    facts: Facts,
}

impl Checker {
    pub(super) fn new(encoder: Encoder) -> Self {
        Self { encoder, tokens: TokenCache::default(), facts: Facts::default() }
    }

    /// Checks row `at` of `rows`, which is event `index` and row `row` of its part.
    pub(super) fn check(&mut self, rows: &Columns<'_>, at: usize, index: u64, row: u32) -> Result<Checked<'_>, PartError> {
        let (public, phi) = (rows.public.value(at), rows.phi.value(at));
        let (facets, span) = Facets::read_stored(public, phi)?;
        let identity = self.encoder.identity(&facets.source, &facets.id, public, span, phi);
        let (cache, tokens) = (&mut self.tokens, self.encoder.tokens());
        self.facts.postings.clear();
        self.facts.push_postings(row, &facets, |kind, value| cache.token(tokens, kind, value));
        let differs = rows.differs(at, index, &facets);
        Ok(Checked { postings: &self.facts.postings, record: Record::new(identity, index), differs })
    }
}

fn salt(salts: &FixedSizeBinaryArray, at: usize) -> Salt {
    salts.value(at).first_chunk().copied().unwrap_or_default()
}

/// The columns of a batch of `WANTED`, by type.
pub(super) struct Columns<'a> {
    numbers: [&'a [i64]; 3],
    text: Vec<Text<'a>>,
    break_glass: &'a BooleanArray,
    /// Where the patients of each row begin and end, and all patients.
    patients: (&'a [i32], &'a StringArray),
    salt_public: &'a FixedSizeBinaryArray,
    salt_phi: &'a FixedSizeBinaryArray,
    public: &'a LargeBinaryArray,
    phi: &'a LargeBinaryArray,
}

struct Text<'a> {
    column: Column,
    keys: &'a DictionaryArray<Int32Type>,
    values: &'a StringArray,
}

impl Text<'_> {
    fn value(&self, at: usize) -> Option<&str> {
        self.keys.key(at).map(|key| self.values.value(key))
    }
}

impl<'a> Columns<'a> {
    /// `None` if a column is of another type, which the reader excludes.
    pub(super) fn of(rows: &'a RecordBatch) -> Option<Self> {
        let column = |column: Column| -> Option<&'a ArrayRef> { rows.columns().get(column as usize) };
        let number = |wanted| Some(column(wanted)?.as_primitive_opt::<Int64Type>()?.values().as_ref());
        let mut text = Vec::new();
        for wanted in WANTED.into_iter().filter(|column| column.is_dictionary()) {
            let keys = column(wanted)?.as_dictionary_opt::<Int32Type>()?;
            text.push(Text { column: wanted, keys, values: keys.values().as_string_opt::<i32>()? });
        }
        let patients = column(Column::Patients)?.as_list_opt::<i32>()?;
        Some(Self {
            numbers: [number(Column::Index)?, number(Column::Time)?, number(Column::ReceivedAt)?],
            text,
            break_glass: column(Column::BreakGlass)?.as_boolean_opt()?,
            patients: (patients.value_offsets(), patients.values().as_string_opt::<i32>()?),
            salt_public: column(Column::SaltPublic)?.as_fixed_size_binary_opt()?,
            salt_phi: column(Column::SaltPhi)?.as_fixed_size_binary_opt()?,
            public: column(Column::Public)?.as_binary_opt::<i64>()?,
            phi: column(Column::Phi)?.as_binary_opt::<i64>()?,
        })
    }

    fn differs(&self, at: usize, index: u64, facets: &Facets<'_>) -> Option<Column> {
        let [indexes, times, received] = self.numbers;
        let numbers = [
            (Column::Index, indexes, index.cast_signed()),
            (Column::Time, times, facets.time.micros()),
            (Column::ReceivedAt, received, facets.received_at.micros()),
        ];
        let number = numbers.into_iter().find(|(_, stored, expected)| stored.get(at) != Some(expected)).map(|(column, ..)| column);
        let text = || self.text.iter().find(|text| text.value(at) != expected(facets, text.column)).map(|text| text.column);
        let break_glass = || (self.break_glass.value(at) != facets.break_glass).then_some(Column::BreakGlass);
        number.or_else(text).or_else(break_glass).or_else(|| (!self.same_patients(at, facets)).then_some(Column::Patients))
    }

    /// The entry of row `at`, from its stored bytes and salts.
    pub(super) fn entry(&self, at: usize) -> Entry {
        commit(self.public.value(at), self.phi.value(at), &salt(self.salt_public, at), &salt(self.salt_phi, at))
    }

    /// Rows.
    pub(super) fn len(&self) -> usize {
        self.public.len()
    }

    fn same_patients(&self, at: usize, facets: &Facets<'_>) -> bool {
        let (offsets, values) = self.patients;
        let (Some(Ok(start)), Some(Ok(end))) =
            (offsets.get(at).map(|at| usize::try_from(*at)), offsets.get(at + 1).map(|at| usize::try_from(*at)))
        else {
            return false;
        };
        (start..end).map(|place| values.value(place)).eq(facets.patients.iter().map(|patient| &**patient))
    }
}

/// What a text column must say of an event.
fn expected<'a>(facets: &'a Facets<'_>, column: Column) -> Option<&'a str> {
    match column {
        Column::Source => Some(&facets.source),
        Column::Action => Some(&facets.action),
        Column::Op => facets.op.map(|op| op.as_str()),
        Column::Outcome => facets.outcome.map(|status| status.as_str()),
        Column::ActorType => Some(facets.actor_type.as_str()),
        Column::Actor => facets.actor.as_deref(),
        Column::Purpose => Some(&*facets.purpose).filter(|purpose| !purpose.is_empty()),
        Column::Protocol => facets.protocol.as_deref(),
        Column::App => facets.app.as_deref(),
        _ => None,
    }
}
