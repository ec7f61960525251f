//! Reads hashes of any level out of tiles.

use super::{TileKind, TilePath, TileSource, hashes_at};
use crate::merkle::{Hash, HashReader, ReadError, row_root};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Hashes of a tree of one size, out of its tiles. Keeps the tiles that it has read: make one for each proof or two.
pub struct TileHashReader<'s> {
    source: &'s dyn TileSource,
    size: u64,
    read: RefCell<BTreeMap<TilePath, Rc<Vec<Hash>>>>,
}

impl<'s> TileHashReader<'s> {
    /// For the tree of `size` entries.
    pub const fn new(source: &'s dyn TileSource, size: u64) -> Self {
        Self { source, size, read: RefCell::new(BTreeMap::new()) }
    }

    fn row(&self, level: u8, tile: u64) -> Result<Rc<Vec<Hash>>, ReadError> {
        let path = tile_of(level, tile, self.size);
        if let Some(row) = self.read.borrow().get(&path) {
            return Ok(Rc::clone(row));
        }
        let row = Rc::new(read_row(self.source, path)?);
        self.read.borrow_mut().insert(path, Rc::clone(&row));
        Ok(row)
    }
}

impl HashReader for TileHashReader<'_> {
    fn hash(&self, level: u8, index: u64) -> Result<Hash, ReadError> {
        let problem = || format!("level {level} has no hash {index} at this size");
        let inside = |place: &str| ReadError { place: place.to_owned(), problem: problem() };
        // A tile of level t holds the hashes of tree level 8t; those of the seven levels above are made of it.
        let (tile_level, above) = (level / 8, level % 8);
        let width = 1_u64 << above;
        let first = index.checked_mul(width).ok_or_else(|| inside("tree"))?;
        let row = self.row(tile_level, first / 256)?;
        let from = usize::try_from(first % 256).unwrap_or_default();
        row.get(from..from + (1 << above)).map(row_root).ok_or_else(|| inside("tile"))
    }
}

/// The path of tile `index` of a level in a tree of `size` entries; of width 0 where the tree does not reach it.
pub(crate) fn tile_of(level: u8, index: u64, size: u64) -> TilePath {
    let hashes = hashes_at(level, size).saturating_sub(index.saturating_mul(256)).min(256);
    TilePath { kind: TileKind::Level(level), index, width: u16::try_from(hashes).unwrap_or_default() }
}

/// The bytes of a file, and the path they were found under: a partial file may be gone once the full one exists.
pub(crate) fn read_file(source: &dyn TileSource, path: TilePath) -> Result<(TilePath, Vec<u8>), ReadError> {
    let failed = |problem: String| ReadError { place: path.to_string(), problem };
    if path.width == 0 {
        return Err(failed("no such tile in a tree of this size".to_owned()));
    }
    for path in [path, path.full()] {
        if let Some(bytes) = source.read(&path.to_string()).map_err(|error| failed(error.to_string()))? {
            return Ok((path, bytes));
        }
    }
    Err(failed("missing; restore it from a copy, or make it again from the entries".to_owned()))
}

/// The hashes of a tile, cut to the width of its path.
pub(crate) fn read_row(source: &dyn TileSource, path: TilePath) -> Result<Vec<Hash>, ReadError> {
    let (found, bytes) = read_file(source, path)?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() || hashes.len() != usize::from(found.width) {
        let problem = format!("{} bytes long instead of {}", bytes.len(), usize::from(found.width) * 32);
        return Err(ReadError { place: found.to_string(), problem });
    }
    Ok(hashes.iter().take(usize::from(path.width)).copied().collect())
}
