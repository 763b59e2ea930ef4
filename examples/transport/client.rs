//! The client's side.

use super::{Failure, Frame, FrameCodec};
use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::stream::{Stream, StreamExt};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::codec::Framed;
use tower::BoxError;

/// How long a worker may take to notice that its call is cancelled.
const GRACE: Duration = Duration::from_secs(10);

/// The items of a worker's response. Dropping it before its end cancels the work.
#[derive(Debug)]
#[must_use = "an answer that is dropped has been cancelled"]
pub(crate) struct Answer {
    /// `None` once the response has ended.
    connection: Option<Framed<TcpStream, FrameCodec>>,
}

/// Makes one call on a connection of its own.
pub(crate) async fn call(worker: impl ToSocketAddrs, request: Bytes) -> io::Result<Answer> {
    let stream = TcpStream::connect(worker).await?;
    let mut connection = Framed::new(stream, FrameCodec::default());
    connection.send(Frame::Request(request)).await?;
    Ok(Answer {
        connection: Some(connection),
    })
}

impl Stream for Answer {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(None);
        };
        let item = match ready!(connection.poll_next_unpin(cx)) {
            Some(Ok(Frame::Item(item))) => return Poll::Ready(Some(Ok(item))),
            Some(Ok(Frame::End)) => None,
            Some(Ok(Frame::Failure(failure))) => Some(Err(failure.into())),
            Some(Ok(_)) => Some(Err("the worker speaks of something else".into())),
            Some(Err(error)) => Some(Err(error.into())),
            None => Some(Err("the worker hung up".into())),
        };
        self.connection = None;
        Poll::Ready(item)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let (Some(connection), Ok(runtime)) = (self.connection.take(), Handle::try_current()) {
            runtime.spawn(timeout(GRACE, cancel(connection)));
        }
    }
}

/// Tells the worker and reads what it has sent, because closing the connection earlier would reset it.
async fn cancel(mut connection: Framed<TcpStream, FrameCodec>) -> io::Result<()> {
    connection.send(Frame::Cancel).await?;
    while let Some(frame) = connection.next().await {
        if frame? == Frame::End {
            break;
        }
    }
    Ok(())
}
