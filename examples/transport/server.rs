//! The worker's side.
//!
//! From the outside in: a connection, the layer, the codec of requests and items, the work. The codec is inside the layer,
//! so that a request that can't be decoded counts as a failed call.

use super::{Failure, Frame, FrameCodec};
use futures_util::stream::{SplitSink, SplitStream, Stream, StreamExt};
use futures_util::{SinkExt, TryFutureExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::future::pending;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt, service_fn};
use tower_openmetrics::classify::{Classify, Phase};
use tower_openmetrics::message::Measure;
use tower_openmetrics::{ErrorType, ResponseStream};

/// How long a client may take for its next request, or for the rest of one.
pub(crate) const REQUEST: Duration = Duration::from_secs(10);

/// Decodes requests for `engine`, and encodes the items of its response.
pub(crate) fn json<S, R, St, T, E>(
    engine: S,
) -> impl Service<Frame, Response = impl Stream<Item = Frame> + Send, Error = Failure, Future: Send>
+ Clone
+ Send
where
    S: Service<R, Response = St, Error = E, Future: Send> + Clone + Send,
    R: DeserializeOwned + Send,
    St: Stream<Item = Result<T, E>> + Send,
    T: Serialize,
    E: Display,
{
    service_fn(move |frame| {
        let engine = engine.clone();
        async move {
            let Frame::Request(json) = frame else {
                return Err(Failure::NotARequest);
            };
            let request = serde_json::from_slice(&json)
                .map_err(|error| Failure::Undecodable(error.to_string()))?;
            let items = engine.oneshot(request).map_err(failed).await?;
            Ok(items.map(|item| encode(item).unwrap_or_else(Frame::Failure)))
        }
    })
}

fn encode<T: Serialize, E: Display>(item: Result<T, E>) -> Result<Frame, Failure> {
    let json = serde_json::to_vec(&item.map_err(failed)?).map_err(failed)?;
    Ok(Frame::Item(json.into()))
}

fn failed(error: impl Display) -> Failure {
    Failure::Work(error.to_string())
}

/// Returns the error type of a request that never reached the work. The type of other failures depends on the phase.
pub(crate) fn error_type(failure: &Failure, _: Phase) -> Option<ErrorType> {
    match failure {
        Failure::NotARequest => Some(ErrorType::INVALID_MESSAGE),
        Failure::Undecodable(_) => Some(ErrorType::DESERIALIZATION),
        Failure::Work(_) => None,
    }
}

/// Serves the requests of one client, one after another, until `stop` or until no request comes.
pub(crate) async fn serve_connection<IO, H, S, M, C>(
    io: IO,
    mut handler: H,
    stop: CancellationToken,
) -> io::Result<()>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    H: Service<Frame, Response = ResponseStream<S, M, C>, Error = Failure>,
    S: Stream<Item = Frame>,
    M: Measure<Frame>,
    C: Classify,
{
    let (mut replies, mut frames) = Framed::new(io, FrameCodec::default()).split();
    let mut early = None;
    loop {
        let request = match early.take() {
            Some(frame) => frame,
            None => match stop
                .run_until_cancelled(timeout(REQUEST, frames.next()))
                .await
            {
                Some(Ok(Some(frame))) => frame?,
                Some(Ok(None) | Err(_)) | None => return Ok(()),
            },
        };
        if request == Frame::Cancel {
            continue; // Too late: the response has ended.
        }
        tokio::select! {
            // In this order, so that a request that is cancelled at once counts, too.
            biased;
            sent = answer(&mut handler, request, &mut replies) => sent?,
            // Dropping the call's futures cancels it.
            () = no_longer_wanted(&mut frames, &mut early) => replies.send(Frame::End).await?,
        }
    }
}

/// Calls the handler and sends its response as it comes.
async fn answer<IO, H, S, M, C>(
    handler: &mut H,
    request: Frame,
    replies: &mut SplitSink<Framed<IO, FrameCodec>, Frame>,
) -> io::Result<()>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    H: Service<Frame, Response = ResponseStream<S, M, C>, Error = Failure>,
    S: Stream<Item = Frame>,
    M: Measure<Frame>,
    C: Classify,
{
    match handler
        .ready()
        .and_then(|handler| handler.call(request))
        .await
    {
        Ok(items) => items.publish(replies).final_item(Frame::End).await,
        Err(failure) => {
            replies.feed(Frame::Failure(failure)).await?;
            replies.send(Frame::End).await
        }
    }
}

/// Returns when the client cancels the response or closes the connection.
async fn no_longer_wanted<IO>(
    frames: &mut SplitStream<Framed<IO, FrameCodec>>,
    early: &mut Option<Frame>,
) where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    match frames.next().await {
        Some(Ok(Frame::Cancel)) | None => {}
        // The next request is early. It waits, and so do those after it.
        Some(Ok(frame)) => {
            *early = Some(frame);
            pending::<()>().await;
        }
        // The connection is broken, so the next send fails. Then the call fails, either partway or at its end.
        Some(Err(_)) => pending::<()>().await,
    }
}
