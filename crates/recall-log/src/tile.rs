//! C2SP tlog-tiles: the tree as files of 256 hashes and bundles of 256 entries.
//!
//! Owns paths, bundles and which files a tree of a size has. Knows no disk and no network: files are read through [`TileSource`].

mod path;
mod reader;
mod writer;

pub use path::{TileKind, TilePath, TilePathError};
pub use reader::TileHashReader;
pub(crate) use reader::{read_file, read_row, tile_of};
pub use writer::TileWriter;

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// Bytes of a full tile.
pub const TILE_BYTES: usize = 8_192;

/// Levels that a tree of less than 2^63 entries can have.
pub const LEVELS: u8 = 8;

/// Where the files of a log are read: a folder, a URL, memory.
pub trait TileSource {
    /// All bytes of a file by its path below the log's prefix, such as `tile/0/000` or `checkpoint`; `None` where there is none.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError>;
}

/// A source could not be asked. The text names cause and remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// Hashes at a tile level in a tree of `size` entries.
pub(crate) fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(8 * u32::from(level)).unwrap_or(0)
}

/// The files that a tree of `new` entries has and one of `old` entries has not, bundles first, then level by level.
pub fn tiles_for(old: u64, new: u64) -> impl Iterator<Item = TilePath> {
    let kinds = std::iter::once((TileKind::Entries, 0)).chain((0..LEVELS).map(|level| (TileKind::Level(level), level)));
    kinds.flat_map(move |(kind, level)| {
        let (before, after) = (hashes_at(level, old), hashes_at(level, new));
        let full = before / 256..after / 256;
        let rest = u16::try_from(after % 256).unwrap_or_default();
        let partial = (rest > 0 && after > before).then_some(TilePath { kind, index: after / 256, width: rest });
        full.map(move |index| TilePath { kind, index, width: TILE_WIDTH }).chain(partial)
    })
}

/// A bundle or a tile is not what its path promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BundleError(pub &'static str);

/// Appends an entry to a bundle: its length in two bytes, then its bytes.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), BundleError> {
    let length = u16::try_from(entry.len()).map_err(|_| BundleError("an entry is longer than 65,535 bytes"))?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The first `width` entries of a bundle, which must hold no more where `exact`.
pub fn entries(bundle: &[u8], width: u16, exact: bool) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::with_capacity(usize::from(width));
    let mut rest = bundle;
    for _ in 0..width {
        let (length, tail) = rest.split_first_chunk().ok_or(BundleError("ends too early"))?;
        let (entry, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(BundleError("ends inside an entry"))?;
        entries.push(entry);
        rest = tail;
    }
    if exact && !rest.is_empty() {
        return Err(BundleError("has bytes behind its last entry"));
    }
    Ok(entries)
}

#[cfg(test)]
pub(crate) mod tests;
