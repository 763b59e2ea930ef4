//! Streams that count the messages passing through them.
//!
//! [`MetricsLayer::streaming`](crate::MetricsLayer::streaming) measures a service that responds with a stream. The caller
//! gets a [`ResponseStream`] and can use it in three ways. The third is for transports that can use neither of the others:
//!
//! | use | an item counts | the call fails |
//! |---|---|---|
//! | poll the stream | when the caller has taken it | at an item that is an error |
//! | [`publish`](ResponseStream::publish) it into a sink | when the sink has flushed it | at an item that is an error, or an error of the sink |
//! | take it apart with [`into_parts`](ResponseStream::into_parts) | when you report it | when you report a failure |
//!
//! With [`request_streams`](crate::MetricsLayerBuilder::request_streams), a service whose *request* is a stream gets a
//! [`RequestStream`], which counts the messages that the service reads:
//!
//! ```
//! use futures_util::{StreamExt, stream};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openmetrics::{MetricsLayer, RequestStream, message};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = MetricsLayer::streaming_builder()
//!     .request_streams(message::Own)
//!     .build([("endpoint", "shout")])?;
//! let service = ServiceBuilder::new()
//!     .layer(layer)
//!     .service(service_fn(async |words: RequestStream<_>| {
//!         Ok::<_, std::convert::Infallible>(words.map(|word: &str| word.to_uppercase()))
//!     }));
//!
//! let answer = service.oneshot(stream::iter(["to", "be"])).await?;
//! assert_eq!(answer.collect::<Vec<_>>().await, ["TO", "BE"]);
//! # Ok(())
//! # }
//! ```
//!
//! `into_parts` returns the service's own stream and the [`Call`]:
//!
//! ```
//! use futures_util::{StreamExt, stream};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openmetrics::{ErrorType, MetricsLayer};
//! # struct Queue;
//! # impl Queue {
//! #     async fn push(&self, _: &str) -> Result<(), ()> { Ok(()) }
//! #     fn reader_is_gone(&self) -> bool { false }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let queue = Queue;
//!
//! let service = ServiceBuilder::new()
//!     .layer(MetricsLayer::streaming([("endpoint", "words")]))
//!     .service(service_fn(async |text: &'static str| {
//!         Ok::<_, std::convert::Infallible>(stream::iter(text.split(' ')))
//!     }));
//!
//! let (mut words, call) = service.oneshot("to be or not").await?.into_parts();
//! let mut call = call.expect("the call is open until the stream ends");
//! while let Some(word) = words.next().await {
//!     if queue.reader_is_gone() {
//!         return Ok(()); // drops the call, which counts as cancelled
//!     }
//!     match queue.push(word).await {
//!         Ok(()) => call.response_message(word.len() as u64),
//!         Err(_) => {
//!             call.fail(ErrorType::PUBLISH_RESPONSE);
//!             return Ok(());
//!         }
//!     }
//! }
//! call.complete();
//! # Ok(())
//! # }
//! ```

use crate::call::Call;
use crate::classify::{Classify, HttpStatus, source};
use crate::handle::CallHandle;
use crate::message::{Measure, Own};
use crate::outgoing::Outgoing;
use crate::panic_guard::PanicGuard;
use crate::publish::Publish;
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A stream of request messages, which counts the messages that the service reads.
    ///
    /// An error in the stream decides the outcome of the call: cancelled if the client went
    /// away, failed as [`TIMEOUT`](crate::ErrorType::TIMEOUT) if a time limit passed, else failed as
    /// [`INVALID_MESSAGE`](crate::ErrorType::INVALID_MESSAGE). At a [client](crate::classify::Classify::is_client), the call always fails.
    #[derive(Debug)]
    pub struct RequestStream<S, M = Own> {
        #[pin]
        inner: S,
        call: Option<CallHandle>,
        measure: M,
        // Whether the request is sent from here.
        is_client: bool,
    }
}

pin_project! {
    /// A stream of response items, which counts the items that the caller takes and ends the call.
    ///
    /// The call ends at `None`, at the first item that is an error, or when the stream is dropped.
    /// Items and size hint pass through unchanged. `M` measures items, `C` classifies their errors.
    ///
    /// To send the items into a sink, use [`publish`](Self::publish). A transport with another way of
    /// sending takes the call with [`into_parts`](Self::into_parts).
    #[must_use = "dropping a response cancels its call"]
    pub struct ResponseStream<S, M = Own, C = HttpStatus> {
        #[pin]
        inner: S,
        outgoing: Outgoing<M, C>,
    }
}

// === impl RequestStream ===

impl<S, M> RequestStream<S, M> {
    pub(crate) fn new(inner: S, call: &mut Call, measure: M, is_client: bool) -> Self {
        Self {
            inner,
            call: Some(call.handle()),
            measure,
            is_client,
        }
    }

    /// Returns the inner stream.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner stream. Messages read from it directly are not counted.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner stream. Messages read afterwards are not counted, and errors do not reach
    /// the call.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, M> Stream for RequestStream<S, M>
where
    S: Stream,
    M: Measure<S::Item>,
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let guard = PanicGuard::new(this.call);
        let polled = this.inner.poll_next(cx);
        if let (Poll::Ready(Some(item)), Some(call)) = (&polled, &*guard) {
            match this.measure.error(item) {
                Some(error) if *this.is_client => call.fault(source::not_sent(error)),
                Some(error) => call.fault(source::broken_off(error)),
                None => call.request_message(this.measure.size(item)),
            }
        }
        guard.disarm();
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

// === impl ResponseStream ===

impl<S, M, C> ResponseStream<S, M, C> {
    pub(crate) fn new(inner: S, call: Call, measure: M, classifier: C) -> Self {
        Self {
            inner,
            outgoing: Outgoing::new(call, measure, classifier),
        }
    }

    /// Returns the inner stream.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner stream. Messages read from it directly are not counted.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner stream and its call, for a transport that sends items in its own way.
    ///
    /// The transport counts each item with [`Call::response_message`] and ends the call with
    /// [`Call::complete`] or [`Call::fail`]. Dropping the call counts as cancelled.
    ///
    /// The call is `None` if the stream has ended.
    pub fn into_parts(self) -> (S, Option<Call>) {
        (self.inner, self.outgoing.into_call())
    }

    /// Returns a handle to the call, or `None` if the stream has ended.
    pub fn handle(&mut self) -> Option<CallHandle> {
        self.outgoing.handle()
    }

    /// Sends the stream into `sink`. See [`Publish`].
    pub fn publish<Si>(self, sink: Si) -> Publish<S, Si, M, C>
    where
        S: Stream,
    {
        Publish::new(self.inner, sink, self.outgoing)
    }
}

impl<S, M, C> Stream for ResponseStream<S, M, C>
where
    S: Stream,
    M: Measure<S::Item>,
    C: Classify,
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let mut outgoing = PanicGuard::new(this.outgoing);
        let poll = outgoing.begin_poll();
        let polled = this.inner.poll_next(cx);
        poll.end();
        match &polled {
            Poll::Ready(Some(item)) => match outgoing.measure(item) {
                Some(passed) => outgoing.sent(passed),
                None => outgoing.end(),
            },
            Poll::Ready(None) => outgoing.complete(),
            Poll::Pending => {}
        }
        outgoing.disarm();
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<S: fmt::Debug, M, C> fmt::Debug for ResponseStream<S, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseStream")
            .field("inner", &self.inner)
            .field("call", self.outgoing.call())
            .finish_non_exhaustive()
    }
}
