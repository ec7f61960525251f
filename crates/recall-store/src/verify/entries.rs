//! The entries of the public log, read in order out of its bundles.

use recall_log::tile::{TileKind, TilePath, TileSource, entries};

/// Reads entries; keeps the bundle that was read last.
pub(super) struct Entries<'a> {
    log: &'a dyn TileSource,
    size: u64,
    bundle: Option<(u64, Vec<u8>)>,
}

/// Entries in a bundle.
const WIDTH: u64 = 256;

impl<'a> Entries<'a> {
    /// The entries of the published tree of `size`.
    pub(super) fn new(log: &'a dyn TileSource, size: u64) -> Self {
        Self { log, size, bundle: None }
    }

    /// Is entry `index` published?
    pub(super) fn covers(&self, index: u64) -> bool {
        index < self.size
    }

    /// Is `entry` the one at `index`? `Err` says why that can't be told; a bundle that can't be read is the tree verifier's finding too.
    pub(super) fn holds(&mut self, index: u64, entry: &[u8]) -> Result<bool, String> {
        let number = index / WIDTH;
        if self.bundle.as_ref().is_none_or(|(held, _)| *held != number) {
            let bytes = self.read(number)?;
            self.bundle = Some((number, bytes));
        }
        let bytes = self.bundle.as_ref().map(|(_, bytes)| &**bytes).unwrap_or_default();
        let wanted = u16::try_from(index % WIDTH).unwrap_or(u16::MAX);
        let found = entries(bytes, wanted.saturating_add(1), false).map_err(|error| format!("its bundle {error}"))?;
        Ok(found.last().is_some_and(|found| *found == entry))
    }

    fn read(&self, number: u64) -> Result<Vec<u8>, String> {
        let width = self.size.saturating_sub(number.saturating_mul(WIDTH)).min(WIDTH);
        let wanted = TilePath { kind: TileKind::Entries, index: number, width: u16::try_from(width).unwrap_or(256) };
        // A server that goes on publishing replaces a partial bundle by the full one.
        for path in [wanted, TilePath { width: 256, ..wanted }] {
            if let Some(bytes) = self.log.read(&path.to_string()).map_err(|error| error.to_string())? {
                return Ok(bytes);
            }
        }
        Err(format!("its bundle {wanted} is missing"))
    }
}
