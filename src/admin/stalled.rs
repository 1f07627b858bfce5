//! Answers that nobody reads: a connection that takes nothing for a time is given up, so that whoever asked cannot hold its place, be
//! it a listener's, for ever.
//!
//! What the kernel's send buffer takes is progress, and it takes more only once a third of it or so is free. Linux lets it grow to some
//! megabytes (`net.ipv4.tcp_wmem`), so of an answer larger than that a reader must take a megabyte or so in [`WRITE_STALL_MAX`], some
//! tens of kilobytes a second, to be seen as one; an answer that fits into the buffer is read as slowly as anybody likes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// Longest time in which a connection takes nothing of what is to be sent: the kernel's buffers are full by then.
pub(super) const WRITE_STALL_MAX: Duration = Duration::from_secs(30);

/// A connection whose writes fail when they make no progress for [`WRITE_STALL_MAX`].
pub(super) struct Unstalled {
    stream: TcpStream,
    /// Runs while a write waits.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Unstalled {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, patience: None }
    }

    fn progress<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.patience = None;
            return written;
        }
        // It wakes the connection's task, which then tries to write again.
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(WRITE_STALL_MAX)));
        ready!(patience.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "nobody reads what is sent",
        )))
    }
}

impl AsyncRead for Unstalled {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Unstalled {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.progress(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.progress(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
