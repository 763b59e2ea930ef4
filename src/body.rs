//! Bodies that count what passes through them.
//!
//! A layer hands a [`RequestBody<B>`](RequestBody) on where a `B` came in. Services that are generic over the body
//! take it as it is. For those that are written for one type there are, in this order:
//!
//! 1. [`MetricsLayer::boxed`](crate::MetricsLayer::boxed), for the bodies of axum and tonic and for the boxes of `http_body_util`.
//!    Everything is counted, for the price of an allocation per body.
//! 2. The same by hand, for the bodies of other frameworks.
//! 3. [`RequestBody::into_inner`], which costs nothing, and after which nothing of the request is counted.
//!
//! # Bodies of other frameworks
//!
//! tower's own `map_request` puts the body into one that the framework knows, and `map_response`, outside of the layer, does so for
//! responses. salvo's tower adaptor takes any response, and of requests such as have a `ReqBody::Boxed`:
//! `tests/salvo` in the repository is a server of that kind.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, service_fn};
//! use tower_openmetrics::{MetricsLayer, RequestBody, ResponseBody};
//!
//! /// The body of a framework: there will be a way to make it of others.
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

use crate::call::Call;
use crate::classify::{Classify, ErrorType, Fault, HttpStatus, Phase, source};
use crate::handle::CallHandle;
use crate::panic_guard::PanicGuard;
use bytes::Buf;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderMap, Version};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// The body of a request: counts the bytes that the service reads.
    ///
    /// Frames, size hint and end pass through untouched. A body that breaks off decides how
    /// its call ends: as a cancellation if the client went away, as [`ErrorType::TIMEOUT`] if a time
    /// limit passed, else as [`ErrorType::INVALID_MESSAGE`]. One that ends without an error means that the client went away too, if it
    /// came over HTTP/2 or later, and has fewer bytes than its `Content-Length` and than its own exact hint, if it has one.
    ///
    /// Around a [client](crate::MetricsLayer::client) no body means that: the program is there to see that its request failed.
    ///
    /// A service that is generic over its request's body takes this one as it is. For one that wants a certain type there is
    /// [`MetricsLayer::boxed`](crate::MetricsLayer::boxed); the [module](self) says what else.
    #[derive(Debug, Default)]
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        call: Option<CallHandle>,
        // Of the bytes that are `owed`, those that have not come.
        owed: u64,
        // It is sent from here, not received.
        is_client: bool,
    }
}

pin_project! {
    /// The body of a response: counts the bytes that the caller takes, and ends the call
    /// when it ends.
    ///
    /// Frames, size hint and end pass through untouched. `C` classifies its errors.
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
    /// It comes, and its length counts.
    Body,
    /// None comes, whatever the headers say. Servers don't send it if it does.
    Nothing,
    /// The connection becomes something else, which nobody here sees.
    Upgrade,
    /// The same, if the caller agrees: who has asked for a tunnel may take the body for it.
    Tunnel,
}

/// What a body gives that is polled for a frame.
pub(crate) type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

// === impl RequestBody ===

impl<B> RequestBody<B> {
    /// `told` is what it tells its call by, and how many bytes it owes; one that is over before it begins has nothing to
    /// tell.
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

    /// The body that is wrapped.
    pub fn get_ref(&self) -> &B {
        &self.inner
    }

    /// The body that is wrapped. What is read from it directly is not counted.
    pub fn get_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    /// Gives up counting, and unwraps the body.
    ///
    /// What is read from then on is lost to the metrics: `request_bytes_total` stays where it is, at 0 if nothing was read before, as
    /// though the request had been empty; and an upload that the client breaks off, or that is malformed, counts as whatever the
    /// service makes of it, such as a 500. [`MetricsLayer::boxed`](crate::MetricsLayer::boxed) gives a service the type it wants and loses
    /// nothing. This is for what only the original can be, such as a `hyper::body::Incoming`, and for where a box is too much:
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
    /// Polls for a frame. `count` counts data and its bytes, `broken_off` says what an error means to
    /// a server.
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
        let is_short = |owed: u64, is_over: bool| {
            if owed > 0 && is_over {
                call.fault(Fault::Cancelled);
            }
        };
        // Each arm returns what it was given: a frame that all arms hand on is copied three times. (9 ns of a call.)
        let polled = match polled {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    let bytes = data.remaining() as u64;
                    count(call, &data, bytes);
                    *this.owed = this.owed.saturating_sub(bytes);
                    is_short(*this.owed, *this.owed > 0 && this.inner.is_end_stream());
                    Poll::Ready(Some(Ok(Frame::data(data))))
                }
                Err(frame) => {
                    is_short(*this.owed, *this.owed > 0 && this.inner.is_end_stream());
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
                is_short(*this.owed, true);
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
    // Only puts together what is known: if it could panic while the response is apart, that would be copied once more.
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

    /// The body that is wrapped.
    pub fn get_ref(&self) -> &B {
        &self.inner
    }

    /// The body that is wrapped. What is read from it directly is not counted.
    pub fn get_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    /// Unwraps the body, which ends the call here: as complete if nothing more
    /// was due, else as cancelled.
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
        let polled = this.inner.as_mut().poll_frame(cx);
        let Some(call) = &mut *guard else {
            guard.disarm();
            return polled;
        };
        let polled = match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                end(&mut guard, *this.taken, *this.promised, 0);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                let phase = phase(*this.taken, *this.promised);
                call.fault(this.classifier.error(&error, phase));
                end(&mut guard, *this.taken, *this.promised, 0);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
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

/// How many bytes the body of a request owes: if it ends before, without an error, the client went away.
///
/// That is its `Content-Length` where nothing else can tell: HTTP/2 has no error for some resets. HTTP/1 always has one for a body
/// that breaks off, so that a shorter one is another body, which a middleware has put in place of the wire's. And what a client sends short
/// its own connection refuses.
///
/// Over HTTP/2 there are such middlewares too, and the header speaks for the wire. So the body's own exact hint outranks it: what has come
/// whole by its own account has ended well. A hint does not make up a promise of its own: what has come to its `Content-Length`, or
/// never had one, is whole too.
///
/// For responses it is the other way round, since there the header is what is to be kept: see [`meet`].
#[inline]
pub(crate) fn owed<B: Body>(head: &Parts, body: &B, is_client: bool) -> u64 {
    if is_client || head.version <= Version::HTTP_11 {
        return 0;
    }
    let Some(length) = content_length(&head.headers) else {
        return 0;
    };
    let own = body.size_hint().exact();
    own.map_or(length, |own| own.min(length))
}

/// The length that the headers promise, if they do so legibly.
#[inline]
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A call meets the body of its response: what that promises, and whether it is over already.
///
/// `content_length` is what the header says; it wins over the body's own hint, for it is what the caller is told.
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

/// A promise that is met does not end the call, for an error may follow, but
/// the caller may stop here: hyper does over HTTP/1. One that is outrun can't be met any more.
#[inline]
fn weigh(call: &mut Call, taken: u64, promised: Option<u64>) {
    match promised {
        Some(promised) if taken == promised => call.owes_nothing(),
        Some(promised) if taken > promised => call.fault(ErrorType::PUBLISH_FINAL),
        _ => {}
    }
}

/// Ends the call with the last bytes of the body.
#[inline]
fn end(call: &mut Option<Call>, taken: u64, promised: Option<u64>, bytes: u64) {
    if let Some(mut call) = call.take() {
        finish(&mut call, taken, promised);
        call.end(0, bytes);
    }
}

/// The body is over.
#[inline]
fn finish(call: &mut Call, taken: u64, promised: Option<u64>) {
    if promised.is_some_and(|promised| taken != promised) {
        call.fault(ErrorType::PUBLISH_FINAL);
    }
    call.owes_nothing();
}

/// Where an error finds the response.
fn phase(taken: u64, promised: Option<u64>) -> Phase {
    if taken == 0 {
        Phase::ResponseStream
    } else if promised.is_some_and(|promised| taken >= promised) {
        Phase::PublishFinal
    } else {
        Phase::PublishResponse
    }
}
