//! Small batches that are committed together become one, so that a commit of many senders costs about what one of a single sender does.
//!
//! A small batch is not compressed until then; a large one was, in parallel, and stays as it is. It must not know indexes.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use super::{Batch, BatchError, Content, Facts, Section, section};

/// One merged batch holds at most so many events and bytes: what a reader of one event unpacks.
const MERGED_EVENTS: usize = 8_192;
const MERGED_BYTES: usize = 8 << 20;

/// Compresses batches, one after the other.
#[derive(Default)]
pub(crate) struct Packer(Option<zstd::bulk::Compressor<'static>>);

impl Packer {
    fn pack(&mut self, batch: Batch) -> Result<Batch, BatchError> {
        let zstd = match &mut self.0 {
            Some(zstd) => zstd,
            none => none.insert(section::compressor()?),
        };
        Ok(Batch { content: batch.content.packed(zstd)?, ..batch })
    }
}

/// The same events in the same order in as few batches as that allows, all of them packed.
pub(crate) fn merge(batches: impl IntoIterator<Item = Batch>, packer: &mut Packer) -> Result<Vec<Batch>, BatchError> {
    let mut merged = Vec::new();
    let mut run: Vec<Batch> = Vec::new();
    let (mut events, mut bytes) = (0_usize, 0_usize);
    for batch in batches {
        let (next_events, next_bytes) = (events.saturating_add(batch.len()), bytes.saturating_add(batch.size_bytes));
        let fits = matches!(batch.content, Content::Loose { .. }) && next_events <= MERGED_EVENTS && next_bytes <= MERGED_BYTES;
        if !fits {
            merged.extend(join(std::mem::take(&mut run), packer)?);
        }
        match batch.content {
            Content::Packed { .. } => {
                merged.push(batch);
                (events, bytes) = (0, 0);
            }
            Content::Loose { .. } => {
                (events, bytes) = if fits { (next_events, next_bytes) } else { (batch.len(), batch.size_bytes) };
                run.push(batch);
            }
        }
    }
    merged.extend(join(run, packer)?);
    Ok(merged)
}

fn join(mut run: Vec<Batch>, packer: &mut Packer) -> Result<Option<Batch>, BatchError> {
    if run.len() < 2 {
        return run.pop().map(|only| packer.pack(only)).transpose();
    }
    let columns: Vec<RecordBatch> = run.iter().map(|batch| batch.columns.clone()).collect();
    let Some(schema) = columns.first().map(RecordBatch::schema) else { return Ok(None) };
    let columns = concat_batches(&schema, &columns)?;
    let mut facts = Facts::default();
    let (mut public, mut phi) = (Section::default(), Section::default());
    let mut size_bytes = 0;
    for batch in run {
        facts.append(batch.facts);
        if let Content::Loose { public: own, phi: own_phi } = &batch.content {
            public.append(own);
            phi.append(own_phi);
        }
        size_bytes += batch.size_bytes;
    }
    facts.postings.sort_unstable();
    packer.pack(Batch { facts, columns, content: Content::Loose { public, phi }, size_bytes }).map(Some)
}

impl Facts {
    /// Adds those of the events that follow. Postings are in no order afterwards.
    fn append(&mut self, next: Self) {
        let offset = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.postings.extend(next.postings.into_iter().map(|(token, row)| (token, row.saturating_add(offset))));
        self.entries.extend(next.entries);
        self.leaves.extend(next.leaves);
        self.identities.extend(next.identities);
        self.seqs.extend(next.seqs);
    }
}

#[cfg(test)]
mod tests;
