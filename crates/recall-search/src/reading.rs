//! Reads a view's parts for one question, window by window, in the order asked for.
//!
//! This is the blocking half of the plan node in `exec`: it runs on a thread of its own and hands batches to a sink. Windows start small
//! when order is asked for, so that "the latest hundred" reads little, and grow, so that a long search costs what a scan costs.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use datafusion::common::{DataFusionError, Result};
use recall_store::columns::Column;
use recall_store::snapshot::{Batches, Erased, Part, ReadError, Rows, Scan};
use recall_store::token::Token;

use crate::access::Lookup;
use crate::query::Span;
use crate::question::{Closed, Failure, Question};
use crate::values::NotJson;
use crate::view::{Damaged, View};

/// The order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// None asked for: whatever is fastest.
    Any,
    /// By index, ascending.
    OldestFirst,
    /// By index, descending.
    NewestFirst,
}

/// Rows of the first window where order is asked for.
const FIRST_WINDOW: u32 = 1_024;
/// Rows of the smallest window.
const LEAST_WINDOW: u32 = 32;
/// Rows of the largest window.
const LAST_WINDOW: u32 = 65_536;
/// Rows of the largest window where the bytes of events are read, which are a hundred times as large as the rest.
const LAST_CONTENT_WINDOW: u32 = 8_192;
/// Rows read in one go where no order is asked for: a row group of a segment, so that opening a reader costs little beside reading.
const WHOLE_WINDOW: u32 = 262_144;
/// Rows found by postings from which on two threads share them.
const APART: usize = 32;
/// Reads of one part that may fail before what fails is named as it is asked for, and no longer halved.
const MAX_FAILURES: usize = 1_024;
/// Rows that are found by postings lie apart, each on pages of its own: fewer are read at once.
const FIRST_LIST: u32 = 128;

/// Bytes of events that one window holds, and that are held before they are handed on: an event may be a thousand times as large as most.
const WINDOW_BYTES: usize = 16 << 20;

/// One reader's share of a question.
pub struct Reading {
    /// What is read.
    pub view: View,
    /// What is asked.
    pub question: Arc<Question>,
    /// In which order.
    pub order: Order,
    /// The share, and of how many: windows are dealt out in turn.
    pub share: (usize, usize),
    /// The most rows wanted.
    pub fetch: Option<usize>,
}

/// Where batches go.
pub trait Sink {
    /// Takes a batch. False: nobody wants more.
    fn take(&mut self, batch: RecordBatch) -> bool;
    /// Whether nobody wants more.
    fn is_closed(&self) -> bool;
    /// The same for whoever asks while the sink is busy.
    fn closed(&self) -> Closed;
}

/// A lookup that was made ready: tokens in place of identifiers, rows in place of ids.
enum Ready {
    Token(Token),
    Indexes(Vec<u64>),
    Any(Vec<Ready>),
    All(Vec<Ready>),
}

impl Reading {
    /// Reads until all is read, the fetch is full, or the sink is closed.
    ///
    /// # Errors
    /// Where a part can't be read or a filter can't be computed.
    pub fn run(&self, sink: &mut dyn Sink) -> Result<()> {
        let lookup = match &self.question.access.lookup {
            Some(lookup) => self.ready(lookup).map_err(external)?,
            None => None,
        };
        let mut pass = Pass {
            reading: self,
            // Where nothing can be left out, what postings would have decided is tested like the rest.
            question: if lookup.is_none() { self.question.without_postings() } else { &self.question },
            window: self.first_window(lookup.is_some()),
            dealt: 0,
            left: self.fetch,
            enough: 0,
            held: Vec::new(),
            held_rows: 0,
            held_bytes: 0,
            failures: 0,
            sink,
        };
        let parts = self.view.snapshot.parts();
        for at in 0..parts.len() {
            let at = if self.order == Order::OldestFirst { at } else { parts.len() - 1 - at };
            let Some(part) = parts.get(at) else { continue };
            self.lost(part);
            pass.failures = 0;
            let rows = self.within(part);
            if !rows.is_empty() && !pass.part(part, rows, lookup.as_ref())? {
                return Ok(());
            }
        }
        pass.flush().map(drop)
    }

    fn first_window(&self, listed: bool) -> u32 {
        let first = match (self.order, listed) {
            (_, true) => FIRST_LIST,
            (Order::Any, false) if self.fetch.is_none() && self.question.reads_content() => return LAST_CONTENT_WINDOW,
            (Order::Any, false) if self.fetch.is_none() => return WHOLE_WINDOW,
            _ => FIRST_WINDOW,
        };
        // The bytes of events are dear: no more of them than are wanted, unless filters turn some away.
        let wanted = self.fetch.and_then(|fetch| u32::try_from(fetch).ok()).filter(|_| self.question.reads_content());
        wanted.map_or(first, |wanted| first.min(wanted.max(LEAST_WINDOW)))
    }

    /// Also the rows of the largest batch.
    fn last_window(&self) -> u32 {
        if self.question.reads_content() { LAST_CONTENT_WINDOW } else { LAST_WINDOW }
    }

    /// How many of at most `most` rows, the next ones, make a window.
    fn fitting(&self, part: &Part, next: impl Iterator<Item = u32>, most: usize) -> usize {
        if !self.question.reads_content() {
            return most;
        }
        part.fitting(next.take(most), WINDOW_BYTES as u64, self.view.phi.as_ref()).min(most)
    }

    /// The rows of `part` within the question's spans.
    fn within(&self, part: &Part) -> Range<u32> {
        let access = &self.question.access;
        let Some((first, last)) = part.time_range() else {
            return 0..0;
        };
        if access.time.low.is_some_and(|low| last < low) || access.time.high.is_some_and(|high| first > high) {
            return 0..0;
        }
        let start = part.first_index();
        let offset = |index: u64| u32::try_from(index.saturating_sub(start)).unwrap_or(u32::MAX).min(part.count());
        let Span { low, high } = access.index;
        let low = low.map_or(0, |low| offset(u64::try_from(low).unwrap_or(0)));
        let high = high.map_or(part.count(), |high| u64::try_from(high).map_or(0, |high| offset(high.saturating_add(1))));
        low..high.max(low)
    }

    /// The answers of a window, oldest first, or why there are none. Rows that lie apart are read in halves, on a thread each.
    fn attempt(&self, question: &Question, part: &Part, rows: &Rows, closed: &Closed) -> Result<Vec<RecordBatch>> {
        match rows {
            Rows::List(list) if list.len() >= APART && question.reads_content() => {
                let (first, second) = list.split_at_checked(list.len() / 2).unwrap_or((list, &[]));
                let (first, second) = (Rows::List(first.to_vec()), Rows::List(second.to_vec()));
                let (first, second) = std::thread::scope(|scope| {
                    let first = scope.spawn(|| self.answers(question, part, &first, closed));
                    let second = self.answers(question, part, &second, closed);
                    (first.join(), second)
                });
                let panicked = |_| Err(DataFusionError::Internal("a reading thread failed".to_owned()));
                let mut answers = first.unwrap_or_else(panicked)?;
                answers.extend(second?);
                Ok(answers)
            }
            rows => self.answers(question, part, rows, closed),
        }
    }

    fn answers(&self, question: &Question, part: &Part, rows: &Rows, closed: &Closed) -> Result<Vec<RecordBatch>> {
        if let Some(answers) = self.certain(question, part, rows, closed)? {
            return Ok(answers);
        }
        let failure = Failure::unless(Arc::clone(closed));
        let mut answers = Vec::new();
        for batch in self.scan(question, part, question.stored(), rows.clone(), &failure)?.into_iter().flatten() {
            let batch = batch.map_err(|error| failure.or(error))?;
            for step in question.steps(&batch, size_bytes(&batch)) {
                // What is gathered by then goes to nobody.
                if closed() {
                    return Ok(answers);
                }
                answers.push(question.answer(&step)?);
            }
        }
        Ok(answers)
    }

    /// The answers of a window all of whose rows are certain by cheap columns.
    fn certain(&self, question: &Question, part: &Part, rows: &Rows, closed: &Closed) -> Result<Option<Vec<RecordBatch>>> {
        let Some(columns) = question.shortcut() else {
            return Ok(None);
        };
        let failure = Failure::unless(Arc::clone(closed));
        let mut answers = Vec::new();
        for batch in self.scan(question, part, columns, rows.clone(), &failure)?.into_iter().flatten() {
            match question.certain_answer(&batch.map_err(|error| failure.or(error))?)? {
                Some(answer) => answers.push(answer),
                None => return Ok(None),
            }
        }
        Ok(Some(answers))
    }

    /// Batches of stored columns in rows that pass the cheap test; none where the part was erased.
    fn scan(&self, question: &Question, part: &Part, columns: Vec<Column>, rows: Rows, failure: &Failure) -> Result<Option<Batches>> {
        let predicate = question.predicate(failure);
        let scan = Scan { columns, rows, predicate, batch_rows: self.last_window() as usize, phi: self.view.phi.as_ref() };
        match part.scan(scan) {
            Ok(batches) => Ok(Some(batches)),
            Err(ReadError::Erased(_)) => Ok(None),
            Err(error) => Err(failure.or(error)),
        }
    }

    /// Names rows of `part` as unread. To a reader without a right to PHI, rows that postings found are not told apart: an actor's id may
    /// be a patient's.
    fn damaged(&self, part: &Part, rows: &Rows, what: String) {
        let (first, last) = match rows {
            Rows::List(_) if self.view.phi.is_none() => (0, part.count().saturating_sub(1)),
            Rows::All => (0, part.count().saturating_sub(1)),
            Rows::Range(range) => (range.start, range.end.saturating_sub(1)),
            Rows::List(list) => (list.first().copied().unwrap_or(0), list.last().copied().unwrap_or(0)),
        };
        let index = |row: u32| part.first_index().saturating_add(row.into());
        self.view.meter.damage(Damaged { first: index(first), last: index(last), what });
    }

    /// Names a part that was lost before this trail was opened, if the question's span of indexes reaches it.
    fn lost(&self, part: &Part) {
        if let Some(lost) = lost(part, self.question.access.index) {
            self.view.meter.damage(lost);
        }
    }

    /// `None` where nothing can be left out.
    fn ready(&self, lookup: &Lookup) -> Result<Option<Ready>, ReadError> {
        let each = |lookups: &[Lookup]| lookups.iter().map(|lookup| self.ready(lookup)).collect::<Result<Vec<_>, _>>();
        Ok(Some(match lookup {
            Lookup::Token(kind, value) => Ready::Token(self.view.tokens.searched(*kind, value, self.view.phi.as_ref())?),
            Lookup::Id(id) => {
                let Some(mut indexes) = (self.view.find_id)(id)? else { return Ok(None) };
                indexes.sort_unstable();
                Ready::Indexes(indexes)
            }
            Lookup::Any(any) => match each(any)?.into_iter().collect() {
                Some(any) => Ready::Any(any),
                None => return Ok(None),
            },
            Lookup::All(all) => match each(all)?.into_iter().flatten().collect::<Vec<_>>() {
                all if all.is_empty() => return Ok(None),
                all => Ready::All(all),
            },
        }))
    }
}

/// One pass over the parts.
struct Pass<'a> {
    reading: &'a Reading,
    question: &'a Question,
    window: u32,
    /// Windows seen so far, of all shares.
    dealt: usize,
    left: Option<usize>,
    /// Rows that are worth handing on.
    enough: usize,
    held: Vec<RecordBatch>,
    held_rows: usize,
    held_bytes: usize,
    /// Reads of the current part that failed.
    failures: usize,
    sink: &'a mut dyn Sink,
}

impl Pass<'_> {
    /// False: nobody wants more.
    fn part(&mut self, part: &Part, rows: Range<u32>, lookup: Option<&Ready>) -> Result<bool> {
        let Some(lookup) = lookup else {
            return self.range(part, rows);
        };
        let mut found = match rows_of(part, lookup) {
            Err(ReadError::Erased(_)) => return Ok(true),
            // Without its posting file a part is read whole: the filters find the same.
            Err(ReadError::Damaged { .. } | ReadError::Io { .. }) => {
                self.question = self.reading.question.without_postings();
                let wanted = self.range(part, rows);
                self.question = &self.reading.question;
                return wanted;
            }
            other => other.map_err(external)?,
        };
        found.retain(|row| rows.contains(row));
        self.list(part, &found)
    }

    fn range(&mut self, part: &Part, mut rows: Range<u32>) -> Result<bool> {
        while !rows.is_empty() {
            let most = self.window.min(rows.end - rows.start) as usize;
            let newest_first = self.reading.order == Order::NewestFirst;
            let length = if newest_first {
                self.reading.fitting(part, rows.clone().rev(), most)
            } else {
                self.reading.fitting(part, rows.clone(), most)
            };
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            let window = if newest_first { rows.end - length..rows.end } else { rows.start..rows.start + length };
            if newest_first {
                rows.end = window.start;
            } else {
                rows.start = window.end;
            }
            if !self.window(part, Rows::Range(window), length)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn list(&mut self, part: &Part, mut rows: &[u32]) -> Result<bool> {
        while !rows.is_empty() {
            let most = rows.len().min(self.window as usize);
            let newest_first = self.reading.order == Order::NewestFirst;
            let length = if newest_first {
                self.reading.fitting(part, rows.iter().rev().copied(), most)
            } else {
                self.reading.fitting(part, rows.iter().copied(), most)
            };
            let split = if newest_first { rows.len() - length } else { length };
            let (before, after) = rows.split_at_checked(split).unwrap_or((rows, &[]));
            let window = if newest_first { after } else { before };
            rows = if newest_first { before } else { after };
            if !self.window(part, Rows::List(window.to_vec()), u32::try_from(length).unwrap_or(u32::MAX))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads one window, if it is of this share. False: nobody wants more.
    fn window(&mut self, part: &Part, rows: Rows, length: u32) -> Result<bool> {
        if self.sink.is_closed() {
            return Ok(false);
        }
        let Reading { view, share, .. } = self.reading;
        // Every share sees the same windows, so that each row falls to one of them.
        self.enough = self.window.min(self.reading.last_window()) as usize;
        if length >= self.window {
            self.window = self.window.saturating_mul(4).min(self.reading.last_window().max(self.window));
        }
        self.dealt += 1;
        if self.dealt % share.1 != share.0 {
            return Ok(true);
        }
        view.meter.add(length as usize);
        let answers = self.salvage(part, rows)?;
        self.hold_all(answers)
    }

    /// The answers of a window, oldest first. What can't be read is gone round: halves are read until what fails is one event, or until so
    /// much of the part has failed that what fails is no longer looked into. What is left out is named.
    fn salvage(&mut self, part: &Part, rows: Rows) -> Result<Vec<RecordBatch>> {
        let closed = self.sink.closed();
        let mut answers = Vec::new();
        let mut ahead = vec![rows];
        while let Some(rows) = ahead.pop() {
            if self.sink.is_closed() {
                break;
            }
            let error = match self.reading.attempt(self.question, part, &rows, &closed) {
                Ok(found) => {
                    answers.extend(found);
                    continue;
                }
                Err(error) => error,
            };
            let Some(what) = damage(&error) else {
                return Err(error);
            };
            self.failures += 1;
            match halves(&rows) {
                Some((first, second)) if self.failures < MAX_FAILURES => ahead.extend([second, first]),
                _ => self.reading.damaged(part, &rows, what),
            }
        }
        Ok(answers)
    }

    /// Holds the answers of a window, which come oldest first. False: nobody wants more.
    fn hold_all(&mut self, mut answers: Vec<RecordBatch>) -> Result<bool> {
        let newest_first = self.reading.order == Order::NewestFirst;
        if newest_first {
            answers.reverse();
        }
        for answer in answers {
            let answer = if newest_first { reversed(&answer)? } else { answer };
            if !self.hold(answer)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Holds an answer until there is enough to be worth handing on. False: nobody wants more.
    fn hold(&mut self, answer: RecordBatch) -> Result<bool> {
        if answer.num_rows() == 0 {
            return Ok(true);
        }
        let bytes = if self.reading.question.reads_content() { size_bytes(&answer) } else { 0 };
        if self.held_bytes + bytes > WINDOW_BYTES && !self.flush()? {
            return Ok(false);
        }
        self.held_rows += answer.num_rows();
        self.held_bytes += bytes;
        self.held.push(answer);
        if self.held_rows >= self.enough || self.left.is_some_and(|left| self.held_rows >= left) { self.flush() } else { Ok(true) }
    }

    /// Hands on what is held. False: nobody wants more.
    fn flush(&mut self) -> Result<bool> {
        let held = std::mem::take(&mut self.held);
        (self.held_rows, self.held_bytes) = (0, 0);
        let mut batch = match held.as_slice() {
            [] => return Ok(true),
            [only] => only.clone(),
            several => concat_batches(&self.reading.question.schema, several)?,
        };
        if let Some(left) = &mut self.left {
            batch = batch.slice(0, batch.num_rows().min(*left));
            *left -= batch.num_rows();
        }
        let wanted = self.sink.take(batch);
        Ok(wanted && self.left != Some(0))
    }
}

/// The bytes that a batch's rows take.
fn size_bytes(batch: &RecordBatch) -> usize {
    let of = |column: &ArrayRef| match column.as_string_view_opt() {
        // Views share buffers; the low half of a view is the length of its text.
        Some(texts) => texts.views().iter().map(|view| (view & 0xffff_ffff) as usize).sum(),
        None => column.to_data().get_slice_memory_size().unwrap_or(0),
    };
    batch.columns().iter().map(of).sum()
}

fn reversed(batch: &RecordBatch) -> Result<RecordBatch> {
    if batch.num_columns() == 0 {
        return Ok(batch.clone());
    }
    let count = u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
    Ok(take_record_batch(batch, &UInt32Array::from_iter_values((0..count).rev()))?)
}

/// The rows of `part` that a lookup finds, ascending and distinct.
fn rows_of(part: &Part, lookup: &Ready) -> Result<Vec<u32>, ReadError> {
    Ok(match lookup {
        Ready::Token(token) => part.rows_of(*token)?,
        Ready::Indexes(indexes) => {
            let inside = indexes.iter().filter(|index| (part.first_index()..part.end()).contains(index));
            inside.filter_map(|index| u32::try_from(index - part.first_index()).ok()).collect()
        }
        Ready::Any(any) => {
            let mut rows = Vec::new();
            for lookup in any {
                rows.extend(rows_of(part, lookup)?);
            }
            rows.sort_unstable();
            rows.dedup();
            rows
        }
        Ready::All(all) => {
            let mut rows: Option<Vec<u32>> = None;
            for lookup in all {
                let next = rows_of(part, lookup)?;
                rows = Some(match rows {
                    Some(rows) => rows.into_iter().filter(|row| next.binary_search(row).is_ok()).collect(),
                    None => next,
                });
            }
            rows.unwrap_or_default()
        }
    })
}

/// What stands for events that were lost before the trail was opened, as far as `indexes` reach it.
pub fn lost(part: &Part, indexes: Span) -> Option<Damaged> {
    let Part::Erased(Erased { first_index, by: None, .. }) = part else {
        return None;
    };
    let bound = |index: i64| u64::try_from(index).unwrap_or(0);
    let first = indexes.low.map_or(0, bound).max(*first_index);
    let last = indexes.high.map_or(u64::MAX, bound).min(part.end().saturating_sub(1));
    let what = "it was damaged when the trail was opened; run `recall verify`, and restore it from a backup";
    (first <= last && indexes.high.is_none_or(|high| high >= 0)).then(|| Damaged { first, last, what: what.to_owned() })
}

/// What is damaged, where that is why work failed.
fn damage(error: &DataFusionError) -> Option<String> {
    let mut inner: &(dyn std::error::Error + 'static) = match error.find_root() {
        DataFusionError::External(inner) => inner.as_ref(),
        _ => return None,
    };
    if let Some(nested) = inner.downcast_ref::<DataFusionError>() {
        inner = match nested.find_root() {
            DataFusionError::External(inner) => inner.as_ref(),
            _ => return None,
        };
    }
    match inner.downcast_ref::<ReadError>() {
        Some(error @ (ReadError::Damaged { .. } | ReadError::Io { .. })) => Some(error.to_string()),
        Some(_) => None,
        None => inner.downcast_ref::<NotJson>().map(ToString::to_string),
    }
}

/// The halves of a window; none where it is one row.
fn halves(rows: &Rows) -> Option<(Rows, Rows)> {
    match rows {
        Rows::Range(range) if range.len() > 1 => {
            let middle = range.start + (range.end - range.start) / 2;
            Some((Rows::Range(range.start..middle), Rows::Range(middle..range.end)))
        }
        Rows::List(list) if list.len() > 1 => {
            let (first, second) = list.split_at_checked(list.len() / 2)?;
            Some((Rows::List(first.to_vec()), Rows::List(second.to_vec())))
        }
        _ => None,
    }
}

fn external(error: ReadError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

#[cfg(test)]
mod tests;
