//! Streams that count the messages that pass through them.
//!
//! A service that answers with a stream is wrapped by
//! [`MetricsLayer::streaming`](crate::MetricsLayer::streaming), and answers with a [`ResponseStream`]. There are three
//! ways to go on with that, and the third is for transports that fit neither of the others:
//!
//! | the answer | counts an item | can fail by |
//! |---|---|---|
//! | is polled as a stream | when it is taken | an item that is an error |
//! | is [published](ResponseStream::publish) into a sink | when the sink has flushed it | that, or what the sink refuses |
//! | is taken [apart](ResponseStream::into_parts) | when you say so | what you say |
//!
//! A service that is *called* with a stream gets a [`RequestStream`], if
//! [`request_streams`](crate::MetricsLayerBuilder::request_streams) says so; what it reads of it is counted:
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
//! Taken apart, the stream is the service's own, and the [`Call`] is yours:
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
//! let mut call = call.expect("nothing was polled, so the call is open");
//! while let Some(word) = words.next().await {
//!     if queue.reader_is_gone() {
//!         return Ok(()); // the call is dropped: cancelled
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
    /// A request that is a stream: counts the messages that the service reads.
    ///
    /// One that yields an error decides how its call ends: as a cancellation if the client went
    /// away, as [`TIMEOUT`](crate::ErrorType::TIMEOUT) if a time limit passed, else as
    /// [`INVALID_MESSAGE`](crate::ErrorType::INVALID_MESSAGE).
    #[derive(Debug)]
    pub struct RequestStream<S, M = Own> {
        #[pin]
        inner: S,
        call: Option<CallHandle>,
        measure: M,
    }
}

pin_project! {
    /// A response that is a stream: counts the items that the caller takes, and ends the call
    /// when it ends: at `None`, at the first item that is an error, or where it is dropped.
    ///
    /// Items and size hint pass through untouched. `M` measures items, `C` classifies their errors.
    ///
    /// A transport that drives the stream into a sink does so by [`publish`](Self::publish), and one that
    /// sends in a way of its own takes the call over by [`into_parts`](Self::into_parts).
    #[must_use = "a response that is dropped has been cancelled"]
    pub struct ResponseStream<S, M = Own, C = HttpStatus> {
        #[pin]
        inner: S,
        outgoing: Outgoing<M, C>,
    }
}

// === impl RequestStream ===

impl<S, M> RequestStream<S, M> {
    pub(crate) fn new(inner: S, call: &mut Call, measure: M) -> Self {
        Self {
            inner,
            call: Some(call.handle()),
            measure,
        }
    }

    /// The stream that is wrapped.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The stream that is wrapped. What is read from it directly is not counted.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Unwraps the stream. What is read from then on is not counted, and the
    /// call does not hear of its errors.
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

    /// The stream that is wrapped.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The stream that is wrapped. What is read from it directly is not counted.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Takes stream and call apart, for a transport that does its own sending: it counts what it has sent
    /// by [`Call::response_message`] and ends the call by
    /// [`Call::complete`], [`Call::fail`], or by dropping it, which is a cancellation.
    ///
    /// There is no call left if the stream has ended.
    pub fn into_parts(self) -> (S, Option<Call>) {
        (self.inner, self.outgoing.into_call())
    }

    /// A way to reach the call while others poll the stream. None if the stream has ended.
    pub fn handle(&mut self) -> Option<CallHandle> {
        self.outgoing.handle()
    }

    /// Drives the stream into `sink`; see [`Publish`].
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
        let polled = this.inner.poll_next(cx);
        match &polled {
            Poll::Ready(Some(item)) => match outgoing.weigh(item) {
                Some(size) => outgoing.sent(1, size),
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
