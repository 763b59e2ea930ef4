use hyper::rt::{Read, ReadBufCursor, Write};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// An I/O object whose writes fail once its peer has been behind for too long.
///
/// The time runs from the first write that has to wait until a flush, which is
/// when hyper has nothing left to write: so neither a peer that reads nothing
/// nor one that reads a byte now and then holds the connection for ever.
#[derive(Debug)]
pub(super) struct StallGuard<T> {
    inner: T,
    timeout: Duration,
    // Boxed, since a peer that keeps up never needs it.
    behind: Option<Pin<Box<Sleep>>>,
}

// === impl StallGuard ===

impl<T> StallGuard<T> {
    pub(super) fn new(inner: T, timeout: Duration) -> Self {
        Self {
            inner,
            timeout,
            behind: None,
        }
    }

    fn guard<R>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if written.is_pending() {
            let timeout = self.timeout;
            let behind = self.behind.get_or_insert_with(|| Box::pin(sleep(timeout)));
            ready!(behind.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }
}

impl<T: Read + Unpin> Read for StallGuard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin> Write for StallGuard<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.guard(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.guard(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.inner).poll_flush(cx));
        self.behind = None;
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper_util::rt::TokioIo;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};
    use tokio::time::{Instant, timeout};

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// A guarded pipe that holds 8 bytes, and its reader.
    fn pipe() -> (StallGuard<TokioIo<DuplexStream>>, DuplexStream) {
        let (writer, reader) = duplex(8);
        (StallGuard::new(TokioIo::new(writer), TIMEOUT), reader)
    }

    async fn write(
        pipe: &mut StallGuard<TokioIo<DuplexStream>>,
        mut bytes: &[u8],
    ) -> io::Result<()> {
        let written = async {
            while !bytes.is_empty() {
                let n = poll_fn(|cx| Pin::new(&mut *pipe).poll_write(cx, bytes)).await?;
                bytes = &bytes[n..];
            }
            poll_fn(|cx| Pin::new(&mut *pipe).poll_flush(cx)).await
        };
        // The clock is paused and jumps as soon as there is nothing else to do.
        timeout(10 * TIMEOUT, written).await.expect("an end")
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stops_is_cut_off_after_the_timeout() {
        let (mut pipe, _reader) = pipe();
        let start = Instant::now();
        let error = write(&mut pipe, &[0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_of_a_byte_now_and_then_is_cut_off_too() {
        let (mut pipe, mut reader) = pipe();
        let dripping = tokio::spawn(async move {
            for n in 0.. {
                sleep(Duration::from_secs(1)).await;
                if reader.read_u8().await.is_err() {
                    return n;
                }
            }
            unreachable!()
        });
        let error = write(&mut pipe, &[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(pipe);
        assert!(dripping.await.unwrap() >= 29);
    }

    #[tokio::test(start_paused = true)]
    async fn each_answer_that_is_taken_in_time_starts_afresh() {
        let (mut pipe, mut reader) = pipe();
        let answers = 5;
        let reading = tokio::spawn(async move {
            let mut taken = [0; 16];
            for _ in 0..answers {
                sleep(TIMEOUT - Duration::from_secs(1)).await;
                reader.read_exact(&mut taken).await.unwrap();
            }
        });
        for _ in 0..answers {
            write(&mut pipe, &[0; 16]).await.unwrap();
        }
        reading.await.unwrap();
    }
}
