//! The entries of the public log, read in order out of its bundles.

use recall_log::entry::{ENTRY_SIZE, Entry};
use recall_log::tile::{TILE_WIDTH, TileKind, TilePath, TileSource};

/// Reads entries; keeps the bundle that was read last.
pub(super) struct Entries<'a> {
    log: &'a (dyn TileSource + Sync),
    size: u64,
    bundle: Option<(u64, Result<Bundle, String>)>,
}

/// The entries of a bundle, as far as it can be read.
struct Bundle {
    /// `None` stands for one that is no entry of ours.
    entries: Vec<Option<Entry>>,
    /// Why there are no more.
    end: &'static str,
}

/// Entries in a bundle.
const WIDTH: u64 = TILE_WIDTH as u64;

impl<'a> Entries<'a> {
    /// The entries of the published tree of `size`.
    pub(super) fn new(log: &'a (dyn TileSource + Sync), size: u64) -> Self {
        Self { log, size, bundle: None }
    }

    /// Is entry `index` published?
    pub(super) fn covers(&self, index: u64) -> bool {
        index < self.size
    }

    /// Is `entry` the one at `index`? `Err` says why that can't be told; a bundle that can't be read is the tree verifier's finding too.
    pub(super) fn holds(&mut self, index: u64, entry: &Entry) -> Result<bool, String> {
        let number = index / WIDTH;
        if self.bundle.as_ref().is_none_or(|(held, _)| *held != number) {
            self.bundle = Some((number, self.read(number)));
        }
        let Some((_, bundle)) = &self.bundle else { return Ok(false) };
        let bundle = bundle.as_ref().map_err(Clone::clone)?;
        let place = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
        let found = bundle.entries.get(place).ok_or_else(|| format!("its bundle {}", bundle.end))?;
        Ok(found.as_ref() == Some(entry))
    }

    fn read(&self, number: u64) -> Result<Bundle, String> {
        let width = self.size.saturating_sub(number.saturating_mul(WIDTH)).min(WIDTH);
        let wanted = TilePath { kind: TileKind::Entries, index: number, width: u16::try_from(width).unwrap_or(TILE_WIDTH) };
        // A server that goes on publishing replaces a partial bundle by the full one.
        for path in [wanted, wanted.full()] {
            if let Some(bytes) = self.log.read(&path.to_string()).map_err(|error| error.to_string())? {
                return Ok(Bundle::parse(&bytes));
            }
        }
        Err(format!("its bundle {wanted} is missing"))
    }
}

impl Bundle {
    fn parse(bytes: &[u8]) -> Self {
        let mut entries = Vec::with_capacity(usize::from(TILE_WIDTH));
        let mut rest = bytes;
        let end = loop {
            if entries.len() == usize::from(TILE_WIDTH) {
                break "holds no more";
            }
            let Some((length, tail)) = rest.split_first_chunk() else { break "ends too early" };
            let length = usize::from(u16::from_be_bytes(*length));
            let Some((entry, tail)) = tail.split_at_checked(length) else { break "ends inside an entry" };
            entries.push(if length == ENTRY_SIZE { entry.first_chunk().copied() } else { None });
            rest = tail;
        };
        Self { entries, end }
    }
}
