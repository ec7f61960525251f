//! What this crate's tests share: keys in a temporary folder, repeatable randomness, and events of a small clinic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::DataType;
use recall_log::entry::Admission;
use recall_log::event::Event;
use recall_log::time::Timestamp;

use crate::batch::{Batch, Encoder};
use crate::columns::{Column, schema_of};
use crate::fresh::Fresh;
use crate::keys::{Keys, PhiAccess, RootKey, STANDARD_CLASS, SetInfo};
use crate::seams::{NoFaults, Random};
use crate::snapshot::{Part, Predicate, Rows, Scan};

/// A repeatable stream of bytes (SplitMix64).
pub(crate) struct Seeded(Mutex<u64>);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Random for Seeded {
    fn fill(&self, out: &mut [u8]) {
        let mut state = self.0.lock().unwrap();
        for chunk in out.chunks_mut(8) {
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut word = *state;
            word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(word ^ (word >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// A folder with keys, two key sets and an encoder.
pub(crate) struct Bench {
    pub folder: tempfile::TempDir,
    pub keys: Arc<Keys>,
    pub phi: PhiAccess,
    pub random: Arc<dyn Random>,
    pub encoder: Encoder,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let random: Arc<dyn Random> = Arc::new(Seeded::new(7));
        let root = RootKey::generate(&*random);
        let keys =
            Keys::create(&folder.path().join("keyring"), &root, "log.example/trail", Arc::clone(&random), Arc::new(NoFaults)).unwrap();
        for (id, epoch) in [(1, "2026-11"), (2, "2026-12")] {
            keys.add_set(SetInfo { id, epoch: epoch.to_owned(), class: STANDARD_CLASS.to_owned() }).unwrap();
        }
        let keys = Arc::new(keys);
        let encoder = Encoder::new(&keys, Arc::clone(&random));
        Self { folder, phi: keys.phi_access(), keys, random, encoder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A batch of the clinic's events `numbers`.
    pub(crate) fn batch(&self, numbers: impl IntoIterator<Item = u64>) -> Batch {
        let mut batch = self.encoder.batch().unwrap();
        for number in numbers {
            let json = clinic(number);
            let event = Event::parse(json.as_bytes()).unwrap();
            batch.push(&event, &admission(number, &format!("event-{number}"))).unwrap();
        }
        batch.finish().unwrap()
    }

    /// A committed batch, in memory.
    pub(crate) fn fresh(&self, batch: Batch, first_index: u64, key_set: u64) -> Arc<Fresh> {
        let sealed = batch.seal(first_index, key_set, &self.keys, &self.phi, &*self.random).unwrap();
        Arc::new(Fresh::new(batch, sealed, first_index, key_set, &self.keys))
    }

    /// The clinic's events `range` as committed batches of `each`, under key set 1.
    pub(crate) fn parts(&self, range: std::ops::Range<u64>, each: usize) -> Vec<Part> {
        let starts = range.clone().step_by(each);
        starts.map(|start| Part::Fresh(self.fresh(self.batch(start..range.end.min(start + each as u64)), start, 1))).collect()
    }
}

/// What the server adds to event `number`.
pub(crate) fn admission(number: u64, id: &str) -> Admission<'_> {
    Admission { source: "urn:ehr:test", id, received_at: received_at(number) }
}

pub(crate) fn received_at(number: u64) -> Timestamp {
    Timestamp::from_micros(1_795_000_000_000_000 + number.cast_signed() * 1_000)
}

/// The actor of event `number`; every eleventh event is a patient's own.
pub(crate) fn actor(number: u64) -> String {
    if number.is_multiple_of(11) { patient(number) } else { format!("nurse-{}", number % 7) }
}

/// The patient of event `number`.
pub(crate) fn patient(number: u64) -> String {
    format!("MRN{:05}", number % 23)
}

/// Event `number` of a small clinic, as a sender writes it.
pub(crate) fn clinic(number: u64) -> String {
    let kind = if number.is_multiple_of(11) { "patient" } else { "user" };
    let second = if number.is_multiple_of(5) {
        format!(r#",{{"type":"fhir:Patient","patient_id":"{}"}}"#, patient(number + 1))
    } else {
        String::new()
    };
    let app = if number.is_multiple_of(3) { String::new() } else { r#""app":"charts","#.to_owned() };
    format!(
        r#"{{"source":"urn:ehr:test","seq":{number},"time":"{}","action":"chart.{}","op":"R","outcome":{{"status":"success"}},
        "actor":{{"type":"{kind}","id":"{}","session_id":"s{}"}},"purpose":["TREAT"],"break_glass":{},
        "targets":[{{"type":"fhir:Patient","id":"Patient/{number}","name":"Zyx Wvutsrq","patient_id":"{}"}}{second}],
        "context":{{{app}"ip":"10.0.0.{}"}},"request":{{"protocol":"fhir","statement":"GET /Patient/{number}?name=Qwertzuiop","rows":{}}},
        "description":"looked at the chart of room {number}"}}"#,
        received_at(number),
        if number.is_multiple_of(2) { "viewed" } else { "printed" },
        actor(number),
        number / 4,
        number.is_multiple_of(13),
        patient(number),
        number % 250,
        number % 40,
    )
}

/// Everything a scan gives, as one batch.
pub(crate) fn read(
    part: &Part,
    columns: &[Column],
    rows: Rows,
    predicate: Option<Predicate>,
    phi: &PhiAccess,
    batch_rows: usize,
) -> RecordBatch {
    let scan = Scan { columns: columns.to_vec(), rows, predicate, batch_rows, phi: Some(phi) };
    let batches: Vec<RecordBatch> = part.scan(scan).unwrap().map(Result::unwrap).collect();
    assert!(batches.iter().all(|batch| batch.num_rows() <= batch_rows && batch.num_rows() > 0));
    concat_batches(&schema_of(columns), &batches).unwrap()
}

/// The same rows with text plain, so that batches with other dictionaries compare.
pub(crate) fn plain(batch: &RecordBatch) -> Vec<ArrayRef> {
    let cast_text = |column: &ArrayRef| match column.data_type() {
        DataType::Dictionary(..) => cast(column, &DataType::Utf8).unwrap(),
        _ => Arc::clone(column),
    };
    batch.columns().iter().map(cast_text).collect()
}

/// A part over the same events in one piece, as the slow and simple oracle: all columns, read event by event.
pub(crate) fn oracle(parts: &[Part], phi: &PhiAccess) -> RecordBatch {
    let rows: Vec<RecordBatch> = parts.iter().map(|part| read(part, &Column::ALL, Rows::All, None, phi, 1)).collect();
    concat_batches(&schema_of(&Column::ALL), &rows).unwrap()
}
