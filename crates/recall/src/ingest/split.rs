//! From a body's bytes to items: lines of NDJSON, elements of a JSON array, or one object. It finds where items end and leaves it to
//! the event's parser to judge them, so that a malformed item spoils no other.

use std::io::BufRead;
use std::ops::Range;

use super::limits;

/// What the items of a body are called where one of them is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Counted by lines, from 1; empty ones count.
    Line,
    /// Counted by elements, from 1.
    Item,
}

/// One item: where its bytes are, and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Within the slice's bytes.
    pub span: Range<usize>,
    /// From 1.
    pub number: usize,
}

/// Items that are encoded together.
#[derive(Debug, Default)]
pub struct Slice {
    /// The items' bytes.
    pub bytes: Vec<u8>,
    /// The items.
    pub items: Vec<Item>,
    /// How many items of the body come before these.
    pub before: usize,
}

/// Why a body cannot be split. Nothing of it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Nothing but white space.
    #[error("the body is empty: send an event, a JSON array of events, or one event a line")]
    Empty,
    /// Neither object nor array.
    #[error("the body starts neither with {{ nor with [: send an event, a JSON array of events, or one event a line")]
    NotJson,
    /// The body ends within the array.
    #[error("the JSON array is not closed: the body ended early, or brackets and quotes do not match")]
    Open,
    /// Bytes after the array.
    #[error("something follows the JSON array: send one array, or one event a line")]
    AfterArray,
    /// Too many items.
    #[error("the body holds more than {} events: send it in several requests", limits::EVENTS)]
    TooMany,
}

/// Splits a body that is fed in pieces.
pub struct Splitter {
    form: Form,
    slice: Slice,
    /// Where the item that is being read starts in the slice's bytes.
    start: usize,
    number: usize,
    count: usize,
}

enum Form {
    /// White space so far.
    Start,
    /// Within the first line after a `{`.
    FirstLine(Scan),
    /// One object over several lines.
    Single,
    /// One item a line.
    Lines,
    /// Elements of an array.
    Array(Scan),
    /// After the array's end.
    Ended,
}

/// Where a byte stands between brackets and quotes.
#[derive(Default)]
struct Scan {
    depth: usize,
    quoted: bool,
    escaped: bool,
}

impl Scan {
    /// Takes one byte; true if it stands outside of strings.
    fn step(&mut self, byte: u8) -> bool {
        if self.quoted {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.quoted = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.quoted = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        !self.quoted
    }
}

impl Splitter {
    /// `lines`: the sender says that it is NDJSON. Otherwise the bytes decide.
    pub fn new(lines: bool) -> Self {
        let form = if lines { Form::Lines } else { Form::Start };
        Self { form, slice: Slice::default(), start: 0, number: 0, count: 0 }
    }

    /// What items are called.
    pub fn unit(&self) -> Unit {
        match self.form {
            Form::Lines => Unit::Line,
            _ => Unit::Item,
        }
    }

    /// Takes the next bytes; slices that are full are appended to `out`.
    pub fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<Slice>) -> Result<(), SplitError> {
        while !bytes.is_empty() {
            bytes = match self.form {
                Form::Start => self.start(bytes)?,
                Form::FirstLine(_) => self.first_line(bytes, out)?,
                Form::Single => {
                    self.slice.bytes.extend_from_slice(bytes);
                    &[]
                }
                Form::Lines => self.lines(bytes, out)?,
                Form::Array(_) => self.array(bytes, out)?,
                Form::Ended => {
                    if bytes.iter().any(|byte| !byte.is_ascii_whitespace()) {
                        return Err(SplitError::AfterArray);
                    }
                    &[]
                }
            };
        }
        Ok(())
    }

    /// Says that the body has ended; the last slice is appended to `out`.
    pub fn finish(mut self, out: &mut Vec<Slice>) -> Result<Unit, SplitError> {
        match self.form {
            Form::Start => return Err(SplitError::Empty),
            Form::Array(_) => return Err(SplitError::Open),
            Form::FirstLine(_) => {
                self.number = 0;
                self.end_item(false, out)?;
            }
            Form::Single | Form::Lines => self.end_item(false, out)?,
            Form::Ended => {}
        }
        if self.count == 0 && matches!(self.form, Form::Lines) {
            return Err(SplitError::Empty);
        }
        let unit = self.unit();
        if !self.slice.items.is_empty() {
            out.push(self.slice);
        }
        Ok(unit)
    }

    fn start<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], SplitError> {
        let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.number += bytes.iter().take(blank).filter(|byte| **byte == b'\n').count();
        let rest = bytes.get(blank..).unwrap_or(&[]);
        match rest.first() {
            None => Ok(rest),
            Some(b'[') => {
                self.form = Form::Array(Scan { depth: 1, ..Scan::default() });
                self.number = 0;
                Ok(rest.get(1..).unwrap_or(&[]))
            }
            Some(b'{') => {
                self.form = Form::FirstLine(Scan::default());
                Ok(rest)
            }
            Some(_) => Err(SplitError::NotJson),
        }
    }

    /// An object that is closed where its line ends is the first of NDJSON; one that is not goes on over the lines.
    fn first_line<'a>(&mut self, bytes: &'a [u8], out: &mut Vec<Slice>) -> Result<&'a [u8], SplitError> {
        let Form::FirstLine(scan) = &mut self.form else { return Ok(bytes) };
        for (at, byte) in bytes.iter().enumerate() {
            if *byte != b'\n' {
                scan.step(*byte);
                continue;
            }
            let closed = scan.depth == 0 && !scan.quoted;
            let (line, rest) = bytes.split_at_checked(at + 1).unwrap_or((bytes, &[]));
            self.slice.bytes.extend_from_slice(line);
            if closed {
                self.form = Form::Lines;
                self.end_item(true, out)?;
            } else {
                self.form = Form::Single;
                self.number = 0;
            }
            return Ok(rest);
        }
        self.slice.bytes.extend_from_slice(bytes);
        Ok(&[])
    }

    fn lines<'a>(&mut self, bytes: &'a [u8], out: &mut Vec<Slice>) -> Result<&'a [u8], SplitError> {
        let mut rest = bytes;
        // Reading from memory cannot fail; the standard library's search for a byte is what is wanted here.
        while rest.read_until(b'\n', &mut self.slice.bytes).unwrap_or(0) > 0 {
            if self.slice.bytes.last() == Some(&b'\n') {
                self.end_item(true, out)?;
            }
        }
        Ok(&[])
    }

    fn array<'a>(&mut self, bytes: &'a [u8], out: &mut Vec<Slice>) -> Result<&'a [u8], SplitError> {
        let Form::Array(scan) = &mut self.form else { return Ok(bytes) };
        for (at, byte) in bytes.iter().enumerate() {
            let outside = scan.step(*byte);
            let ends_array = outside && scan.depth == 0;
            let ends_element = ends_array || outside && *byte == b',' && scan.depth == 1;
            if !ends_element {
                continue;
            }
            if ends_array && *byte != b']' {
                return Err(SplitError::Open);
            }
            let (element, rest) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
            self.slice.bytes.extend_from_slice(element);
            if ends_array {
                self.form = Form::Ended;
                // `[]` holds no element; `[x,]` ends with an empty one, which the parser refuses.
                if self.number > 0 || !self.blank() {
                    self.end_item(true, out)?;
                }
            } else {
                self.end_item(true, out)?;
            }
            return Ok(rest.get(1..).unwrap_or(&[]));
        }
        self.slice.bytes.extend_from_slice(bytes);
        Ok(&[])
    }

    fn blank(&self) -> bool {
        self.slice.bytes.get(self.start..).unwrap_or(&[]).iter().all(u8::is_ascii_whitespace)
    }

    /// Closes the item that ends here. Blank lines are no items.
    fn end_item(&mut self, more: bool, out: &mut Vec<Slice>) -> Result<(), SplitError> {
        self.number += 1;
        if self.blank() && !matches!(self.form, Form::Array(_) | Form::Ended) {
            self.slice.bytes.truncate(self.start);
            return Ok(());
        }
        if self.count == limits::EVENTS {
            return Err(SplitError::TooMany);
        }
        self.count += 1;
        self.slice.items.push(Item { span: self.start..self.slice.bytes.len(), number: self.number });
        self.start = self.slice.bytes.len();
        if more && (self.slice.items.len() >= limits::SLICE_EVENTS || self.start >= limits::SLICE_BYTES) {
            let next = Slice { bytes: Vec::with_capacity(self.start), items: Vec::with_capacity(limits::SLICE_EVENTS), before: self.count };
            out.push(std::mem::replace(&mut self.slice, next));
            self.start = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
