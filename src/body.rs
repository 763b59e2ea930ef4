//! Bodies that count the bytes that pass through them.
//!
//! A layer turns a request body `B` into a [`RequestBody<B>`](RequestBody). Services that are generic over the body accept
//! it. For a service that needs a certain body type, use the first of these that fits:
//!
//! 1. [`MetricsLayer::boxed`](crate::MetricsLayer::boxed) for the bodies of axum and tonic and for the boxes of
//!    `http_body_util`. Everything is counted. Each body costs an allocation.
//! 2. A conversion by hand for the bodies of other frameworks, shown below.
//! 3. [`RequestBody::into_inner`], which costs nothing. The request is then not counted.
//!
//! # Bodies of other frameworks
//!
//! tower's `map_request` converts the request body to the framework's type. `map_response`, outside of the layer, converts
//! the response body. salvo's tower adaptor takes any response, and requests whose body is a `ReqBody::Boxed`. See
//! `tests/salvo` in the repository for a server with salvo.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, service_fn};
//! use tower_openmetrics::{MetricsLayer, RequestBody, ResponseBody};
//!
//! /// The body of a framework. It can be made from other bodies.
//! struct TheirBody(UnsyncBoxBody<Bytes, Infallible>);
//!
//! impl TheirBody {
//!     fn new<B>(body: B) -> Self
//!     where
//!         B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
//!     {
//!         Self(body.boxed_unsync())
//!     }
//! }
//!
//! let service = ServiceBuilder::new()
//!     .map_response(|response: Response<ResponseBody<_>>| response.map(TheirBody::new))
//!     .layer(MetricsLayer::new([("endpoint", "a")]))
//!     .map_request(|request: Request<RequestBody<_>>| request.map(TheirBody::new))
//!     .service(service_fn(async |request: Request<TheirBody>| {
//!         Ok::<_, Infallible>(Response::new(request.into_body().0))
//!     }));
//! # let _ = || tower::ServiceExt::oneshot(service, Request::new(Full::<Bytes>::default()));
//! ```
//!
//! For a body type of your own crate, implement [`FromBody`](crate::protocol::FromBody).

use crate::call::{Call, MeasuredPoll};
use crate::classify::{Classify, ErrorType, Fault, HttpStatus, Phase, source};
use crate::handle::CallHandle;
use crate::panic_guard::PanicGuard;
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// The body of a request. Counts the bytes that the service reads.
    ///
    /// Frames, the size hint and the end pass through unchanged. If the body fails, the call is cancelled if the client went
    /// away. Otherwise it fails, as [`ErrorType::TIMEOUT`] if a time limit passed, else as [`ErrorType::INVALID_MESSAGE`].
    ///
    /// Over HTTP/2 and later, the call is also cancelled if the body ends without an error before its `Content-Length`. A body
    /// that reaches its own exact size hint has not ended early.
    ///
    /// For a [client](crate::MetricsLayer::client), a failed request body never cancels the call, because the caller is still
    /// there.
    ///
    /// Services that are generic over the request body accept this type. For a service that needs a certain type, use
    /// [`MetricsLayer::boxed`](crate::MetricsLayer::boxed). The [module](self) lists other ways.
    #[derive(Debug, Default)]
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        call: Option<CallHandle>,
        // The bytes that are `owed` and have not arrived.
        owed: u64,
        // The program sends the body, as a client.
        is_client: bool,
    }
}

pin_project! {
    /// The body of a response. Counts the bytes that the caller takes, and ends the call when it ends.
    ///
    /// Frames, the size hint and the end pass through unchanged. `C` classifies errors.
    #[derive(Default)]
    pub struct ResponseBody<B, C = HttpStatus> {
        #[pin]
        inner: B,
        call: Option<Call>,
        taken: u64,
        promised: Option<u64>,
        classifier: C,
    }
}

/// What the head of a response says about its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// There is a body, and its length counts.
    Body,
    /// There is no body, whatever the headers say. Servers don't send one that is there.
    Nothing,
    /// The connection is upgraded to another protocol, which this crate doesn't see.
    Upgrade,
    /// The connection may become a tunnel. A caller that asked for one may also read the body as the tunnel.
    Tunnel,
}

/// The result of polling a body for a frame.
pub(crate) type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

// === impl RequestBody ===

impl<B> RequestBody<B> {
    /// `told` is the handle to its call, and the bytes that the body owes. It is `None` for a body that is empty from the
    /// start.
    #[inline]
    pub(crate) fn new(inner: B, told: Option<(CallHandle, u64)>, is_client: bool) -> Self {
        let (call, owed) = told.unzip();
        Self {
            inner,
            call,
            owed: owed.unwrap_or(0),
            is_client,
        }
    }

    /// Returns a reference to the inner body.
    pub fn get_ref(&self) -> &B {
        &self.inner
    }

    /// Returns a mutable reference to the inner body. Bytes that are read from it directly are not counted.
    pub fn get_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    /// Returns the inner body. It is not counted from then on.
    ///
    /// `request_bytes_total` then lacks the bytes of this body. An upload that the client breaks off, or that is malformed,
    /// counts as the service's response says, such as a 500. [`MetricsLayer::boxed`](crate::MetricsLayer::boxed) converts the
    /// body and still counts it. Use this method if the service needs the original, such as a `hyper::body::Incoming`, or if
    /// an allocation is too expensive:
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use tower::{ServiceBuilder, service_fn};
    /// use tower_openmetrics::{MetricsLayer, RequestBody};
    ///
    /// let service = ServiceBuilder::new()
    ///     .layer(MetricsLayer::new([("endpoint", "a")]))
    ///     .map_request(|request: Request<RequestBody<_>>| request.map(RequestBody::into_inner))
    ///     .service(service_fn(async |request: Request<Full<Bytes>>| {
    ///         Ok::<_, std::convert::Infallible>(Response::new(request.into_body()))
    ///     }));
    /// # let _ = || tower::ServiceExt::oneshot(service, Request::new(Full::<Bytes>::default()));
    /// ```
    pub fn into_inner(self) -> B {
        self.inner
    }
}

impl<B> RequestBody<B>
where
    B: Body,
    B::Error: 'static,
{
    /// Polls for a frame. `count` records data and its bytes. `broken_off` classifies an error at a server.
    #[inline]
    pub(crate) fn poll_counted(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        count: impl FnOnce(&CallHandle, &B::Data, u64),
        broken_off: impl FnOnce(&B::Error) -> Fault,
    ) -> Polled<B> {
        let mut this = self.project();
        let guard = PanicGuard::new(this.call);
        let polled = this.inner.as_mut().poll_frame(cx);
        let Some(call) = &*guard else {
            guard.disarm();
            return polled;
        };
        // Each arm returns its own value. Returning one value after the match copies the frame three times (9 ns a call).
        let polled = match polled {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    let bytes = data.remaining() as u64;
                    count(call, &data, bytes);
                    *this.owed = this.owed.saturating_sub(bytes);
                    if *this.owed > 0 && this.inner.is_end_stream() {
                        call.fault(Fault::Cancelled);
                    }
                    Poll::Ready(Some(Ok(Frame::data(data))))
                }
                Err(frame) => {
                    if *this.owed > 0 && this.inner.is_end_stream() {
                        call.fault(Fault::Cancelled);
                    }
                    Poll::Ready(Some(Ok(frame)))
                }
            },
            Poll::Ready(Some(Err(error))) => {
                call.fault(match this.is_client {
                    true => source::not_sent(&error),
                    false => broken_off(&error),
                });
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                if *this.owed > 0 {
                    call.fault(Fault::Cancelled);
                }
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        };
        guard.disarm();
        polled
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body,
    B::Error: 'static,
{
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.poll_counted(
            cx,
            |call, _, bytes| call.request_bytes(bytes),
            |error| source::broken_off(error),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

// === impl ResponseBody ===

impl<B, C> ResponseBody<B, C> {
    // Can't panic. If it could, the response would be copied once more while it is split into parts.
    #[inline]
    pub(crate) fn new(inner: B, call: Option<Call>, promised: Option<u64>, classifier: C) -> Self {
        Self {
            inner,
            call,
            taken: 0,
            promised,
            classifier,
        }
    }

    /// Returns a reference to the inner body.
    pub fn get_ref(&self) -> &B {
        &self.inner
    }

    /// Returns a mutable reference to the inner body. Bytes that are read from it directly are not counted.
    pub fn get_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    /// Returns the inner body and ends the call. The call is complete if the response owes nothing more, else it is cancelled.
    pub fn into_inner(self) -> B {
        self.inner
    }
}

impl<B, C> Body for ResponseBody<B, C>
where
    B: Body,
    B::Error: 'static,
    C: Classify,
{
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let mut guard = PanicGuard::new(this.call);
        let poll = MeasuredPoll::begin(&guard);
        let polled = this.inner.as_mut().poll_frame(cx);
        let Some(call) = &mut *guard else {
            guard.disarm();
            return polled;
        };
        let polled = match polled {
            Poll::Pending => {
                poll.end();
                Poll::Pending
            }
            Poll::Ready(None) => {
                poll.end();
                end(&mut guard, *this.taken, *this.promised, 0);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                poll.end();
                let phase = phase(*this.taken, *this.promised);
                call.fault(this.classifier.error(&error, phase));
                end(&mut guard, *this.taken, *this.promised, 0);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    poll.end_with(&data);
                    let bytes = data.remaining() as u64;
                    *this.taken += bytes;
                    weigh(call, *this.taken, *this.promised);
                    if this.inner.is_end_stream() {
                        end(&mut guard, *this.taken, *this.promised, bytes);
                    } else {
                        call.response_bytes(bytes);
                    }
                    Poll::Ready(Some(Ok(Frame::data(data))))
                }
                Err(frame) => {
                    poll.end();
                    if frame.is_trailers() || this.inner.is_end_stream() {
                        end(&mut guard, *this.taken, *this.promised, 0);
                    }
                    Poll::Ready(Some(Ok(frame)))
                }
            },
        };
        guard.disarm();
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: fmt::Debug, C> fmt::Debug for ResponseBody<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("inner", &self.inner)
            .field("taken", &self.taken)
            .field("promised", &self.promised)
            .finish_non_exhaustive()
    }
}

/// Records the start of a response body. Returns the length that it promises, and whether it has already ended.
///
/// `content_length` wins over the body's own size hint, because the caller sees the header.
#[inline]
pub(crate) fn meet<B: Body>(
    call: &mut Call,
    body: &B,
    due: Due,
    content_length: Option<u64>,
) -> (Option<u64>, bool) {
    let (promised, over) = match due {
        Due::Body => (
            content_length.or_else(|| body.size_hint().exact()),
            body.is_end_stream(),
        ),
        Due::Nothing | Due::Tunnel => (None, body.is_end_stream()),
        Due::Upgrade => (None, true),
    };
    if due != Due::Body {
        call.owes_nothing();
    }
    weigh(call, 0, promised);
    if over {
        finish(call, 0, promised);
    }
    (promised, over)
}

/// Compares the taken bytes with the promised length.
///
/// Reaching the length doesn't end the call, because an error may follow. It makes the call complete on drop, because the
/// caller may stop here, as hyper does over HTTP/1. Exceeding the length is a failure.
#[inline]
fn weigh(call: &mut Call, taken: u64, promised: Option<u64>) {
    match promised {
        Some(promised) if taken == promised => call.owes_nothing(),
        Some(promised) if taken > promised => call.fault(ErrorType::PUBLISH_FINAL),
        _ => {}
    }
}

/// Ends the call and records the last bytes of the body.
#[inline]
fn end(call: &mut Option<Call>, taken: u64, promised: Option<u64>, bytes: u64) {
    if let Some(mut call) = call.take() {
        finish(&mut call, taken, promised);
        call.end(bytes);
    }
}

/// Records that the body has ended.
#[inline]
fn finish(call: &mut Call, taken: u64, promised: Option<u64>) {
    if promised.is_some_and(|promised| taken != promised) {
        call.fault(ErrorType::PUBLISH_FINAL);
    }
    call.owes_nothing();
}

/// Returns the phase of an error after `taken` bytes.
fn phase(taken: u64, promised: Option<u64>) -> Phase {
    if taken == 0 {
        Phase::ResponseStream
    } else if promised.is_some_and(|promised| taken >= promised) {
        Phase::PublishFinal
    } else {
        Phase::PublishResponse
    }
}
