//! Reading rows of fresh events. Sections are opened only for the content columns that are asked for, one batch at a time.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeBinaryBuilder, Int64Array, LargeBinaryBuilder, RecordBatch, RecordBatchOptions, UInt32Array,
};
use arrow::compute::{cast, take};
use arrow::error::ArrowError;

use super::{Fresh, Piece};
use crate::batch::{BATCH_COLUMNS, Place, Section, SectionError, Side, decompressor, open};
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
    /// The piece whose section was opened last, by its first row.
    public_open: Option<(u32, Section)>,
    phi_open: Option<(u32, Section)>,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl Reader {
    fn read(&mut self, columns: &[Column], rows: &Chosen) -> Result<RecordBatch, ReadError> {
        let arrays = columns.iter().map(|column| self.column(*column, rows)).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(schema_of(columns), arrays, &options)?)
    }

    fn column(&mut self, column: Column, rows: &Chosen) -> Result<ArrayRef, ReadError> {
        match column {
            Column::Index => {
                let index = |row: u32| self.fresh.first_index.saturating_add(row.into()).cast_signed();
                Ok(Arc::new(rows.each().map(index).collect::<Int64Array>()))
            }
            Column::SaltPublic => self.salts(Side::Public, rows),
            Column::SaltPhi => self.salts(Side::Phi, rows),
            Column::Public => self.parts(Side::Public, rows),
            Column::Phi => self.parts(Side::Phi, rows),
            searched => {
                let at = BATCH_COLUMNS.iter().position(|held| *held == searched);
                let held = at.and_then(|at| self.fresh.columns.get(at)).ok_or(ReadError::Rows)?;
                let chosen = rows.column(held)?;
                Ok(if searched.is_dictionary() { cast(&chosen, &searched.data_type())? } else { chosen })
            }
        }
    }

    fn salts(&mut self, side: Side, rows: &Chosen) -> Result<ArrayRef, ReadError> {
        let mut salts = FixedSizeBinaryBuilder::with_capacity(rows.len(), SALT_BYTES);
        for row in rows.each() {
            let (section, at) = self.section(side, row)?;
            salts.append_value(section.salt(at).ok_or(ReadError::Rows)?)?;
        }
        Ok(Arc::new(salts.finish()))
    }

    fn parts(&mut self, side: Side, rows: &Chosen) -> Result<ArrayRef, ReadError> {
        let mut parts = LargeBinaryBuilder::new();
        for row in rows.each() {
            let (section, at) = self.section(side, row)?;
            parts.append_value(section.part(at).ok_or(ReadError::Rows)?);
        }
        Ok(Arc::new(parts.finish()))
    }

    /// The open section that holds `row`, and the row's place in it.
    fn section(&mut self, side: Side, row: u32) -> Result<(&Section, usize), ReadError> {
        let open_now = match side {
            Side::Public => &self.public_open,
            Side::Phi => &self.phi_open,
        };
        let held =
            |open: &(u32, Section)| row.checked_sub(open.0).and_then(|at| usize::try_from(at).ok()).is_some_and(|at| at < open.1.len());
        if !open_now.as_ref().is_some_and(held) {
            let opened = self.open(side, row)?;
            match side {
                Side::Public => self.public_open = Some(opened),
                Side::Phi => self.phi_open = Some(opened),
            }
        }
        let open = match side {
            Side::Public => &self.public_open,
            Side::Phi => &self.phi_open,
        };
        let (first_row, section) = open.as_ref().ok_or(ReadError::Rows)?;
        Ok((section, usize::try_from(row.saturating_sub(*first_row)).unwrap_or(usize::MAX)))
    }

    fn open(&mut self, side: Side, row: u32) -> Result<(u32, Section), ReadError> {
        let fresh = &self.fresh;
        let after = fresh.pieces.partition_point(|piece| piece.first_row <= row);
        let piece: &Piece = after.checked_sub(1).and_then(|at| fresh.pieces.get(at)).ok_or(ReadError::Rows)?;
        let place =
            Place { first_index: fresh.first_index.saturating_add(piece.first_row.into()), count: piece.count, key_set: fresh.key_set };
        let (key, sealed) = match side {
            Side::Public => (fresh.keys.public(fresh.key_set, PublicKey::Batch(place.first_index))?, &piece.sealed.public),
            Side::Phi => {
                let phi = self.phi.as_ref().ok_or(ReadError::Denied(Column::Phi))?;
                (phi.key(fresh.key_set, PhiKey::Batch(place.first_index))?, &piece.sealed.phi)
            }
        };
        let damaged = |error: SectionError| ReadError::damaged(format!("the batch at index {} in memory", place.first_index), error);
        let packed = open(&key, place, side, sealed).map_err(damaged)?;
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(decompressor().map_err(damaged)?),
        };
        Ok((piece.first_row, Section::unpack(place.count, &packed, zstd).map_err(damaged)?))
    }
}
