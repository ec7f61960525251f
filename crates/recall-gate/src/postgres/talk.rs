//! One side of a connection while it signs in: whole messages in, whole messages out, within a time.
//!
//! It must not know what is said. Once both sides are signed in, `pump` moves the bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::wire::{Inbox, MESSAGE_BYTES, WireError};

/// Whatever carries bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Why nothing more is heard.
#[derive(Debug, thiserror::Error)]
pub enum TalkError {
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The other side closed it.
    #[error("the other side closed the connection")]
    Closed,
    /// What came is no message.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// A stream and what has arrived of it.
pub struct Talk {
    /// The connection.
    pub stream: Box<dyn Stream>,
    /// Bytes that were not asked for yet.
    pub inbox: Inbox,
}

impl Talk {
    /// A fresh connection.
    pub fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, inbox: Inbox::default() }
    }

    /// The next message: its type and body.
    pub async fn message(&mut self) -> Result<(u8, Vec<u8>), TalkError> {
        self.message_within(MESSAGE_BYTES).await
    }

    /// The same of somebody who may send so many bytes at once.
    pub async fn message_within(&mut self, most_bytes: usize) -> Result<(u8, Vec<u8>), TalkError> {
        loop {
            if let Some(message) = self.inbox.peek_within(most_bytes)? {
                let (tag, body, length) = (message.tag, message.body.to_vec(), message.whole.len());
                self.inbox.consume(length);
                return Ok((tag, body));
            }
            self.read().await?;
        }
    }

    /// The first byte of what comes next, which stays where it is.
    pub async fn first_byte(&mut self) -> Result<u8, TalkError> {
        loop {
            match self.inbox.first_byte() {
                Some(byte) => return Ok(byte),
                None => self.read().await?,
            }
        }
    }

    /// The next packet without a type.
    pub async fn packet(&mut self) -> Result<Vec<u8>, TalkError> {
        loop {
            if let Some(body) = self.inbox.peek_startup()? {
                let body = body.to_vec();
                self.inbox.consume(body.len().saturating_add(4));
                return Ok(body);
            }
            self.read().await?;
        }
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), TalkError> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    async fn read(&mut self) -> Result<(), TalkError> {
        match self.stream.read_buf(self.inbox.tail()).await? {
            0 => Err(TalkError::Closed),
            _ => Ok(()),
        }
    }
}

/// A stream of which the first bytes have been read already.
pub struct Preceded {
    before: Vec<u8>,
    stream: Box<dyn Stream>,
}

impl Preceded {
    /// `before`, then what `stream` brings.
    pub fn new(before: Vec<u8>, stream: Box<dyn Stream>) -> Self {
        Self { before, stream }
    }
}

impl AsyncRead for Preceded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.before.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, into);
        }
        let count = self.before.len().min(into.remaining());
        into.put_slice(self.before.get(..count).unwrap_or_default());
        self.before.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Preceded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
