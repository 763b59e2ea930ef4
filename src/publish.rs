//! Sending response streams into sinks.
//!
//! [`Publish`] sends the response of a work handler to a socket or a queue, and records if sending
//! fails. It works with any [`Sink`]. Other transports use
//! [`ResponseStream::into_parts`](crate::ResponseStream::into_parts).
//!
//! On a connection that serves several calls, a final item ends each response and the sink stays
//! open:
//!
//! ```
//! use futures_util::{SinkExt, StreamExt, stream};
//! use tokio_util::codec::{Framed, LinesCodec};
//! use tower::{Service, service_fn};
//! use tower::{Layer, ServiceExt};
//! use tower_openmetrics::MetricsLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (client, server) = tokio::io::duplex(64);
//! let engine = service_fn(async |prompt: String| {
//!     let words: Vec<_> = prompt.split(' ').map(str::to_owned).collect();
//!     Ok::<_, std::convert::Infallible>(stream::iter(words))
//! });
//! let mut handler = MetricsLayer::streaming([("endpoint", "words")]).layer(engine);
//!
//! # let client = tokio::spawn(async move {
//! #     let mut client = Framed::new(client, LinesCodec::new());
//! #     client.send("to be").await?;
//! #     client.send("or not").await?;
//! #     let lines = client.take(6).map(Result::unwrap);
//! #     Ok::<_, tokio_util::codec::LinesCodecError>(lines.collect::<Vec<_>>().await)
//! # });
//! // `server` is one end of a connection; the other sends "to be" and "or not".
//! let (mut lines, requests) = Framed::new(server, LinesCodec::new()).split();
//! # let mut requests = requests.take(2);
//! while let Some(prompt) = requests.next().await {
//!     let answer = handler.ready().await?.call(prompt?).await?;
//!     answer.publish(&mut lines).final_item(".".to_owned()).await?;
//! }
//! # assert_eq!(client.await??, ["to", "be", ".", "or", "not", "."]);
//! # Ok(())
//! # }
//! ```

use crate::call::Passed;
use crate::classify::{Classify, Phase};
use crate::message::Measure;
use crate::outgoing::Outgoing;
use crate::panic_guard::{OnPanic, PanicGuard};
use futures_core::Stream;
use futures_sink::Sink;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// A future that sends a [`ResponseStream`](crate::ResponseStream) into a sink and then ends the
    /// call. Returned by [`ResponseStream::publish`](crate::ResponseStream::publish).
    ///
    /// An item counts once the sink has flushed it, so that items which could not be sent do not
    /// count. The sink is flushed when the stream is pending, when 64 items or 64 KiB are unflushed,
    /// after an item that is an error, and at the end.
    ///
    /// | event | outcome |
    /// |---|---|
    /// | an item of the stream is an error | that of [`ResponseStream`](crate::ResponseStream); the item is sent like any other |
    /// | the sink fails at an item, or at a flush before the end | failed as `publish_response` |
    /// | the sink fails at the [final item](Self::final_item), the last flush, or at [closing](Self::close) | failed as `publish_final` |
    /// | this future is dropped | cancelled |
    ///
    /// In a `select!` against the client's disconnection, poll this future first (`biased` in tokio). Otherwise a
    /// response that is complete may count as cancelled.
    ///
    /// ```
    /// use futures_util::stream;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// use tower_openmetrics::MetricsLayer;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let engine = service_fn(async |prompt: String| {
    ///     let words: Vec<_> = prompt.split(' ').map(str::to_owned).collect();
    ///     Ok::<_, std::convert::Infallible>(stream::iter(words))
    /// });
    /// let handler = ServiceBuilder::new()
    ///     .layer(MetricsLayer::streaming([("endpoint", "words")]))
    ///     .service(engine);
    ///
    /// let answer = handler.oneshot("to be or not".to_owned()).await.unwrap();
    /// let mut connection = Vec::new(); // anything that is a sink
    /// answer.publish(&mut connection).final_item("END".to_owned()).await.unwrap();
    /// assert_eq!(connection, ["to", "be", "or", "not", "END"]);
    /// # }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct Publish<S: Stream, Si, M, C> {
        #[pin]
        stream: S,
        #[pin]
        sink: Si,
        outgoing: Outgoing<M, C>,
        // An item and what it counts as, or `None` for an error.
        pending: Option<(S::Item, Option<Passed>)>,
        final_item: Option<S::Item>,
        close: bool,
        unflushed: Unflushed,
        step: Step,
    }
}

/// The items that the sink has taken but not flushed.
#[derive(Debug)]
struct Unflushed {
    passed: Passed,
    /// Whether the last item is an error. The items before it still count, and the call ends.
    ends_in_error: bool,
}

const MAX_UNFLUSHED_ITEMS: u64 = 64;
const MAX_UNFLUSHED_BYTES: u64 = 64 * 1024;

/// What the future does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Items,
    FinalItem,
    End,
    Done,
}

// === impl Publish ===

impl<S: Stream, Si, M, C> Publish<S, Si, M, C> {
    pub(crate) fn new(stream: S, sink: Si, outgoing: Outgoing<M, C>) -> Self {
        Self {
            stream,
            sink,
            outgoing,
            pending: None,
            final_item: None,
            close: false,
            unflushed: Unflushed::NOTHING,
            step: Step::Items,
        }
    }

    /// Sends `item` after the end of the stream, to tell the client of the end.
    ///
    /// The item is not counted. Defaults to none.
    pub fn final_item(mut self, item: S::Item) -> Self {
        self.final_item = Some(item);
        self
    }

    /// Whether to close the sink at the end, instead of only flushing it.
    ///
    /// Defaults to false, because other calls may use the sink.
    pub fn close(mut self, close: bool) -> Self {
        self.close = close;
        self
    }
}

impl<S, Si, M, C> Future for Publish<S, Si, M, C>
where
    S: Stream,
    Si: Sink<S::Item>,
    Si::Error: 'static,
    M: Measure<S::Item>,
    C: Classify,
{
    /// The sink's error, if it fails. The future may be polled again afterwards and returns `Ok`.
    type Output = Result<(), Si::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let step = self.step;
            let phase = match step {
                Step::Items => Phase::PublishResponse,
                Step::FinalItem | Step::End => Phase::PublishFinal,
                Step::Done => return Poll::Ready(Ok(())),
            };
            let result = ready!(match step {
                Step::Items => self.as_mut().poll_items(cx),
                Step::FinalItem => self.as_mut().poll_final_item(cx),
                Step::End | Step::Done => self.as_mut().poll_end(cx),
            });
            let this = self.as_mut().project();
            match result {
                Ok(next) => *this.step = next,
                Err(error) => {
                    *this.step = Step::Done;
                    this.outgoing.fail(&error, phase);
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}

impl<S, Si, M, C> Publish<S, Si, M, C>
where
    S: Stream,
    Si: Sink<S::Item>,
    M: Measure<S::Item>,
    C: Classify,
{
    fn poll_items(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Step, Si::Error>> {
        loop {
            if self.pending.is_some() {
                ready!(self.as_mut().poll_ready(cx))?;
                self.as_mut().send_pending()?;
            }
            if self.unflushed.is_due() {
                ready!(self.as_mut().poll_flush(cx))?;
            }
            let this = self.as_mut().project();
            let polled = guarded(this.outgoing, |outgoing| {
                let poll = outgoing.begin_poll();
                let polled = this.stream.poll_next(cx);
                poll.end();
                let item = ready!(polled);
                Poll::Ready(item.map(|item| {
                    let passed = outgoing.measure(&item);
                    (item, passed)
                }))
            });
            match polled {
                Poll::Ready(Some(measured)) => *this.pending = Some(measured),
                Poll::Ready(None) => return Poll::Ready(Ok(Step::FinalItem)),
                Poll::Pending => {
                    ready!(self.poll_flush(cx))?;
                    return Poll::Pending;
                }
            }
        }
    }

    fn poll_final_item(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Step, Si::Error>> {
        if self.final_item.is_some() {
            ready!(self.as_mut().poll_ready(cx))?;
            let this = self.as_mut().project();
            if let Some(item) = this.final_item.take() {
                guarded(this.outgoing, |_| this.sink.start_send(item))?;
            }
        }
        Poll::Ready(Ok(Step::End))
    }

    fn poll_end(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Step, Si::Error>> {
        ready!(self.as_mut().poll_flush(cx))?;
        let this = self.project();
        if *this.close {
            ready!(guarded(this.outgoing, |_| this.sink.poll_close(cx)))?;
        }
        this.outgoing.complete();
        Poll::Ready(Ok(Step::Done))
    }

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        let this = self.project();
        guarded(this.outgoing, |_| this.sink.poll_ready(cx))
    }

    fn send_pending(self: Pin<&mut Self>) -> Result<(), Si::Error> {
        let this = self.project();
        if let Some((item, passed)) = this.pending.take() {
            guarded(this.outgoing, |_| this.sink.start_send(item))?;
            match passed {
                Some(passed) => {
                    this.outgoing.begin();
                    this.unflushed.push(passed);
                }
                None => this.unflushed.push_error(),
            }
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        let this = self.project();
        ready!(guarded(this.outgoing, |_| this.sink.poll_flush(cx)))?;
        let Unflushed {
            passed,
            ends_in_error,
        } = mem::replace(this.unflushed, Unflushed::NOTHING);
        if passed.messages > 0 {
            this.outgoing.sent(passed);
        }
        if ends_in_error {
            this.outgoing.end();
        }
        Poll::Ready(Ok(()))
    }
}

/// Runs foreign code and tells `target` if it panics.
fn guarded<T: OnPanic, R>(target: &mut T, run: impl FnOnce(&mut T) -> R) -> R {
    let mut guard = PanicGuard::new(target);
    let result = run(&mut guard);
    guard.disarm();
    result
}

// === impl Unflushed ===

impl Unflushed {
    const NOTHING: Self = Self {
        passed: Passed::NOTHING,
        ends_in_error: false,
    };

    fn is_due(&self) -> bool {
        self.passed.messages >= MAX_UNFLUSHED_ITEMS
            || self.passed.bytes >= MAX_UNFLUSHED_BYTES
            || self.ends_in_error
    }

    fn push(&mut self, passed: Passed) {
        let Passed {
            messages,
            bytes,
            items,
        } = &mut self.passed;
        *messages += passed.messages;
        *bytes = bytes.saturating_add(passed.bytes);
        *items = items.saturating_add(passed.items);
    }

    fn push_error(&mut self) {
        self.ends_in_error = true;
    }
}

impl<S: Stream, Si, M, C> fmt::Debug for Publish<S, Si, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}
