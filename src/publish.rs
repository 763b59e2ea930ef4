//! Sending a response that is a stream.

use crate::call::{Unwound, Watch};
use crate::classify::{Classify, Phase};
use crate::message::Measure;
use crate::stream::Outgoing;
use futures_core::Stream;
use futures_sink::Sink;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// Drives a [`ResponseStream`](crate::ResponseStream) into a sink, at the pace of the
    /// sink, and ends the call when all of it is sent. Made by
    /// [`ResponseStream::publish`](crate::ResponseStream::publish).
    ///
    /// Items count once the sink has flushed them: what could not be sent is not counted as sent. The
    /// sink is flushed whenever the stream has nothing to give, so that items go out as they are made,
    /// whenever 64 KiB or 64 items are waiting, and at the end.
    ///
    /// | what goes wrong | counted as |
    /// |---|---|
    /// | an item of the stream is an error | as [`ResponseStream`](crate::ResponseStream) has it; the item is sent like any other |
    /// | the sink refuses an item, or to flush before the end | `publish_response` |
    /// | the sink refuses the [final item](Self::final_item), the last flush, or to [close](Self::close) | `publish_final` |
    /// | this future is dropped | a cancellation |
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
    #[must_use = "nothing is sent before it is polled"]
    pub struct Publish<S: Stream, Si, M, C> {
        #[pin]
        stream: S,
        #[pin]
        sink: Si,
        outgoing: Outgoing<M, C>,
        waiting: Option<S::Item>,
        last: Option<S::Item>,
        close: bool,
        unflushed: Unflushed,
        step: Step,
    }
}

/// The items that the sink has taken, and may have kept.
#[derive(Debug, Default)]
struct Unflushed {
    sizes: Vec<u64>,
    bytes: u64,
}

const MOST_UNFLUSHED_ITEMS: usize = 64;
const MOST_UNFLUSHED_BYTES: u64 = 64 * 1024;

/// How far it is.
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
            waiting: None,
            last: None,
            close: false,
            unflushed: Unflushed::default(),
            step: Step::Items,
        }
    }

    /// Sends `item` when the stream has ended, to say so. It is not counted.
    /// Defaults to none.
    pub fn final_item(mut self, item: S::Item) -> Self {
        self.last = Some(item);
        self
    }

    /// Whether to close the sink at the end, rather than only flush it.
    /// Defaults to false, for a sink may have other calls to serve.
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
    /// The sink's error, once it has failed. Polled after that, or after the end, it is ready
    /// with `Ok`.
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
                    this.outgoing.refused(&error, phase);
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
            if self.unflushed.is_full() || self.error_follows_unflushed() {
                ready!(self.as_mut().poll_flush(cx))?;
            }
            if self.waiting.is_some() {
                ready!(self.as_mut().poll_ready(cx))?;
                self.as_mut().send_waiting()?;
            }
            let this = self.as_mut().project();
            match watched(this.outgoing, || this.stream.poll_next(cx)) {
                Poll::Ready(Some(item)) => *this.waiting = Some(item),
                Poll::Ready(None) => return Poll::Ready(Ok(Step::FinalItem)),
                Poll::Pending => {
                    ready!(self.poll_flush(cx))?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Whether an error waits behind items that are not out yet. They have to
    /// be, for it ends the call, and counts as what follows them or doesn't.
    fn error_follows_unflushed(&self) -> bool {
        let waiting = self.waiting.as_ref();
        !self.unflushed.is_empty() && waiting.is_some_and(|item| self.outgoing.is_error(item))
    }

    fn poll_final_item(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Step, Si::Error>> {
        if self.last.is_some() {
            ready!(self.as_mut().poll_ready(cx))?;
            let this = self.as_mut().project();
            if let Some(item) = this.last.take() {
                watched(this.outgoing, || this.sink.start_send(item))?;
            }
        }
        Poll::Ready(Ok(Step::End))
    }

    fn poll_end(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Step, Si::Error>> {
        ready!(self.as_mut().poll_flush(cx))?;
        let this = self.project();
        if *this.close {
            ready!(watched(this.outgoing, || this.sink.poll_close(cx)))?;
        }
        this.outgoing.complete();
        Poll::Ready(Ok(Step::Done))
    }

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        let this = self.project();
        watched(this.outgoing, || this.sink.poll_ready(cx))
    }

    fn send_waiting(self: Pin<&mut Self>) -> Result<(), Si::Error> {
        let this = self.project();
        if let Some(item) = this.waiting.take() {
            let mut outgoing = Watch::over(this.outgoing);
            let size = outgoing.weigh(&item);
            outgoing.done();
            watched(this.outgoing, || this.sink.start_send(item))?;
            this.unflushed.extend(size);
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        let this = self.project();
        ready!(watched(this.outgoing, || this.sink.poll_flush(cx)))?;
        for size in this.unflushed.drain() {
            this.outgoing.sent(size);
        }
        Poll::Ready(Ok(()))
    }
}

/// Runs the code of others on behalf of the call.
fn watched<T: Unwound, R>(target: &mut T, run: impl FnOnce() -> R) -> R {
    let watch = Watch::over(target);
    let result = run();
    watch.done();
    result
}

// === impl Unflushed ===

impl Unflushed {
    fn is_full(&self) -> bool {
        self.sizes.len() >= MOST_UNFLUSHED_ITEMS || self.bytes >= MOST_UNFLUSHED_BYTES
    }

    fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    fn extend(&mut self, size: Option<u64>) {
        if let Some(size) = size {
            self.sizes.push(size);
            self.bytes = self.bytes.saturating_add(size);
        }
    }

    fn drain(&mut self) -> impl Iterator<Item = u64> {
        self.bytes = 0;
        self.sizes.drain(..)
    }
}

impl<S: Stream, Si, M, C> fmt::Debug for Publish<S, Si, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}
