//! Receipts: proofs that stand alone, under the last published checkpoint (C2SP tlog-proof).

use arrow::array::{Array, AsArray, RecordBatch};
use recall_log::entry::{Salt, part_mac};
use recall_log::merkle::{self, ProveError};
use recall_log::note::Verifier;
use recall_log::proof::{self, Receipt, Shown};
use recall_log::tile::{BundleError, SourceError, TileHashReader, TileKind, TilePath, TileSource, entries};
use thiserror::Error;

use super::Trail;
use crate::columns::Column;
use crate::publisher::LogFolder;
use crate::snapshot::{ReadError, Rows, Scan};

/// How much of an event its receipt shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disclosure {
    /// The entry alone.
    None,
    /// The public part; the HMAC of the PHI part stands in its place.
    Public,
    /// Both parts.
    Both,
}

/// Why there is no receipt.
#[derive(Debug, Error)]
pub enum ReceiptError {
    /// There is no such event, or no checkpoint over it yet.
    #[error("event {index} is not under a published checkpoint, which holds {published} events; wait a second, or ask for a smaller index")]
    NotPublished {
        /// The index asked for.
        index: u64,
        /// The size of the published tree.
        published: u64,
    },
    /// Its content is gone.
    #[error("event {0} was erased; ask for a receipt that discloses nothing")]
    Erased(u64),
    /// What was made does not prove the event.
    #[error("the receipt of event {index} does not hold ({what}); run `recall verify`")]
    Unproven {
        /// The event.
        index: u64,
        /// What is wrong.
        what: String,
    },
    /// Its content can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The tree can't be read.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// A bundle can't be read.
    #[error("the bundle of event {index} can't be read: {what}; run `recall verify`")]
    Bundle {
        /// The event.
        index: u64,
        /// What is wrong.
        what: String,
    },
}

impl Trail {
    /// The receipt of event `index`, a `.tlog-proof`.
    pub fn receipt(&self, index: u64, disclosure: Disclosure) -> Result<String, ReceiptError> {
        let published = self.publication.published();
        if index >= published.size {
            return Err(ReceiptError::NotPublished { index, published: published.size });
        }
        let log = LogFolder(self.log_dir());
        let path = merkle::inclusion_proof(&TileHashReader::new(&log, published.size), index, published.size)?;
        let shown = match disclosure {
            Disclosure::None => proof::Disclosure::Entry(entry(&log, index, published.size)?),
            Disclosure::Public => self.parts(index, false)?,
            Disclosure::Both => self.parts(index, true)?,
        };
        let text = Receipt { extra: Some(shown.to_json()), index, path, checkpoint: published.note.clone() }.to_text();
        self.prove(&text).map_err(|what| ReceiptError::Unproven { index, what })?;
        Ok(text)
    }

    /// Nothing is handed out that its receiver would find to prove nothing.
    fn prove(&self, receipt: &str) -> Result<(), String> {
        let log = Verifier::parse(&self.keys.vkey()).map_err(|error| error.to_string())?;
        Receipt::parse(receipt.as_bytes()).and_then(|receipt| receipt.verify(&log, &[])).map(drop).map_err(|error| error.to_string())
    }

    fn parts(&self, index: u64, with_phi: bool) -> Result<proof::Disclosure, ReceiptError> {
        let snapshot = self.snapshot();
        let (part, row) = snapshot.locate(index).ok_or(ReceiptError::NotPublished { index, published: snapshot.size() })?;
        let phi_access = self.keys.phi_access();
        let scan = Scan {
            columns: vec![Column::SaltPublic, Column::Public, Column::SaltPhi, Column::Phi],
            rows: Rows::List(vec![row]),
            predicate: None,
            batch_rows: 1,
            phi: Some(&phi_access),
        };
        let batch = part.scan(scan)?.next().ok_or(ReceiptError::Erased(index))??;
        let read = |salt, bytes| {
            shown(&batch, salt, bytes).ok_or_else(|| ReadError::damaged(format!("event {index}"), "its content has the wrong shape"))
        };
        let (public, phi) = (read(0, 1)?, read(2, 3)?);
        let phi = match (with_phi, phi) {
            (false, Shown::Part { bytes, salt }) => Shown::Mac(part_mac(&bytes, &salt)),
            (_, phi) => phi,
        };
        Ok(proof::Disclosure::Parts { public, phi })
    }
}

fn shown(batch: &RecordBatch, salt: usize, bytes: usize) -> Option<Shown> {
    let salts = batch.columns().get(salt)?.as_fixed_size_binary_opt()?;
    let parts = batch.columns().get(bytes)?.as_binary_opt::<i64>()?;
    if salts.is_empty() || parts.is_empty() {
        return None;
    }
    Some(Shown::Part { bytes: parts.value(0).to_vec(), salt: Salt::try_from(salts.value(0)).ok()? })
}

/// An entry, from its bundle: the full one where the partial one has gone.
fn entry(log: &LogFolder, index: u64, size: u64) -> Result<recall_log::entry::Entry, ReceiptError> {
    let failed = |what: String| ReceiptError::Bundle { index, what };
    let source = |error: SourceError| failed(error.0);
    let width = u16::try_from(size.saturating_sub(index / 256 * 256).min(256)).unwrap_or(256);
    let path = TilePath { kind: TileKind::Entries, index: index / 256, width };
    let found = match log.read(&path.to_string()).map_err(source)? {
        Some(bytes) => Some((path, bytes)),
        None => log.read(&path.full().to_string()).map_err(source)?.map(|bytes| (path.full(), bytes)),
    };
    let (found, bytes) = found.ok_or_else(|| failed("it is missing".to_owned()))?;
    let all = entries(&bytes, width, found == path).map_err(|error: BundleError| failed(error.0.to_owned()))?;
    let entry = usize::try_from(index % 256).ok().and_then(|row| all.get(row).copied());
    entry.and_then(|entry| entry.try_into().ok()).ok_or_else(|| failed("it does not hold the event".to_owned()))
}
