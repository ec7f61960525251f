//! The paths `tile/<L>/<N>[.p/<W>]` and `tile/entries/<N>[.p/<W>]`. Each file has one path, and nothing else is a path.

use super::TILE_WIDTH;
use std::fmt;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Entries.
    Entries,
    /// Hashes of a tile level, 0 to 63: level 0 holds leaf hashes.
    Level(u8),
}

/// The path of a tile or bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    /// What it holds.
    pub kind: TileKind,
    /// Which of its level, from 0.
    pub index: u64,
    /// Hashes or entries in it, 1 to 256; 256 is a full one.
    pub width: u16,
}

/// Not the path of a tile or bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the path of a tile; one looks like tile/0/x001/234 or tile/entries/067.p/41")]
pub struct TilePathError;

const LEVEL_LIMIT: u8 = 63;

impl TilePath {
    /// Parses a path, strictly.
    pub fn parse(path: &str) -> Result<Self, TilePathError> {
        let (kind, rest) = path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(TilePathError)?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Level(decimal(level).filter(|level| *level <= u64::from(LEVEL_LIMIT)).ok_or(TilePathError)? as u8),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, decimal(width).filter(|width| (1..256).contains(width)).ok_or(TilePathError)? as u16),
            None => (rest, TILE_WIDTH),
        };
        Ok(Self { kind, index: parse_index(index)?, width })
    }

    /// Whether it has all 256 hashes or entries.
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The full file that a partial one becomes.
    pub const fn full(self) -> Self {
        Self { width: TILE_WIDTH, ..self }
    }

    /// The index in the tree of the first leaf, or of the first hash at this level.
    pub const fn first(&self) -> u64 {
        self.index.saturating_mul(TILE_WIDTH as u64)
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Entries => f.write_str("tile/entries/")?,
            TileKind::Level(level) => write!(f, "tile/{level}/")?,
        }
        let mut unit = 1_000_u64;
        while self.index / unit >= 1_000 {
            unit *= 1_000;
        }
        while unit > 1 && self.index >= 1_000 {
            write!(f, "x{:03}/", self.index / unit % 1_000)?;
            unit /= 1_000;
        }
        write!(f, "{:03}", self.index % 1_000)?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// Groups of three digits, all but the last behind an `x`, none of them superfluous.
fn parse_index(text: &str) -> Result<u64, TilePathError> {
    let mut index = 0_u64;
    let mut groups = text.split('/').peekable();
    let mut first = true;
    while let Some(group) = groups.next() {
        let last = groups.peek().is_none();
        let digits = if last { group } else { group.strip_prefix('x').ok_or(TilePathError)? };
        if digits.len() != 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) || (first && !last && digits == "000") {
            return Err(TilePathError);
        }
        let value = digits.parse::<u64>().map_err(|_| TilePathError)?;
        index = index.checked_mul(1_000).and_then(|index| index.checked_add(value)).ok_or(TilePathError)?;
        first = false;
    }
    Ok(index)
}

/// A number of at most three digits without leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let plain = (1..=3).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    if plain && canonical { text.parse().ok() } else { None }
}
