//! Reading rows of fresh events. Sections are opened only for the content columns that are asked for, one batch at a time.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeBinaryBuilder, Int64Array, LargeBinaryBuilder, RecordBatch, RecordBatchOptions, UInt32Array,
};
use arrow::compute::{cast, take};
use arrow::error::ArrowError;

use super::{Fresh, Piece};
use crate::batch::{BATCH_COLUMNS, Packed, Place, Section, SectionError, Side, decompressor, open};
use crate::columns::{Column, SALT_BYTES, schema_of};
use crate::keys::{PhiAccess, PhiKey, PublicKey};
use crate::snapshot::{Batches, Predicate, ReadError, Rows, Scan};

pub(super) fn scan(fresh: &Arc<Fresh>, scan: Scan<'_>) -> Result<Batches, ReadError> {
    scan.check(fresh.count)?;
    let rows = match scan.rows {
        Rows::All => Chosen::Range(0..fresh.count),
        Rows::Range(range) => Chosen::Range(range),
        Rows::List(list) => Chosen::List(list),
    };
    let reader = Reader { fresh: Arc::clone(fresh), phi: scan.phi.cloned(), public_open: None, phi_open: None, zstd: None };
    Ok(Box::new(FreshScan { reader, rows, batch_rows: scan.batch_rows, columns: scan.columns, predicate: scan.predicate }))
}

/// Rows still to be read.
#[derive(Clone)]
enum Chosen {
    Range(Range<u32>),
    List(Vec<u32>),
}

impl Chosen {
    fn len(&self) -> usize {
        match self {
            Self::Range(range) => range.len(),
            Self::List(list) => list.len(),
        }
    }

    /// Takes up to `most` rows off the front.
    fn next(&mut self, most: usize) -> Option<Self> {
        let most = most.min(self.len());
        if most == 0 {
            return None;
        }
        Some(match self {
            Self::Range(range) => {
                let middle = range.start.saturating_add(u32::try_from(most).unwrap_or(u32::MAX)).min(range.end);
                let taken = range.start..middle;
                range.start = middle;
                Self::Range(taken)
            }
            Self::List(list) => {
                let rest = list.split_off(most);
                Self::List(std::mem::replace(list, rest))
            }
        })
    }

    fn each(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match self {
            Self::Range(range) => Box::new(range.clone()),
            Self::List(list) => Box::new(list.iter().copied()),
        }
    }

    /// Those for which the mask is true.
    fn filter(self, mask: &BooleanArray) -> Self {
        if mask.true_count() == self.len() {
            return self;
        }
        Self::List(self.each().zip(mask.iter()).filter(|(_, keep)| *keep == Some(true)).map(|(row, _)| row).collect())
    }

    fn column(&self, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Range(range) => {
                let start = usize::try_from(range.start).unwrap_or(usize::MAX);
                Ok(column.slice(start, range.len()))
            }
            Self::List(list) => take(column, &UInt32Array::from(list.clone()), None),
        }
    }
}

struct FreshScan {
    reader: Reader,
    rows: Chosen,
    batch_rows: usize,
    columns: Vec<Column>,
    predicate: Option<Predicate>,
}

impl Iterator for FreshScan {
    type Item = Result<RecordBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut rows = self.rows.next(self.batch_rows)?;
            if let Some(predicate) = &mut self.predicate {
                let tested = self.reader.read(&predicate.columns, &rows).and_then(|batch| Ok((predicate.test)(&batch)?));
                rows = match tested {
                    Ok(mask) => rows.filter(&mask),
                    Err(error) => return Some(Err(error)),
                };
            }
            if rows.len() > 0 {
                return Some(self.reader.read(&self.columns, &rows));
            }
        }
    }
}

struct Reader {
    fresh: Arc<Fresh>,
    phi: Option<PhiAccess>,
    public_open: Option<Open>,
    phi_open: Option<Open>,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

/// The section that was opened last, and its frame that was read last.
struct Open {
    first_row: u32,
    first_index: u64,
    count: u32,
    packed: Packed,
    at: usize,
    frame: Section,
}

/// What the sections of one side say of some rows; empty where it was not asked for.
struct Content {
    salts: ArrayRef,
    parts: ArrayRef,
}

fn salts_of(side: Side) -> Column {
    if side == Side::Public { Column::SaltPublic } else { Column::SaltPhi }
}

fn parts_of(side: Side) -> Column {
    if side == Side::Public { Column::Public } else { Column::Phi }
}

impl Reader {
    fn read(&mut self, columns: &[Column], rows: &Chosen) -> Result<RecordBatch, ReadError> {
        let asks = |side: Side| [salts_of(side), parts_of(side)].map(|column| columns.contains(&column));
        let public = self.content(Side::Public, asks(Side::Public), rows)?;
        let phi = self.content(Side::Phi, asks(Side::Phi), rows)?;
        let mut arrays = Vec::with_capacity(columns.len());
        for column in columns {
            arrays.push(match column {
                Column::SaltPublic => Arc::clone(&public.salts),
                Column::Public => Arc::clone(&public.parts),
                Column::SaltPhi => Arc::clone(&phi.salts),
                Column::Phi => Arc::clone(&phi.parts),
                searched => self.column(*searched, rows)?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(schema_of(columns), arrays, &options)?)
    }

    fn column(&self, column: Column, rows: &Chosen) -> Result<ArrayRef, ReadError> {
        if column == Column::Index {
            let index = |row: u32| self.fresh.first_index.saturating_add(row.into()).cast_signed();
            return Ok(Arc::new(rows.each().map(index).collect::<Int64Array>()));
        }
        let at = BATCH_COLUMNS.iter().position(|held| *held == column);
        let held = at.and_then(|at| self.fresh.columns.get(at)).ok_or(ReadError::Rows)?;
        let chosen = rows.column(held)?;
        Ok(if column.is_dictionary() { cast(&chosen, &column.data_type())? } else { chosen })
    }

    /// The salts and the parts of one side, where asked for, in one pass: each section is opened once for both.
    fn content(&mut self, side: Side, [salts_asked, parts_asked]: [bool; 2], rows: &Chosen) -> Result<Content, ReadError> {
        let mut salts = FixedSizeBinaryBuilder::with_capacity(if salts_asked { rows.len() } else { 0 }, SALT_BYTES);
        let mut parts = LargeBinaryBuilder::with_capacity(if parts_asked { rows.len() } else { 0 }, 0);
        if salts_asked || parts_asked {
            for row in rows.each() {
                let (section, at) = self.section(side, row)?;
                if salts_asked {
                    salts.append_value(section.salt(at).ok_or(ReadError::Rows)?)?;
                }
                if parts_asked {
                    parts.append_value(section.part(at).ok_or(ReadError::Rows)?);
                }
            }
        }
        Ok(Content { salts: Arc::new(salts.finish()), parts: Arc::new(parts.finish()) })
    }

    /// The frame that holds `row`, and the row's place in it.
    fn section(&mut self, side: Side, row: u32) -> Result<(&Section, usize), ReadError> {
        let taken = match side {
            Side::Public => self.public_open.take(),
            Side::Phi => self.phi_open.take(),
        };
        let held = |open: &Open| row.checked_sub(open.first_row).is_some_and(|at| at < open.count);
        let mut open = match taken.filter(held) {
            Some(open) => open,
            None => self.open(side, row)?,
        };
        let (frame, at) = Packed::find(row.saturating_sub(open.first_row));
        if frame != open.at {
            let damaged = damaged_at(open.first_index);
            open.frame = open.packed.frame(frame, self.zstd(open.first_index)?).map_err(damaged)?;
            open.at = frame;
        }
        let place = match side {
            Side::Public => &mut self.public_open,
            Side::Phi => &mut self.phi_open,
        };
        Ok((&place.insert(open).frame, at))
    }

    fn zstd(&mut self, first_index: u64) -> Result<&mut zstd::bulk::Decompressor<'static>, ReadError> {
        Ok(match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(decompressor().map_err(damaged_at(first_index))?),
        })
    }

    fn open(&mut self, side: Side, row: u32) -> Result<Open, ReadError> {
        let fresh = &self.fresh;
        let after = fresh.pieces.partition_point(|piece| piece.first_row <= row);
        let piece: &Piece = after.checked_sub(1).and_then(|at| fresh.pieces.get(at)).ok_or(ReadError::Rows)?;
        let first_row = piece.first_row;
        let first_index = fresh.first_index.saturating_add(first_row.into());
        let place = Place { first_index, count: piece.count, key_set: fresh.key_set };
        let (key, sealed) = match side {
            Side::Public => (fresh.keys.public(fresh.key_set, PublicKey::Batch(first_index))?, &piece.sealed.public),
            Side::Phi => {
                let phi = self.phi.as_ref().ok_or(ReadError::Denied(Column::Phi))?;
                (phi.key(fresh.key_set, PhiKey::Batch(first_index))?, &piece.sealed.phi)
            }
        };
        let damaged = damaged_at(first_index);
        let packed = Packed::new(place.count, open(&key, place, side, sealed).map_err(damaged)?).map_err(damaged)?;
        let (at, _) = Packed::find(row.saturating_sub(first_row));
        let frame = packed.frame(at, self.zstd(first_index)?).map_err(damaged)?;
        Ok(Open { first_row, first_index, count: place.count, packed, at, frame })
    }
}

fn damaged_at(first_index: u64) -> impl Fn(SectionError) -> ReadError + Copy {
    move |error| ReadError::damaged(format!("the batch at index {first_index} in memory"), error)
}
