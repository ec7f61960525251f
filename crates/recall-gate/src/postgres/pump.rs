//! Moves bytes between two streams and a session, as far as each is ready.
//!
//! It must not know what the bytes say.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};

use super::session::{Over, Session};
use super::talk::Stream;

/// How long rows are held for more to come with them; those of a slow query leave in pages of their own.
const PAGE: Duration = Duration::from_millis(10);
/// How long a client may take for its last message.
const FAREWELL: Duration = Duration::from_secs(2);
/// Room for bytes that arrive.
const READ_BYTES: usize = 8 << 10;

/// Both streams of a session.
pub struct Streams {
    /// To the client.
    pub client: Box<dyn Stream>,
    /// To upstream.
    pub upstream: Box<dyn Stream>,
    /// Upstream has closed its side.
    upstream_closed: bool,
    page: Option<Pin<Box<Sleep>>>,
    /// Bytes were written that may not have left: a stream that encrypts keeps some.
    client_unflushed: bool,
    upstream_unflushed: bool,
}

impl Streams {
    /// Two streams that are signed in.
    pub fn new(client: Box<dyn Stream>, upstream: Box<dyn Stream>) -> Self {
        Self { client, upstream, upstream_closed: false, page: None, client_unflushed: false, upstream_unflushed: false }
    }

    /// Runs a session to its end, and tells the client of it.
    pub async fn run(mut self, mut session: Session, stop: watch::Receiver<bool>) -> Over {
        let moving = poll_fn(|context| self.step(&mut session, context));
        let over = tokio::select! {
            over = moving => over,
            () = super::stopped(stop) => Over::Shutdown,
        };
        session.end(&over);
        let farewell = session.farewell();
        let last = async {
            let _ = self.client.write_all(&farewell).await;
            let _ = self.client.shutdown().await;
        };
        let _ = tokio::time::timeout(FAREWELL, last).await;
        let _ = tokio::time::timeout(FAREWELL, self.upstream.shutdown()).await;
        over
    }

    fn step(&mut self, session: &mut Session, context: &mut Context<'_>) -> Poll<Over> {
        session.durable().watch(context.waker());
        loop {
            match self.once(session, context) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(over) => return Poll::Ready(over),
            }
        }
    }

    /// Moves what can be moved now; false where nothing could.
    fn once(&mut self, session: &mut Session, context: &mut Context<'_>) -> Result<bool, Over> {
        let mut moved = self.write_upstream(session, context)?;
        moved |= self.write_client(session, context)?;
        if session.wants_client() {
            moved |= self.read_client(session, context)?;
        }
        if !self.upstream_closed && session.wants_upstream() {
            moved |= self.read_upstream(session, context)?;
        }
        if !moved {
            moved = self.close_page(session, context)?;
        }
        if self.upstream_closed && session.is_drained() {
            return Err(session.upstream_ended());
        }
        Ok(moved)
    }

    fn write_upstream(&mut self, session: &mut Session, context: &mut Context<'_>) -> Result<bool, Over> {
        let mut moved = false;
        loop {
            let ready = session.for_upstream()?;
            if ready.is_empty() || self.upstream_closed {
                break;
            }
            match Pin::new(&mut self.upstream).poll_write(context, ready) {
                Poll::Ready(Ok(count @ 1..)) => session.upstream_took(count),
                // What it still has to say, such as why it closed, is read first.
                Poll::Ready(_) => break,
                Poll::Pending => break,
            }
            moved = true;
        }
        self.upstream_unflushed |= moved;
        if self.upstream_unflushed && Pin::new(&mut self.upstream).poll_flush(context).is_ready() {
            self.upstream_unflushed = false;
        }
        Ok(moved)
    }

    fn write_client(&mut self, session: &mut Session, context: &mut Context<'_>) -> Result<bool, Over> {
        let mut moved = false;
        loop {
            let ready = session.for_client()?;
            if ready.is_empty() {
                break;
            }
            match Pin::new(&mut self.client).poll_write(context, ready) {
                Poll::Ready(Ok(count @ 1..)) => session.client_took(count),
                Poll::Ready(_) => return Err(Over::Client),
                Poll::Pending => break,
            }
            moved = true;
        }
        self.client_unflushed |= moved;
        if self.client_unflushed && Pin::new(&mut self.client).poll_flush(context).is_ready() {
            self.client_unflushed = false;
        }
        Ok(moved)
    }

    fn read_client(&mut self, session: &mut Session, context: &mut Context<'_>) -> Result<bool, Over> {
        match read(&mut self.client, session.client.tail(), context) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(1..)) => session.take_client()?,
            Poll::Ready(_) => return Err(Over::Client),
        }
        Ok(true)
    }

    fn read_upstream(&mut self, session: &mut Session, context: &mut Context<'_>) -> Result<bool, Over> {
        match read(&mut self.upstream, session.upstream.tail(), context) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(1..)) => {
                session.take_upstream()?;
                // What the client sent may have waited for this answer.
                session.take_client()?;
            }
            Poll::Ready(_) => {
                self.upstream_closed = true;
                session.close_page()?;
            }
        }
        Ok(true)
    }

    /// Rows that are held leave in a page of their own when none has come for a while.
    fn close_page(&mut self, session: &mut Session, context: &mut Context<'_>) -> Result<bool, Over> {
        if !session.holds_rows() {
            self.page = None;
            return Ok(false);
        }
        let timer = self.page.get_or_insert_with(|| Box::pin(sleep(PAGE)));
        if timer.as_mut().poll(context).is_pending() {
            return Ok(false);
        }
        self.page = None;
        session.close_page()?;
        Ok(true)
    }
}

fn read(stream: &mut Box<dyn Stream>, into: &mut Vec<u8>, context: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
    into.reserve(READ_BYTES);
    pin!(stream.read_buf(into)).poll(context)
}
