//! Content codings, incrementally and with a limit on what comes out: identity, gzip (RFC 1952) and zstd (RFC 8878, RFC 9659).

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use zstd::stream::raw::{Decoder as ZstdDecoder, Operation};
use zstd::zstd_safe::DParameter;

use super::limits;

/// How a body is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// gzip, of one or several members.
    Gzip,
    /// zstd, of one or several frames.
    Zstd,
}

impl Coding {
    /// Reads a `Content-Encoding` header.
    pub fn parse(header: &str) -> Option<Self> {
        match header.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Why a body cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes come out than are allowed.
    #[error("the decompressed body is larger than {} MiB: send it in several requests", limits::DECODED_BYTES >> 20)]
    TooLarge,
    /// The bytes are not what the header says.
    #[error("the body is not in the coding that Content-Encoding names: send it as it says, or leave the header out")]
    Corrupt,
    /// The body ends in the middle of compressed data.
    #[error("the compressed body ends early: send all of it")]
    Truncated,
}

/// A decoder that is fed pieces of a body.
pub struct Decoder {
    state: State,
    left: usize,
}

enum State {
    Identity,
    Gzip { inner: Box<MultiGzDecoder<Bounded>>, fed: bool },
    Zstd { inner: ZstdDecoder<'static>, inside: bool },
}

/// Collects what a decoder writes, up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    left: usize,
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(piece.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Decoder {
    /// A decoder that lets out at most `limit` bytes.
    pub fn new(coding: Coding, limit: usize) -> Result<Self, DecodeError> {
        let state = match coding {
            Coding::Identity => State::Identity,
            Coding::Gzip => State::Gzip { inner: Box::new(MultiGzDecoder::new(Bounded { bytes: Vec::new(), left: limit })), fed: false },
            Coding::Zstd => {
                let mut inner = ZstdDecoder::new().map_err(|_| DecodeError::Corrupt)?;
                inner.set_parameter(DParameter::WindowLogMax(limits::ZSTD_WINDOW_LOG)).map_err(|_| DecodeError::Corrupt)?;
                State::Zstd { inner, inside: false }
            }
        };
        Ok(Self { state, left: limit })
    }

    /// What `piece` decodes to: itself where the body is not coded, otherwise what comes out into `room`, which is emptied before.
    pub fn decode<'a>(&mut self, piece: &'a [u8], room: &'a mut Vec<u8>) -> Result<&'a [u8], DecodeError> {
        room.clear();
        match &mut self.state {
            State::Identity => {
                self.left = self.left.checked_sub(piece.len()).ok_or(DecodeError::TooLarge)?;
                return Ok(piece);
            }
            State::Gzip { inner, fed } => {
                *fed |= !piece.is_empty();
                inner.write_all(piece).map_err(|error| from_io(&error))?;
                room.append(&mut inner.get_mut().bytes);
            }
            State::Zstd { inner, inside } => feed_zstd(inner, inside, &mut self.left, piece, room)?,
        }
        Ok(room)
    }

    /// Says that the body has ended; the rest of it is appended to `out`.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        match self.state {
            State::Identity => Ok(()),
            State::Gzip { fed: false, .. } | State::Zstd { inside: false, .. } => Ok(()),
            State::Gzip { mut inner, .. } => {
                inner.try_finish().map_err(|error| match from_io(&error) {
                    DecodeError::TooLarge => DecodeError::TooLarge,
                    _ => DecodeError::Truncated,
                })?;
                out.append(&mut inner.get_mut().bytes);
                Ok(())
            }
            State::Zstd { inside: true, .. } => Err(DecodeError::Truncated),
        }
    }
}

fn from_io(error: &io::Error) -> DecodeError {
    if error.kind() == io::ErrorKind::FileTooLarge { DecodeError::TooLarge } else { DecodeError::Corrupt }
}

fn feed_zstd(
    inner: &mut ZstdDecoder<'static>,
    inside: &mut bool,
    left: &mut usize,
    piece: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let mut block = [0; 32 << 10];
    let mut rest = piece;
    loop {
        let status = inner.run_on_buffers(rest, &mut block).map_err(|_| DecodeError::Corrupt)?;
        *left = left.checked_sub(status.bytes_written).ok_or(DecodeError::TooLarge)?;
        out.extend_from_slice(block.get(..status.bytes_written).unwrap_or(&[]));
        rest = rest.get(status.bytes_read..).unwrap_or(&[]);
        if status.bytes_read > 0 || status.bytes_written > 0 {
            *inside = status.remaining != 0;
        }
        // A block that is not full means that nothing waits inside for room.
        if rest.is_empty() && status.bytes_written < block.len() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
