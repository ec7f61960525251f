//! Makes tiles and bundles out of entries, one after the other.

use super::reader::{read_file, read_row, tile_of};
use super::{LEVELS, TILE_BYTES, TILE_WIDTH, TileKind, TilePath, TileSource, entries, push_entry};
use crate::entry::{ENTRY_SIZE, Entry};
use crate::merkle::{Frontier, Hash, ReadError, empty_root, leaf_hash, node_hash};

/// Makes tiles and bundles: takes entries in order, hands out each file when it is full, and the partial ones when asked.
///
/// Holds the right edge of the tree alone, less than 80 kB. A `sink` writes one file; if it fails, drop the writer and resume.
pub struct TileWriter {
    size: u64,
    bundle: Vec<u8>,
    edge: Vec<Edge>,
    flushed: u64,
}

/// The last, unfinished tile of a level.
#[derive(Clone, Default)]
struct Edge {
    bytes: Vec<u8>,
    /// Roots of the perfect subtrees in it.
    subtrees: Frontier,
}

const BUNDLE_BYTES: usize = (ENTRY_SIZE + 2) * TILE_WIDTH as usize;

impl Default for TileWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl TileWriter {
    /// For a log without entries.
    pub fn new() -> Self {
        Self { size: 0, bundle: Vec::with_capacity(BUNDLE_BYTES), edge: vec![Edge::default(); usize::from(LEVELS)], flushed: 0 }
    }

    /// Goes on behind the published tree that `frontier` describes: reads its partial files and checks them against it.
    pub fn resume(source: &dyn TileSource, frontier: &Frontier) -> Result<Self, ReadError> {
        let size = frontier.size();
        let mut writer = Self { size, flushed: size, ..Self::new() };
        for (level, edge) in (0..LEVELS).zip(&mut writer.edge) {
            let path = tile_of(level, super::hashes_at(level, size) / u64::from(TILE_WIDTH), size);
            if path.width > 0 {
                read_row(source, path)?.iter().for_each(|hash| edge.push(hash));
            }
        }
        if writer.root() != frontier.root() {
            let problem = "the partial tiles do not lead to the root; make the tiles again from the first entry".to_owned();
            return Err(ReadError { place: format!("tree of {size} entries"), problem });
        }
        writer.read_bundle(source)?;
        Ok(writer)
    }

    fn read_bundle(&mut self, source: &dyn TileSource) -> Result<(), ReadError> {
        let path = TilePath { kind: TileKind::Entries, ..tile_of(0, self.size / u64::from(TILE_WIDTH), self.size) };
        if path.width == 0 {
            return Ok(());
        }
        let (found, bytes) = read_file(source, path)?;
        let failed = |problem: &str| ReadError { place: found.to_string(), problem: problem.to_owned() };
        let leaves = self.edge.first().map(|edge| edge.bytes.as_chunks::<32>().0).unwrap_or_default();
        for (entry, leaf) in entries(&bytes, path.width, found == path).map_err(|error| failed(error.0))?.iter().zip(leaves) {
            if leaf_hash(entry) != *leaf {
                return Err(failed("an entry differs from its leaf hash; restore the file from a copy"));
            }
            push_entry(&mut self.bundle, entry).map_err(|error| failed(error.0))?;
        }
        Ok(())
    }

    /// Appends an entry and its leaf hash, which the caller has at hand; hands files that become full to `sink`.
    pub fn push<E>(&mut self, entry: &Entry, leaf: &Hash, sink: &mut impl FnMut(TilePath, &[u8]) -> Result<(), E>) -> Result<(), E> {
        self.bundle.extend_from_slice(&[0, ENTRY_SIZE as u8]);
        self.bundle.extend_from_slice(entry);
        self.size += 1;
        if self.size.is_multiple_of(u64::from(TILE_WIDTH)) {
            sink(TilePath { kind: TileKind::Entries, index: self.size / u64::from(TILE_WIDTH) - 1, width: TILE_WIDTH }, &self.bundle)?;
            self.bundle.clear();
        }
        let mut hash = *leaf;
        for (level, edge) in (0..LEVELS).zip(&mut self.edge) {
            edge.push(&hash);
            if edge.bytes.len() < TILE_BYTES {
                break;
            }
            let index = super::hashes_at(level, self.size) / u64::from(TILE_WIDTH) - 1;
            sink(TilePath { kind: TileKind::Level(level), index, width: TILE_WIDTH }, &edge.bytes)?;
            hash = edge.subtrees.root();
            edge.clear();
        }
        Ok(())
    }

    /// Hands the partial files of the present size to `sink`, but for those of the size flushed before. Do it before a checkpoint of this
    /// size is signed; more entries may follow.
    pub fn flush<E>(&mut self, sink: &mut impl FnMut(TilePath, &[u8]) -> Result<(), E>) -> Result<(), E> {
        for path in super::tiles_for(self.flushed, self.size).filter(|path| !path.is_full()) {
            match path.kind {
                TileKind::Entries => sink(path, &self.bundle)?,
                TileKind::Level(level) => {
                    if let Some(edge) = self.edge.get(usize::from(level)) {
                        sink(path, &edge.bytes)?;
                    }
                }
            }
        }
        self.flushed = self.size;
        Ok(())
    }

    /// Entries so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree so far.
    pub fn root(&self) -> Hash {
        let subtrees = self.edge.iter().flat_map(|edge| edge.subtrees.hashes().iter().rev());
        subtrees.copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }
}

impl Edge {
    fn push(&mut self, hash: &Hash) {
        self.bytes.extend_from_slice(hash);
        self.subtrees.push(*hash);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.subtrees = Frontier::new();
    }
}
